"""The part `load`: many commands at once, locked databases, a sync beside a backfill."""

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import groupby, pairwise
from threading import Event
from typing import Any

from world import TIMEOUT, wait_until

from campaign.case import Case, case
from campaign.running import Running
from campaign.score import Score

RACERS = 20
READERS = (("status", "--json"), ("export",), ("status",), ("users",))
MOST_WAIT_S = 2.0


def play(seed: int, *, long: bool) -> Score:
    """Play races, locked databases, and syncs beside a backfill; return the score."""
    score = Score("load")
    rng = random.Random(f"{seed}-load")
    for number in range(4 if long else 1):
        race(score, rng, readers=4 if long else 1, encrypted=(seed + number) % 2 == 1)
    seconds = 30 if long else 3
    with ThreadPoolExecutor() as pool:
        for locked in [
            pool.submit(play_locked, score, random.Random(rng.random()), seconds)
            for play_locked in (locked_before_run, locked_during_bodies, locked_during_refresh)
        ]:
            locked.result()
    for workers in (1, 4):
        killmails = 10_000 if long else 800
        encrypted = workers > 1
        sync_beside_backfill(score, rng, workers, killmails, encrypted=encrypted, demanding=long)
    return score


def race(score: Score, rng: random.Random, readers: int, *, encrypted: bool) -> None:
    """Start scans and syncs at once while others read: they must run one at a time, and succeed."""
    score.cases += 1
    options: dict[str, Any] = {
        "characters": RACERS // 2,
        "killmails": 30,
        "shared": 0,
        "list_tokens": 0,
        "encrypted": encrypted,
    }
    with case(rng, **options) as program:
        users = [login["character_id"] for login in program.simulator.logins]
        commands = [["sync", str(user)] for user in users]
        commands += [["scan"] for _ in range(RACERS - len(users))]
        rng.shuffle(commands)
        with concurrent_readers(score, program, readers):
            racers = [
                (command, Running(program.launch(*command, KILLSYNC_CONTACT=f"racer-{number}")))
                for number, command in enumerate(commands)
            ]
            for command, racer in racers:
                code = racer.wait()
                score.check(code == 0, f"{command}, one of {len(racers)} at once: exit {code}")
                racer.check_memory(score)
                if command[0] == "sync":
                    score.check(is_synced(program, int(command[1])), f"{command} was incomplete")
        check_runs_are_serial(score, program)
        program.judge(score)


def is_synced(program: Case, user: int) -> bool:
    """Return whether everything on a user's list is recorded and stored."""
    listed = sorted(program.simulator.listed(user), reverse=True)
    missing = program.rows(
        """SELECT 1 FROM user_killmails LEFT JOIN killmails USING (killmail_id)
        WHERE user_id = ? AND stored_seq IS NULL""",
        user,
    )
    return program.recorded(user) == listed and not missing


def check_runs_are_serial(score: Score, program: Case) -> None:
    """Check that no process sent between the first request and the last answer of another."""
    log = [entry for entry in program.simulator.log() if "racer-" in (entry["user_agent"] or "")]
    blocks = [list(block) for _, block in groupby(log, lambda entry: entry["user_agent"])]
    agents = {entry["user_agent"] for entry in log}
    score.check(len(blocks) == len(agents), "the requests of two runs are interleaved")
    for one, next_one in pairwise(blocks):
        ended = max(entry["end"] for entry in one)
        score.check(ended <= next_one[0]["start"], "a run sent before another had its last answer")
    sent = program.rows("SELECT count(DISTINCT pid) FROM runs WHERE requests > 0")[0][0]
    score.check(sent == len(agents), f"{sent} runs on record sent requests, {len(agents)} did")
    rows = program.rows("SELECT started_at, finished_at FROM runs ORDER BY id")
    serial = all(finished and finished <= started for (_, finished), (started, _) in pairwise(rows))
    score.check(serial, "the runs on record overlap")


@contextmanager
def concurrent_readers(score: Score, program: Case, readers: int) -> Iterator[None]:
    """Read the database in the background until the block ends, and check the results."""
    over = Event()
    with ThreadPoolExecutor() as pool:
        reading = [
            pool.submit(read_repeatedly, score, program, first, over) for first in range(readers)
        ]
        try:
            yield
        finally:
            over.set()
        for reader in reading:
            reader.result()


def read_repeatedly(score: Score, program: Case, first: int, over: Event) -> None:
    """Run each reading command in turn, and check that no count decreases that should not.

    `first` is the index of the command to start with.
    """
    highest: dict[Any, int] = {}
    turn = first
    while not over.is_set():
        command = READERS[turn % len(READERS)]
        turn += 1
        process = program.start(*command)
        output, errors = process.communicate(timeout=TIMEOUT)
        succeeded = process.returncode == 0 and not errors
        score.check(succeeded, f"{command} beside runs: exit {process.returncode}, {errors!r}")
        counts: dict[Any, int] = {}
        if succeeded and "--json" in command:
            counts = status_counts(score, json.loads(output))
        elif succeeded and command == ("export",):
            ids = [json.loads(line)["killmail_id"] for line in output.splitlines()]
            score.check(len(set(ids)) == len(ids), "an export beside runs repeats a killmail")
            counts = {"exported": len(ids)}
        for name, count in counts.items():
            score.check(count >= highest.get(name, 0), f"{name} decreased to {count} beside runs")
            highest[name] = count


