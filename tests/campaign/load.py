"""The part `load`: many commands at once, a database locked by others, a person in a hurry."""

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
IN_A_HURRY_S = 2.0


def play(seed: int, *, long: bool) -> Score:
    """Play races, locked databases, and syncs beside a backfill."""
    score = Score("load")
    rng = random.Random(f"{seed}-load")
    for _ in range(4 if long else 1):
        races(score, rng, readers=4 if long else 1)
    seconds = 30 if long else 3
    with ThreadPoolExecutor() as pool:
        for locked in [
            pool.submit(play_locked, score, random.Random(rng.random()), seconds)
            for play_locked in (locked_before_a_run, locked_amid_bodies, locked_amid_a_refresh)
        ]:
            locked.result()
    for workers in (1, 4):
        in_a_hurry(score, rng, workers, killmails=10_000 if long else 800, demanding=long)
    return score


def races(score: Score, rng: random.Random, readers: int) -> None:
    """Start scans and syncs at once while others read: one run at a time, all answered."""
    score.cases += 1
    options: dict[str, Any] = {
        "characters": RACERS // 2,
        "killmails": 30,
        "shared": 0,
        "list_tokens": 0,
    }
    with case(rng, **options) as program:
        users = [login["character_id"] for login in program.simulator.logins]
        commands = [["sync", str(user)] for user in users]
        commands += [["scan"] for _ in range(RACERS - len(users))]
        rng.shuffle(commands)
        with read_by_others(score, program, readers):
            racers = [
                (command, Running(program.launch(*command, KILLSYNC_CONTACT=f"racer-{number}")))
                for number, command in enumerate(commands)
            ]
            for command, racer in racers:
                code = racer.wait()
                score.must(code == 0, f"{command} ended with {code} among {len(racers)} at once")
                racer.judge_memory(score)
                if command[0] == "sync":
                    score.must(is_done(program, int(command[1])), f"{command} left something")
        must_run_one_at_a_time(score, program)
        program.judge(score)


def is_done(program: Case, user: int) -> bool:
    """Tell whether all that a user's list shows is recorded and stored."""
    listed = sorted(program.simulator.listed(user), reverse=True)
    missing = program.rows(
        """SELECT 1 FROM user_killmails LEFT JOIN killmails USING (killmail_id)
        WHERE user_id = ? AND stored_seq IS NULL""",
        user,
    )
    return program.recorded(user) == listed and not missing


def must_run_one_at_a_time(score: Score, program: Case) -> None:
    """No process may send between the first request and the last answer of another."""
    log = [entry for entry in program.simulator.log() if "racer-" in (entry["user_agent"] or "")]
    blocks = [list(block) for _, block in groupby(log, lambda entry: entry["user_agent"])]
    agents = {entry["user_agent"] for entry in log}
    score.must(len(blocks) == len(agents), "two runs have sent requests in turns")
    for one, next_one in pairwise(blocks):
        over = max(entry["end"] for entry in one)
        score.must(over <= next_one[0]["start"], "a run began before another had its last answer")
    sent = program.rows("SELECT count(DISTINCT pid) FROM runs WHERE requests > 0")[0][0]
    score.must(sent == len(agents), f"{sent} runs on record sent something, {len(agents)} did")
    rows = program.rows("SELECT started_at, finished_at FROM runs ORDER BY id")
    in_turn = all(finished and finished <= begun for (_, finished), (begun, _) in pairwise(rows))
    score.must(in_turn, "the runs on record overlap")


@contextmanager
def read_by_others(score: Score, program: Case, readers: int) -> Iterator[None]:
    """Let others read the database again and again, and judge what they are shown."""
    over = Event()
    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read, score, program, first, over) for first in range(readers)]
        try:
            yield
        finally:
            over.set()
        for reader in reading:
            reader.result()


def read(score: Score, program: Case, first: int, over: Event) -> None:
    """Read by each command in turn; every count that can only rise may only rise."""
    highest: dict[Any, int] = {}
    turn = first
    while not over.is_set():
        command = READERS[turn % len(READERS)]
        turn += 1
        process = program.start(*command)
        said, complaint = process.communicate(timeout=TIMEOUT)
        well = process.returncode == 0 and not complaint
        score.must(well, f"{command} beside runs: exit {process.returncode}, {complaint!r}")
        counts: dict[Any, int] = {}
        if well and "--json" in command:
            counts = counts_of_status(score, json.loads(said))
        elif well and command == ("export",):
            ids = [json.loads(line)["killmail_id"] for line in said.splitlines()]
            score.must(len(set(ids)) == len(ids), "an export beside runs shows a killmail twice")
            counts = {"exported": len(ids)}
        for name, count in counts.items():
            score.must(count >= highest.get(name, 0), f"{name} went back to {count} beside runs")
            highest[name] = count


