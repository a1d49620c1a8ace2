"""Sentences of the design that no other file proves, each with its number."""

import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import Popen

from world import TIMEOUT, Killsync, read_until, run_in_progress, wait_until

from killsync.store import connection, jobs, runs, users
from killsync.store.tokens import Token, Tokens
from killsync.times import DAY, MINUTE, unix

Make = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

NOW = 1_800_000_000.0
TOKEN_PRAGMAS = {"synchronous": 2, "secure_delete": 1}


def ids(program: Killsync) -> list[int]:
    return [login["character_id"] for login in program.simulator.logins]


# 11


def test_a_worker_that_waits_for_a_limit_begins_with_a_manual_job_at_once(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    resting, asked = ids(program)
    program.run("users", "disable", str(asked))
    program.simulator.fault("list", character_id=resting, status=429, headers={"Retry-After": "55"})
    scan = background(program, "scan")
    read_until(scan, "waiting")
    program.run("users", "enable", str(asked))
    done = program.run("sync", str(asked))
    assert f"(pid {scan.pid})" in done.stderr
    assert "2 killmails stored" in done.stdout
    assert [e["character_id"] for e in program.simulator.log("list")] == [resting, asked]


# 14


def test_between_two_users_lies_no_page_delay(killsync: Make) -> None:
    program = killsync(characters=3, killmails=2)
    program.run("scan", KILLSYNC_PAGE_DELAY="10m")
    assert sorted(e["character_id"] for e in program.simulator.log("list")) == ids(program)
    program.assert_equals_truth()


# 16


def test_bodies_that_a_killed_run_may_have_asked_for_count_as_spent(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=12, body_tokens=0)
    program.simulator.fault("body", hang=60)
    scan = background(program, "scan", KILLSYNC_CONNECTIONS="4")
    wait_until(lambda: len(program.simulator.log("body")) == 4)
    scan.kill()
    scan.communicate(timeout=TIMEOUT)
    program.simulator.clear_faults()
    program.run("scan", KILLSYNC_CONNECTIONS="4")
    (bodies,) = (b for b in program.status()["rate_limits"] if b["group"] == "killmail")
    assert bodies["limit"] - bodies["remaining"] >= 2 * (4 + 12)
    program.assert_equals_truth()


# 17


def test_a_user_who_fails_again_and_again_is_left_alone_twice_as_long_each_time(
    killsync: Make,
) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.fault("list", status=403)
    waits: list[float] = []
    for _ in range(3):
        program.execute("UPDATE users SET not_before = NULL")
        before = time.time()
        program.run("scan", exit_code=None)
        ((until,),) = program.rows("SELECT not_before FROM users")
        assert unix(until) <= time.time() + 15 * MINUTE * 2 ** len(waits) + 1
        waits.append((unix(until) - before) // (15 * MINUTE))
    assert waits == [1, 2, 4]


# 18


def test_a_token_that_another_process_refreshes_is_left_to_it(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2, access_lifetime=30)
    program.simulator.options(access_lifetime=1200)
    program.simulator.clear_log()
    with closing(sqlite3.connect(f"{program.database}.tokens", isolation_level=None)) as conn:
        claim = "UPDATE tokens SET claimed_by = ?, claimed_until = ?"
        conn.execute(claim, [f"{socket.gethostname()}:{os.getpid()}", time.time() + 110])
        program.run("scan", "--max-runtime", "3s")
        assert program.simulator.log("token") == []
        assert program.status()["jobs"]["queued"] == 1
        assert program.rows("SELECT state, failures FROM users") == [("active", 0)]
        conn.execute(claim, [None, None])
    program.execute("UPDATE jobs SET not_before = NULL")
    program.run("scan")
    program.assert_equals_truth()


# 21


def test_the_token_file_is_written_through_and_what_is_deleted_is_erased(tmp_path: Path) -> None:
    with closing(Tokens(tmp_path / "killsync.db")) as tokens:
        tokens.put(1, Token("one"))
        pragmas = [tokens._db.execute(f"PRAGMA {p}").fetchone()[0] for p in TOKEN_PRAGMAS]
    # 2 is FULL
    assert dict(zip(TOKEN_PRAGMAS, pragmas, strict=True)) == TOKEN_PRAGMAS


# 24


def test_old_failures_and_runs_are_deleted_in_small_batches(tmp_path: Path) -> None:
    with closing(connection.connect(tmp_path / "killsync.db", create=True)) as store:
        connection.upgrade(store)
        conn = store.conn
        users.add(conn, 1, "Hakon", NOW)
        old = "2001-01-01T00:00:00Z"
        for _ in range(1200):
            conn.execute(
                "INSERT INTO jobs (user_id, priority, state, queued_at, finished_at)"
                " VALUES (1, 3, 'failed', ?, ?)",
                [old, old],
            )
            conn.execute(
                "INSERT INTO runs (command, pid, host, started_at) VALUES ('scan', 1, 'h', ?)",
                [old],
            )
        left = []
        for _ in range(3):
            run_id = runs.begin(conn, "scan", NOW)
            jobs.prune(conn, NOW)
            runs.end(conn, run_id, runs.Run("scan"), 0, NOW + DAY)
            left.append(
                conn.execute(
                    "SELECT (SELECT count(*) FROM jobs WHERE finished_at = ?1),"
                    " (SELECT count(*) FROM runs WHERE started_at = ?1)",
                    [old],
                ).fetchone()
            )
    # the newest failure of a user stays
    assert left == [(700, 700), (200, 200), (1, 0)]


# 25


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


def test_users_with_nothing_new_share_their_commits(killsync: Make) -> None:
    program = killsync(characters=40, killmails=1, shared=0)
    program.run("scan")
    program.make_due()
    program.simulator.clear_log()
    tokens = Path(f"{program.database}.tokens")
    before = tokens.stat().st_mtime_ns
    with commits_of(program) as counted:
        program.run("scan")
    assert [e["status"] for e in program.simulator.log()] == [304] * 40
    assert 0 < counted[0] < 40
    assert tokens.stat().st_mtime_ns == before


# 28


def lock_is_open_in(process: Popen[str]) -> bool:
    folder = Path(f"/proc/{process.pid}/fd")
    return any(os.path.realpath(file).endswith(".lock") for file in folder.iterdir())


def test_a_short_look_at_the_lock_costs_no_tick(killsync: Make, background: Background) -> None:
    program = killsync(characters=1, killmails=2)
    program.run("users")
    connection.make_private_file(Path(f"{program.database}.lock"))
    with run_in_progress(program):
        scan = background(program, "scan")
        wait_until(lambda: lock_is_open_in(scan))
    said, _ = scan.communicate(timeout=TIMEOUT)
    assert "another run is in progress" not in said
    program.assert_equals_truth()


def test_who_waits_for_the_lock_is_not_shown_as_its_holder(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.fault("list", hang=60, times=1)
    scan = background(program, "scan")
    wait_until(lambda: program.simulator.log("list"))
    waiting = background(program, "sync", str(ids(program)[0]))
    read_until(waiting, "waiting for")
    assert program.status()["lock"]["pid"] == scan.pid
    scan.send_signal(signal.SIGKILL)
    assert waiting.wait(TIMEOUT) == 0
