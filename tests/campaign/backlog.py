"""A backlog of bodies that takes long to work through under the limits, and new killmails."""

import random
from collections.abc import Callable
from typing import Any

from campaign.case import Case, case
from campaign.clock import TICK, Clock
from campaign.running import Running
from campaign.score import Score

SetUp = Callable[[Score, Case, Clock, int, int], None]


def play_backlog(
    score: Score,
    rng: random.Random,
    clock: Clock,
    set_up: SetUp,
    *,
    long: bool,
    encrypted: bool,
) -> None:
    """Check that a user's new killmail is stored at the next tick despite others' backlog.

    `set_up` creates the backlog.
    """
    size, page_size = (100_000, 1000) if long else (3_000, 100)
    options: dict[str, Any] = {"page_size": page_size, "list_tokens": 0}
    with case(rng, characters=0, encrypted=encrypted, **options) as program:
        program.count(score)
        esi = program.simulator
        program.environment |= clock.environment
        # every user is due at every tick
        program.environment |= {"KILLSYNC_MIN_AGE": "9m", "KILLSYNC_MAX_PAGES": "1000"}
        current = esi.add_character(killmails=5)["character_id"]
        set_up(score, program, clock, size, page_size)
        (left,) = program.rows("SELECT count(*) FROM pending_killmails")[0]
        score.check(left > size // 2, f"{set_up.__name__} left {left} bodies, too few to test")
        for number in range(7 if long else 3):
            listed = esi.add_killmails(current, 1)
            scan(score, program, clock)
            stored = {row[0] for row in program.rows("SELECT killmail_id FROM killmails")}
            late = [killmail_id for killmail_id, _ in listed if killmail_id not in stored]
            score.check(not late, f"{set_up.__name__}, tick {number}: new killmails are not stored")
        (after,) = program.rows("SELECT count(*) FROM pending_killmails")[0]
        score.check(after < left, f"{set_up.__name__}: the backlog itself makes no progress")
        log = esi.log()
        score.requests += len(log)
        refused = [entry for entry in log if entry["status"] in (420, 429)]
        score.check(not refused, f"{set_up.__name__}: {len(refused)} requests were refused")


def long_history(score: Score, program: Case, clock: Clock, size: int, page_size: int) -> None:
    """Add one user with all these killmails."""
    program.simulator.add_character(killmails=size)
    program.add_users()
    scan(score, program, clock)


def long_absence(score: Score, program: Case, clock: Clock, size: int, page_size: int) -> None:
    """Give many users, who were synced once, a whole page of new killmails each."""
    for _ in range(size // page_size):
        program.simulator.add_character(killmails=1)
    program.add_users()
    scan(score, program, clock)
    for login in program.simulator.logins[1:]:
        program.simulator.add_killmails(login["character_id"], page_size)
    clock.forward_to(clock.now() + 6 * 86400)
    scan(score, program, clock)


def scan(score: Score, program: Case, clock: Clock) -> None:
    """Play the next tick."""
    score.cases += 1
    clock.forward_to(clock.now() // TICK * TICK + TICK)
    running = Running(program.launch("scan"))
    clock.fast_forward(running, simulator_pid=program.simulator.pid)
    problem = f"a scan with a backlog: exit {running.process.returncode}, {program.heard()}"
    score.check(running.process.returncode == 0, problem)
    running.check_memory(score)