def status_counts(score: Score, status: dict[str, Any]) -> dict[Any, int]:
    """Return the counts that must not decrease; check that all are from the same moment."""
    users = status["users"]
    # no killmail is shared, so each pending one counts for one user only
    pending = sum(user["pending"] for user in users)
    total = status["pending_killmails"]
    score.check(pending == total, f"status beside runs: {total} pending, {pending} for the users")
    counts = {("killmails", user["user_id"]): user["killmails"] for user in users}
    return counts | {
        ("stored id", user["user_id"]): user["last_killmail_id"] or 0 for user in users
    }


@contextmanager
def hold_write_lock(program: Case, name: str, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Hold a write transaction, as another program would."""
    with closing(sqlite3.connect(program.directory / name, isolation_level=None)) as conn:
        conn.execute("PRAGMA busy_timeout = 60000")
        conn.execute(begin)
        yield


def check_outlasts(
    score: Score, program: Case, run: Callable[[], Running], name: str, seconds: float
) -> None:
    """Check that a run waits while another program holds the write lock, and then completes."""
    score.cases += 1
    score.faults += 1
    started = time.monotonic()
    with hold_write_lock(program, name):
        running = run()
        while time.monotonic() < started + seconds and running.is_running():
            time.sleep(0.05)
        score.check(running.is_running(), f"a run did not wait for {name}: {program.heard()}")
    code = running.wait()
    score.check(code == 0, f"{name} held for {seconds} s: exit {code}, {program.heard()}")
    running.check_memory(score)
    (user,) = [login["character_id"] for login in program.simulator.logins]
    score.check(is_synced(program, user), f"{name} held for {seconds} s: the sync is incomplete")
    program.judge(score)


def locked_before_run(score: Score, rng: random.Random, seconds: float) -> None:
    """Lock the database before a run starts."""
    with case(rng, characters=1, killmails=20) as program:
        program.call("status")
        check_outlasts(
            score, program, lambda: Running(program.launch("scan")), "killsync.db", seconds
        )


def locked_during_bodies(score: Score, rng: random.Random, seconds: float) -> None:
    """Lock the database while bodies arrive."""
    with case(rng, characters=1, killmails=200, latency_body=0.2) as program:
        scan = Running(program.launch("scan"))
        wait_until(lambda: program.simulator.log("body"))
        check_outlasts(score, program, lambda: scan, "killsync.db", seconds)


def locked_during_refresh(score: Score, rng: random.Random, seconds: float) -> None:
    """Lock the token file while SSO's answer, with a rotated token, is to be stored."""
    options: dict[str, Any] = {"latency_sso": 2, "rotate": True}
    with case(rng, characters=1, killmails=20, encrypted=True, **options) as program:
        program.simulator.control("expire_access", "POST")
        program.simulator.clear_log()
        program.expire_access()
        scan = Running(program.launch("scan"))
        wait_until(lambda: program.simulator.log("token"))
        check_outlasts(score, program, lambda: scan, "killsync.db.tokens", seconds)


def sync_beside_backfill(
    score: Score,
    rng: random.Random,
    workers: int,
    killmails: int,
    *,
    encrypted: bool,
    demanding: bool,
) -> None:
    """Sync a user during another user's backfill: it must be served at once, and both complete.

    `demanding` also checks how soon the sync sends its first request.
    """
    score.cases += 1
    options: dict[str, Any] = {
        "latency_body": 0.05,
        "list_tokens": 0,
        "body_tokens": 0,
        "page_size": 200,
    }
    with case(rng, characters=0, encrypted=encrypted, **options) as program:
        esi = program.simulator
        user_id = esi.add_character(killmails=40)["character_id"]
        esi.add_character(killmails=killmails)
        program.add_users()
        program.execute("UPDATE users SET state = 'disabled' WHERE user_id = ?", user_id)
        scan = Running(program.launch("scan", "--workers", str(workers)))
        wait_until(lambda: len(esi.log("list")) > 1 and len(esi.log("body")) > killmails // 20)
        program.execute("UPDATE users SET state = 'active' WHERE user_id = ?", user_id)
        sync = program.launch("sync", str(user_id))
        queued = "SELECT 1 FROM jobs WHERE user_id = ? AND priority = 5"
        wait_until(lambda: program.rows(queued, user_id))
        queued_at = time.time()
        code = Running(sync).wait()
        score.check(code == 0, f"a sync beside a backfill ended with {code}: {program.heard()}")
        score.check(is_synced(program, user_id), "a sync beside a backfill was incomplete")
        left = program.count_unfinished()
        score.check(left > killmails // 4, f"a sync waited until {left} of a backfill were left")
        (polled,) = [entry for entry in esi.log("list") if entry["character_id"] == user_id]
        waited = polled["start"] - queued_at
        late = f"a sync beside {workers} workers sent its first request after {waited:.1f} s"
        score.check(waited < MOST_WAIT_S or not demanding, late)
        score.check(scan.wait() == 0, "a backfill ended with an error")
        scan.check_memory(score)
        program.judge(score)
