"""`killsync scan` as cron runs it: who is due, one run at a time, what it says and when not."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from world import TIMEOUT, Killsync, run_in_progress, wait_for_exit, wait_until

from killsync import files
from killsync.times import MINUTE, unix

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
Background = Callable[..., subprocess.Popen[str]]


def with_users(make: Make, users: int, *, killmails: int = 2, **options: Any) -> Killsync:
    program = make(characters=users, killmails=killmails, list_tokens=0, **options)
    program.simulator.clear_log()
    return program


def with_expired_access(make: Make, users: int) -> Killsync:
    """Register users whose stored access token is not fresh any more."""
    program = with_users(make, users, access_lifetime=30)
    program.simulator.options(access_lifetime=1200)
    return program


def ids(program: Killsync) -> list[int]:
    return [login["character_id"] for login in program.simulator.logins]


def asked(program: Killsync) -> list[int]:
    """Return whose lists were asked for, in order."""
    return [entry["character_id"] for entry in program.simulator.log("list")]


def last_synced(program: Killsync, user_id: int, minutes: int) -> None:
    """Let a user's last sync lie so many minutes back, and the cache time be over."""
    program.execute(
        """UPDATE users SET list_cached_until = '2026-01-01T00:00:00Z',
            last_killmail_sync_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)
        WHERE user_id = ?""",
        f"-{minutes} minutes",
        user_id,
    )


def scan_later(program: Killsync, *arguments: str, exit_code: int | None = 0) -> tuple[str, str]:
    """Scan an hour later, and for users who failed when they may be tried again."""
    program.make_due()
    program.execute("UPDATE users SET not_before = NULL")
    program.execute("UPDATE jobs SET not_before = NULL")
    done = program.run("scan", *arguments, exit_code=exit_code)
    return done.stdout, done.stderr


def start_slow_scan(program: Killsync) -> subprocess.Popen[str]:
    """Start a scan and return while ESI keeps it waiting for its first list."""
    program.simulator.fault("list", hang=60, times=1)
    process = program.start("scan")
    wait_until(lambda: program.simulator.log("list"))
    return process


def test_a_user_is_due_15_minutes_after_the_last_sync(killsync: Make) -> None:
    program = with_users(killsync, 2)
    not_yet, due = ids(program)
    program.run("scan")
    last_synced(program, not_yet, 14)
    last_synced(program, due, 16)
    program.simulator.clear_log()
    program.run("scan")
    assert asked(program) == [due]


def test_force_ignores_the_15_minutes(killsync: Make) -> None:
    program = with_users(killsync, 1)
    program.run("scan")
    last_synced(program, ids(program)[0], 1)
    program.simulator.clear_log()
    program.run("scan", "--force")
    assert asked(program) == ids(program)


def test_a_user_who_is_queued_already_is_not_queued_again(killsync: Make) -> None:
    program = with_users(killsync, 2)
    program.run("sync", str(ids(program)[0]), "--no-wait")
    lines = program.run("scan").stderr
    assert re.search(
        r"2 users due, 1 queued in the background, in \d+\.\d\d s$", lines, re.MULTILINE
    )
    assert sorted(asked(program)) == sorted(ids(program))


def test_a_manual_job_goes_before_the_users_who_are_due(killsync: Make) -> None:
    program = with_users(killsync, 3)
    urgent = ids(program)[2]
    program.run("sync", str(urgent), "--no-wait")
    program.run("scan")
    assert asked(program)[0] == urgent
    assert len(asked(program)) == 3


def test_at_equal_priority_the_oldest_job_goes_first(killsync: Make) -> None:
    program = with_users(killsync, 3)
    second, third, first = ids(program)
    for user_id in (first, second, third):
        program.run("sync", str(user_id), "--no-wait")
    program.run("scan")
    assert asked(program) == [first, second, third]


def test_between_two_users_lies_no_page_delay(killsync: Make) -> None:
    program = killsync(characters=3, killmails=2)
    program.run("scan", KILLSYNC_PAGE_DELAY="10m")
    assert sorted(e["character_id"] for e in program.simulator.log("list")) == ids(program)
    program.assert_equals_truth()


def test_a_disabled_user_is_never_due(killsync: Make) -> None:
    program = with_users(killsync, 2)
    resting, active = ids(program)
    program.run("users", "disable", str(resting))
    program.run("scan")
    assert asked(program) == [active]


def test_a_second_scan_says_who_is_at_work_and_leaves_and_when_quiet_only_leaves(
    killsync: Make,
) -> None:
    program = with_users(killsync, 1)
    with start_slow_scan(program) as process:
        done = program.run("scan")
        quiet = program.run("scan", "--quiet")
        lock = program.status()["lock"]
        assert len(program.simulator.log("list")) == 1
        wait_for_exit(process, signal.SIGKILL)
    assert lock["pid"] == process.pid
    assert f"scan, pid {process.pid} on {lock['host']}, since {lock['since']}" in done.stdout
    assert (quiet.stdout, quiet.stderr) == ("", "")