def counts_of_status(score: Score, status: dict[str, Any]) -> dict[Any, int]:
    """Return the counts that only rise; all that is shown must be of one moment."""
    users = status["users"]
    # no killmail is shared: what is pending for the users is pending once
    pending = sum(user["pending"] for user in users)
    told = status["pending_killmails"]
    score.must(pending == told, f"status beside runs: {told} pending, {pending} for the users")
    counts = {("killmails", user["user_id"]): user["killmails"] for user in users}
    return counts | {
        ("stored id", user["user_id"]): user["last_killmail_id"] or 0 for user in users
    }


@contextmanager
def held_by_another(program: Case, name: str, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Hold a write transaction as another program does."""
    with closing(sqlite3.connect(program.directory / name, isolation_level=None)) as conn:
        conn.execute("PRAGMA busy_timeout = 60000")
        conn.execute(begin)
        yield


def must_outlast(
    score: Score, program: Case, run: Callable[[], Running], name: str, seconds: float
) -> None:
    """A run that somebody keeps from writing for so long waits, and then does everything."""
    score.cases += 1
    score.faults += 1
    began = time.monotonic()
    with held_by_another(program, name):
        running = run()
        while time.monotonic() < began + seconds and running.goes_on():
            time.sleep(0.05)
        score.must(running.goes_on(), f"a run did not wait for {name}: {program.heard()}")
    code = running.wait()
    score.must(code == 0, f"{name} held for {seconds} s: exit {code}, {program.heard()}")
    running.judge_memory(score)
    (user,) = [login["character_id"] for login in program.simulator.logins]
    score.must(is_done(program, user), f"{name} held for {seconds} s: something was left out")
    program.judge(score)


def locked_before_a_run(score: Score, rng: random.Random, seconds: float) -> None:
    """The database is locked when a run begins."""
    with case(rng, characters=1, killmails=20) as program:
        program.call("status")
        must_outlast(
            score, program, lambda: Running(program.launch("scan")), "killsync.db", seconds
        )


def locked_amid_bodies(score: Score, rng: random.Random, seconds: float) -> None:
    """The database is locked while bodies arrive."""
    with case(rng, characters=1, killmails=200, latency_body=0.2) as program:
        scan = Running(program.launch("scan"))
        wait_until(lambda: program.simulator.log("body"))
        must_outlast(score, program, lambda: scan, "killsync.db", seconds)


def locked_amid_a_refresh(score: Score, rng: random.Random, seconds: float) -> None:
    """The token file is locked when SSO's answer, with a rotated token, is to be stored."""
    with case(rng, characters=1, killmails=20, latency_sso=2, rotate=True) as program:
        program.simulator.control("expire_access", "POST")
        program.simulator.clear_log()
        program.expire_access()
        scan = Running(program.launch("scan"))
        wait_until(lambda: program.simulator.log("token"))
        must_outlast(score, program, lambda: scan, "killsync.db.tokens", seconds)


def in_a_hurry(
    score: Score, rng: random.Random, workers: int, killmails: int, *, demanding: bool
) -> None:
    """A sync beside a backfill of another user: it is served at once, and the backfill goes on."""
    score.cases += 1
    options: dict[str, Any] = {
        "latency_body": 0.05,
        "list_tokens": 0,
        "body_tokens": 0,
        "page_size": 200,
    }
    with case(rng, characters=0, **options) as program:
        esi = program.simulator
        hurried = esi.add_character(killmails=40)["character_id"]
        esi.add_character(killmails=killmails)
        program.add_users()
        program.execute("UPDATE users SET state = 'disabled' WHERE user_id = ?", hurried)
        scan = Running(program.launch("scan", "--workers", str(workers)))
        wait_until(lambda: len(esi.log("list")) > 1 and len(esi.log("body")) > killmails // 20)
        program.execute("UPDATE users SET state = 'active' WHERE user_id = ?", hurried)
        sync = program.launch("sync", str(hurried))
        queued = "SELECT 1 FROM jobs WHERE user_id = ? AND priority = 5"
        wait_until(lambda: program.rows(queued, hurried))
        at = time.time()
        code = Running(sync).wait()
        score.must(code == 0, f"a sync beside a backfill ended with {code}: {program.heard()}")
        score.must(is_done(program, hurried), "a sync beside a backfill left something")
        left = program.left()
        score.must(left > killmails // 4, f"a sync waited until {left} of a backfill were left")
        (asked,) = [entry for entry in esi.log("list") if entry["character_id"] == hurried]
        waited = asked["start"] - at
        late = f"a sync beside {workers} workers sent its first request after {waited:.1f} s"
        score.must(waited < IN_A_HURRY_S or not demanding, late)
        score.must(scan.wait() == 0, "a backfill ended with an error")
        scan.judge_memory(score)
        program.judge(score)
