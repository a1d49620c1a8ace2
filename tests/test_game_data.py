"""The game data that are shipped, and the reader of CCP's export: faithful, and hard to break."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from killsync.errors import GameDataBroken
from killsync.gamedata import build, form, reading
from killsync.gamedata.game_data import GameData
from killsync.gamedata.reading import read
from killsync.gamedata.shipped import SHIPPED, shipped, shipped_build
from killsync.model import ItemType

SCRIPT = Path(__file__).parent.parent / "scripts" / "build_game_data.py"
NEWER = build.BUILD + 1000

# one line of each of CCP's files, with keys and languages that killsync has no use for
SMALL: dict[str, list[dict[str, Any]]] = {
    "_sde.jsonl": [{"_key": "sde", "buildNumber": 9, "releaseDate": "2026-11-24T11:00:00Z"}],
    "categories.jsonl": [{"_key": 6, "name": {"de": "Schiff", "en": "Ship"}, "published": True}],
    "groups.jsonl": [{"_key": 25, "categoryID": 6, "name": {"en": "Frigate"}, "anchored": False}],
    "types.jsonl": [
        {"_key": 587, "groupID": 25, "name": {"en": "Rifter", "zh": "裂谷级"}, "mass": 1067000.0},
        {"_key": 588, "groupID": 99, "name": {"en": "Of an unknown group"}},
        {"_key": 589, "groupID": 25, "name": {"de": "Ohne englischen Namen"}},
    ],
    "mapRegions.jsonl": [{"_key": 10000002, "name": {"en": "The Forge"}, "nebulaID": 11806}],
    "mapConstellations.jsonl": [
        {"_key": 20000020, "name": {"en": "Kimotoro"}, "regionID": 10000002, "position": {"x": 1.5}}
    ],
    "mapSolarSystems.jsonl": [
        {
            "_key": 30000142,
            "name": {"en": "Jita"},
            "constellationID": 20000020,
            "regionID": 10000002,
            "securityStatus": 0.945913,
            "stargateIDs": [50001249],
        },
        {"_key": 30000144, "name": {"en": "Nowhere"}, "securityStatus": 1},
    ],
    "npcCorporations.jsonl": [{"_key": 1000125, "name": {"en": "CONCORD"}, "deleted": False}],
    "factions.jsonl": [{"_key": 500001, "name": {"en": "Caldari State"}}],
    "typeDogma.jsonl": [{"_key": 587, "dogmaAttributes": []}],
}


def write_export(
    path: Path,
    changed: dict[str, bytes | None] | None = None,
    *,
    ending: str = "\n",
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """Write an export like CCP's; some files `changed`, without ending: None leaves one out."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, lines in SMALL.items():
            content = "".join(json.dumps(line) + ending for line in lines).encode()
            new = (changed or {}).get(member.removesuffix(".jsonl"), content)
            if new is not None:
                archive.writestr(member, new)
    return path


def newer(path: Path, **changed: bytes | None) -> Path:
    """Write a small export of a newer build, in which the Rifter has another name."""
    release = {"_key": "sde", "buildNumber": NEWER, "releaseDate": "2026-11-25T11:00:00Z"}
    types = (
        b'{"_key": 587, "groupID": 25, "name": {"en": "Rifter II"}}\n'
        b'{"_key": 999999, "groupID": 25, "name": {"en": "Brand New"}}\n'
    )
    files: dict[str, bytes | None] = {"_sde": json.dumps(release).encode(), "types": types}
    return write_export(path, files | changed)


@pytest.fixture(scope="module")
def data() -> GameData:
    return shipped()


def test_shipped_types_have_group_and_category(data: GameData) -> None:
    types = {one.type_id: one for one in data.types}
    assert types[587] == ItemType(587, "Rifter", 25, "Frigate", 6, "Ship")
    assert types[670].group == "Capsule"
    assert {one.category for one in data.types} >= {"Ship", "Module", "Charge", "Drone", "Implant"}
    assert all(one.name and one.group and one.category for one in data.types)


def test_shipped_systems_have_security_and_region(data: GameData) -> None:
    systems = {one.system_id: one for one in data.systems}
    jita = systems[30000142]
    assert (jita.name, jita.constellation, jita.region) == ("Jita", "Kimotoro", "The Forge")
    assert jita.security == pytest.approx(0.9459, abs=0.0001)
    assert (systems[31000005].name, systems[31000005].security) == ("Thera", -0.99)
    assert systems[32000166].region == "ADR05"  # in an abyss
    assert {one.region for one in data.systems} >= {"Pochven", "Delve", "A-R00001"}
    assert all(one.region and one.constellation for one in data.systems)


def test_shipped_corporations_and_factions_have_names(data: GameData) -> None:
    assert data.corporations[1000125] == "CONCORD"
    assert data.factions[500010] == "Guristas Pirates"


def test_what_is_said_of_the_shipped_data_without_reading_them_is_true(data: GameData) -> None:
    assert (data.build, data.released_at) == (shipped_build(), build.RELEASED_AT)
    assert (len(data.types), len(data.systems)) == (build.TYPES, build.SYSTEMS)
    assert (len(data.corporations), len(data.factions)) == (build.CORPORATIONS, build.FACTIONS)


