"""`killsync check` finds every kind of damage, nothing where all is well, and repairs it."""

import hashlib
import json
import os
import pty
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from few_game_data import leave_few
from here import run_here
from hypothesis import given
from hypothesis.strategies import lists
from in_process import InProcess
from killmail_strategies import bodies
from sqlite_utils import Database
from world import (
    Killsync,
    read_until,
    run_in_progress,
    simulator,
    wait_for_exit,
    wait_until,
)

from killsync.check.repair import copy_before
from killsync.errors import TryLater
from killsync.gamedata import build
from killsync.killmail.body import decode
from killsync.killmail.hash import expected_hash
from killsync.model import HashSource, Origin
from killsync.store.connection import connect
from killsync.store.killmails import FetchedKillmail, insert
from killsync.store.schema import migrations
from killsync.store.verify_bodies import flaw, in_batches

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

# a killmail on one list only, with items and with one attacker at least
ONE = """(SELECT killmail_id FROM items WHERE ordinal = 1 AND killmail_id IN (
    SELECT killmail_id FROM user_killmails GROUP BY 1 HAVING count(*) = 1) ORDER BY 1 LIMIT 1)"""
FIRST_USER = "(SELECT min(user_id) FROM users)"
UNKNOWN = 4711
OLDER_GAME_DATA = "UPDATE facts SET value = 3000000 WHERE name = 'game_data'"
NOON = "2026-01-01T12:00:00Z"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A synced database that is not changed."""
    options = {"characters": 2, "killmails": 25, "shared": 0.3, "page_size": 10}
    with simulator(list_tokens=0, body_tokens=0, **options) as esi:
        program = InProcess(tmp_path_factory.mktemp("template"), esi)
        program.add_users()
        program.run("scan")
        leave_few(program.database)
        yield program


@pytest.fixture
def synced(template: InProcess, tmp_path: Path) -> InProcess:
    """A killsync of the test's own whose database is in step with its simulator."""
    return template.copy_to(tmp_path)


def damage(program: Killsync, *statements: str) -> None:
    """Change the database as nothing of killsync's ever would."""
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert conn.execute(statement).rowcount != 0, statement


