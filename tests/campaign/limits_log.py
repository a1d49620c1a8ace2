"""Judges from the simulator's log whether killsync kept to ESI's limits."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from campaign.score import Score

Entry = dict[str, Any]

RESERVE = 0.2
LIMITS = {"list": 30, "body": 3600}
WINDOW = 900.0
CACHE_TIME = 300.0
LIKELY_COST = 2
# background bodies may have to wait for manual work of more bodies than this
MANY_BODIES = 100
# seconds in which other connections may still send before they learn of a rest
IN_FLIGHT = 5.0


@dataclass
class Run:
    """When a command ran, and what it was allowed to use the reserve for."""

    started: float
    manual: bool
    manual_bodies: bool
    manual_lists: set[int]
    ended: float = math.inf

    def may_use_reserve(self, entry: Entry) -> bool:
        """Return whether this request serves a manual command."""
        if entry["route"] == "body":
            return self.manual_bodies
        return self.manual or entry["character_id"] in self.manual_lists


@dataclass
class Injected:
    """A rest that ESI was made to ask for in one of its next answers."""

    route: str
    user: int | None
    status: int
    seconds: float


@dataclass
class Rest:
    """A time in which nothing may be sent to a bucket, or to all of ESI if `route` is None."""

    route: str | None
    user: int | None
    since: Entry
    until: float

    def covers(self, route: str, user: int | None) -> bool:
        return self.route is None or (self.route == route and self.user in (None, user))


@dataclass
class Rests:
    """All rests that ESI has asked for so far."""

    all: list[Rest]

    def any_during(self, run: Run, route: str, user: int | None) -> bool:
        """Return whether a bucket rested at some time during a run."""
        return any(
            rest.covers(route, user)
            and rest.since["start"] <= run.ended
            and rest.until >= run.started
            for rest in self.all
        )


@dataclass
class DayRecord:
    """What happened during the day and is not in the log."""

    backfiller: int
    runs: list[Run] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    # (since, until): every route answers 420
    forced: list[tuple[float, float]] = field(default_factory=list)
    # when each user's list got new killmails
    changed: dict[int, list[float]] = field(default_factory=dict)

    def find_run(self, entry: Entry) -> Run:
        return next(run for run in self.runs if run.started <= entry["start"] <= run.ended)

    def rests(self, log: list[Entry]) -> Rests:
        """Return the rests that answers in the log have asked for."""
        rests = []
        waiting = list(self.injected)
        for entry in log:
            if entry["status"] not in (420, 429):
                continue
            if entry["fault"]:
                cause = next(i for i in waiting if _is_cause_of(i, entry))
                waiting.remove(cause)
                route = None if cause.status == 420 else cause.route
                rests.append(Rest(route, cause.user, entry, entry["start"] + cause.seconds))
            else:
                until = [u for since, u in self.forced if since <= entry["start"] <= u]
                rests += [Rest(None, None, entry, max(until))] if until else []
        return Rests(rests)

    def manual_work_came_first(self, log: list[Entry], run: Run) -> bool:
        """Return whether manual work spent many of the body tokens of a run's window."""
        if run.manual_bodies:
            return True
        since = run.started - WINDOW - 60
        spent = [e for e in log if e["route"] == "body" and since <= e["start"] < run.started]
        return sum(self.find_run(entry).manual_bodies for entry in spent) > MANY_BODIES


def _is_cause_of(injected: Injected, entry: Entry) -> bool:
    return (injected.route, injected.status) == (entry["route"], entry["status"]) and (
        injected.user in (None, entry["character_id"])
    )


def judge_log(score: Score, log: list[Entry], record: DayRecord) -> None:
    """Judge all requests of a day; add the problems to the score."""
    log = [entry for entry in log if entry["route"] in LIMITS]
    rests = record.rests(log)
    _judge_refusals(score, log, rests)
    for rest in rests.all:
        _judge_rest(score, log, rest)
    _judge_reserve(score, log, record)
    by_user = defaultdict(list)
    for entry in log:
        if entry["route"] == "list" and entry["status"] in (200, 304, 404):
            by_user[entry["character_id"]].append(entry)
    for user, entries in by_user.items():
        _judge_polls(score, user, entries, record)


def _judge_refusals(score: Score, log: list[Entry], rests: Rests) -> None:
    """Check that every 429 and 420 was injected or forced, so no header had announced it."""
    explained = {rest.since["n"] for rest in rests.all}
    unexplained = [e for e in log if e["status"] in (420, 429) and e["n"] not in explained]
    score.check(not unexplained, f"{len(unexplained)} refusals were foreseeable: {unexplained[:3]}")


def _judge_rest(score: Score, log: list[Entry], rest: Rest) -> None:
    """Check that nothing was sent during a rest, apart from what was already in flight."""
    learned = rest.since["end"] + IN_FLIGHT
    sent = [
        entry
        for entry in log
        if learned < entry["start"] < rest.until
        and rest.covers(entry["route"], entry["character_id"])
    ]
    if sent:
        early = rest.until - sent[0]["start"]
        score.check(False, f"{len(sent)} requests during a rest, {early:.0f} s early: {sent[0]}")


def _judge_reserve(score: Score, log: list[Entry], record: DayRecord) -> None:
    """Check that background work left the reserve alone, and that a manual sync used it."""
    manual = False
    for entry in log:
        if entry["remaining"] is None:
            continue
        surcharge = max(0, entry["cost"] - LIKELY_COST)
        left = entry["remaining"] + surcharge - RESERVE * LIMITS[entry["route"]]
        allowed = left < 0 and record.find_run(entry).may_use_reserve(entry)
        manual = manual or allowed
        problem = f"{entry['path']} in background left {entry['remaining']} tokens"
        score.check(left >= 0 or allowed, problem)
    score.check(manual, "no manual sync used the reserve")


def _judge_polls(score: Score, user: int, entries: list[Entry], record: DayRecord) -> None:
    """Check that page 1 is polled once per cache time, and an idle poll costs one token."""
    for before, entry in pairwise(list(_with_snapshots(entries))):
        if entry["page"] != 1:
            continue
        early = entry["start"] < before["expires"]
        score.check(not early, f"page 1 of {user} was requested before ESI's cache time was over")
    heads = [entry for entry in entries if entry["page"] == 1]
    if user == record.backfiller:
        return
    for before, entry in pairwise(heads):
        new = [t for t in record.changed.get(user, []) if before["made"] < t <= entry["start"]]
        if new:
            continue
        run = record.find_run(entry)
        requests = [e for e in entries if run.started <= e["start"] <= run.ended]
        idle = entry["status"] == 304 and entry["cost"] == 1 and len(requests) == 1
        score.check(
            idle, f"an idle poll of {user} took {len(requests)} requests: {entry['status']}"
        )


def _with_snapshots(entries: list[Entry]) -> Iterator[Entry]:
    """Yield the entries, with the unix times when the list was `made` and when it `expires`."""
    made, expires, head_expires = 0.0, 0.0, 0.0
    for entry in entries:
        if entry["start"] >= expires:
            made, expires = entry["start"], math.ceil(entry["start"] + CACHE_TIME)
        if entry["page"] == 1:
            head_expires = expires
        yield entry
        entry |= {"made": made, "expires": head_expires}