def test_the_shipped_file_is_small_and_its_licence_lies_beside_it() -> None:
    assert SHIPPED.stat().st_size < 700_000
    notice = SHIPPED.with_name("LICENSE-game-data.md").read_text()
    assert "https://developers.eveonline.com/license-agreement" in notice


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_an_export_of_ccp_is_read_and_the_rest_of_it_skipped(tmp_path: Path, ending: str) -> None:
    found = read(write_export(tmp_path / "export.zip", ending=ending))
    assert found.build == 9
    assert found.types == [
        ItemType(587, "Rifter", 25, "Frigate", 6, "Ship"),
        ItemType(588, "Of an unknown group", 99),
    ]
    assert [(one.name, one.security, one.region) for one in found.systems] == [
        ("Jita", 0.945913, "The Forge"),
        ("Nowhere", 1.0, None),
    ]
    assert (found.corporations, found.factions) == (
        {1000125: "CONCORD"},
        {500001: "Caldari State"},
    )


BROKEN: dict[str, tuple[dict[str, bytes | None], str]] = {
    "a file is missing": ({"factions": None}, "has no factions.jsonl"),
    "no build": ({"_sde": b'{"_key": "other", "buildNumber": 1}\n'}, "which build"),
    "no number": (
        {"_sde": b'{"_key": "sde", "buildNumber": "x"}\n'},
        "_sde.jsonl is of an unknown",
    ),
    "empty": ({"types": b""}, "types.jsonl names nothing"),
    "yaml": ({"types": b"587:\n  name: Rifter\n"}, "types.jsonl is of an unknown form"),
    "old names": ({"types": b'{"_key": 587, "name": "Rifter"}\n'}, "unknown form"),
    "a list": ({"groups": b"[1, 2]\n"}, "groups.jsonl is of an unknown form"),
    "cut in a line": ({"types": b'{"_key": 587, "na'}, "types.jsonl is of an unknown form"),
    "no integer": ({"types": b'{"_key": 5.5, "name": {"en": "x"}}'}, "unknown form"),
    "too great": ({"types": b'{"_key": 99999999999999999999, "name": {"en": "x"}}'}, "unknown"),
    "half a pair": ({"types": b'{"_key": 1, "name": {"en": "\\ud800"}}'}, "unknown form"),
    "no UTF-8": ({"types": b'{"_key": 1, "name": {"en": "\xff"}}'}, "unknown form"),
    "deep": ({"types": b'{"x": ' + b"[" * 100_000}, "types.jsonl is of an unknown form"),
    "a long line": ({"types": b" " * 6_000_000}, "types.jsonl is larger than any"),
    "many lines": ({"types": b'{"_key":1}\n' * 600_000}, "types.jsonl has more lines than any"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_of_another_form_is_refused(tmp_path: Path, case: str) -> None:
    changed, reason = BROKEN[case]
    with pytest.raises(GameDataBroken, match=reason):
        read(write_export(tmp_path / "export.zip", changed))


def test_a_file_that_unpacks_to_more_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST_MEMBER", 1 << 22)
    bomb = write_export(tmp_path / "bomb.zip", {"factions": b"\n" * (1 << 23)})
    assert bomb.stat().st_size < 65_536
    with pytest.raises(GameDataBroken, match=r"factions\.jsonl is larger than any"):
        read(bomb)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, part: float) -> None:
    whole = write_export(tmp_path / "whole.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(GameDataBroken, match="is not a zip file, or is damaged"):
        read(cut)


def test_a_file_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    path = write_export(tmp_path / "stored.zip", compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"Rifter", b"Rafter", 1))
    with pytest.raises(GameDataBroken, match="damaged"):
        read(path)


def test_a_file_compressed_in_a_way_that_takes_memory_is_refused(tmp_path: Path) -> None:
    path = write_export(tmp_path / "lzma.zip", compression=zipfile.ZIP_LZMA)
    with pytest.raises(GameDataBroken, match="compressed in an unknown way"):
        read(path)


def test_a_file_that_is_too_large_is_not_even_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(b"x" * 2000)
    monkeypatch.setattr(reading, "LARGEST_FILE", 1000)
    with pytest.raises(GameDataBroken, match="larger than any"):
        read(path)


def test_the_newest_release_is_read_and_nothing_else_taken_for_one() -> None:
    line = b'{"_key": "sde", "buildNumber": 3142455, "releaseDate": "2025-12-15T11:14:02Z"}\r\n'
    assert reading.newest_release(b'{"_key": "x", "buildNumber": 1}\n' + line).build == 3142455
    for wrong in (b"", b"<html>", b'{"_key": "x", "buildNumber": 1}', b"[" * 100_000):
        with pytest.raises(GameDataBroken, match=r"latest\.jsonl"):
            reading.newest_release(wrong)


def test_every_file_of_the_form_is_shipped() -> None:
    with zipfile.ZipFile(SHIPPED) as archive:
        members = {member for member, _ in form.FILES.values()}
        assert set(archive.namelist()) == members | {form.RELEASE_FILE}


def test_the_script_writes_all_that_is_needed_and_the_same_each_time(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export.zip")
    written = []
    for name in ("one", "two"):
        output = tmp_path / name / "game-data.zip"
        output.parent.mkdir()
        words = [sys.executable, str(SCRIPT), "--export", str(export), "--output", str(output)]
        subprocess.run(words, check=True)
        written.append((output.read_bytes(), output.with_name("build.py").read_text()))
        assert read(output) == read(export)
    assert written[0] == written[1]
    assert "BUILD = 9\n" in written[0][1]
    assert "TYPES = 2\n" in written[0][1]


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(GameDataBroken, match="not a regular file"):
        read(Path("/dev/zero"))