def lock_is_open_in(process: subprocess.Popen[str]) -> bool:
    folder = Path(f"/proc/{process.pid}/fd")
    return any(os.path.realpath(file).endswith(".lock") for file in folder.iterdir())


@pytest.mark.sample
def test_a_short_look_at_the_lock_costs_no_tick(killsync: Make, background: Background) -> None:
    program = killsync(characters=1, killmails=2)
    program.run("users")
    files.create_private(Path(f"{program.database}.lock"))
    with run_in_progress(program):
        scan = background(program, "scan")
        wait_until(lambda: lock_is_open_in(scan))
    said, _ = scan.communicate(timeout=TIMEOUT)
    assert "another run is in progress" not in said
    program.assert_equals_truth()


@pytest.mark.sample
def test_max_runtime_ends_a_scan_and_says_how_many_workers_would_have_done(
    killsync: Make,
) -> None:
    program = with_users(killsync, 3, latency_list=1)
    done = program.run("scan", "--max-runtime", "500ms")
    assert len(program.simulator.log("list")) == 1
    assert "2 users left; --workers 3 would have been enough" in done.stderr
    assert program.status()["jobs"] == {"queued": 2, "running": 0, "failed": 0}
    program.simulator.options(latency_list=0)
    program.run("scan")
    program.assert_equals_truth()
    assert len(program.simulator.log("list")) == 3


def test_a_scan_that_waits_for_refreshes_asks_for_no_more_workers(killsync: Make) -> None:
    program = with_users(killsync, 8)
    program.expire_access()
    program.simulator.options(latency_sso=1)
    done = program.run("scan", "--workers", "6", "--max-runtime", "500ms")
    # those in flight at the end are done; of the others four waited, and two were not begun
    assert len(program.simulator.log("token")) == 2
    assert "left; SSO takes no more refreshes at a time: a longer min_age" in done.stderr
    assert "--workers" not in done.stderr


def test_so_many_users_are_synced_at_a_time_as_there_are_workers(killsync: Make) -> None:
    program = with_users(killsync, 4, latency_list=0.2)
    for workers in (1, 3):
        program.simulator.clear_log()
        scan_later(program, "--workers", str(workers))
        assert len(asked(program)) == 4
        assert max(entry["in_flight"] for entry in program.simulator.log("list")) == workers


