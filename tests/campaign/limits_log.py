"""What the simulator's own log says of how killsync kept ESI's limits."""

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
CACHE = 300.0
LIKELY_COST = 2
# from so many bodies on a manual run is what background bodies wait for
MANY_BODIES = 100
# for so long other connections may still send before a thread has heard of the rest
UNDER_WAY = 5.0


@dataclass
class Run:
    """When a command ran, and where it was allowed to go on into the reserve."""

    began: float
    manual: bool
    manual_bodies: bool
    manual_lists: set[int]
    ended: float = math.inf

    def may_go_on(self, entry: Entry) -> bool:
        """Tell whether a person has asked for what this request brings."""
        if entry["route"] == "body":
            return self.manual_bodies
        return self.manual or entry["character_id"] in self.manual_lists


@dataclass
class Injected:
    """A rest that ESI is made to ask for with the next answer of a kind."""

    route: str
    user: int | None
    status: int
    seconds: float


@dataclass
class Rest:
    """A time in which nothing may be sent to a bucket; for all of ESI if `route` is None."""

    route: str | None
    user: int | None
    since: Entry
    until: float

    def covers(self, route: str, user: int | None) -> bool:
        return self.route is None or (self.route == route and self.user in (None, user))


@dataclass
class Rests:
    """All rests that were asked for so far."""

    all: list[Rest]

    def any_in(self, run: Run, route: str, user: int | None) -> bool:
        """Tell whether a bucket rested at some time of a run."""
        return any(
            rest.covers(route, user)
            and rest.since["start"] <= run.ended
            and rest.until >= run.began
            for rest in self.all
        )


@dataclass
class Told:
    """What the play knows and the log does not."""

    backfiller: int
    runs: list[Run] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    # (since, until): every route answers 420
    forced: list[tuple[float, float]] = field(default_factory=list)
    # when each user's list got something new
    changed: dict[int, list[float]] = field(default_factory=dict)

    def run_of(self, entry: Entry) -> Run:
        return next(run for run in self.runs if run.began <= entry["start"] <= run.ended)

    def rests(self, log: list[Entry]) -> Rests:
        """Return the rests that answers have asked for."""
        rests = []
        waiting = list(self.injected)
        for entry in log:
            if entry["status"] not in (420, 429):
                continue
            if entry["fault"]:
                one = next(i for i in waiting if _is_by(i, entry))
                waiting.remove(one)
                route = None if one.status == 420 else one.route
                rests.append(Rest(route, one.user, entry, entry["start"] + one.seconds))
            else:
                until = [u for since, u in self.forced if since <= entry["start"] <= u]
                rests += [Rest(None, None, entry, max(until))] if until else []
        return Rests(rests)

    def people_came_first(self, log: list[Entry], run: Run) -> bool:
        """Tell whether manual work has spent many bodies of the window that a run began in."""
        if run.manual_bodies:
            return True
        since = run.began - WINDOW - 60
        spent = [e for e in log if e["route"] == "body" and since <= e["start"] < run.began]
        return sum(self.run_of(entry).manual_bodies for entry in spent) > MANY_BODIES


def _is_by(injected: Injected, entry: Entry) -> bool:
    return (injected.route, injected.status) == (entry["route"], entry["status"]) and (
        injected.user in (None, entry["character_id"])
    )


def judge_log(score: Score, log: list[Entry], told: Told) -> None:
    """Judge all requests of a day."""
    log = [entry for entry in log if entry["route"] in LIMITS]
    rests = told.rests(log)
    _judge_refusals(score, log, rests)
    for rest in rests.all:
        _judge_rest(score, log, rest)
    _judge_reserve(score, log, told)
    by_user = defaultdict(list)
    for entry in log:
        if entry["route"] == "list" and entry["status"] in (200, 304, 404):
            by_user[entry["character_id"]].append(entry)
    for user, entries in by_user.items():
        _judge_polls(score, user, entries, told)


def _judge_refusals(score: Score, log: list[Entry], rests: Rests) -> None:
    """Every 429 and 420 is one that no header let anybody foresee, or was on its way then."""
    explained = {rest.since["n"] for rest in rests.all}
    foreseen = [e for e in log if e["status"] in (420, 429) and e["n"] not in explained]
    score.must(not foreseen, f"{len(foreseen)} refusals could be foreseen: {foreseen[:3]}")


def _judge_rest(score: Score, log: list[Entry], rest: Rest) -> None:
    """Nothing is sent before the time is up, once what was being sent is over."""
    heard = rest.since["end"] + UNDER_WAY
    sent = [
        entry
        for entry in log
        if heard < entry["start"] < rest.until
        and rest.covers(entry["route"], entry["character_id"])
    ]
    if sent:
        early = rest.until - sent[0]["start"]
        score.must(False, f"{len(sent)} requests {early:.0f} s before a rest was over: {sent[0]}")


def _judge_reserve(score: Score, log: list[Entry], told: Told) -> None:
    """Background work leaves the reserve alone; a manual sync has gone on into it."""
    manual = False
    for entry in log:
        if entry["remaining"] is None:
            continue
        surcharge = max(0, entry["cost"] - LIKELY_COST)
        left = entry["remaining"] + surcharge - RESERVE * LIMITS[entry["route"]]
        may = left < 0 and told.run_of(entry).may_go_on(entry)
        manual = manual or may
        spent = f"{entry['path']} in background left {entry['remaining']} tokens"
        score.must(left >= 0 or may, spent)
    score.must(manual, "no manual sync has gone on into the reserve")


def _judge_polls(score: Score, user: int, entries: list[Entry], told: Told) -> None:
    """Page 1 is asked for once per cache time, and an idle poll is one request for one token."""
    for before, entry in pairwise(list(_with_snapshots(entries))):
        if entry["page"] != 1:
            continue
        early = entry["start"] < before["expires"]
        score.must(not early, f"page 1 of {user} was asked for before ESI's cache time was over")
    heads = [entry for entry in entries if entry["page"] == 1]
    if user == told.backfiller:
        return
    for before, entry in pairwise(heads):
        new = [t for t in told.changed.get(user, []) if before["made"] < t <= entry["start"]]
        if new:
            continue
        run = told.run_of(entry)
        asked = [e for e in entries if run.began <= e["start"] <= run.ended]
        idle = entry["status"] == 304 and entry["cost"] == 1 and len(asked) == 1
        score.must(idle, f"an idle poll of {user} took {len(asked)} requests: {entry['status']}")


def _with_snapshots(entries: list[Entry]) -> Iterator[Entry]:
    """Yield the answers with when ESI made what they show, and until when it is cached."""
    made, expires, head_expires = 0.0, 0.0, 0.0
    for entry in entries:
        if entry["start"] >= expires:
            made, expires = entry["start"], math.ceil(entry["start"] + CACHE)
        if entry["page"] == 1:
            head_expires = expires
        yield entry
        entry |= {"made": made, "expires": head_expires}
