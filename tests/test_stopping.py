import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from subprocess import Popen
from typing import Any

import pytest
from world import TIMEOUT, Killsync, read_until, run_in_progress, wait_for_exit, wait_until

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

# what a machine under load may add to every time that is promised
LOADED = 5.0

STOPS = pytest.mark.parametrize(
    ("command", "number", "exit_code"),
    [("scan", signal.SIGTERM, 143), ("sync", signal.SIGINT, 130)],
    ids=["scan TERM", "sync INT"],
)
SIGNALS = pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)


def asked(program: Killsync, route: str) -> int:
    return len(program.simulator.log(route))


def user_id(program: Killsync) -> int:
    return int(program.simulator.logins[0]["character_id"])


def jobs(program: Killsync) -> dict[str, int]:
    """Return how many jobs are open, by state."""
    found = dict(program.rows("SELECT state, count(*) FROM jobs GROUP BY state"))
    return {state: found.get(state, 0) for state in ("queued", "running", "failed")}


def killmails_stored(program: Killsync) -> int:
    return int(program.rows("SELECT count(*) FROM killmails")[0][0])


def assert_the_next_scan_completes(program: Killsync) -> None:
    program.simulator.clear_faults()
    program.simulator.options(latency_list=0, latency_body=0, latency_sso=0)
    program.make_due()
    program.run("scan")
    program.assert_equals_truth()
    assert (jobs(program)["queued"], jobs(program)["running"]) == (0, 0)


@pytest.mark.sample
@STOPS
def test_a_stop_among_bodies_sends_no_more_and_keeps_what_has_arrived(
    killsync: Start, background: Background, command: str, number: int, exit_code: int
) -> None:
    program = killsync(characters=1, killmails=30, latency_body=0.2)
    words = ("scan",) if command == "scan" else ("sync", str(user_id(program)))
    process = background(program, *words, KILLSYNC_CONNECTIONS="2")
    wait_until(lambda: asked(program, "body") >= 4)
    before = asked(program, "body")
    assert wait_for_exit(process, number) == exit_code
    answered = asked(program, "body")
    assert answered <= before + 6
    assert killmails_stored(program) == answered
    assert jobs(program)["running"] == 0
    assert_the_next_scan_completes(program)


@STOPS
def test_a_stop_among_pages_gives_the_job_back_and_keeps_the_gap(
    killsync: Start, background: Background, command: str, number: int, exit_code: int
) -> None:
    program = killsync(characters=1, killmails=9, page_size=1, latency_list=0.4, list_tokens=0)
    words = ("scan",) if command == "scan" else ("sync", str(user_id(program)))
    process = background(program, *words)
    wait_until(lambda: asked(program, "list") >= 2)
    assert wait_for_exit(process, number) == exit_code
    pages = asked(program, "list")
    assert pages <= 6
    assert jobs(program) == {"queued": 1, "running": 0, "failed": 0}
    gaps = program.rows("SELECT backfill_page, backfill_until_id FROM users")
    assert gaps == [(pages + 1, None)]
    assert_the_next_scan_completes(program)


def test_a_stopped_scan_does_not_begin_with_the_users_who_wait(
    killsync: Start, background: Background
) -> None:
    program = killsync(characters=3, killmails=2, shared=0, latency_list=0.7)
    process = background(program, "scan")
    wait_until(lambda: asked(program, "list"))
    assert wait_for_exit(process) == 143
    assert asked(program, "list") == 1
    assert jobs(program) == {"queued": 2, "running": 0, "failed": 0}
    assert program.status()["last_run"]["exit_code"] == 143
    assert_the_next_scan_completes(program)


def test_a_stop_during_a_refresh_keeps_the_token_that_sso_has_rotated(
    killsync: Start, background: Background
) -> None:
    program = killsync(characters=1, killmails=2, access_lifetime=30, rotate=True)
    program.simulator.clear_log()
    program.simulator.options(latency_sso=1, access_lifetime=1200)
    process = background(program, "scan")
    wait_until(lambda: asked(program, "token"))
    assert wait_for_exit(process) == 143
    assert asked(program, "list") == 0
    program.simulator.control("expire_access", "POST")
    assert_the_next_scan_completes(program)