@pytest.mark.sample
def test_a_quiet_scan_with_nothing_wrong_prints_nothing(killsync: Make) -> None:
    program = with_users(killsync, 2)
    done = program.run("scan", "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
    program.assert_equals_truth()
    assert scan_later(program, "--quiet") == ("", "")


FAILURES: tuple[dict[str, Any], ...] = (
    {"status": 403, "body": '{"error":"Character does not have required role(s)"}'},
    {"status": 404, "body": '{"error":"Requested page does not exist!"}'},
    {"status": 500},
    {"wrong_json": "[{"},
    {"wrong_json": '[{"killmail_id":1}]'},
    {"cut": True},
)


@pytest.mark.sample
def test_one_users_failure_does_not_stop_the_others(killsync: Make) -> None:
    program = with_users(killsync, len(FAILURES) + 2)
    for login, fault in zip(program.simulator.logins, FAILURES, strict=False):
        program.simulator.fault("list", character_id=login["character_id"], **fault)
    # of one run alone nobody is blamed
    once = program.run("scan", "--workers", "6")
    assert program.rows("SELECT max(failures) FROM users") == [(0,)]
    done = program.run("scan", "--workers", "6", exit_code=1)
    users = {user["user_id"]: user for user in program.status()["users"]}
    for login in program.simulator.logins[: len(FAILURES)]:
        assert login["name"] in once.stderr
        assert f"{login['name']} ({login['character_id']}) failed" in done.stderr
        user = users[login["character_id"]]
        assert (user["failures"], user["last_killmail_sync_at"]) == (1, None)
        assert user["error"]
    for healthy in ids(program)[len(FAILURES) :]:
        assert program.recorded(healthy) == program.simulator.listed(healthy)
        assert users[healthy]["failures"] == users[healthy]["pending"] == 0


def failing_beside_others(killsync: Make, users: int) -> tuple[Killsync, list[int]]:
    """Return a killsync with so many users whose lists are refused, beside one who is well."""
    program = with_users(killsync, users + 1)
    failing = ids(program)[:users]
    for user in failing:
        program.simulator.fault("list", character_id=user, status=403)
    return program, failing


def test_a_user_who_fails_in_two_runs_is_left_alone_for_min_age(killsync: Make) -> None:
    program, [user] = failing_beside_others(killsync, 1)
    program.run("scan")
    assert program.user(user)["failures"] == 0
    program.run("scan", exit_code=1)
    failed = program.user(user)
    assert failed["failures"] == 1
    assert 14 * MINUTE < unix(failed["next_due_at"]) - time.time() <= 15 * MINUTE + 1
    program.simulator.clear_faults()
    scan_later(program)
    program.assert_equals_truth()
    assert program.rows("SELECT max(failures), max(error) FROM users") == [(0, None)]


def test_a_user_who_fails_again_and_again_is_left_alone_twice_as_long_each_time(
    killsync: Make,
) -> None:
    program, [user] = failing_beside_others(killsync, 1)
    program.run("scan")
    waits: list[float] = []
    for _ in range(3):
        program.execute("UPDATE users SET not_before = NULL")
        before = time.time()
        scan_later(program, exit_code=None)
        ((until,),) = program.rows("SELECT not_before FROM users WHERE user_id = ?", user)
        assert unix(until) <= time.time() + 15 * MINUTE * 2 ** len(waits) + 1
        waits.append((unix(until) - before) // (15 * MINUTE))
    assert waits == [1, 2, 4]


def test_a_failure_that_lasts_is_reported_once_until_the_user_has_succeeded(
    killsync: Make,
) -> None:
    program, [user] = failing_beside_others(killsync, 1)
    name = program.user(user)["name"]
    assert scan_later(program, "--quiet") == ("", "")
    first = program.run("scan", "--quiet", exit_code=1)
    assert len(first.stderr.splitlines()) == 1
    assert name in first.stderr
    assert scan_later(program, "--quiet") == ("", "")
    assert program.user(user)["failures"] == 2
    program.simulator.clear_faults()
    scan_later(program)
    program.simulator.fault("list", character_id=user, status=403)
    assert scan_later(program, "--quiet") == ("", "")
    _, errors = scan_later(program, "--quiet", exit_code=1)
    assert name in errors


def test_a_killmail_set_aside_is_reported_once(killsync: Make) -> None:
    program = with_users(killsync, 1)
    killmail_id = program.simulator.listed(ids(program)[0])[0]
    program.simulator.fault("body", killmail_id=killmail_id, status=422)
    first = program.run("scan", "--quiet", exit_code=1)
    assert len(first.stderr.splitlines()) == 1
    assert str(killmail_id) in first.stderr
    assert scan_later(program, "--quiet") == ("", "")


@pytest.mark.sample
def test_an_outage_ends_the_scan_and_blames_no_user(killsync: Make) -> None:
    program = with_users(killsync, 3)
    # an outage that answers 503 is in test_faults, one of 504 in test_sync
    program.simulator.fault("any", reset=True)
    program.run("scan", "--workers", "3", exit_code=75)
    status = program.status()
    assert status["jobs"] == {"queued": 3, "running": 0, "failed": 0}
    assert [(user["failures"], user["state"]) for user in status["users"]] == [(0, "active")] * 3
    assert status["last_run"]["exit_code"] == 75
    program.simulator.clear_faults()
    scan_later(program)
    program.assert_equals_truth()


def test_an_outage_ends_the_scan_of_a_single_user_too(killsync: Make) -> None:
    program = with_users(killsync, 1)
    program.simulator.fault("any", status=502, html=True)
    program.run("scan", exit_code=75)
    assert program.rows("SELECT failures, state FROM users") == [(0, "active")]


def test_bodies_that_never_get_an_answer_do_not_end_every_scan(killsync: Make) -> None:
    program = with_users(killsync, 1, killmails=5)
    for killmail_id in program.simulator.listed(ids(program)[0])[:3]:
        program.simulator.fault("body", killmail_id=killmail_id, status=504)
    program.run("scan", exit_code=75, KILLSYNC_CONNECTIONS="1")
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    assert program.rows("SELECT count(*) FROM killmails") == [(2,)]
    # one of them is tried in each run
    rows = program.rows("SELECT attempts FROM pending_killmails ORDER BY 1")
    assert rows == [(1,), (1,), (2,)]


def test_an_outage_of_sso_ends_the_scan_and_blames_no_user(killsync: Make) -> None:
    program = with_expired_access(killsync, 3)
    program.simulator.fault("token", status=503)
    program.run("scan", exit_code=75)
    assert program.rows("SELECT failures, state FROM users") == [(0, "active")] * 3


def test_a_quiet_scan_keeps_silent_about_an_outage_unless_alert_after_is_over(
    killsync: Make,
) -> None:
    program = with_users(killsync, 1)
    program.simulator.fault("list", status=503)
    done = program.run("scan", "--quiet", exit_code=75)
    assert (done.stdout, done.stderr) == ("", "")
    program.environment["KILLSYNC_ALERT_AFTER"] = "0s"
    _, errors = scan_later(program, "--quiet", exit_code=75)
    assert "nothing has succeeded" in errors


def test_a_quiet_scan_keeps_silent_about_an_outage_among_bodies(killsync: Make) -> None:
    program = with_users(killsync, 1, killmails=4)
    program.simulator.fault("body", status=503)
    done = program.run("scan", "--quiet", exit_code=75)
    assert (done.stdout, done.stderr) == ("", "")
    program.simulator.clear_faults()
    program.execute("UPDATE pending_killmails SET not_before = NULL")
    program.run("scan")
    program.assert_equals_truth()


def test_a_quiet_scan_speaks_when_nothing_has_succeeded_for_3_hours(killsync: Make) -> None:
    program = with_users(killsync, 1)
    program.run("scan")
    program.simulator.fault("list", status=503)
    # after two hours, and after four
    for said in ("", "nothing has succeeded for"):
        program.execute(
            """UPDATE users SET last_killmail_sync_at = strftime('%Y-%m-%dT%H:%M:%SZ',
                last_killmail_sync_at, '-55 minutes')"""
        )
        _, errors = scan_later(program, "--quiet", exit_code=75)
        assert len(errors.splitlines()) == bool(said)
        assert said in errors


def imported(program: Killsync) -> set[str]:
    """Scan; return the top-level modules that were imported."""
    lines = program.run("scan", PYTHONPROFILEIMPORTTIME="1").stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if "import time:" in line}


@pytest.mark.sample
def test_a_scan_with_nothing_due_neither_asks_nor_loads_what_it_would_ask_with(
    killsync: Make,
) -> None:
    program = with_users(killsync, 1)
    assert imported(program) >= {"requests", "urllib3", "tenacity"}
    program.simulator.clear_log()
    assert not imported(program) & {"requests", "urllib3", "tenacity", "authlib", "joserfc"}
    assert program.simulator.log() == []


def test_a_scan_with_nothing_due_says_so_and_is_recorded(killsync: Make) -> None:
    program = with_users(killsync, 1)
    program.run("scan")
    assert "nothing is due" in program.run("scan").stdout
    assert program.rows(
        "SELECT command, exit_code, requests, finished_at IS NOT NULL FROM runs ORDER BY id"
    )[1:] == [("scan", 0, 0, 1)]


@contextmanager
def commits_of(program: Killsync) -> Iterator[list[int]]:
    """Count the transactions that the block commits, from the WAL, which a reader keeps."""
    counted: list[int] = []
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("BEGIN")
        conn.execute("SELECT 1 FROM users").fetchone()
        yield counted
        wal = Path(f"{program.database}-wal").read_bytes()
        frame = 24 + int.from_bytes(wal[8:12])
        # of a frame that ends a transaction the second word is not zero
        sizes = [int.from_bytes(wal[at + 4 : at + 8]) for at in range(32, len(wal), frame)]
        counted.append(sum(size > 0 for size in sizes))


@pytest.mark.sample
def test_users_with_nothing_new_share_their_commits_and_use_their_access_tokens(
    killsync: Make,
) -> None:
    program = killsync(characters=15, killmails=1, shared=0)
    program.run("scan")
    program.make_due()
    program.simulator.clear_log()
    tokens = Path(f"{program.database}.tokens")
    before = tokens.stat().st_mtime_ns
    with commits_of(program) as counted:
        program.run("scan")
    assert [(e["route"], e["status"]) for e in program.simulator.log()] == [("list", 304)] * 15
    assert 0 < counted[0] < 15
    assert tokens.stat().st_mtime_ns == before


def test_a_user_whose_access_token_has_expired_is_refreshed_and_synced(killsync: Make) -> None:
    program = with_expired_access(killsync, 2)
    program.run("scan")
    program.assert_equals_truth()
    assert len(program.simulator.log("token")) == 2


def test_an_access_token_that_never_lasts_long_is_used_and_not_refreshed_for_ever(
    killsync: Make,
) -> None:
    program = with_users(killsync, 1, access_lifetime=30)
    program.run("scan", "--max-runtime", "3s")
    assert len(program.simulator.log("token")) == 1
    program.assert_equals_truth()


def test_an_access_token_that_esi_refuses_is_refreshed_once(killsync: Make) -> None:
    program = with_users(killsync, 1)
    program.simulator.control("expire_access", "POST")
    program.run("scan")
    program.assert_equals_truth()
    assert [entry["status"] for entry in program.simulator.log("list")] == [401, 200]
    assert len(program.simulator.log("token")) == 1
