"""EVE Ref's archives as the simulator serves them, over real HTTP."""

import base64
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from world import Simulator

from killsync.simulator import Options
from killsync.simulator.names import is_stranger
from killsync.simulator.past import DAY, LISTED_DAYS
from killsync.simulator.world import World

pytestmark = pytest.mark.long

NOW = 1_790_000_000.0
ADDED = {"killmail_hash", "http_last_modified"}

Simulate = Callable[..., Simulator]


class EveRef:
    """A client of the archives."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, day: date, **headers: str) -> requests.Response:
        url = f"{self.simulator.everef_url}/{day:%Y}/killmails-{day:%Y-%m-%d}.tar.bz2"
        return self.session.get(url, headers=headers, timeout=30)

    def members(self, day: date) -> dict[str, dict[str, Any]]:
        answer = self.get(day)
        assert answer.status_code == 200, answer.text
        with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:bz2") as archive:
            files = {member.name: archive.extractfile(member) for member in archive}
            return {name: json.load(file) for name, file in files.items() if file}

    def totals(self) -> dict[str, int]:
        totals: dict[str, int] = self.session.get(
            f"{self.simulator.everef_url}/totals.json", timeout=30
        ).json()
        return totals

    def count(self, day: date) -> int:
        return self.totals()[f"{day:%Y%m%d}"]


@pytest.fixture
def everef(simulate: Simulate) -> Iterator[EveRef]:
    client = EveRef(simulate(characters=2, killmails=20, archive_days=3, archive_killmails=12))
    yield client
    client.session.close()


def bodies(members: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return ESI's bodies by the id in the member's name."""
    return {
        name.removeprefix("killmails/").removesuffix(".json"): {
            key: value for key, value in body.items() if key not in ADDED
        }
        for name, body in members.items()
    }


@pytest.mark.sample
def test_an_archive_holds_the_killmails_of_its_day(everef: EveRef) -> None:
    truth = everef.simulator.truth()["bodies"]
    for day in (everef.simulator.old_days()[0], recent_day(everef)):
        held = bodies(everef.members(day))
        assert held == {
            killmail_id: body
            for killmail_id, body in truth.items()
            if body["killmail_time"].startswith(day.isoformat())
        }
        assert len(held) == everef.count(day)


def recent_day(everef: EveRef) -> date:
    """Return a day of which killmails are on a list."""
    newest = everef.simulator.truth()["bodies"]
    return date.fromisoformat(max(body["killmail_time"] for body in newest.values())[:10])


def test_hashes_are_those_of_esi_unless_a_day_has_none(everef: EveRef) -> None:
    first, second, _ = everef.simulator.old_days()
    everef.simulator.change_archive(second, with_hash=False)
    truth = everef.simulator.truth()
    hashes = {i: h for owner in truth["characters"].values() for i, h in owner["old"]}
    for body in everef.members(first).values():
        assert body["http_last_modified"] == body["killmail_time"]
        if body["killmail_id"] in hashes:
            assert body["killmail_hash"] == hashes[body["killmail_id"]]
    assert all(not ADDED & body.keys() for body in everef.members(second).values())
    everef.simulator.options(archive_hashes=False)
    assert all(not ADDED & body.keys() for body in everef.members(first).values())


def test_totals_count_every_day(everef: EveRef) -> None:
    totals = everef.totals()
    assert list(totals) == sorted(totals)
    assert [everef.count(day) for day in everef.simulator.old_days()] == [12, 12, 12]
    assert sum(totals.values()) == len(everef.simulator.truth()["bodies"])


