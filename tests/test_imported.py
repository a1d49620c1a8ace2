"""What becomes of imported killmails: when ESI lists them, when users go, and what is said."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from imported import forged, put
from world import Killsync

from killsync.model import HashSource, Origin

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

STRANGER = 2_112_000_001


@pytest.fixture
def program(killsync: Make) -> Killsync:
    return killsync(characters=2, killmails=6, shared=0, list_tokens=0, body_tokens=0)


def bodies_of(program: Killsync, number: int = 0) -> list[dict[str, Any]]:
    """Return what the list of one of the characters shows, newest first."""
    truth = program.simulator.truth()
    user_id = str(program.simulator.logins[number]["character_id"])
    return [truth["bodies"][str(i)] for i, _ in truth["characters"][user_id]["list"]]


def asked_for(program: Killsync) -> list[int]:
    return [entry["killmail_id"] for entry in program.simulator.log("body")]


def sources(program: Killsync) -> dict[int, tuple[str, str]]:
    rows = program.rows("SELECT killmail_id, origin, hash_source FROM killmails")
    return {killmail_id: (origin, source) for killmail_id, origin, source in rows}


def counted(program: Killsync) -> list[tuple[int, int]]:
    return program.rows("SELECT listed, killmails FROM users ORDER BY user_id")


# listed later


@pytest.mark.parametrize("hash_source", [HashSource.COMPUTED, HashSource.ARCHIVE])
def test_what_esi_lists_later_is_listed_and_confirmed_without_a_request(
    program: Killsync, hash_source: HashSource
) -> None:
    known = bodies_of(program)[:4]
    put(program, known, Origin.JSON, hash_source)
    assert counted(program) == [(0, 0), (0, 0)]
    program.simulator.clear_log()
    program.run("scan")
    assert not {body["killmail_id"] for body in known} & set(asked_for(program))
    for body in known:
        assert sources(program)[body["killmail_id"]] == ("json", "esi")
    assert counted(program) == [(6, 6), (6, 6)]
    program.assert_equals_truth()
    assert json.loads(program.run("check", "--json").stdout)["ok"]


def test_what_was_imported_before_it_was_listed_is_no_news(program: Killsync) -> None:
    put(program, bodies_of(program)[:4])
    said = program.run("scan").stderr
    name = program.simulator.logins[0]["name"]
    assert f"{name}: page 1 of 1, 6 killmails, 2 new" in said
    assert f"{name}: 2 new killmails on 1 page" in said
    assert program.rows("SELECT sum(new_killmails) FROM jobs") == [(2 + 6,)]


def test_a_body_with_another_hash_than_esi_lists_is_replaced_by_esis(program: Killsync) -> None:
    first, second, *rest = bodies_of(program)
    put(program, [forged(first), forged(second), *rest])
    ((last,),) = program.rows("SELECT max(stored_seq) FROM killmails")
    program.simulator.clear_log()
    said = program.run("scan", "--quiet").stderr
    lowest = min(first["killmail_id"], second["killmail_id"])
    assert (
        f"killmail {lowest} and 1 more: imported with another hash than ESI lists;"
        " deleted, and fetched from ESI\n"
    ) in said
    mine = {body["killmail_id"] for body in (first, second)}
    assert mine <= set(asked_for(program))
    assert not {body["killmail_id"] for body in rest} & set(asked_for(program))
    assert {sources(program)[i] for i in mine} == {("esi", "esi")}
    program.assert_equals_truth()
    # the numbers of those that went are never used again
    ((lowest_seq,),) = program.rows("SELECT min(stored_seq) FROM killmails WHERE origin = 'esi'")
    assert lowest_seq > last
    assert json.loads(program.run("check", "--json").stdout)["ok"]


def test_a_forged_body_leaves_nothing_behind_on_others_of_ours(program: Killsync) -> None:
    first, *_ = bodies_of(program)
    other = program.simulator.logins[1]["character_id"]
    put(program, [forged(first) | {"attackers": [first["attackers"][0] | {"character_id": other}]}])
    assert first["killmail_id"] in program.recorded(other)
    program.run("scan")
    assert first["killmail_id"] not in program.recorded(other)
    program.assert_equals_truth()


def test_what_esi_has_confirmed_is_never_replaced(program: Killsync) -> None:
    known = bodies_of(program)[0]
    put(program, [known])
    program.run("scan")
    program.execute("UPDATE killmails SET killmail_hash = ?, hash_ok = 0", "a" * 40)
    before = program.rows("SELECT * FROM killmails ORDER BY 1")
    program.simulator.clear_log()
    program.make_due()
    program.run("sync", str(program.simulator.logins[0]["character_id"]), "--full")
    assert program.rows("SELECT * FROM killmails ORDER BY 1") == before
    assert asked_for(program) == []


def test_a_second_list_that_shows_it_counts_it_too(killsync: Make) -> None:
    program = killsync(characters=2, killmails=0)
    one, two = (login["character_id"] for login in program.simulator.logins)
    program.simulator.add_killmails(one, 3, shared_with=two)
    put(program, bodies_of(program))
    program.run("scan")
    assert asked_for(program) == []
    assert counted(program) == [(3, 3), (3, 3)]
    program.assert_equals_truth()


# whose they are


def test_purging_deletes_what_was_imported_for_that_user_alone(program: Killsync) -> None:
    gone, stays = (login["character_id"] for login in program.simulator.logins)
    mine, shared, nobodys = bodies_of(program)[:3]
    shared = forged(shared) | {
        "attackers": [attacker | {"character_id": stays} for attacker in shared["attackers"][:1]],
        "victim": shared["victim"] | {"character_id": gone},
    }
    nobodys = forged(nobodys) | {
        "victim": nobodys["victim"] | {"character_id": STRANGER},
        "attackers": [a | {"character_id": STRANGER} for a in nobodys["attackers"]],
    }
    put(program, [mine, shared, nobodys])
    done = program.run("users", "remove", str(gone), "--purge", "--yes")
    assert "1 stored killmail that belong to no other user" in done.stdout
    left = {killmail_id for (killmail_id,) in program.rows("SELECT killmail_id FROM killmails")}
    assert left == {shared["killmail_id"], nobodys["killmail_id"]}


def test_without_a_purge_imported_killmails_stay(program: Killsync) -> None:
    put(program, bodies_of(program))
    program.run("users", "remove", str(program.simulator.logins[0]["character_id"]))
    assert len(program.rows("SELECT 1 FROM killmails")) == 6
    assert json.loads(program.run("check", "--json").stdout)["ok"]


IMPORT = """INSERT INTO imports VALUES ('everef', '2026-11-01', 'etag', 1, 2, 9, ?)"""
OF_USERS = """INSERT INTO imports VALUES ('everef', '2026-11-02', 'etag', 0, 2, 9, ?)"""


@pytest.mark.parametrize("purge", [[], ["--purge", "--yes"]])
def test_only_a_purge_has_archives_read_again_and_only_those_read_for_everybody(
    program: Killsync, purge: list[str]
) -> None:
    """Of the others, nothing was wanted for those who stay that is deleted with one who goes."""
    put(program, bodies_of(program))
    for script in (IMPORT, OF_USERS):
        program.execute(script, "2026-11-24T12:00:00Z")
    user_id = str(program.simulator.logins[0]["character_id"])
    program.run("users", "remove", user_id, *purge)
    expected = ["2026-11-02"] if purge else ["2026-11-01", "2026-11-02"]
    assert [name for (name,) in program.rows("SELECT name FROM imports ORDER BY 1")] == expected


def test_a_purge_that_deletes_nothing_has_no_archive_read_again(program: Killsync) -> None:
    program.execute(IMPORT, "2026-11-24T12:00:00Z")
    program.run("users", "remove", str(program.simulator.logins[0]["character_id"]), "--purge")
    assert len(program.rows("SELECT 1 FROM imports")) == 1


def test_a_purge_first_finds_out_who_takes_part(program: Killsync) -> None:
    """As after an upgrade, or where somebody was registered after an import."""
    gone, stays = (login["character_id"] for login in program.simulator.logins)
    mine, theirs = bodies_of(program)[0], bodies_of(program, 1)[0]
    shared = forged(mine) | {
        "victim": mine["victim"] | {"character_id": gone},
        "attackers": [mine["attackers"][0] | {"character_id": stays}],
    }
    unfound = theirs | {
        "victim": theirs["victim"] | {"character_id": gone},
        "attackers": [theirs["attackers"][0] | {"character_id": STRANGER, "corporation_id": 5}],
    }
    put(program, [shared, unfound])
    program.execute(
        "DELETE FROM user_killmails WHERE user_id = ? OR killmail_id = ?",
        stays, unfound["killmail_id"],
    )  # fmt: skip
    program.execute("UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails)")
    done = program.run("users", "remove", str(gone), "--purge", "--yes")
    assert "parts in stored killmails are looked up first" in done.stderr
    assert "1 stored killmail that belong to no other user" in done.stdout
    assert program.rows("SELECT killmail_id FROM killmails") == [(shared["killmail_id"],)]
    assert program.recorded(stays) == [shared["killmail_id"]]


# what is said of them


@pytest.mark.sample
@pytest.mark.parametrize(
    ("origin", "hash_source", "words"),
    [
        (Origin.EVEREF, HashSource.COMPUTED, "imported from EVE Ref's archives; its hash is comp"),
        (Origin.EVEREF, HashSource.ARCHIVE, "EVE Ref's archives; its hash came with it, and fits"),
        (Origin.JSON, HashSource.ESI, "imported from exported JSON; ESI has confirmed its hash"),
        (Origin.ZKB, HashSource.ESI, "found by zKillboard's list; ESI has confirmed its hash"),
    ],
)
def test_one_killmail_shows_where_it_came_from(
    program: Killsync, origin: Origin, hash_source: HashSource, words: str
) -> None:
    body = bodies_of(program)[0]
    put(program, [body], origin, hash_source)
    shown = program.run("kills", str(body["killmail_id"])).stdout
    assert words in shown
    (listed,) = json.loads(program.run("kills", "--json").stdout)
    assert listed["origin"] == origin
    assert program.run("kills", "--csv").stdout.splitlines()[1].endswith(f",{origin}")


def test_one_killmail_of_esis_shows_no_source(program: Killsync) -> None:
    program.run("scan")
    killmail_id = bodies_of(program)[0]["killmail_id"]
    assert "Source" not in program.run("kills", str(killmail_id)).stdout


@pytest.mark.sample
def test_exported_csv_says_where_each_came_from(program: Killsync) -> None:
    put(program, bodies_of(program)[:1])
    out = program.directory / "out"
    program.run("export", "--format", "csv", "-o", str(out))
    header, row = (out / "killmails.csv").read_text().splitlines()
    found = dict(zip(header.split(","), row.split(","), strict=True))
    assert (found["origin"], found["hash_source"]) == ("everef", "computed")
    assert "killmail_hash" not in found


def test_completeness_knows_nothing_of_what_was_imported(program: Killsync) -> None:
    put(program, bodies_of(program))
    for user in json.loads(program.run("check", "--json").stdout)["users"]:
        assert (user["complete"], user["killmails"], user["missing"]) == (None, 0, 0)
