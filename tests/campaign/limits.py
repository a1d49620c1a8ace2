"""The part `limits`: a day of ticks under ESI's real limits, and long backlogs of bodies."""

import random
from dataclasses import dataclass
from typing import Any

from campaign.backlog import long_absence, long_history, play_backlog
from campaign.case import Case, case
from campaign.clock import TICK, Clock, shared_clock
from campaign.limits_log import DayRecord, Injected, Run, judge_log
from campaign.running import Running
from campaign.score import Score

MIN_AGE = 900.0


@dataclass(frozen=True)
class Size:
    """How much happens in a day."""

    ticks: int
    users: int
    backfill: int
    page_size: int


def play(seed: int, *, long: bool) -> Score:
    """Play the day, and a backlog of each kind."""
    score = Score("limits")
    rng = random.Random(f"{seed}-limits")
    size = Size(144, 30, 5_000, 100) if long else Size(14, 6, 600, 20)
    options: dict[str, Any] = {"characters": 0, "page_size": size.page_size}
    with shared_clock() as clock, case(rng, encrypted=seed % 2 == 1, **options) as program:
        Day(score, program, clock, size).play()
    for encrypted, set_up in enumerate((long_history, long_absence)):
        with shared_clock() as clock:
            play_backlog(score, rng, clock, set_up, long=long, encrypted=bool(encrypted))
    return score


@dataclass
class Waiting:
    """A new killmail that is not stored yet, and the users who have it on their lists."""

    killmail_id: int
    users: list[int]