def test_what_has_not_changed_is_not_sent_again(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    first = everef.get(day)
    again = everef.get(day, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Last-Modified"] == first.headers["Last-Modified"]
    assert parsedate_to_datetime(first.headers["Last-Modified"]).date() > day
    totals = everef.session.get(f"{everef.simulator.everef_url}/totals.json")
    tag = {"If-None-Match": totals.headers["ETag"]}
    assert everef.session.get(totals.url, headers=tag).status_code == 304


def test_a_date_will_do_where_there_is_no_tag(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    everef.simulator.change_archive(day, untagged=True)
    first = everef.get(day)
    assert "ETag" not in first.headers
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert everef.get(day, **since).status_code == 304
    everef.simulator.change_archive(day, rewrite=True)
    assert everef.get(day, **since).status_code == 200
    assert everef.get(day, **{"If-None-Match": '"x"'}).status_code == 200


def test_a_day_that_is_rewritten_has_another_tag_and_the_same_killmails(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    first, before = everef.get(day), everef.members(day)
    everef.simulator.change_archive(day, rewrite=True)
    second = everef.get(day, **{"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200
    assert second.headers["ETag"] != first.headers["ETag"]
    assert second.content != first.content
    assert everef.members(day) == before
    dates = [parsedate_to_datetime(a.headers["Last-Modified"]) for a in (first, second)]
    assert dates[0] < dates[1]


def test_a_day_grows_and_forgets_nothing(everef: EveRef) -> None:
    day = everef.simulator.old_days()[1]
    before = everef.members(day)
    everef.simulator.change_archive(day, killmails=5)
    assert before.items() < everef.members(day).items()
    assert everef.count(day) == len(before) + 5


def test_a_killmail_may_be_in_two_days(everef: EveRef) -> None:
    first, second, _ = everef.simulator.old_days()
    name, body = next(iter(everef.members(first).items()))
    everef.simulator.change_archive(second, also=[body["killmail_id"]])
    assert everef.members(first)[name] == everef.members(second)[name] == body
    assert (everef.count(first), everef.count(second)) == (12, 13)


def test_a_day_may_be_missing(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    everef.simulator.change_archive(day, missing=True)
    assert everef.get(day).status_code == 404
    assert everef.count(day) == 12
    everef.simulator.change_archive(day, missing=False)
    assert everef.get(day).status_code == 200
    assert everef.get(day - timedelta(1)).status_code == 404


def test_other_bytes_may_be_served(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    everef.simulator.change_archive(day, raw=base64.b64encode(b"no archive").decode(), bare=True)
    answer = everef.get(day)
    assert (answer.status_code, answer.content) == (200, b"no archive")
    assert not {"ETag", "Last-Modified"} & answer.headers.keys()


def test_a_hostile_body_is_archived_as_it_is(everef: EveRef) -> None:
    owner = everef.simulator.logins[0]["character_id"]
    [[killmail_id, _]] = everef.simulator.add_killmails(owner, 1, body_text="no JSON")
    # it happened some minutes ago, which may be yesterday
    now, name = datetime.now(UTC), f"killmails/{killmail_id}.json"
    found = []
    for day in (now - timedelta(days=1), now):
        answer = everef.get(day.date())
        if answer.status_code != 200:
            continue
        with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:bz2") as archive:
            files = [archive.extractfile(member) for member in archive if member.name == name]
            found += [file.read() for file in files if file]
    assert found == [b"no JSON"]


def test_what_was_changed_in_vain_is_refused(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    [known, *_] = everef.members(day).values()
    wrong: list[dict[str, Any]] = [
        {"also": [1]},
        {"also": [known["killmail_id"]]},
        {"day": "2003-05-06", "killmails": 1},
    ]
    url = f"{everef.simulator.url}/_control/archives"
    for values in wrong:
        answer = everef.session.post(url, json={"day": day.isoformat()} | values)
        assert answer.status_code == 400


def test_no_limit_of_esi_holds_here(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    everef.simulator.control("error_limit", "POST", seconds=60)
    assert everef.get(day).status_code == 200
    assert not [name for name in everef.get(day).headers if "imit" in name]
    [entry, _] = everef.simulator.log("archive")
    assert (entry["day"], entry["status"], entry["cost"]) == (day.isoformat(), 200, 0)


def test_faults_hit_one_day(everef: EveRef) -> None:
    first, second, _ = everef.simulator.old_days()
    everef.simulator.fault("archive", day=first.isoformat(), status=503, times=1)
    everef.simulator.fault("archive", day=first.isoformat(), html=True, after=0, times=1)
    everef.simulator.fault("totals", status=429, headers={"Retry-After": "7"}, times=1)
    statuses = [everef.get(day).status_code for day in (second, first, first, first)]
    assert statuses == [200, 503, 502, 200]
    totals = everef.session.get(f"{everef.simulator.everef_url}/totals.json")
    assert (totals.status_code, totals.headers["Retry-After"]) == (429, "7")


@pytest.mark.sample
@pytest.mark.parametrize("fault", [{"cut": True}, {"reset": True}, {"close": True}, {"hang": 0.1}])
def test_an_archive_may_be_cut_off(everef: EveRef, fault: dict[str, Any]) -> None:
    everef.simulator.fault("archive", times=1, **fault)
    day = everef.simulator.old_days()[0]
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        everef.get(day)
    assert everef.get(day).status_code == 200


def test_an_archive_may_be_damaged(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    whole = everef.get(day)
    everef.simulator.fault("archive", times=1, edit={"BZh9": "BZh0"})
    damaged = everef.get(day)
    assert damaged.content == b"BZh0" + whole.content[4:]
    assert damaged.headers["ETag"] != whole.headers["ETag"]


def test_an_archive_may_drip(everef: EveRef) -> None:
    day = everef.simulator.old_days()[0]
    whole = everef.get(day).content
    everef.simulator.fault("archive", times=1, drip=0.00001)
    assert everef.get(day).content == whole


@pytest.mark.parametrize(
    "path", ["2024/killmails-2025-01-01.tar.bz2", "2025/killmails-2025-02-30.tar.bz2", "", "x"]
)
def test_there_is_nothing_else(everef: EveRef, path: str) -> None:
    assert everef.session.get(f"{everef.simulator.everef_url}/{path}").status_code == 404


# the old killmails themselves


def old_world(**options: Any) -> World:
    return World(Options(characters=3, archive_days=4, archive_killmails=200, **options), NOW)


def test_old_killmails_are_on_no_list_and_older_than_any() -> None:
    world = old_world(killmails=50)
    old = list(world.past.everything())
    assert len({killmail.killmail_id for killmail in old}) == 800
    assert max(k.killmail_time for k in old) < NOW - LISTED_DAYS * DAY
    assert max(k.killmail_id for k in old) < min(world.killmails)
    listed = {k.killmail_id for owner in world.list_owners() for k in owner.listed}
    assert not listed & {killmail.killmail_id for killmail in old}
    assert all(world.find(killmail.killmail_id) == killmail for killmail in old)


def test_characters_are_victims_final_blows_and_mere_attackers() -> None:
    world = old_world(killmails=0)
    for character_id in world.characters:
        mine = world.past.of(character_id)
        assert len(mine) > 60
        parts = {
            "victim": [k for k in mine if k.victim_id == character_id],
            "final blow": [k for k in mine if k.final_blow_id == character_id],
            "attacker": [k for k in mine if (character_id, None) in k.others],
        }
        assert all(parts.values())
        for killmail in parts["attacker"]:
            body = json.loads(world.encode_body(killmail)[0])
            [mine_in_it] = [a for a in body["attackers"] if a.get("character_id") == character_id]
            assert not mine_in_it["final_blow"]


def test_many_old_killmails_are_of_strangers_only() -> None:
    world = old_world(killmails=0, archive_share=0.1)
    strangers = [
        k
        for k in world.past.everything()
        if not k.others and all(is_stranger(i) for i in (k.victim_id, k.final_blow_id) if i)
    ]
    assert 600 < len(strangers) < 800


def test_old_bodies_name_the_first_corporation_of_a_character() -> None:
    world = old_world(killmails=0, corporations=1)
    [corporation] = world.corporations.values()
    world.move(world.character(90_000_001), 1_000_167)
    for killmail in world.past.of(90_000_001):
        body = json.loads(world.encode_body(killmail)[0])
        parties = [body["victim"], *body["attackers"]]
        named = {p["corporation_id"] for p in parties if p.get("character_id") == 90_000_001}
        assert named == {corporation.corporation_id}
    members = {k.killmail_id for i in world.characters for k in world.past.of(i)}
    assert members < {k.killmail_id for k in world.past.of(corporation.corporation_id)}


def test_the_past_follows_from_the_seed() -> None:
    first, again = old_world(killmails=5), old_world(killmails=5)
    assert list(first.past.everything()) == list(again.past.everything())
    assert list(first.past.everything()) != list(old_world(seed=2).past.everything())
    assert first.killmails == World(Options(characters=3, killmails=5), NOW).killmails
