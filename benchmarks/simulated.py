"""Scans by cron for very many users, under a simulated clock: what waits, and for how long.

Who is due, how many refreshes go at a time and when a body may be sent is decided by killsync's own
functions; only waiting is simulated: for SSO, for ESI, and for the processor, which does one thing
at a time, as Python does. A character's list is left out of the limits: it has 30 tokens in 15
minutes, and a poll takes one or two.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto

import msgspec

from killsync.errors import TooManyAtOnce
from killsync.esi.buckets import body_bucket
from killsync.esi.ratelimit import LIKELY_COST, kept_share
from killsync.login.accounts import FRESH_FOR
from killsync.model import Cursor, Priority, User, UserState
from killsync.sync import refreshes, schedule
from killsync.sync.refreshes import Refreshes
from killsync.sync.ticks import TICK
from killsync.times import DAY, MINUTE

# source: ESI's and SSO's documentation
LIST_CACHE = 300.0
ACCESS_LASTS = 20 * MINUTE
START = 1_800_000_000.0 // TICK * TICK
_FIRST_USER = 90_000_000


class Costs(msgspec.Struct, frozen=True):
    """Seconds of the processor: for a run, and for each due user, refresh, list and body."""

    start: float = 0.2
    due: float = 13e-6
    refresh: float = 0.002
    list: float = 0.004
    body: float = 0.0013


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One installation: its users and settings, and what is at the other end.

    Latencies in seconds. SSO bears so many refreshes at once, and answers 500 to more. A user has
    so many new killmails a day.
    """

    users: int = 100_000
    workers: int = 8
    connections: int = 8
    min_age: float = 15 * MINUTE
    max_runtime: float = 9 * MINUTE
    reserve: float = 0.2
    sso_bears: int = 5
    sso_latency: float = 0.3
    list_latency: float = 0.1
    body_latency: float = 0.1
    killmails: float = 1.0


class Run(msgspec.Struct):
    """What one run did: how long it took, and how much of that was spent on what.

    `refreshing` and `working` are seconds of all slots and workers together, `allowed` the seconds
    in which refreshes might have been in flight.
    """

    seconds: float = 0.0
    polls: int = 0
    left: int = 0
    bodies: int = 0
    processor: float = 0.0
    refreshing: float = 0.0
    allowed: float = 0.0


class Poll(msgspec.Struct, frozen=True):
    """One poll of a list: which user, when, and how many seconds after it was due."""

    user: int
    at: float
    late: float


class _What(Enum):
    REFRESHED = auto()
    REFUSED = auto()
    ASK_AGAIN = auto()
    LISTED = auto()
    BODY = auto()


class Installation:
    """The users of a setting, from tick to tick; all are due at the first one.

    `polls` is the last one of each user.
    """

    def __init__(self, setting: Setting, costs: Costs, seed: int = 1) -> None:
        self.setting = setting
        self.costs = costs
        self.bucket = body_bucket()
        self.users = [_user(number) for number in range(setting.users)]
        self.access_until = [0.0] * setting.users
        # in the order in which they were queued; they stay there until they are polled
        self.queue = deque(range(setting.users))
        # new killmails whose bodies are not sent for yet, and those that earlier runs have left
        self.waiting = {Priority.BACKGROUND: 0, Priority.GAP: 0}
        self.polls: list[Poll | None] = [None] * setting.users
        self.rounds = [0] * setting.users
        self._due_at = [START] * setting.users
        self._due: list[tuple[float, int]] = []
        self._random = random.Random(seed)

    def tick(self, now: float) -> Run:
        """Run one scan."""
        while self._due and self._due[0][0] <= now:
            self.queue.append(heapq.heappop(self._due)[1])
        history = max(0, self.waiting[Priority.BACKGROUND] - schedule.STILL_NEW)
        self.waiting[Priority.BACKGROUND] -= history
        self.waiting[Priority.GAP] += history
        if not self.queue and not any(self.waiting.values()):
            return Run()
        return _Scan(self, now, now + self.costs.start + self.costs.due * len(self.queue)).play()

    def polled(self, number: int, now: float) -> None:
        """Take over that a user's list was read."""
        before = self.users[number]
        self.polls[number] = Poll(number, now, now - self._due_at[number])
        self.rounds[number] += 1
        user = msgspec.structs.replace(before, last_sync_at=now, cached_until=now + LIST_CACHE)
        due = schedule.next_due_at(user, now, self.setting.min_age)
        assert due is not None, "all are active"
        self.users[number], self._due_at[number] = user, due
        heapq.heappush(self._due, (due, number))
        since = now - (before.last_sync_at or now)
        self.waiting[Priority.BACKGROUND] += self._happened(self.setting.killmails * since / DAY)

    def _happened(self, expected: float) -> int:
        whole = int(expected)
        return whole + (self._random.random() < expected - whole)