@pytest.mark.sample
@SIGNALS
def test_a_stop_does_not_wait_for_a_database_that_another_program_keeps_locked(
    killsync: Start, background: Background, number: int, exit_code: int
) -> None:
    program = killsync(characters=1, killmails=20, latency_body=0.2)
    process = background(program, "scan", KILLSYNC_CONNECTIONS="1")
    wait_until(lambda: asked(program, "body") >= 3)
    with closing(sqlite3.connect(program.database, isolation_level=None, timeout=60)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert wait_for_exit(process, number) == exit_code
        assert time.monotonic() - began < 30, "SQLite itself would wait for a minute"
    assert_the_next_scan_completes(program)


def test_a_job_that_any_earlier_run_has_left_running_is_taken_up(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    program.run("sync", str(user_id(program)), "--no-wait")
    program.execute("UPDATE jobs SET state = 'running'")
    program.run("scan")
    program.assert_equals_truth()
    assert (jobs(program)["queued"], jobs(program)["running"]) == (0, 0)


def test_a_stop_ends_the_wait_for_a_rate_limit(killsync: Start, background: Background) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.fault("list", status=429, headers={"Retry-After": "20"}, times=1)
    process = background(program, "scan")
    read_until(process, "waiting")
    assert wait_for_exit(process) == 143
    assert asked(program, "list") == 1
    assert jobs(program) == {"queued": 1, "running": 0, "failed": 0}


def test_a_stop_ends_the_wait_before_a_retry_and_blames_no_user(
    killsync: Start, background: Background
) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.fault("list", status=503, headers={"Retry-After": "8"})
    process = background(program, "scan")
    wait_until(lambda: asked(program, "list"))
    assert wait_for_exit(process) == 143
    assert asked(program, "list") == 1
    assert program.rows("SELECT failures FROM users") == [(0,)]
    assert_the_next_scan_completes(program)


@pytest.mark.sample
def test_a_second_sigint_ends_at_once_and_loses_nothing(
    killsync: Start, background: Background
) -> None:
    program = killsync(characters=1, killmails=20, page_size=10)
    program.simulator.fault("list", page=2, hang=60)
    process = background(program, "scan")
    wait_until(lambda: asked(program, "list") == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None, "the first one lets the request in flight end"
    assert wait_for_exit(process, signal.SIGINT) == 130
    # what a run in good order writes at its end is missing
    assert program.rows("SELECT finished_at FROM runs") == [(None,)]
    assert_the_next_scan_completes(program)


@SIGNALS
def test_a_sync_that_waits_for_another_run_stops_and_its_job_stays_queued(
    killsync: Start, background: Background, number: int, exit_code: int
) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.clear_log()
    with run_in_progress(program):
        process = background(program, "sync", str(user_id(program)))
        read_until(process, "waiting for")
        assert wait_for_exit(process, number) == exit_code
        assert jobs(program) == {"queued": 1, "running": 0, "failed": 0}
    assert program.simulator.log() == []
    assert_the_next_scan_completes(program)


@pytest.mark.parametrize("route", ["list", "body"])
def test_a_killed_run_is_picked_up_by_the_next_one(
    killsync: Start, background: Background, route: str
) -> None:
    program = killsync(characters=2, killmails=12, page_size=2, list_tokens=0)
    program.simulator.options(**{f"latency_{route}": 0.2})
    process = background(program, "scan", KILLSYNC_CONNECTIONS="2")
    wait_until(lambda: asked(program, route) >= 4)
    assert wait_for_exit(process, signal.SIGKILL) == -signal.SIGKILL
    status = program.status()
    assert status["lock"] is None
    assert status["jobs"]["queued"] + status["jobs"]["running"] > 0
    assert_the_next_scan_completes(program)


def test_runs_killed_again_and_again_come_to_the_end(
    killsync: Start, background: Background
) -> None:
    program = killsync(characters=1, killmails=30, page_size=10, latency_body=0.05)
    for _ in range(3):
        seen = asked(program, "body")
        process = background(program, "scan", KILLSYNC_CONNECTIONS="1")
        wait_until(lambda seen=seen: asked(program, "body") >= seen + 4)  # type: ignore[misc]
        wait_for_exit(process, signal.SIGKILL)
    assert_the_next_scan_completes(program)


@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_while_the_modules_are_read_ends_without_a_word(
    killsync: Start, number: int
) -> None:
    program = killsync(characters=1, killmails=1)
    program.simulator.clear_log()
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "killsync", "scan", "--splay", "300s"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=program.environment,
    )
    read_until(process, "killsync.settings.config")
    process.send_signal(number)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode in (-number, 128 + number)
    assert [line for line in said.splitlines() if not line.startswith("import time:")] == []
    assert program.simulator.log() == []


# when to stop: the request to wait for, and what makes the run wait there or go on
MOMENTS: dict[str, tuple[str, dict[str, float], dict[str, Any]]] = {
    "metadata": ("metadata", {"latency_sso": 1}, {}),
    "keys": ("jwks", {"latency_sso": 1}, {}),
    "refresh": ("token", {"latency_sso": 1}, {}),
    "list": ("list", {"latency_list": 1}, {}),
    "bodies": ("body", {"latency_body": 0.7}, {}),
    "a retry of a body": ("body", {}, {"route": "body", "status": 503}),
    "a retry of a refresh": ("token", {}, {"route": "token", "status": 500}),
    "a rest of the bodies": (
        "body", {}, {"route": "body", "status": 429, "headers": {"Retry-After": "40"}},
    ),
    "commits and the end": ("body", {}, {}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("moment", "number", "exit_code"),
    # each signal at every other moment: both are handled alike, as the tests above show
    [
        (moment, *((signal.SIGTERM, 143), (signal.SIGINT, 130))[number % 2])
        for number, moment in enumerate(MOMENTS)
    ],
)
def test_wherever_a_stop_finds_a_run_nothing_more_is_sent_and_it_ends_soon(
    killsync: Start, background: Background, moment: str, number: int, exit_code: int
) -> None:
    route, options, fault = MOMENTS[moment]
    program = killsync(characters=3, killmails=6, shared=0, list_tokens=0)
    program.expire_access()
    program.forget_sso_documents()
    program.simulator.clear_log()
    program.simulator.options(**options)
    if fault:
        program.simulator.fault(**fault)
    process = background(program, "scan", KILLSYNC_CONNECTIONS="3")
    wait_until(lambda: asked(program, route))
    time.sleep(random.Random(f"{moment} {number}").random() * 0.3)
    before = len(program.simulator.log())
    process.send_signal(number)
    sent = time.time()
    process.communicate(timeout=TIMEOUT)
    ended = time.time()
    # 75: a service that was down had ended the run by itself
    # once it has done everything, the signal ends what is left of the process by itself
    assert process.returncode in ((exit_code,) if options else (exit_code, -number, 0, 75))
    log = program.simulator.log()
    assert [e for e in log if e["start"] > sent + LOADED] == []
    # there nothing else is in flight that could be sent meanwhile
    assert len(log) == before or route not in ("metadata", "jwks")
    answered = max(e["end"] or e["start"] for e in log)
    assert ended < max(answered, sent) + 2 + LOADED
    assert jobs(program)["running"] == 0
    assert program.rows("PRAGMA integrity_check") == [("ok",)]
    assert program.rows("SELECT sum(failures) FROM users") == [(0,)]
    program.execute("UPDATE rate_limits SET retry_at = NULL")
    for table in ("users", "jobs", "pending_killmails"):
        program.execute(f"UPDATE {table} SET not_before = NULL")
    program.simulator.thaw()
    assert_the_next_scan_completes(program)
