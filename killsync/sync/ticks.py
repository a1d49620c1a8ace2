"""How scans work through what is pending, tick by tick: a model of what `worker` does.

Pure: what waits, what the limits are and when scans come go in; when the last body is stored comes
out. All times are unix seconds.
"""

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from killsync.esi.ratelimit import LIKELY_COST, Bucket, kept_share
from killsync.model import Priority
from killsync.sync.schedule import LONGEST_PAUSE
from killsync.times import MINUTE

TICK = 10 * MINUTE
# bodies a second, where no run has shown yet how fast ESI answers
USUAL_RATE = 30.0
# beyond that many ticks, a week, the rate of those before is all that is needed
_MOST_TICKS = 1_008
_SLOTS = 60
# page 1, and the last page done once more
_READ_AGAIN = 2
# a list goes on once there is room for some pages
_SOME_PAGES = 3


class Bodies(msgspec.Struct):
    """So many bodies that are equally urgent; they leave the share `keep` of the limit.

    A sync fetches those alone that are its users' own. Nobody fetches them before `ready_at`.
    """

    number: int
    keep: float
    own: int = 0
    ready_at: float = 0.0


class OpenList(msgspec.Struct):
    """A list whose last `pages` pages are not read yet, with `bodies` to fetch on each.

    The buckets are those of whoever reads it, in turn. It goes on at `ready_at`.
    """

    pages: int
    bodies: float
    buckets: list[Bucket]
    ready_at: float = 0.0


class Running(msgspec.Struct, frozen=True):
    """A run in progress, which ends at `until`; a sync fetches what is its `own_only`.

    With `bodies_only` it reads no lists.
    """

    until: float
    own_only: bool = False
    bodies_only: bool = False


class Scans(msgspec.Struct, frozen=True, kw_only=True):
    """When scans come: the next one, and then every so many seconds.

    Each runs for `max_runtime` at most, reads `max_pages` of a list, and stores `rate` bodies a
    second while the limit allows it.
    """

    next_at: float
    every: float
    max_runtime: float
    max_pages: int
    rate: float
    reserve: float


def next_scan(starts: list[float], now: float) -> tuple[float, float, bool]:
    """Return when the next scan comes, how many seconds lie between two, and if any were seen.

    `starts` are those of the newest scans that nobody typed, newest first. Where there are none, or
    none for long, scans are taken to come on every tenth minute of the clock.
    """
    gaps = sorted(later - earlier for later, earlier in pairwise(starts))
    # nothing calls more often than each minute; a pair may be one scan late, or one by hand
    gaps = [gap for gap in gaps if gap >= 0.8 * MINUTE]
    every = gaps[len(gaps) // 2] if len(gaps) > 1 else TICK
    last = next((start for start in starts if start <= now), None)
    if last is None or now - last > max(3 * every, 6 * TICK):
        return now // TICK * TICK + TICK, TICK, False
    due = last + every
    if due <= now - MINUTE:
        due += -(-(now - due) // every) * every
    return max(due, now), every, True


def stored_at(
    waiting: list[Bodies],
    lists: list[OpenList],
    bucket: Bucket,
    scans: Scans,
    now: float,
    *,
    running: Running | None = None,
) -> float:
    """Return when the last of these bodies, and of those on the rest of these lists, is stored.

    `now` if there are none.
    """
    play = _Play(waiting, lists, bucket, scans)
    all_in_all, at = play.left, now
    if running is not None and running.until > now:
        at = play.run(now, running)
    tick = scans.next_at
    for _ in range(_MOST_TICKS):
        if not play.left:
            return at
        # one that finds another at work gives way
        tick += max(0.0, -(-(at - tick) // scans.every)) * scans.every
        at = max(at, play.run(tick, Running(tick + scans.max_runtime)))
        tick += scans.every
    done = max(1.0, all_in_all - play.left)
    return at + play.left * (at - now) / done


class _Play:
    """What is left at a moment of the model."""

    def __init__(
        self, waiting: list[Bodies], lists: list[OpenList], bucket: Bucket, scans: Scans
    ) -> None:
        self._waiting = [msgspec.structs.replace(some) for some in waiting if some.number]
        self._lists = [
            msgspec.structs.replace(one, buckets=[_copy(bucket) for bucket in one.buckets])
            for one in lists
            if one.pages
        ]
        self._bucket = _copy(bucket)
        self._scans = scans
        # of a body that a page is expected to show: what is not a whole one yet
        self._part = 0.0

    @property
    def left(self) -> float:
        """How many bodies are not stored yet; of a page that shows none, a little is left."""
        listed = sum(max(one.pages * one.bodies, 0.001) for one in self._lists)
        return sum(some.number for some in self._waiting) + listed

    def run(self, at: float, run: Running) -> float:
        """Play a run that starts at a moment; return when the last body, or page, was had."""
        last = self._read_lists(at, run)
        bucket, rate = self._bucket, self._scans.rate
        at_once = max(1, int(rate * bucket.window / _SLOTS))
        for some in self._ready(at):
            while number := some.own if run.own_only else some.number:
                ready = bucket.ready_at(at, LIKELY_COST, some.keep)
                if ready > at + LONGEST_PAUSE or ready >= run.until:
                    return last
                room = int(bucket.remaining(ready) - some.keep * bucket.limit) // LIKELY_COST
                fetched = min(number, max(1, room), at_once)
                bucket.spend(ready, fetched * LIKELY_COST)
                some.number -= fetched
                some.own = max(0, some.own - fetched)
                at = last = ready + fetched / rate
        return last

    def _ready(self, at: float) -> Iterator[Bodies]:
        for some in [some for some in self._waiting if some.ready_at <= at]:
            yield some
            if not some.number:
                self._waiting.remove(some)

    def _read_lists(self, at: float, run: Running) -> float:
        if run.bodies_only:
            return at
        reserve = 0.0 if run.own_only else self._scans.reserve
        at_scan = run.until - at >= self._scans.max_runtime
        listed = 0
        for one in self._lists:
            read = self._pages_read(one, at, reserve, again=_READ_AGAIN if at_scan else 0)
            one.pages -= read
            self._part += read * one.bodies
            listed += read
        found, self._part = int(self._part), self._part - int(self._part)
        self._lists = [one for one in self._lists if one.pages]
        if not self._lists and self._part >= 0.5:
            found, self._part = found + 1, 0.0
        if found:
            priority = Priority.MANUAL if run.own_only else Priority.GAP
            keep = kept_share(priority, self._scans.reserve)
            self._waiting.append(Bodies(found, keep, found if run.own_only else 0))
        return at

    def _pages_read(self, one: OpenList, at: float, reserve: float, *, again: int) -> int:
        some = LIKELY_COST * (_SOME_PAGES if again else 1)
        keep = kept_share(Priority.BACKGROUND, reserve) if reserve else 0.0
        if one.ready_at > at or all(b.ready_at(at, some, keep) > at for b in one.buckets):
            return 0
        requests = 0
        for bucket in one.buckets:
            room = max(0, int(bucket.remaining(at) - keep * bucket.limit) // LIKELY_COST)
            room = min(room, self._scans.max_pages - requests, one.pages + again - requests)
            if room > 0 and bucket.ready_at(at, LIKELY_COST, keep) <= at:
                bucket.spend(at, room * LIKELY_COST)
                requests += room
        return min(one.pages, max(1, requests - again))


def _copy(bucket: Bucket) -> Bucket:
    return msgspec.structs.replace(bucket, spent=list(bucket.spent))