class Day:
    """Makes things happen between the ticks, and checks the results after each."""

    def __init__(self, score: Score, program: Case, clock: Clock, size: Size) -> None:
        self.score = score
        self.program = program
        self.esi = program.simulator
        self.rng = program.rng
        self.clock = clock
        self.size = size
        self.record = DayRecord(backfiller=0)
        self.waiting: list[Waiting] = []
        self.users: list[int] = []
        self.synced_backfiller = False

    def play(self) -> None:
        program, esi = self.program, self.esi
        program.environment |= self.clock.environment
        del program.environment["KILLSYNC_PAGE_DELAY"]
        for _ in range(self.size.users - 1):
            self.users.append(esi.add_character(killmails=8)["character_id"])
        program.add_users()
        first = self.clock.now() // TICK * TICK + TICK
        for number in range(self.size.ticks):
            tick = first + number * TICK
            self._between(number, tick - TICK, tick)
            self.clock.forward_to(tick)
            self._tick()
        self._end()

    def _between(self, number: int, since: float, until: float) -> None:
        """Make things happen at random times before a tick."""
        if number == 2:
            self._add_backfiller()
        events = [self._new_killmails] * self.rng.randrange(3)
        events += [self._manual_sync] * (self.rng.random() < 0.25)
        # rests end early enough for everything to be done in the end
        if 1 < number < self.size.ticks - 8:
            events += [self._inject_rest] * (self.rng.random() < 0.4)
        moments = sorted(self.rng.uniform(since, until) for _ in events)
        for moment, event in zip(moments, events, strict=True):
            self.clock.forward_to(moment)
            event()

    def _add_backfiller(self) -> None:
        login = self.esi.add_character(killmails=self.size.backfill)
        self.record.backfiller = login["character_id"]
        self.users.append(login["character_id"])
        self.program.run("users", "add", given=f"{login['refresh_token']}\n")

    def _new_killmails(self) -> None:
        owner, other = self.rng.sample(self.users, 2)
        kind = self.rng.choice(["alone", "alone", "shared", "late"])
        # beyond page 1, only the weekly full pass finds late killmails
        late_fits = len(self.esi.listed(owner)) < self.size.page_size
        listed = self.esi.add_killmails(
            owner,
            self.rng.randrange(1, 4),
            late=kind == "late" and late_fits,
            shared_with=other if kind == "shared" else None,
        )
        users = [owner, other] if kind == "shared" else [owner]
        self.waiting += [Waiting(killmail_id, users) for killmail_id, _ in listed]
        for user in users:
            self.record.changed.setdefault(user, []).append(self.clock.now())

    def _manual_sync(self) -> None:
        self._sync(self.rng.choice([u for u in self.users if u != self.record.backfiller]))

    def _sync(self, user: int) -> None:
        code = self._run("sync", str(user), manual=True)
        self.score.check(code in (0, 75), f"a manual sync ended with {code}: {self._heard()}")

    def _inject_rest(self) -> None:
        """Make ESI ask for a rest that no header has announced."""
        self.score.faults += 1
        seconds = self.rng.randrange(60, 1000)
        kind = self.rng.choice(["list", "body", "error_limit", "error_limit_now"])
        if kind == "error_limit_now":
            self.record.forced.append((self.clock.now(), self.clock.now() + seconds))
            self.esi.control("error_limit", "POST", seconds=seconds)
            return
        user = self.rng.choice(self.users) if kind == "list" else None
        status, header = {
            "error_limit": (420, "X-ESI-Error-Limit-Reset"),
        }.get(kind, (429, "Retry-After"))
        route = "list" if kind == "list" else "body"
        self.esi.fault(
            route,
            character_id=user,
            status=status,
            headers={header: str(seconds)},
            after=self.rng.randrange(3),
            times=1,
        )
        self.record.injected.append(Injected(route, user, status, seconds))

    def _tick(self) -> None:
        started = self.clock.now()
        due = {
            user
            for (user,) in self.program.rows(
                """SELECT user_id FROM users WHERE state = 'active'
                AND unixepoch(last_killmail_sync_at) <= ?""",
                started - MIN_AGE,
            )
        }
        code = self._run("scan", manual=False)
        self.score.check(code in (0, 75), f"a scan ended with {code}: {self._heard()}")
        self._check_current(started, due)
        if not self.synced_backfiller and self._backfill_hit_reserve():
            self.synced_backfiller = True
            self.clock.forward_to(self.clock.now() + 310)
            self._sync(self.record.backfiller)

    def _backfill_hit_reserve(self) -> bool:
        """Return whether background work has used the long list's bucket up to the reserve."""
        rows = self.program.rows(
            "SELECT 1 FROM users WHERE user_id = ? AND backfill_page > 5", self.record.backfiller
        )
        spent = [e for e in self.esi.log("list") if e["character_id"] == self.record.backfiller]
        return bool(rows) and spent[-1]["start"] > self.record.runs[-1].started

    def _run(self, *command: str, manual: bool) -> int:
        """Run a command to its end, record what it was allowed to do, return its exit code."""
        self.score.cases += 1
        urgent = "FROM jobs WHERE priority = 5 AND state IN ('queued', 'running')"
        bodies = self.program.rows("SELECT 1 FROM pending_killmails WHERE priority = 5 LIMIT 1")
        run = Run(
            started=self.clock.now(),
            manual=manual,
            manual_bodies=manual or bool(bodies),
            manual_lists={user for (user,) in self.program.rows(f"SELECT user_id {urgent}")},
        )
        running = Running(self.program.launch(*command))
        self.clock.fast_forward(running, simulator_pid=self.esi.pid)
        run.ended = self.clock.now()
        self.record.runs.append(run)
        running.check_memory(self.score)
        return running.process.returncode

    def _heard(self) -> str:
        return self.program.heard()

    def _check_current(self, started: float, due: set[int]) -> None:
        """Check that due users were polled and new killmails stored, unless ESI forbade it."""
        log = self.esi.log()
        run = self.record.runs[-1]
        rests = self.record.rests(log)
        polled = {e["character_id"] for e in log if e["page"] == 1 and e["start"] >= started}
        for user in due - polled:
            excused = rests.any_during(run, "list", user)
            self.score.check(excused, f"user {user} was due at a tick but was not polled")
        stored = {row[0] for row in self.program.rows("SELECT killmail_id FROM killmails")}
        self.waiting = [new for new in self.waiting if new.killmail_id not in stored]
        for new in self.waiting:
            owners = due & set(new.users)
            excused = rests.any_during(run, "body", None) or any(
                rests.any_during(run, "list", user) for user in owners
            )
            if owners and not excused and not self.record.manual_work_came_first(log, run):
                self.score.check(False, f"killmail {new.killmail_id} was not stored within a tick")

    def _end(self) -> None:
        program, score = self.program, self.score
        left = program.count_unfinished()
        score.check(not left, f"{left} jobs, backfills or bodies are left after the day")
        judge_log(score, self.esi.log(), self.record)
        program.heal()
        program.judge(score)
