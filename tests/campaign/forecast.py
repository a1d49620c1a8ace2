"""The part `forecast`: what is said of when all will be stored, against how long it then takes."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from corporations import add_company

from campaign.case import Case, case
from campaign.clock import Clock, cheap_days
from campaign.score import Score, chosen
from campaign.strikes import label_problems
from campaign.ticks import Cron
from killsync.times import unix, unix_or_none

PART = "forecast"
KILLMAILS, LONG_KILLMAILS = 600, 5_000
# of the limit of 3,600 no less than a tenth is believed
SHORT_LIMIT = {"body_tokens": 400}
MOST_TICKS = 150
# how far an estimate may be off, as a share of what it then takes: at the start, and from its half
AT_START, FROM_HALF = 0.2, 0.1
MARKS = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Shape:
    """A backlog: how it comes about, and with which options and settings it is worked through.

    `set_up` is given the program and the number of killmails.
    """

    name: str
    set_up: Callable[[Case, int], None]
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    by_hand: bool = False


@dataclass(frozen=True)
class Said:
    """An estimate: when it was given, how much was stored then, and what it says."""

    at: float
    stored: int
    done_at: float


def play(seed: int, *, long: bool, only: str = "") -> Score:
    """Work through a backlog of each shape, and compare each estimate with what came.

    `only` selects shapes by words in their name.
    """
    score = Score(PART)
    for number, shape in enumerate(chosen(SHAPES, only)):
        with label_problems(score, shape.name):
            rng = random.Random(f"{PART} {seed} {shape.name}")
            options: dict[str, Any] = ({} if long else SHORT_LIMIT) | shape.options
            with (
                cheap_days() as clock,
                case(rng, characters=0, encrypted=number % 2 == 1, **options) as program,
            ):
                program.environment |= shape.settings
                shape.set_up(program, LONG_KILLMAILS if long else KILLMAILS)
                compare(score, shape.name, *work_through(score, shape, program, clock))
                program.count(score)
    return score


def work_through(
    score: Score, shape: Shape, program: Case, clock: Clock
) -> tuple[list[Said], float]:
    """Let scans come until all is stored; return what was said after each, and when that was."""
    cron = Cron(program, clock)
    said = []
    if shape.by_hand:
        clock.forward_to(clock.now() + 100)
        cron.run("sync", str(program.simulator.logins[0]["character_id"]), "--quiet")
        said.append(estimate(program, clock))
    for _ in range(MOST_TICKS):
        if program.count_unfinished() == 0 and program.rows("SELECT 1 FROM killmails LIMIT 1"):
            break
        cron.tick()
        score.cases += 1
        said.append(estimate(program, clock))
    score.check(program.count_unfinished() == 0, "it never ends")
    (last,) = program.rows("SELECT max(stored_at) FROM killmails")[0]
    return [one for one in said if one.done_at], unix(last)


def estimate(program: Case, clock: Clock) -> Said:
    """Return what `status` says now."""
    (stored,) = program.rows("SELECT count(*) FROM killmails")[0]
    done_at = unix_or_none(program.status()["backlog"]["done_at"])
    return Said(clock.now(), stored, done_at or 0.0)


def compare(score: Score, name: str, said: list[Said], truth: float) -> None:
    """Check the estimates at the start, and from the half on; note the largest errors."""
    began = said[0]
    whole = truth - began.at
    for part in MARKS:
        one = next((one for one in said if one.at >= began.at + part * whole), None)
        if one is None:
            continue
        left, guessed = truth - one.at, one.done_at - one.at
        minutes = f"said {guessed / 60:.0f} min, were {left / 60:.0f}"
        score.measure(f"{name}, off at {part:.0%}, in percent", 100 * abs(guessed - left) / left,
            minutes)  # fmt: skip
        allowed = FROM_HALF if part >= 0.5 else AT_START
        off = abs(guessed - left) / left
        score.check(off <= allowed, f"{name}: at {part:.0%} it was off by {off:.0%}")


def one_user(program: Case, killmails: int) -> None:
    """Add a user with all of them."""
    program.simulator.add_character(killmails=killmails)
    program.add_users()


def three_users(program: Case, killmails: int) -> None:
    """Add three, of which two share a part of their killmails."""
    esi, part = program.simulator, killmails // 5
    first, second, _ = (
        esi.add_character(killmails=number)["character_id"] for number in (part, part, 2 * part)
    )
    esi.add_killmails(first, part, shared_with=second)
    program.add_users()


def corporation(program: Case, killmails: int) -> None:
    """Add a corporation with two directors."""
    add_company(program, 2, killmails=killmails)


def refused_at_first(program: Case, killmails: int) -> None:
    """Add a user some of whose killmails cannot be had at the first time."""
    user = program.simulator.add_character(killmails=killmails)["character_id"]
    for killmail_id in program.simulator.listed(user)[:: killmails // 40]:
        program.simulator.fault("body", killmail_id=killmail_id, status=500, times=1)
    program.add_users()


SHAPES = [
    Shape("one user", one_user, {"page_size": 1000}),
    Shape("three users", three_users, {"page_size": 1000}),
    Shape("a corporation", corporation, {"page_size": 50}),
    Shape("by hand", one_user, {"page_size": 1000}, by_hand=True),
    Shape("by hand, small pages", one_user, {"page_size": 50}, by_hand=True),
    Shape("a list in many pages", one_user, {"page_size": 50}),
    Shape("few pages a run", one_user, {"page_size": 20}, {"KILLSYNC_MAX_PAGES": "6"}),
    Shape("refused at first", refused_at_first, {"page_size": 1000}),
]