def check(
    program: Killsync, *arguments: str, exit_code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `killsync check` in this process; what needs one of its own runs `run_forked`."""
    done = run_here("check", *arguments, environment=program.environment)
    assert done.returncode == exit_code, done
    assert "Traceback" not in done.stderr, done
    return done


def verdict(program: Killsync, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        check(program, "--json", *arguments, exit_code=exit_code).stdout
    )
    return found


def kinds(program: Killsync) -> set[str]:
    return {problem["kind"] for problem in verdict(program, exit_code=1)["problems"]}


def bytes_of(program: Killsync) -> str:
    return hashlib.sha256(program.database.read_bytes()).hexdigest()


def lines_of(program: Killsync, *arguments: str, exit_code: int = 0) -> list[str]:
    return check(program, *arguments, exit_code=exit_code).stdout.splitlines()


# every kind of damage: what is done to the database, what check says, and how a repair ends


# what the last line says after a repair
ONE_BODY = "the next `killsync scan` asks ESI for 1 killmail"
ONE_LIST = "the next `killsync scan` reads 1 list"
NOTHING = "nothing is missing"

DAMAGES = {
    "another ship": (
        f"UPDATE killmails SET victim_ship_type_id = 670 WHERE killmail_id = {ONE}",
        "body",
        "its hash is not the one that follows from it",
        ONE_BODY,
    ),
    "a hash with one digit changed": (
        f"""UPDATE killmails SET killmail_hash = iif(killmail_hash GLOB '0*', 'f', '0')
            || substr(killmail_hash, 2) WHERE killmail_id = {ONE}""",
        "body",
        "its hash is not the one that follows from it",
        ONE_BODY,
    ),
    "an invalid hash": (
        f"UPDATE killmails SET killmail_hash = 'lost' WHERE killmail_id = {ONE}",
        "body",
        "its hash is not the one that follows from it",
        ONE_BODY,
    ),
    "a hash marked as not fitting": (
        f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}",
        "body",
        "fits its hash, but is marked as if it did not",
        ONE_BODY,
    ),
    "an invalid killmail time": (
        f"UPDATE killmails SET killmail_time = 'noon' WHERE killmail_id = {ONE}",
        "body",
        "holds a value that ESI cannot have sent",
        ONE_BODY,
    ),
    "an invalid storage time": (
        f"UPDATE killmails SET stored_at = 'noon' WHERE killmail_id = {ONE}",
        "body",
        "was stored at 'noon', which is not a valid time",
        ONE_BODY,
    ),
    "a missing attacker": (
        f"DELETE FROM attackers WHERE ordinal = 0 AND killmail_id = {ONE}",
        "body",
        "killmail {id}: ",
        ONE_BODY,
    ),
    "an attacker misplaced": (
        f"UPDATE attackers SET ordinal = 9999 WHERE ordinal = 0 AND killmail_id = {ONE}",
        "body",
        "killmail {id}: ",
        ONE_BODY,
    ),
    "a security status that is a word": (
        f"UPDATE attackers SET security_status = 'x' WHERE ordinal = 0 AND killmail_id = {ONE}",
        "body",
        "holds a value that ESI cannot have sent",
        ONE_BODY,
    ),
    "half a position": (
        f"UPDATE killmails SET victim_x = 1, victim_y = NULL WHERE killmail_id = {ONE}",
        "body",
        "holds a value that ESI cannot have sent",
        ONE_BODY,
    ),
    "an item misplaced": (
        f"UPDATE items SET ordinal = 9999 WHERE ordinal = 1 AND killmail_id = {ONE}",
        "body",
        "killmail {id}: ",
        ONE_BODY,
    ),
    "a missing item": (
        f"DELETE FROM items WHERE ordinal = 1 AND killmail_id = {ONE}",
        "body",
        "killmail {id}: ",
        ONE_BODY,
    ),
    "an item in a missing container": (
        f"UPDATE items SET parent = 9999 WHERE ordinal = 1 AND killmail_id = {ONE}",
        "body",
        "its rows cannot be put together",
        ONE_BODY,
    ),
    "a wrong item count": (
        f"UPDATE killmails SET item_count = item_count + 1 WHERE killmail_id = {ONE}",
        "body",
        "its columns are not those that its content gives",
        ONE_BODY,
    ),
    "extra fields that are not JSON": (
        f"UPDATE killmails SET extra = '{{' WHERE killmail_id = {ONE}",
        "body",
        "its rows cannot be put together",
        ONE_BODY,
    ),
    "extra fields that are not an object": (
        f"UPDATE items SET extra = '[1]' WHERE ordinal = 1 AND killmail_id = {ONE}",
        "body",
        "killmail {id}: ",
        ONE_BODY,
    ),
    "extra fields that contradict a column": (
        f"""UPDATE killmails SET extra = '{{"solar_system_id": 1}}' WHERE killmail_id = {ONE}""",
        "body",
        "holds fields that contradict each other",
        ONE_BODY,
    ),
    "text that is not UTF-8": (
        f"UPDATE items SET extra = CAST(x'ff' AS TEXT) WHERE ordinal = 1 AND killmail_id = {ONE}",
        "body",
        "its rows cannot be put together",
        ONE_BODY,
    ),
    "an impossible feed number": (
        f"UPDATE killmails SET stored_seq = -3 WHERE killmail_id = {ONE}",
        "body",
        "has the impossible stored_seq -3",
        ONE_BODY,
    ),
    "a feed number far too high": (
        f"UPDATE killmails SET stored_seq = 9223372036854775807 WHERE killmail_id = {ONE}",
        "body",
        "has the impossible stored_seq 9223372036854775807",
        ONE_BODY,
    ),
    "an origin that nobody knows": (
        f"UPDATE killmails SET origin = 'moon' WHERE killmail_id = {ONE}",
        "body",
        "where it and its hash came from is lost",
        ONE_BODY,
    ),
    "a computed hash of what ESI has sent": (
        f"UPDATE killmails SET hash_source = 'computed' WHERE killmail_id = {ONE}",
        "body",
        "where it and its hash came from is lost",
        ONE_BODY,
    ),
    "an imported killmail whose hash does not fit": (
        f"""UPDATE killmails SET origin = 'everef', hash_source = 'archive', hash_ok = 0,
            killmail_hash = iif(killmail_hash GLOB '0*', 'f', '0') || substr(killmail_hash, 2)
        WHERE killmail_id = {ONE}""",
        "body",
        "its hash is not the one that follows from it",
        ONE_BODY,
    ),
    "attackers without a killmail": (
        f"INSERT INTO attackers SELECT {UNKNOWN}, ordinal, alliance_id, character_id,"
        " corporation_id, faction_id, damage_done, final_blow, security_status, ship_type_id,"
        f" weapon_type_id, extra FROM attackers WHERE killmail_id = {ONE}",
        "orphan",
        "of the rows of attackers belong to nothing that exists",
        NOTHING,
    ),
    "items without a killmail": (
        f"INSERT INTO items (killmail_id, ordinal, item_type_id, flag, singleton)"
        f" VALUES ({UNKNOWN}, 0, 34, 5, 0)",
        "orphan",
        "1 of the rows of items belong to nothing that exists",
        NOTHING,
    ),
    "a list without a user": (
        f"INSERT INTO user_killmails (user_id, killmail_id) VALUES ({UNKNOWN}, {ONE})",
        "orphan",
        "1 of the rows of user_killmails belong to nothing that exists",
        NOTHING,
    ),
    "a job without a user": (
        f"INSERT INTO jobs (user_id, priority, queued_at)"
        f" VALUES ({UNKNOWN}, 3, '2026-01-01T00:00:00Z')",
        "orphan",
        "1 of the rows of jobs belong to nothing that exists",
        NOTHING,
    ),
    "a director without a corporation": (
        f"INSERT INTO directors (corporation_id, character_id) VALUES ({UNKNOWN}, {FIRST_USER})",
        "orphan",
        "1 of the rows of directors belong to nothing that exists",
        NOTHING,
    ),
    "a director who is no user": (
        f"INSERT INTO directors (corporation_id, character_id) VALUES ({FIRST_USER}, {UNKNOWN})",
        "orphan",
        "1 of the rows of directors belong to nothing that exists",
        NOTHING,
    ),
    "a missing body with its attackers left": (
        f"DELETE FROM killmails WHERE killmail_id = {ONE}",
        "list",
        ": listed, but neither stored nor pending",
        ONE_LIST,
    ),
    "a missing list row": (
        f"DELETE FROM user_killmails WHERE killmail_id = {ONE}",
        "counter",
        "listed and",
        ONE_LIST,
    ),
    "a list row too many": (
        f"INSERT INTO user_killmails (user_id, killmail_id) VALUES ({FIRST_USER}, {UNKNOWN})",
        "list",
        ": listed, but neither stored nor pending",
        ONE_LIST,
    ),
    "a stored id that was never listed": (
        f"UPDATE users SET last_killmail_id = {UNKNOWN} WHERE user_id = {FIRST_USER}",
        "cursor",
        f"the stored id {UNKNOWN} was never recorded",
        ONE_LIST,
    ),
    "no stored id": (
        f"UPDATE users SET last_killmail_id = NULL WHERE user_id = {FIRST_USER}",
        "cursor",
        "no stored id, but",
        ONE_LIST,
    ),
    "a gap at page 1": (
        f"UPDATE users SET backfill_page = 1 WHERE user_id = {FIRST_USER}",
        "cursor",
        "the gap starts at page 1, which cannot be",
        ONE_LIST,
    ),
    "a gap that ends at an id never listed": (
        f"UPDATE users SET backfill_page = 2, backfill_until_id = {UNKNOWN}"
        f" WHERE user_id = {FIRST_USER}",
        "cursor",
        f"the gap ends at {UNKNOWN}, which was never recorded",
        ONE_LIST,
    ),
    "leftovers of a closed gap": (
        "UPDATE users SET backfill_full_from = '2026-11-01T00:00:00Z'"
        f" WHERE user_id = {FIRST_USER}",
        "cursor",
        "no gap is open, but something is recorded of one",
        ONE_LIST,
    ),
    "a wrong killmail count": (
        f"UPDATE users SET killmails = killmails + 2 WHERE user_id = {FIRST_USER}",
        "counter",
        "by the counts",
        NOTHING,
    ),
    "pending and stored": (
        f"INSERT INTO pending_killmails (killmail_id, killmail_hash, priority)"
        f" SELECT killmail_id, killmail_hash, 3 FROM killmails WHERE killmail_id = {ONE}",
        "pending",
        "pending, although stored",
        NOTHING,
    ),
    "pending on no list": (
        f"INSERT INTO pending_killmails (killmail_id, killmail_hash, priority)"
        f" VALUES ({UNKNOWN}, '{'0' * 40}', 3)",
        "pending",
        f"killmail {UNKNOWN}: pending, although no user's list shows it",
        NOTHING,
    ),
    "a running job without a run": (
        "UPDATE jobs SET state = 'running', finished_at = NULL WHERE id = 1",
        "job",
        "): the job is marked as running, and no run has it",
        NOTHING,
    ),
    "a feed counter that went back": (
        "UPDATE facts SET value = 3 WHERE name = 'stored_seq'",
        "feed",
        "the counter of stored_seq is 3, and ",
        NOTHING,
    ),
    "no feed counter": (
        "DELETE FROM facts WHERE name = 'stored_seq'",
        "feed",
        "the counter of stored_seq is None, and ",
        NOTHING,
    ),
    "a feed counter below the number of a killmail that was deleted": (
        "INSERT INTO removed_killmails (killmail_id, stored_seq, stored_at, removed_at)"
        f" VALUES ({UNKNOWN}, 5000, '{NOON}', '{NOON}')",
        "feed",
        ", and 5000 is in use",
        NOTHING,
    ),
    "an invalid sync time": (
        f"UPDATE users SET last_killmail_sync_at = 'a\x1b[2Jday' WHERE user_id = {FIRST_USER}",
        "time",
        "users.last_killmail_sync_at: not a valid time in 1 of the rows",
        ONE_LIST,
    ),
    "an invalid registration time": (
        "UPDATE users SET added_at = '2026-13-01T00:00:00Z'",
        "time",
        "users.added_at: not a valid time in 2 of the rows",
        NOTHING,
    ),
    "an invalid job time": (
        "UPDATE jobs SET finished_at = '2026-11-24 03:00:00'",
        "time",
        "jobs.finished_at: not a valid time in 2 of the rows",
        NOTHING,
    ),
    "an invalid run time": (
        "UPDATE runs SET started_at = 'noon'",
        "time",
        "runs.started_at: not a valid time in ",
        NOTHING,
    ),
    "an invalid time of a director": (
        "INSERT INTO directors (corporation_id, character_id, asked_at)"
        " SELECT user_id, user_id, 'noon' FROM users",
        "time",
        "directors.asked_at: not a valid time in 2 of the rows",
        NOTHING,
    ),
    "an invalid time of an import": (
        "INSERT INTO imports VALUES ('everef', '2026-11-01', 'etag', 0, 0, 9, 'noon')",
        "time",
        "imports.read_at: not a valid time in 1 of the rows",
        NOTHING,
    ),
    "an import of an unknown source": (
        f"INSERT INTO imports VALUES ('moon', '2026-11-02', 'etag', 0, 0, 9, '{NOON}')",
        "word",
        "archive 2026-11-02: imports.source 'moon' is not one of everef",
        NOTHING,
    ),
    "an invalid time of a list of zKillboard's": (
        "INSERT INTO zkb_lists SELECT user_id, 'kills', 3, 9, 1, 'noon', 9, 'noon' FROM users",
        "time",
        "zkb_lists.empty_at: not a valid time in 2 of the rows",
        NOTHING,
    ),
    "an unknown list of zKillboard's": (
        "INSERT INTO zkb_lists SELECT user_id, 'draws', 3, 9, 1, NULL, 9,"
        f" '{NOON}' FROM users LIMIT 1",
        "word",
        "zkb_lists.side 'draws' is not one of kills, losses",
        NOTHING,
    ),
    "an unknown state of what is told": (
        "INSERT INTO outbox (channel, killmail_id, state, queued_at, not_before)"
        f" VALUES ('corp', 5, 'gone', '{NOON}', '{NOON}')",
        "word",
        "channel corp: outbox.state 'gone' is not one of waiting, sending, told",
        NOTHING,
    ),
    "an invalid time of what is told": (
        "INSERT INTO outbox (channel, killmail_id, queued_at, not_before)"
        f" VALUES ('corp', 6, '{NOON}', 'noon')",
        "time",
        "outbox.not_before: not a valid time in 1 of the rows",
        NOTHING,
    ),
    "an invalid time of a channel": (
        "INSERT INTO channels (name, not_before) VALUES ('corp', 'noon')",
        "time",
        "channels.not_before: not a valid time in 1 of the rows",
        NOTHING,
    ),
    "no count of users added": (
        "DELETE FROM facts WHERE name = 'users_added'",
        "import",
        "the count of users added, by which archives are read again, is lost",
        NOTHING,
    ),
    "an unreadable rate limit": (
        """UPDATE rate_limits SET spent = '[["noon", 1]]' WHERE "group" = 'killmail'""",
        "limit",
        "rate limit killmail: what was spent cannot be read",
        NOTHING,
    ),
    "an unknown kind of user": (
        f"UPDATE users SET kind = 'ship' WHERE user_id = {FIRST_USER}",
        "word",
        "): users.kind 'ship' is not one of character, corporation",
        NOTHING,
    ),
    "an unknown job state": (
        "UPDATE jobs SET state = 'x' WHERE id = 2",
        "word",
        "): jobs.state 'x' is not one of queued, running, done, failed",
        NOTHING,
    ),
    "a victim who is none": (
        "UPDATE user_killmails SET role = iif(role = 'victim', 'attacker', 'victim')"
        f" WHERE killmail_id = {ONE}",
        "role",
        "1 of the rows of user_killmails do not fit their killmails",
        NOTHING,
    ),
    "a role that was forgotten": (
        "UPDATE user_killmails SET role = NULL, killmail_time = NULL",
        "role",
        "of the rows of user_killmails do not fit their killmails",
        NOTHING,
    ),
    "a killmail without values": (
        f"DELETE FROM killmail_values WHERE killmail_id = {ONE}",
        "value",
        "1 of the stored killmails have no row in killmail_values",
        NOTHING,
    ),
    "lost game data": (
        "DELETE FROM types WHERE type_id < 1000",
        "game_data",
        " rows of types, systems, factions and NPC corporations are gone",
        NOTHING,
    ),
    "values without a killmail": (
        f"INSERT INTO killmail_values (killmail_id) VALUES ({UNKNOWN})",
        "orphan",
        "1 of the rows of killmail_values belong to nothing that exists",
        NOTHING,
    ),
    "a missing view": (
        "DROP VIEW kills",
        "schema",
        "the view kills is missing",
        NOTHING,
    ),
    "a missing index": (
        "DROP INDEX killmails_time",
        "schema",
        "the index killmails_time is missing",
        NOTHING,
    ),
    "a missing trigger": (
        "DROP TRIGGER killmails_removed",
        "schema",
        "the trigger killmails_removed is missing",
        NOTHING,
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_repaired_and_healed_by_the_next_scan(synced: InProcess, name: str) -> None:
    statement, kind, words, ending = DAMAGES[name]
    ((hurt,),) = synced.rows(f"SELECT {ONE}")
    words = words.replace("{id}", str(hurt))
    damage(synced, statement)
    before = bytes_of(synced)
    found = verdict(synced, exit_code=1)["problems"]
    assert bytes_of(synced) == before
    named = [problem for problem in found if words in problem["text"]]
    assert named
    assert kind in {problem["kind"] for problem in found}
    assert "--repair" in named[0]["advice"]
    repaired = lines_of(synced, "--repair")
    assert any(line.startswith("found: ") and words in line for line in repaired)
    assert re.fullmatch(rf"\d problems? fixed; {re.escape(ending)}", repaired[-1])
    assert not any("--repair" in line for line in repaired)
    if ending != NOTHING:
        synced.run("scan")
    synced.assert_equals_truth()
    assert verdict(synced)["problems"] == []


def test_an_archive_read_before_the_count_of_users_was_lost_is_read_again(
    synced: InProcess,
) -> None:
    damage(
        synced,
        f"INSERT INTO imports VALUES ('everef', '2026-11-01', 'etag', 0, 7, 9, '{NOON}')",
    )
    assert kinds(synced) == {"import"}
    lines_of(synced, "--repair")
    assert synced.rows("SELECT value FROM facts WHERE name = 'users_added'") == [(8,)]


def make_pending(program: Killsync, origin: str) -> int:
    """Make a killmail pending that was stored, as if it came from elsewhere; return its id."""
    killmail_id = int(program.rows(f"SELECT {ONE}")[0][0])
    without_bodies(program, [killmail_id])
    damage(
        program,
        f"UPDATE pending_killmails SET origin = '{origin}' WHERE killmail_id = {killmail_id}",
        f"""UPDATE user_killmails SET role = NULL, killmail_time = NULL, listed = {origin != "zkb"}
            WHERE killmail_id = {killmail_id}""",
        """UPDATE users SET
            listed = (SELECT count(*) FROM user_killmails AS u
                WHERE u.user_id = users.user_id AND u.listed),
            killmails = (SELECT count(*) FROM user_killmails AS u JOIN killmails AS k
                ON k.killmail_id = u.killmail_id WHERE u.user_id = users.user_id AND u.listed)""",
    )
    return killmail_id


def test_a_pending_killmail_of_an_unknown_origin_is_esis_if_it_is_listed(
    synced: InProcess,
) -> None:
    killmail_id = make_pending(synced, "moon")
    found = verdict(synced, exit_code=1)["problems"]
    named = f"killmail {killmail_id}: pending_killmails.origin 'moon' is not one of esi, zkb"
    assert named in [problem["text"] for problem in found]
    lines_of(synced, "--repair")
    assert synced.rows("SELECT origin FROM pending_killmails") == [("esi",)]
    synced.run("scan")
    synced.assert_equals_truth()


def test_what_is_pending_from_zkillboard_is_its_users_without_being_listed(
    synced: InProcess,
) -> None:
    killmail_id = make_pending(synced, "zkb")
    assert verdict(synced)["problems"] == []
    # ESI's list of another user has shown it since
    damage(synced, "UPDATE pending_killmails SET origin = 'esi'")
    assert verdict(synced)["problems"] == []
    damage(synced, "DELETE FROM pending_killmails")
    assert kinds(synced) == {"role"}
    lines_of(synced, "--repair")
    row = f"SELECT 1 FROM user_killmails WHERE killmail_id = {killmail_id}"
    assert synced.rows(row) == []


@pytest.mark.sample
@pytest.mark.parametrize(
    ("origin", "hash_source", "asked"),
    [
        (Origin.EVEREF, HashSource.COMPUTED, "esi"),
        (Origin.JSON, HashSource.ARCHIVE, "esi"),
        (Origin.ZKB, HashSource.ESI, "zkb"),
    ],
)
def test_a_damaged_imported_body_is_asked_for_with_its_hash(
    synced: InProcess, origin: Origin, hash_source: HashSource, asked: str
) -> None:
    ((hurt,),) = synced.rows(f"SELECT {ONE}")
    whole = next(body for body in synced.export() if body["killmail_id"] == hurt)
    damage(
        synced,
        f"UPDATE killmails SET origin = '{origin}', hash_source = '{hash_source}'"
        f" WHERE killmail_id = {hurt}",
        f"UPDATE items SET ordinal = 9999 WHERE ordinal = 1 AND killmail_id = {hurt}",
    )
    assert lines_of(synced, "--repair")[-1].endswith(ONE_BODY)
    assert synced.rows("SELECT killmail_id, origin FROM pending_killmails") == [(hurt, asked)]
    synced.run("scan")
    assert whole in synced.export()
    assert verdict(synced)["problems"] == []


@pytest.mark.sample
def test_damage_that_needs_nothing_from_esi_is_repaired_all_at_once(
    synced: InProcess,
) -> None:
    damage(synced, *(statement for statement, *_, ending in DAMAGES.values() if ending == NOTHING))
    assert kinds(synced) == {kind for _, kind, _, ending in DAMAGES.values() if ending == NOTHING}
    assert lines_of(synced, "--repair")[-1].endswith(f" problems fixed; {NOTHING}")
    synced.assert_equals_truth()
    # what was repaired does not stop the next scan either
    synced.simulator.clear_log()
    synced.run("scan", "--force")
    assert {entry["status"] for entry in synced.simulator.log()} <= {200, 304}
    synced.assert_equals_truth()
    assert lines_of(synced)[-1] == "no problems found"


def test_a_hundred_failing_bodies_are_each_asked_for_once_more(synced: InProcess) -> None:
    every = len(synced.rows("SELECT 1 FROM killmails"))
    damage(synced, "UPDATE killmails SET victim_ship_type_id = victim_ship_type_id + 1")
    assert len(verdict(synced, exit_code=1)["problems"]) == every
    lines = lines_of(synced, exit_code=1)
    assert sum("its hash is not" in line for line in lines) == 20
    assert f"problem: {every - 20} more of the kind 'body'" in lines
    last = lines_of(synced, "--repair")[-1]
    assert last == (
        f"{every} problems fixed; the next `killsync scan` asks ESI for {every} killmails"
    )
    assert len(synced.rows("SELECT 1 FROM pending_killmails")) == every
    synced.simulator.clear_log()
    synced.run("scan")
    asked = [entry["killmail_id"] for entry in synced.simulator.log("body")]
    assert len(asked) == len(set(asked)) == every
    synced.assert_equals_truth()


def test_a_body_that_is_fetched_again_gets_a_number_of_its_own_in_the_feed(
    synced: InProcess,
) -> None:
    ((last,),) = synced.rows("SELECT max(stored_seq) FROM killmails")
    damage(
        synced, f"UPDATE killmails SET victim_ship_type_id = 670 WHERE stored_seq = {last}",
        "UPDATE facts SET value = 1 WHERE name = 'stored_seq'",
    )  # fmt: skip
    lines_of(synced, "--repair")
    synced.run("scan")
    assert synced.rows("SELECT max(stored_seq) FROM killmails") == [(last + 1,)]
    unused = "1 number of stored_seq is unused (purged or fetched again); nothing to do"
    assert unused in verdict(synced)["notes"]


def test_the_number_of_a_killmail_that_was_deleted_last_never_comes_back(
    synced: InProcess,
) -> None:
    ((last,),) = synced.rows("SELECT max(stored_seq) FROM killmails")
    damage(
        synced, f"DELETE FROM killmails WHERE stored_seq = {last}",
        "DELETE FROM facts WHERE name = 'stored_seq'",
    )  # fmt: skip
    lines_of(synced, "--repair")
    assert synced.rows("SELECT value FROM facts WHERE name = 'stored_seq'") == [(last,)]


def test_a_pending_body_without_a_hash_is_listed_again(synced: InProcess) -> None:
    ((hurt,),) = synced.rows(f"SELECT {ONE}")
    damage(
        synced,
        f"INSERT INTO pending_killmails (killmail_id, killmail_hash, priority)"
        f" VALUES ({hurt}, '?', 3)",
        f"DELETE FROM attackers WHERE killmail_id = {hurt}",
        f"DELETE FROM items WHERE killmail_id = {hurt}",
        f"DELETE FROM killmails WHERE killmail_id = {hurt}",
    )
    found = verdict(synced, exit_code=1)["problems"]
    assert any("something that is not a valid hash" in problem["text"] for problem in found)
    lines_of(synced, "--repair")
    synced.run("scan")
    synced.assert_equals_truth()


def test_a_body_that_lost_its_hash_and_its_content_is_listed_again(synced: InProcess) -> None:
    ((hurt,),) = synced.rows(f"SELECT {ONE}")
    damage(
        synced,
        f"UPDATE killmails SET killmail_hash = '', extra = '{{' WHERE killmail_id = {hurt}",
    )
    last = lines_of(synced, "--repair")[-1]
    assert last.endswith("the next `killsync scan` reads 1 list")
    assert any(": the whole list is to be read again, " in line for line in lines_of(synced))
    assert hurt not in {i for (i,) in synced.rows("SELECT killmail_id FROM pending_killmails")}
    synced.run("scan")
    synced.assert_equals_truth()


def test_a_failing_body_of_a_removed_user_is_asked_for_too(synced: InProcess) -> None:
    user_id = synced.simulator.logins[0]["character_id"]
    ((hurt,),) = synced.rows(f"SELECT {ONE}")
    before = {killmail["killmail_id"]: killmail for killmail in synced.export()}
    damage(synced, f"DELETE FROM user_killmails WHERE user_id = {user_id}")
    damage(synced, f"DELETE FROM users WHERE user_id = {user_id}")
    damage(synced, f"DELETE FROM jobs WHERE user_id = {user_id}")
    damage(synced, "UPDATE killmails SET victim_ship_type_id = victim_ship_type_id + 1")
    lines_of(synced, "--repair")
    assert lines_of(synced)[-1] == "no problems found"
    synced.run("scan")
    after = {killmail["killmail_id"]: killmail for killmail in synced.export()}
    assert after == before
    assert hurt in after


def test_two_open_jobs_of_one_user_become_one(synced: InProcess) -> None:
    job = f"""INSERT INTO jobs (user_id, priority, queued_at)
        VALUES ({FIRST_USER}, 3, '2026-01-01T00:00:00Z')"""
    damage(synced, "DROP INDEX jobs_one_open_per_user", job, job)
    assert kinds(synced) == {"job", "schema"}
    lines_of(synced, "--repair")
    assert synced.rows("SELECT count(*) FROM jobs WHERE state = 'queued'") == [(1,)]


def test_a_user_in_an_unknown_state_is_disabled(synced: InProcess) -> None:
    login = synced.simulator.logins[0]
    damage(synced, f"UPDATE users SET state = 'x\x1b[2J' WHERE user_id = {login['character_id']}")
    for command in (["status"], ["users"]):
        assert "damaged: run `killsync check`" in synced.run(*command, COLUMNS="200").stdout
    name = f"{login['name']} ({login['character_id']})"
    (line,) = [line for line in lines_of(synced, exit_code=1) if line.startswith("problem")]
    assert f"{name}: users.state 'x\\x1b[2J' is not one of active, needs_login, disabled" in line
    ending = "1 problem fixed; 1 user is disabled: `killsync users enable`"
    assert lines_of(synced, "--repair")[-1] == ending
    assert synced.user(login["character_id"])["state"] == "disabled"
    synced.run("users", "enable", str(login["character_id"]))
    synced.run("scan")
    synced.assert_equals_truth()


def test_an_open_job_in_an_unknown_state_is_merged_with_the_other_one(synced: InProcess) -> None:
    queue = f"INSERT INTO jobs (user_id, priority, queued_at) VALUES ({FIRST_USER}, 3, '{NOON}')"
    damage(synced, queue, "UPDATE jobs SET state = 'x' WHERE state = 'queued'", queue)
    lines_of(synced, "--repair")
    jobs = f"SELECT count(*) FROM jobs WHERE state = 'queued' AND user_id = {FIRST_USER}"
    assert synced.rows(jobs) == [(1,)]
    assert lines_of(synced)[-1] == "no problems found"


def test_a_body_that_breaks_the_schema_is_asked_for_again(synced: InProcess) -> None:
    damage(synced, f"UPDATE attackers SET final_blow = 2 WHERE ordinal = 0 AND killmail_id = {ONE}")
    assert kinds(synced) == {"body"}
    lines_of(synced, "--repair")
    synced.run("scan")
    synced.assert_equals_truth()


OF_THAT_NAME = ["TABLE kills (a)", "TABLE Kills (a)", "INDEX kills ON runs (pid)"]


@pytest.mark.parametrize("made", OF_THAT_NAME)
def test_what_bears_the_name_of_a_view_is_named_and_left(synced: InProcess, made: str) -> None:
    kind = made.partition(" ")[0].lower()
    damage(synced, "DROP VIEW kills", "DROP INDEX killmails_time", f"CREATE {made}")
    found = (
        f"the view kills is missing: another {kind} bears its name; rename or drop it, "
        "then --repair creates the view"
    )
    assert f"problem: {found}" in lines_of(synced, exit_code=1)
    lines = lines_of(synced, "--repair", exit_code=1)
    assert f"problem: {found}" in lines
    assert lines[-1] == "1 problem fixed, 1 left"
    damage(synced, f"DROP {kind} kills")
    lines_of(synced, "--repair")
    assert lines_of(synced)[-1] == "no problems found"


def test_lost_game_data_come_back_with_the_next_scan(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    kept = "SELECT * FROM types ORDER BY type_id", "SELECT * FROM systems ORDER BY system_id"
    before = [program.rows(sql) for sql in kept]
    damage(program, "DELETE FROM types", "DELETE FROM systems WHERE system_id % 2")
    lines_of(program, "--repair")
    program.run("scan")
    assert [program.rows(sql) for sql in kept] == before


def test_a_table_that_was_altered_is_named_and_left(synced: InProcess) -> None:
    damage(synced, "ALTER TABLE runs ADD COLUMN mine TEXT")
    assert kinds(synced) == {"schema"}
    lines = lines_of(synced, exit_code=1)
    assert lines[-1] == "1 problem found"
    assert lines_of(synced, "--repair", exit_code=1) == lines
    assert not Path(f"{synced.database}.before-repair").exists()


def test_repaired_and_remaining_problems_are_counted_apart(synced: InProcess) -> None:
    damage(
        synced,
        "ALTER TABLE runs ADD COLUMN mine TEXT",
        f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}",
        f"UPDATE users SET killmails = 4711 WHERE user_id = {FIRST_USER}",
    )
    done = synced.run_forked("check", "--repair", "--json", exit_code=1)
    found = json.loads(done.stdout)
    assert (found["repaired"], found["total"], found["ok"]) == (2, 1, False)
    damage(synced, f"UPDATE users SET killmails = 4711 WHERE user_id = {FIRST_USER}")
    assert lines_of(synced, "--repair", exit_code=1)[-1] == "1 problem fixed, 1 left"


def test_additional_tables_and_views_are_no_problem(synced: InProcess) -> None:
    damage(
        synced,
        "CREATE VIEW losses AS SELECT * FROM killmails",
        "CREATE TABLE notes (killmail_id INTEGER, text TEXT)",
        "CREATE INDEX mine ON attackers (ship_type_id)",
    )
    assert lines_of(synced)[-1] == "no problems found"


# the token file and the modes


def test_an_active_user_without_a_token_needs_a_login(synced: InProcess) -> None:
    login = synced.simulator.logins[0]
    with closing(sqlite3.connect(f"{synced.database}.tokens")) as conn, conn:
        conn.execute("DELETE FROM tokens WHERE user_id = ?", [login["character_id"]])
    (line,) = [line for line in lines_of(synced, exit_code=1) if line.startswith("problem")]
    assert f"{login['name']} ({login['character_id']}): needs a login, there is no token" in line
    ending = "1 problem fixed; 1 user needs a login: `killsync login`"
    assert lines_of(synced, "--repair")[-1] == ending
    assert synced.user(login["character_id"])["state"] == "needs_login"


def test_a_missing_token_file_is_noted_and_leaves_every_user_active(synced: InProcess) -> None:
    tokens = Path(f"{synced.database}.tokens")
    kept = tokens.rename(tokens.with_name("kept"))
    for arguments in ([], ["--repair"]):
        lines = lines_of(synced, *arguments)
        assert any(f"{tokens} is not there, as beside a copy" in line for line in lines)
        assert lines[-1] == "no problems found"
    assert synced.rows("SELECT DISTINCT state FROM users") == [("active",)]
    kept.rename(tokens)
    assert "as beside a copy" not in "".join(lines_of(synced))


@pytest.mark.parametrize("arguments", [[], ["--repair"]])
def test_a_token_file_that_is_not_sqlite_is_named_and_left(
    synced: InProcess, arguments: list[str]
) -> None:
    tokens = Path(f"{synced.database}.tokens")
    tokens.write_bytes(b"x" * 8192)
    lines = lines_of(synced, *arguments, exit_code=1)
    assert any(f"{tokens}: is not an SQLite database" in line for line in lines)
    assert tokens.read_bytes() == b"x" * 8192


def test_a_database_readable_by_others_is_noted(synced: InProcess) -> None:
    synced.database.chmod(0o640)
    assert any("others may use it" in note for note in verdict(synced)["notes"])


@pytest.mark.sample
def test_no_token_is_ever_shown(synced: InProcess) -> None:
    damage(synced, f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}")
    with closing(sqlite3.connect(f"{synced.database}.tokens")) as conn:
        secrets = [
            s for row in conn.execute("SELECT refresh_token, access_token FROM tokens") for s in row
        ]
    for arguments in (["-v"], ["--json"], ["--repair", "-v"]):
        done = synced.run("check", *arguments, exit_code=None)
        assert secrets
        assert not any(secret in done.stdout + done.stderr for secret in secrets)


# files that cannot be used


def truncated(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def garbage(file: Path) -> None:
    file.write_bytes(os.urandom(40_000))


def overwrite_root(file: Path, name: str, content: bytes) -> None:
    with closing(sqlite3.connect(file)) as conn:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = conn.execute(query, [name]).fetchone()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * 4096)
        opened.write(content)


def page_overwritten(file: Path) -> None:
    overwrite_root(file, "attackers", os.urandom(4096))


def index_emptied(file: Path) -> None:
    # SQLite can read it, and finds rows of the table missing
    overwrite_root(file, "killmails_time", bytes.fromhex("0a 0000 0000 1000 00").ljust(4096, b"\0"))


def table_dropped(file: Path) -> None:
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("DROP TABLE rate_limits")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.sample
@pytest.mark.parametrize("arguments", [[], ["--repair"], ["--json"]])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncated, "is damaged"),
        (garbage, "is not an SQLite database"),
        (page_overwritten, "is damaged"),
        (index_emptied, "missing from index killmails_time"),
        (table_dropped, "the table rate_limits is missing"),
    ],
)
def test_an_unusable_file_is_reported_and_not_touched(
    synced: InProcess, spoil: Callable[[Path], None], words: str, arguments: list[str]
) -> None:
    with closing(sqlite3.connect(synced.database)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(synced.database)
    before = bytes_of(synced)
    done = synced.run("check", *arguments, exit_code=2)
    assert words in done.stdout + done.stderr
    assert bytes_of(synced) == before
    assert not Path(f"{synced.database}.before-repair").exists()


def test_a_database_of_another_program_is_refused(synced: InProcess) -> None:
    synced.database.unlink()
    synced.execute("CREATE TABLE other (x)")
    assert "of another program" in synced.run_forked("check", exit_code=2).stderr


def test_no_database_yet(tmp_path: Path, template: InProcess) -> None:
    program = Killsync(tmp_path, template.simulator)
    assert "no database yet" in program.run("check", exit_code=2).stderr
    assert list(tmp_path.iterdir()) == []


# nothing wrong: no false alarm


def test_how_far_each_list_of_a_healthy_database_is_complete(synced: InProcess) -> None:
    lines = synced.run_forked("check").stdout.splitlines()
    assert lines[-1] == "no problems found"
    status = {user["user_id"]: user for user in synced.status()["users"]}
    for user in verdict(synced)["users"]:
        (oldest,) = synced.rows(
            """SELECT min(killmails.killmail_time) FROM killmails
            JOIN user_killmails USING (killmail_id) WHERE user_id = ?""",
            user["user_id"],
        )[0]
        until = status[user["user_id"]]["last_killmail_sync_at"]
        assert user["complete"] == {"since": oldest, "until": until}
        name = f"{user['name']} ({user['user_id']})"
        what = f"complete from {oldest} to {until}, {user['killmails']} killmails"
        assert f"{name}: {what}" in lines


def test_quiet_prints_nothing_when_all_is_well(synced: InProcess) -> None:
    done = synced.run_forked("check", "--quiet")
    assert done.stdout + done.stderr == ""


def test_quiet_repair_prints_what_was_found_and_how_it_ended(synced: InProcess) -> None:
    damage(synced, f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}")
    found, ending = synced.run_forked("check", "--repair", "--quiet").stdout.splitlines()
    assert found.startswith("found: killmail ")
    assert ending == "1 problem fixed; the next `killsync scan` asks ESI for 1 killmail"
    assert lines_of(synced, "--repair", "--quiet") == []


def test_quiet_prints_the_problems_and_their_number(synced: InProcess) -> None:
    damage(synced, f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}")
    done = synced.run_forked("check", "--quiet", exit_code=1)
    problem, ending = done.stdout.splitlines()
    assert problem.startswith("problem: killmail ")
    assert ending == "1 problem found"


def test_check_changes_nothing_and_sends_no_request(synced: InProcess) -> None:
    synced.simulator.clear_log()
    before = synced.rows("SELECT * FROM users"), synced.rows("SELECT * FROM runs")
    lines_of(synced)
    assert (synced.rows("SELECT * FROM users"), synced.rows("SELECT * FROM runs")) == before
    assert synced.simulator.log() == []


def test_repair_of_a_healthy_database_changes_nothing(synced: InProcess) -> None:
    assert lines_of(synced, "--repair")[-1] == "no problems found"
    assert not Path(f"{synced.database}.before-repair").exists()


def test_repair_does_not_need_the_newest_game_data(synced: InProcess) -> None:
    damage(synced, OLDER_GAME_DATA, "UPDATE users SET killmails = 7")
    assert lines_of(synced, "--repair")[-1].startswith("2 problems fixed")
    assert synced.rows("SELECT value FROM facts WHERE name = 'game_data'") == [(3000000,)]
    synced.run("scan")
    assert synced.rows("SELECT value FROM facts WHERE name = 'game_data'") == [(build.BUILD,)]


def test_an_older_backup_is_repaired_once_it_is_restored(synced: InProcess) -> None:
    damage(synced, OLDER_GAME_DATA, "UPDATE users SET killmails = 7")
    backup = synced.directory / "backup.db"
    synced.run("backup", str(backup))
    synced.run("restore", str(backup), "--yes")
    assert lines_of(synced, "--repair")[-1].startswith("2 problems fixed")
    assert lines_of(synced)[-1] == "no problems found"


def test_repair_keeps_a_copy_of_what_was_there(synced: InProcess) -> None:
    damage(synced, f"UPDATE killmails SET victim_ship_type_id = 670 WHERE killmail_id = {ONE}")
    lines_of(synced, "--repair")
    copy = Path(f"{synced.database}.before-repair")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as conn:
        rows = conn.execute("SELECT 1 FROM killmails WHERE victim_ship_type_id = 670").fetchall()
    assert rows


def test_a_second_repair_keeps_the_copy_of_the_first(synced: InProcess) -> None:
    first, second = (Path(f"{synced.database}.before-repair{end}") for end in ("", "-2"))
    damage(synced, f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}")
    lines_of(synced, "--repair")
    content = first.read_bytes()
    damage(synced, f"UPDATE users SET killmails = 4711 WHERE user_id = {FIRST_USER}")
    assert f"a copy of the database as it was is kept in {second}" in lines_of(synced, "--repair")
    assert first.read_bytes() == content
    with closing(sqlite3.connect(second)) as conn:
        assert conn.execute("SELECT max(killmails) FROM users").fetchone() == (4711,)


def test_without_room_for_a_copy_there_is_no_repair(
    synced: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.statvfs_result((4096, 4096, 1000, 3, 3, 1000, 3, 3, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    before, size = bytes_of(synced), synced.database.stat().st_size
    with closing(connect(synced.database)) as store, pytest.raises(TryLater) as raised:
        copy_before(store)
    assert raised.value.exit_code == 75
    assert f"{2 * size / 1_000_000:.1f} MB must be free; nothing was changed" in str(raised.value)
    assert bytes_of(synced) == before
    assert not Path(f"{synced.database}.before-repair").exists()


def test_a_look_does_not_wait_for_a_run(synced: InProcess) -> None:
    damage(synced, f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}")
    with run_in_progress(synced):
        assert lines_of(synced, exit_code=1)[-1] == "1 problem found"


def test_repair_waits_for_a_run_and_then_gives_up(
    synced: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(synced, f"UPDATE killmails SET hash_ok = 0 WHERE killmail_id = {ONE}")
    before = bytes_of(synced)
    monkeypatch.setattr("killsync.cli.check._LOCK_PATIENCE", 0.5)
    with run_in_progress(synced):
        done = check(synced, "--repair", exit_code=75)
    waiting, given_up = done.stderr.splitlines()
    assert waiting.endswith("waiting for another run to end")
    assert "another run is in progress" in given_up
    assert bytes_of(synced) == before


def test_a_user_who_was_never_synced(killsync: Make) -> None:
    program = killsync(characters=1)
    assert any(line.endswith(": never synced, 0 killmails") for line in lines_of(program))


def test_a_user_without_killmails(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    program.run("scan")
    assert any(": complete to " in line for line in lines_of(program))


def test_an_open_gap_of_a_first_sync(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, page_size=10)
    program.run("scan", KILLSYNC_MAX_PAGES="2")
    (user,) = verdict(program)["users"]
    assert (user["complete"], user["gap_page"]) == (None, 3)
    gap = "not complete yet, 20 killmails; gap open at page 3, down to the end"
    assert gap in lines_of(program)[1]


def test_after_a_repair_an_open_gap_is_still_to_be_read(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, page_size=10)
    program.run("scan", KILLSYNC_MAX_PAGES="2")
    damage(program, f"UPDATE users SET last_killmail_id = {UNKNOWN}")
    assert lines_of(program, "--repair")[-1] == f"1 problem fixed; {ONE_LIST}"
    program.run("scan")
    program.assert_equals_truth()


def test_repair_counts_disabled_users_with_an_incomplete_list(synced: InProcess) -> None:
    user_id = synced.simulator.logins[0]["character_id"]
    synced.run("users", "disable", str(user_id))
    damage(
        synced, f"INSERT INTO user_killmails (user_id, killmail_id) VALUES ({user_id}, {UNKNOWN})"
    )
    ending = "2 problems fixed; 1 user is disabled: `killsync users enable`"
    assert lines_of(synced, "--repair")[-1] == ending


@pytest.mark.sample
def test_below_an_open_gap_the_list_is_complete(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, page_size=10)
    program.run("scan")
    (before,) = verdict(program)["users"]
    program.simulator.add_killmails(before["user_id"], 35)
    program.simulator.thaw()
    program.make_due()
    program.run("scan", KILLSYNC_MAX_PAGES="2")
    (after,) = verdict(program)["users"]
    assert after["gap_until_id"] is not None
    assert after["complete"]["since"] == before["complete"]["since"]
    (full,) = program.rows("SELECT last_full_at FROM users")[0]
    assert after["complete"]["until"] == full


def test_pending_and_set_aside_bodies_are_counted(killsync: Make) -> None:
    program = killsync(characters=1, killmails=10)
    user_id = program.simulator.logins[0]["character_id"]
    first, second, *_ = program.simulator.listed(user_id)
    program.simulator.fault("body", killmail_id=first, status=422)
    program.simulator.fault("body", killmail_id=second, status=500)
    program.run("scan", exit_code=1)
    program.execute(
        "UPDATE pending_killmails SET set_aside_at = not_before WHERE killmail_id = ?", first
    )
    counts = "8 killmails, 1 pending, 1 set aside; 2 listed killmails are not stored yet"
    assert lines_of(program)[1].endswith(counts)


def without_bodies(program: Killsync, killmail_ids: list[int]) -> None:
    """Make killmails pending whose bodies were stored, as if they had not come yet."""
    chosen = f"WHERE killmail_id IN ({','.join(map(str, killmail_ids))})"
    columns = "killmail_id, killmail_hash, priority"
    damage(
        program,
        f"""INSERT INTO pending_killmails ({columns})
            SELECT killmail_id, killmail_hash, 3 FROM killmails {chosen}""",
        f"DELETE FROM killmails {chosen}",
        f"DELETE FROM attackers {chosen}",
        f"DELETE FROM killmail_values {chosen}",
        "UPDATE users SET killmails = (SELECT count(*) FROM killmails)",
    )
    program.execute(
        "DELETE FROM items WHERE killmail_id NOT IN (SELECT killmail_id FROM killmails)"
    )


def test_what_is_pending_is_not_called_complete(killsync: Make) -> None:
    program = killsync(characters=1, killmails=10)
    program.run("scan")
    user_id = program.simulator.logins[0]["character_id"]
    listed = program.simulator.listed(user_id)[::-1]
    times = dict(program.rows("SELECT killmail_id, killmail_time FROM killmails"))
    (before,) = verdict(program)["users"]
    assert (before["complete_before"], before["missing"]) == (None, 0)
    without_bodies(program, [listed[3], listed[6]])
    (user,) = verdict(program)["users"]
    oldest, newest = (
        {"since": times[listed[0]], "until": times[listed[2]]},
        {"since": times[listed[7]], "until": before["complete"]["until"]},
    )
    assert (user["complete_before"], user["complete"], user["missing"]) == (oldest, newest, 2)
    assert lines_of(program)[1].endswith(
        f": complete from {oldest['since']} to {oldest['until']}"
        f" and from {newest['since']} to {newest['until']}, 8 killmails, 2 pending;"
        " in between 2 listed killmails are not stored yet"
    )


def test_where_the_newest_are_pending_it_is_complete_up_to_these(killsync: Make) -> None:
    program = killsync(characters=1, killmails=10)
    program.run("scan")
    listed = program.simulator.listed(program.simulator.logins[0]["character_id"])[::-1]
    times = dict(program.rows("SELECT killmail_id, killmail_time FROM killmails"))
    without_bodies(program, listed[-1:])
    (user,) = verdict(program)["users"]
    assert user["complete"] == {"since": times[listed[0]], "until": times[listed[-2]]}
    assert (user["complete_before"], user["missing"]) == (None, 1)
    assert lines_of(program)[1].endswith("1 pending; 1 listed killmail is not stored yet")


def test_where_all_are_pending_nothing_is_complete(killsync: Make) -> None:
    program = killsync(characters=1, killmails=10)
    program.run("scan")
    without_bodies(program, program.simulator.listed(program.simulator.logins[0]["character_id"]))
    (user,) = verdict(program)["users"]
    assert (user["complete"], user["complete_before"], user["missing"]) == (None, None, 10)
    assert ": not complete yet, 0 killmails, 10 pending; 10 listed" in lines_of(program)[1]


def test_a_body_that_never_fitted_its_hash_is_noted(killsync: Make) -> None:
    program = killsync(characters=1, killmails=5)
    user_id = program.simulator.logins[0]["character_id"]
    program.simulator.add_killmails(user_id, 1, killmail_hash="ab" * 20)
    program.run("scan", exit_code=None)
    assert any("hash does not match: 1" in note for note in verdict(program)["notes"])


@pytest.mark.sample
def test_fields_that_esi_may_add_are_no_problem(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    user_id = program.simulator.logins[0]["character_id"]
    ((killmail_id, killmail_hash),) = program.simulator.add_killmails(user_id, 1)
    odd = {
        "killmail_id": killmail_id,
        "killmail_time": "2026-10-02T03:04:05.25+02:00",
        "solar_system_id": 30000142,
        "new_field": {"nested": [1, 2.5, None, "é"]},
        "victim": {
            "damage_taken": 1,
            "ship_type_id": 33328,
            "position": {"x": 1, "y": -2.5, "z": 1e23, "t": 0},
            "items": [{"item_type_id": 1, "flag": 5, "singleton": 0, "items": [], "new": 1}],
        },
        "attackers": [{"damage_done": 0, "final_blow": True, "security_status": 0.5, "rank": None}],
    }
    program.simulator.fault("body", killmail_id=killmail_id, wrong_json=json.dumps(odd))
    program.run("scan", exit_code=None)
    assert killmail_hash
    assert len(program.rows("SELECT 1 FROM killmails")) == 2
    assert lines_of(program)[-1] == "no problems found"


@pytest.mark.parametrize("purge", [[], ["--purge", "--yes"]])
def test_after_a_user_was_removed(synced: InProcess, purge: list[str]) -> None:
    synced.run("users", "remove", str(synced.simulator.logins[1]["character_id"]), *purge)
    found = verdict(synced)
    assert found["ok"]
    assert (found["unlisted"] == 0) == bool(purge)
    assert any("stored_seq" in note for note in found["notes"]) == bool(purge)


def test_while_a_scan_goes_on(killsync: Make, background: Callable[..., Any]) -> None:
    program = killsync(
        characters=2, killmails=60, page_size=10, latency_list=0.05, latency_body=0.05,
        list_tokens=0, body_tokens=0,
    )  # fmt: skip
    scan = background(program, "scan")
    wait_until(lambda: program.rows("SELECT 1 FROM jobs WHERE state = 'running'"))
    looks = 0
    while scan.poll() is None:
        assert lines_of(program)[-1] == "no problems found"
        looks += 1
        time.sleep(0.02)
    assert looks > 0
    assert scan.returncode == 0
    program.assert_equals_truth()


def test_after_a_run_was_killed(killsync: Make, background: Callable[..., Any]) -> None:
    program = killsync(characters=2, killmails=60, page_size=3, latency_list=0.2)
    scan = background(program, "scan")
    wait_until(lambda: program.rows("SELECT 1 FROM killmails"))
    assert wait_for_exit(scan, signal.SIGKILL) == -signal.SIGKILL
    lines = lines_of(program)
    assert lines[-1] == "no problems found"
    assert any("the last run was interrupted: the next one takes up" in line for line in lines)


def test_after_a_run_that_could_not_write(killsync: Make) -> None:
    program = killsync(characters=1, killmails=5)
    program.execute(
        "CREATE TRIGGER full BEFORE INSERT ON killmails BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    program.run("scan", exit_code=2)
    assert program.rows("SELECT state FROM jobs") == [("running",)]
    lines = lines_of(program)
    assert any("the last run was interrupted: the next one takes up" in line for line in lines)
    assert lines[-1] == "no problems found"


def test_after_the_newest_killmail_was_taken_off_the_list(killsync: Make) -> None:
    program = killsync(characters=1, killmails=25, page_size=10)
    program.run("scan")
    user_id = program.simulator.logins[0]["character_id"]
    newest = program.simulator.listed(user_id)[0]
    program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=[newest])
    program.simulator.thaw()
    program.make_due()
    program.run("scan")
    assert newest in program.recorded(user_id)
    assert lines_of(program)[-1] == "no problems found"


@pytest.mark.sample
def test_a_list_in_no_order(killsync: Make) -> None:
    program = killsync(users=False)
    program.simulator.add_character(killmails=35, order="shuffled")
    program.simulator.options(page_size=10)
    program.add_users()
    program.run("scan")
    assert lines_of(program)[-1] == "no problems found"


@cache
def empty_database() -> bytes:
    with closing(Database(memory=True)) as database:
        migrations.apply(database)
        return database.conn.serialize()


@given(some=lists(bodies, max_size=4))
def test_whatever_can_be_stored_has_no_flaw(some: list[dict[str, Any]]) -> None:
    numbered = [json.dumps(body | {"killmail_id": n}).encode() for n, body in enumerate(some)]
    killmails = [decode(raw, n) for n, raw in enumerate(numbered)]
    fetched = [
        FetchedKillmail.compared(killmail, expected_hash(killmail)) for killmail in killmails
    ]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        conn.deserialize(empty_database())
        insert(conn, fetched, "2026-11-24T03:00:00Z")
        stored = [body for batch in in_batches(conn) for body in batch]
    assert [(body.killmail_id, flaw(body)) for body in stored] == [
        (killmail.killmail_id, None) for killmail in killmails
    ]


# a check that takes long


def grow(program: Killsync, copies: int) -> None:
    """Store copies of one killmail under ids of their own."""
    numbers = f"""WITH RECURSIVE numbers(n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {copies})"""
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("BEGIN")
        for table in ("killmails", "attackers", "items"):
            columns = [name for _, name, *_ in conn.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(
                {"killmail_id": "killmail_id + n", "stored_seq": "1000 + n"}.get(name, name)
                for name in columns
            )
            conn.execute(
                f"INSERT INTO {table} {numbers} SELECT {values} FROM {table}, numbers"
                " WHERE killmail_id = (SELECT max(killmail_id) FROM killmails"
                f" WHERE stored_seq < 1000)"
            )
        conn.execute("UPDATE facts SET value = 1000 + ? WHERE name = 'stored_seq'", [copies])
        conn.execute("COMMIT")


@pytest.mark.sample
def test_a_terminal_sees_a_bar_and_can_end_the_check(synced: InProcess) -> None:
    grow(synced, 20_000)
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "killsync", "check"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=other_end,
        env=synced.environment | {"TERM": "xterm"},
    ) as check:
        os.close(other_end)
        shown = b""
        while b"killmails" not in shown:
            shown += os.read(terminal, 1024)
        check.send_signal(signal.SIGINT)
        with suppress(OSError):
            while os.read(terminal, 1024):
                pass
        assert check.stdout is not None
        assert check.stdout.read() == b""
    os.close(terminal)
    assert check.returncode == 130


def test_a_signal_ends_the_wait_for_another_run(
    synced: InProcess, background: Callable[..., Any]
) -> None:
    with run_in_progress(synced):
        check = background(synced, "check", "--repair")
        read_until(check, "waiting for another run to end")
        assert wait_for_exit(check, signal.SIGTERM) == 143
