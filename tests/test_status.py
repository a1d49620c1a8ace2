"""What `killsync status` says, to programs and to people, and that it only ever reads."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from rich.cells import cell_len
from terminal import at_terminal
from world import (
    TIMEOUT,
    Killsync,
    copy_new_database,
    read_until,
    simulator,
    wait_for_exit,
    wait_until,
)

from killsync.terminal.text import safe

Make = Callable[..., Killsync]
Background = Callable[..., subprocess.Popen[str]]
Kinds = dict[str, tuple[type, ...]]

STATUS: Kinds = {
    "database": (str,),
    "lock": (dict, NoneType),
    "users": (list,),
    "jobs": (dict,),
    "pending_killmails": (int,),
    "rate_limits": (list,),
    "last_run": (dict, NoneType),
}
USER: Kinds = {
    "user_id": (int,),
    "name": (str,),
    "state": (str,),
    "last_killmail_id": (int, NoneType),
    "last_killmail_sync_at": (str, NoneType),
    "next_due_at": (str, NoneType),
    "killmails": (int,),
    "pending": (int,),
    "backfill": (dict, NoneType),
    "failures": (int,),
    "error": (str, NoneType),
}
LOCK: Kinds = {"pid": (int,), "host": (str,), "command": (str,), "since": (str,)}
JOBS: Kinds = {"queued": (int,), "running": (int,), "failed": (int,)}
LIMIT: Kinds = {
    "group": (str,),
    "key": (str,),
    "remaining": (int,),
    "limit": (int,),
    "window_s": (int, float),
    "retry_at": (str, NoneType),
}
RUN: Kinds = {
    "id": (int,),
    "command": (str,),
    "started_at": (str,),
    "finished_at": (str, NoneType),
    "users": (int,),
    "pages": (int,),
    "requests": (int,),
    "new_killmails": (int,),
    "errors": (int,),
    "exit_code": (int, NoneType),
}
COLUMNS = ("State", "Last sync", "Next sync", "From ESI", "To come", "Newest id")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*[349][0-8]")


def assert_has(thing: dict[str, Any], kinds: Kinds) -> None:
    assert kinds.keys() <= thing.keys()
    for key, allowed in kinds.items():
        assert isinstance(thing[key], allowed), (key, thing[key])


def assert_complete(status: dict[str, Any]) -> None:
    """Check every key of the interface, and its type."""
    assert_has(status, STATUS)
    assert_has(status["jobs"], JOBS)
    for things, kinds in ((status["users"], USER), (status["rate_limits"], LIMIT)):
        for thing in things:
            assert_has(thing, kinds)
    for thing, kinds in ((status["lock"], LOCK), (status["last_run"], RUN)):
        if thing is not None:
            assert_has(thing, kinds)


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def first_user(program: Killsync) -> int:
    user_id: int = program.simulator.logins[0]["character_id"]
    return user_id


@contextmanager
def own_program(factory: pytest.TempPathFactory, **options: Any) -> Iterator[Killsync]:
    """Yield a killsync that the tests of this module share: none of them changes it."""
    with simulator(**({"characters": 0} | options)) as simulated:
        yield Killsync(factory.mktemp("shared"), simulated)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killsync]:
    """One user after its first scan."""
    options = {"characters": 1, "killmails": 7, "page_size": 5}
    with own_program(tmp_path_factory, **options) as program:
        program.add_users()
        program.simulator.clear_log()
        program.run("scan")
        yield program


LONG, HOSTILE, WIDE = "N" * 40, "[bold red]\x1b[31m\nx[/]\u202e", "漢字" * 20


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killsync]:
    """Users with awkward names, and one of each kind: gap, failed, needs login, disabled."""
    with own_program(tmp_path_factory, page_size=4) as program:
        add = program.simulator.add_character
        for name in (LONG, HOSTILE, WIDE):
            add(name=name, killmails=3)
        add(name="Gap", killmails=10)
        failed, gone = add(name="Failed", killmails=1), add(name="Gone", killmails=1)
        add(name="Resting", killmails=1)
        program.add_users()
        program.run("users", "disable", "Resting")
        program.simulator.fault(
            "list", character_id=failed["character_id"], status=400, body='{"error":"no [red]luck"}'
        )
        program.execute_on_tokens("DELETE FROM tokens WHERE user_id = ?", gone["character_id"])
        # it fails in two runs, while others succeed
        program.run("scan", exit_code=1, KILLSYNC_MAX_PAGES="1")
        program.run("scan", exit_code=1, KILLSYNC_MAX_PAGES="1")
        yield program


def in_crowd(crowd: Killsync, name: str) -> dict[str, Any]:
    return next(user for user in crowd.status()["users"] if user["name"] == name)


@contextmanager
def scanning(program: Killsync) -> Iterator[subprocess.Popen[str]]:
    """Yield a scan that holds the lock and waits for killmails."""
    process = program.start("scan")
    try:
        wait_until(lambda: (program.status()["lock"] or {}).get("pid") is not None)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def test_before_the_first_run_status_has_every_key(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2)
    status = program.status()
    assert_complete(status)
    assert status["database"] == str(program.database)
    assert status["lock"] is status["last_run"] is None
    assert status["jobs"] == {"queued": 0, "running": 0, "failed": 0}
    assert status["pending_killmails"] == 0
    (user,) = status["users"]
    assert (user["state"], user["killmails"], user["pending"], user["failures"]) == (
        *("active", 0, 0, 0),
    )
    for key in ("last_killmail_id", "last_killmail_sync_at", "backfill", "error"):
        assert user[key] is None
    assert moment(user["next_due_at"]) <= datetime.now(UTC) + timedelta(seconds=1)


def test_after_a_scan_status_says_what_is_stored(synced: Killsync) -> None:
    status = synced.status()
    assert_complete(status)
    (user,) = status["users"]
    listed = synced.simulator.listed(first_user(synced))
    assert user["name"] == synced.simulator.logins[0]["name"]
    assert user["last_killmail_id"] == listed[0]
    assert (user["killmails"], user["pending"], user["backfill"]) == (7, 0, None)
    run = status["last_run"]
    assert (run["command"], run["exit_code"], run["users"], run["errors"]) == ("scan", 0, 1, 0)
    assert (run["pages"], run["new_killmails"]) == (2, 7)
    assert run["requests"] == len(synced.simulator.log())
    assert moment(run["started_at"]) <= moment(run["finished_at"])


def test_a_user_is_due_again_after_the_minimum_age(synced: Killsync) -> None:
    (user,) = synced.status()["users"]
    last, due = moment(user["last_killmail_sync_at"]), moment(user["next_due_at"])
    assert timedelta(minutes=15) <= due - last <= timedelta(minutes=15, seconds=1)


def test_a_user_is_not_due_while_the_list_is_cached(synced: Killsync) -> None:
    shown = synced.run("status", "--json", KILLSYNC_MIN_AGE="1m").stdout
    (user,) = json.loads(shown)["users"]
    last, due = moment(user["last_killmail_sync_at"]), moment(user["next_due_at"])
    assert timedelta(seconds=299) <= due - last <= timedelta(seconds=303)


def test_while_a_scan_runs_status_names_who_holds_the_lock(killsync: Make) -> None:
    program = killsync(characters=1, killmails=40, latency_body=2)
    with scanning(program) as scan:
        wait_until(lambda: program.status()["pending_killmails"] > 0)
        status = program.status()
        assert_complete(status)
        assert status["lock"]["pid"] == scan.pid
        assert status["lock"]["host"] == socket.gethostname()
        assert status["lock"]["command"] == "scan"
        assert moment(status["lock"]["since"]) <= datetime.now(UTC)
        assert status["last_run"]["finished_at"] is None
        assert 0 < status["users"][0]["pending"] == status["pending_killmails"] <= 40
        assert f"pid {scan.pid}" in program.run("status").stdout
        assert wait_for_exit(scan) == 143
    assert program.status()["lock"] is None


def test_who_waits_for_the_lock_is_not_shown_as_its_holder(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.fault("list", hang=60, times=1)
    scan = background(program, "scan")
    wait_until(lambda: program.simulator.log("list"))
    waiting = background(program, "sync", str(first_user(program)))
    read_until(waiting, "waiting for")
    assert program.status()["lock"]["pid"] == scan.pid
    scan.send_signal(signal.SIGKILL)
    assert waiting.wait(TIMEOUT) == 0


def test_the_gap_of_a_first_sync_reaches_to_the_end_of_the_list(crowd: Killsync) -> None:
    assert in_crowd(crowd, "Gap")["backfill"] == {"page": 3, "until_id": None}


def test_the_gap_of_a_later_sync_reaches_to_the_stored_id(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2, page_size=2)
    program.run("scan")
    # a second answer bears out that the list has one page
    program.make_due()
    program.run("scan")
    user_id = first_user(program)
    stored = program.user(user_id)["last_killmail_id"]
    program.simulator.add_killmails(user_id, 5)
    program.simulator.thaw()
    program.make_due()
    program.run("scan", KILLSYNC_MAX_PAGES="1")
    assert program.user(user_id)["backfill"] == {"page": 2, "until_id": stored}


def test_a_failed_user_has_a_count_an_error_and_a_later_time(crowd: Killsync) -> None:
    user = in_crowd(crowd, "Failed")
    assert (user["state"], user["failures"]) == ("active", 1)
    assert "no [red]luck" in user["error"]
    run_at = moment(crowd.status()["last_run"]["started_at"])
    assert moment(user["next_due_at"]) >= run_at + timedelta(minutes=15)


def test_failed_jobs_are_counted_and_are_errors_of_the_run(crowd: Killsync) -> None:
    status = crowd.status()
    assert_complete(status)
    assert status["jobs"] == {"queued": 0, "running": 0, "failed": 2}
    assert (status["last_run"]["exit_code"], status["last_run"]["errors"]) == (1, 1)


def test_a_user_who_needs_a_login_is_tried_once_more_a_day_later(crowd: Killsync) -> None:
    user = in_crowd(crowd, "Gone")
    assert user["state"] == "needs_login"
    assert user["error"]
    run_at = moment(crowd.status()["last_run"]["started_at"])
    # the token may be back
    assert moment(user["next_due_at"]) >= run_at + timedelta(hours=23)


def test_a_disabled_user_is_never_due(crowd: Killsync) -> None:
    user = in_crowd(crowd, "Resting")
    assert (user["state"], user["next_due_at"]) == ("disabled", None)


def test_rate_limits_say_what_is_left_of_each_bucket(synced: Killsync) -> None:
    limits = {limit["group"]: limit for limit in synced.status()["rate_limits"]}
    of_list = limits["char-killmail"]
    assert str(first_user(synced)) in of_list["key"]
    # two pages and seven bodies, of two tokens each
    assert (of_list["remaining"], of_list["limit"], of_list["window_s"]) == (26, 30, 900)
    assert (limits["killmail"]["remaining"], limits["killmail"]["limit"]) == (3586, 3600)
    assert of_list["retry_at"] is limits["killmail"]["retry_at"] is None


def test_status_sends_no_request(crowd: Killsync) -> None:
    before = crowd.simulator.log()
    crowd.run("status")
    crowd.status()
    assert crowd.simulator.log() == before


def test_status_changes_nothing(crowd: Killsync) -> None:
    dump = crowd.rows("SELECT * FROM users"), crowd.rows("SELECT * FROM runs")
    before = crowd.database.read_bytes()
    crowd.run("status")
    crowd.status()
    assert crowd.database.read_bytes() == before
    assert dump == (crowd.rows("SELECT * FROM users"), crowd.rows("SELECT * FROM runs"))


def test_without_a_database_status_says_how_to_make_one(killsync: Make) -> None:
    program = killsync()
    for form in ((), ("--json",), ("--watch",), ("--user", "5")):
        done = program.run("status", *form, exit_code=2)
        assert done.stdout == ""
        assert str(program.database) in done.stderr
        assert "killsync login" in done.stderr
        assert list(program.directory.iterdir()) == []


def test_before_anything_is_configured_status_names_init(killsync: Make) -> None:
    done = killsync().run("status", exit_code=2, KILLSYNC_CLIENT_ID="")
    assert "killsync init" in done.stderr


def test_one_user_is_chosen_by_name_in_any_case_or_by_id(crowd: Killsync) -> None:
    user_id = in_crowd(crowd, "Gone")["user_id"]
    for words in ("GONE", "gone", str(user_id)):
        found = crowd.run("status", "--user", words).stdout
        assert "Gone" in found
        assert "Failed" not in found
    shown = json.loads(crowd.run("status", "--json", "--user", str(user_id)).stdout)
    assert [user["user_id"] for user in shown["users"]] == [user_id]


def test_an_unknown_user_exits_2_and_the_nearest_is_named(crowd: Killsync) -> None:
    done = crowd.run("status", "--user", "Faield", exit_code=2)
    assert done.stdout == ""
    assert "Failed" in done.stderr


def rows_of(lines: list[str]) -> list[str]:
    """Return the lines of users, without the heading before and what follows the blank line."""
    return list(takewhile(str.strip, lines[1:]))


def test_a_pipe_gets_every_column_and_a_line_for_each_user_whatever_the_width(
    crowd: Killsync,
) -> None:
    heading, *lines = crowd.run("status", COLUMNS="40").stdout.splitlines()
    assert heading.split("  ")[0] == "Character"
    assert [column for column in COLUMNS if column not in heading] == []
    users = crowd.status()["users"]
    states = dict.fromkeys((LONG, HOSTILE, WIDE), "up to date") | {
        "Gap": "reading history, page 3",
        "Failed": "trying again in ",
        "Gone": "needs a login",
        "Resting": "disabled",
    }
    for user, row in zip(users, rows_of([heading, *lines]), strict=True):
        assert row.startswith(safe(user["name"]))
        assert states[user["name"]] in row
        assert str(user["last_killmail_id"] or "-") in row.split()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_keeps_names_and_states_and_drops_what_is_needed_less(
    crowd: Killsync, columns: int
) -> None:
    lines = [STYLE.sub("", line) for line in at_terminal(crowd, "status", columns=columns)]
    assert max(cell_len(line) for line in lines) <= columns
    rows = "\n".join(rows_of(lines))
    for user in crowd.status()["users"]:
        assert safe(user["name"])[: columns // 2 - 1] in rows
    for words in ("page 3", "trying again", "needs a login", "disabled"):
        assert words in rows
    shown = [column for column in COLUMNS if column in lines[0]]
    assert "State" in shown
    assert "Newest id" not in shown


def test_status_shows_what_is_wrong_what_goes_on_limits_and_runs(crowd: Killsync) -> None:
    shown = " ".join(crowd.run("status").stdout.split())
    for user in crowd.status()["users"]:
        if user["error"]:
            assert user["name"] in shown
            assert user["error"] in shown
    assert "needs a login" in shown
    for part in ("Nothing is running; the last scan ended", "Last runs", "ESI's limits: lists "):
        assert part in shown
    assert "Rate limit" not in shown
    verbose = crowd.run("status", "--verbose").stdout
    assert "Rate limit" in verbose
    assert "28 of 30" in verbose


def test_one_user_is_shown_in_full(crowd: Killsync) -> None:
    shown = " ".join(crowd.run("status", "--user", "Gap").stdout.split())
    gap = in_crowd(crowd, "Gap")
    for words in (
        f"Gap ({gap['user_id']})",
        f"Newest killmail {gap['last_killmail_id']}",
        "History page 3",
        "down to the end of the list",
        "Last error none",
        "Jobs list read",
    ):
        assert words in shown
    failed = " ".join(crowd.run("status", "--user", "Failed").stdout.split())
    assert "Next attempt in " in failed
    assert "no [red]luck" in failed


def test_without_users_status_and_users_say_what_to_do_first(killsync: Make) -> None:
    program = killsync(users=False)
    copy_new_database(program.database)
    for command in ("status", "users"):
        assert program.run(command).stdout == "No characters yet: `killsync login` registers one\n"


def test_a_run_that_was_killed_is_called_so(killsync: Make) -> None:
    program = killsync(characters=1, killmails=40, latency_body=1)
    with scanning(program) as scan:
        wait_until(lambda: (program.status()["progress"] or {}).get("stored", 0) > 0)
        running = program.run("status").stdout
        assert re.search(r"\n  [1-9]\d* killmails? stored so far\n\d+ of 40 stored", running)
        scan.kill()
        scan.wait(TIMEOUT)
    shown = program.run("status").stdout
    assert re.search(r"The last scan, started .*, was killed; the next run goes on\n", shown)
    assert "No killmail was stored" not in shown


def test_hostile_names_are_shown_harmlessly(crowd: Killsync) -> None:
    shown = crowd.run("status", COLUMNS="120").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"[bold red]\x1b[31m\n" in shown


def test_a_size_of_0_is_taken_for_none(crowd: Killsync) -> None:
    assert any("Character" in line for line in at_terminal(crowd, "status", COLUMNS="0", LINES="0"))


def test_no_colour_in_a_pipe(crowd: Killsync) -> None:
    assert "\x1b" not in crowd.run("status", TERM="xterm-256color").stdout


def test_no_escape_sequence_at_a_dumb_terminal(crowd: Killsync) -> None:
    assert "\x1b" not in "".join(at_terminal(crowd, "status", TERM="dumb"))


def test_no_colour_where_the_user_wants_none(crowd: Killsync) -> None:
    assert not COLOUR.search("".join(at_terminal(crowd, "status", NO_COLOR="1")))


def test_colour_at_a_terminal(crowd: Killsync) -> None:
    assert COLOUR.search("".join(at_terminal(crowd, "status")))


def test_no_database_is_made_elsewhere(killsync: Make, tmp_path: Path) -> None:
    program = killsync()
    program.run("--db", str(tmp_path / "no" / "such.db"), "status", exit_code=2)
    assert not (tmp_path / "no").exists()