class _Scan:
    """One scan: the requests in flight, and the one thread that decides."""

    def __init__(self, of: Installation, began: float, now: float) -> None:
        self._of = of
        self._setting = of.setting
        self._began = began
        self._ends = began + of.setting.max_runtime
        self._now = now
        self._refreshes = Refreshes()
        self._in_flight: list[tuple[float, int, _What, int]] = []
        self._number = 0
        self._working = 0
        self._refreshing = 0
        self._bodies = 0
        self._wait_for_refresh: deque[int] = deque()
        self._sent: dict[int, Refreshes] = {}
        self._room_at = dict.fromkeys(of.waiting, now)
        self._run = Run(processor=now - began)

    def play(self) -> Run:
        """Play it to its end."""
        while True:
            if self._now < self._ends:
                self._start()
            if not self._in_flight:
                room_at = self._room_soon()
                if room_at is None:
                    break
                self._advance(room_at)
                continue
            at, _, what, of = heapq.heappop(self._in_flight)
            self._advance(max(at, self._now))
            self._settle(what, of)
        # those whose refresh was not sent
        self._of.queue.extendleft(reversed(self._wait_for_refresh))
        self._run.seconds = self._now - self._began
        self._run.left = len(self._of.queue)
        return self._run

    def _advance(self, to: float) -> None:
        passed = to - self._now
        self._run.refreshing += passed * self._refreshing
        # another user's poll leaves no more than the others to be refreshed
        self._run.allowed += passed * min(self._refreshes.at_a_time, self._setting.workers)
        self._now = to

    def _spend(self, seconds: float) -> None:
        self._run.processor += seconds
        self._advance(self._now + seconds)

    def _send(self, what: _What, of: int, takes: float) -> None:
        self._number += 1
        heapq.heappush(self._in_flight, (self._now + takes, self._number, what, of))

    def _start(self) -> None:
        of = self._of
        while self._working < self._setting.workers and of.queue:
            self._working += 1
            number = of.queue.popleft()
            if of.access_until[number] >= self._now + FRESH_FOR:
                self._send(_What.LISTED, number, self._setting.list_latency)
            else:
                self._wait_for_refresh.append(number)
        while self._wait_for_refresh and refreshes.room(
            self._refreshes.at_a_time, self._refreshing, 0, urgent=False
        ):
            self._refreshing += 1
            refused = self._refreshing > self._setting.sso_bears
            what = _What.REFUSED if refused else _What.REFRESHED
            number = self._wait_for_refresh.popleft()
            self._sent[number] = self._refreshes
            self._send(what, number, self._setting.sso_latency)
        self._start_bodies()

    def _start_bodies(self) -> None:
        for priority, waiting in self._of.waiting.items():
            keep = kept_share(priority, self._setting.reserve)
            while waiting and self._bodies < self._setting.connections:
                if self._room_at[priority] > self._now:
                    break
                booked = self._bodies * LIKELY_COST
                room_at = self._of.bucket.ready_at(self._now, LIKELY_COST, keep, booked)
                self._room_at[priority] = room_at
                if room_at <= self._now:
                    waiting -= 1
                    self._bodies += 1
                    self._send(_What.BODY, 0, self._setting.body_latency)
            self._of.waiting[priority] = waiting

    def _room_soon(self) -> float | None:
        """Return when a body may be sent, None if that is too late for this run."""
        waiting = self._of.waiting.items()
        room_at = min(
            (self._room_at[priority] for priority, bodies in waiting if bodies), default=0
        )
        soon = min(self._ends, self._now + schedule.LONGEST_PAUSE)
        return room_at if self._now < room_at <= soon else None

    def _refreshed(self, of: int, error: TooManyAtOnce | None) -> None:
        self._refreshing -= 1
        self._refreshes = refreshes.after(self._refreshes, self._sent.pop(of), error)

    def _settle(self, what: _What, of: int) -> None:
        costs = self._of.costs
        match what:
            case _What.REFRESHED:
                self._spend(costs.refresh)
                self._refreshed(of, None)
                self._of.access_until[of] = self._now + ACCESS_LASTS
                if self._now < self._ends:
                    self._send(_What.LISTED, of, self._setting.list_latency)
                else:
                    self._of.queue.appendleft(of)
            case _What.REFUSED:
                self._refreshed(of, TooManyAtOnce("500"))
                self._send(_What.ASK_AGAIN, of, schedule.TOO_MANY_WAIT)
            case _What.ASK_AGAIN:
                self._wait_for_refresh.appendleft(of)
            case _What.LISTED:
                self._spend(costs.list)
                self._working -= 1
                self._run.polls += 1
                self._of.polled(of, self._now)
            case _What.BODY:
                self._spend(costs.body)
                self._bodies -= 1
                self._of.bucket.spend(self._now, LIKELY_COST)
                self._run.bodies += 1


def _user(number: int) -> User:
    return User(
        user_id=_FIRST_USER + number,
        name=str(number),
        state=UserState.ACTIVE,
        cursor=Cursor(),
        last_sync_at=None,
        last_full_at=None,
        full_from=None,
        gap_cached_until=None,
        floor_id=None,
        etag=None,
        cached_until=None,
        pages=None,
        listed=0,
        killmails=0,
        failures=0,
        not_before=None,
        error=None,
    )


def play(installation: Installation, rounds: int, most_ticks: int) -> Iterable[Run]:
    """Yield the runs of ticks until each user was polled so many times, or the ticks are over."""
    for number in range(most_ticks):
        yield installation.tick(START + number * TICK)
        if min(installation.rounds) >= rounds:
            return
