"""The part `forecast`: what is said of when all will be stored, against how long it then takes."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from corporations import add_company

from campaign.case import Case, case
from campaign.clock import TICK, Clock, cheap_days, quick_clock
from campaign.running import Running
from campaign.score import Score, chosen
from campaign.strikes import label_problems
from killsync.times import unix, unix_or_none

PART = "forecast"
KILLMAILS, LONG_KILLMAILS = 600, 5_000
# of the limit of 3,600 no less than a tenth is believed
SHORT_LIMIT = {"body_tokens": 400}
MOST_TICKS = 150
SCANS_BEFORE = 3
# how far an estimate may be off, as a share of what it then takes: at the start, and from its half
AT_START, FROM_HALF = 0.2, 0.1
ALL_BEGUN = """SELECT 1 FROM pending_killmails WHERE NOT EXISTS
    (SELECT 1 FROM users WHERE last_killmail_sync_at IS NULL) LIMIT 1"""
MARKS = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Shape:
    """A backlog: how it comes about, and with which options and settings it is worked through.

    `set_up` is given the program and the number of killmails. It begins `by_hand`, or with a scan.
    """

    name: str
    set_up: Callable[[Case, int], None]
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    by_hand: bool = False
    every: float = TICK
    clock: Callable[[], AbstractContextManager[Clock]] = cheap_days


@dataclass(frozen=True)
class Said:
    """An estimate: when it was given, and what it says."""

    at: float
    done_at: float


def play(seed: int, *, long: bool, only: str = "", killmails: int = KILLMAILS) -> Score:
    """Work through a backlog of each shape, and compare each estimate with what came.

    `only` selects shapes by words in their name; `killmails` are those of a short one.
    """
    score = Score(PART)
    for number, shape in enumerate(chosen(SHAPES, only)):
        with label_problems(score, shape.name):
            rng = random.Random(f"{PART} {seed} {shape.name}")
            options: dict[str, Any] = ({} if long else SHORT_LIMIT) | shape.options
            with (
                shape.clock() as clock,
                case(rng, characters=0, encrypted=number % 2 == 1, **options) as program,
            ):
                backlog = Backlog(score, shape, program, clock)
                backlog.play(LONG_KILLMAILS if long else killmails)
                program.count(score)
    return score


class Backlog:
    """A backlog that ticks work through, and what is said of it meanwhile."""

    def __init__(self, score: Score, shape: Shape, program: Case, clock: Clock) -> None:
        self.score = score
        self.shape = shape
        self.program = program
        self.clock = clock
        self.said: list[Said] = []
        program.forks = True
        program.environment |= clock.environment | shape.settings
        # as --splay has it: the same each time
        self.late = program.rng.uniform(0, 45)

    def play(self, killmails: int) -> None:
        """Let scans come until all is stored, and compare what was said before with that."""
        # how often scans come can only be known by those that came, and a limit that is not the
        # documented one by an answer
        one_user(self.program, 1)
        for _ in range(SCANS_BEFORE):
            self.wait_for_tick()
            self.run("scan")
        self.shape.set_up(self.program, killmails)
        if self.shape.by_hand:
            user = str(self.program.simulator.logins[-1]["character_id"])
            self.run("sync", user, asked=True)
        for _ in range(MOST_TICKS):
            if self.said and self.program.count_unfinished() == 0:
                break
            self.wait_for_tick()
            self.run("scan", asked=not self.said)
            self.estimate()
        self.score.check(self.program.count_unfinished() == 0, "it never ends")
        (last,) = self.program.rows("SELECT max(stored_at) FROM killmails")[0]
        self.compare(unix(last))

    def wait_for_tick(self) -> None:
        """Move the clock to the next tick; cron is some seconds late, and killsync its splay."""
        every, now = self.shape.every, self.clock.now()
        late = self.late + self.program.rng.uniform(0, 3)
        self.clock.forward_to((now - self.late) // every * every + every + late)

    def run(self, *arguments: str, asked: bool = False) -> None:
        """Run a command; if `asked`, look at what is said once a page of each list is read."""
        self.score.cases += 1
        running = Running(self.program.launch(*arguments))
        while asked and running.is_running():
            if self.program.rows(ALL_BEGUN):
                self.estimate()
                asked = False
        self.clock.fast_forward(running, simulator_pid=self.program.simulator.pid)

    def estimate(self) -> None:
        """Note what `status` says now."""
        done_at = unix_or_none(self.program.status()["backlog"]["done_at"])
        if done_at is not None:
            self.said.append(Said(self.clock.now(), done_at))

    def compare(self, truth: float) -> None:
        """Check what was said at the start, and from the half on."""
        name, began = self.shape.name, self.said[0].at
        whole = truth - began
        for part in MARKS:
            one = next((one for one in self.said if one.at >= began + part * whole), None)
            if one is None or one.at >= truth:
                continue
            left, guessed = truth - one.at, one.done_at - one.at
            off, minutes = abs(guessed - left) / left, f"said {guessed / 60:.1f} min, were"
            figure = f"{name}, off at {part:.0%}, in percent"
            self.score.measure(figure, 100 * off, f"{minutes} {left / 60:.1f}")
            allowed = FROM_HALF if part >= 0.5 else AT_START
            self.score.check(off <= allowed, f"at {part:.0%} it was off by {off:.0%}")


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
    Shape("every five minutes", one_user, {"page_size": 1000}, every=300),
    Shape("every twenty minutes", one_user, {"page_size": 1000}, every=1200),
    # eight bodies a second, and every request, every start of a program takes its time
    Shape("slow", one_user, {"page_size": 1000, "latency_body": 0.05}, clock=quick_clock),
]
