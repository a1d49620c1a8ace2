"""ESI's rate limits as decisions over numbers: no I/O, time as an argument (unix seconds).

A bucket's window floats: tokens come back one window after they were spent. Source: ESI's
documentation of rate limits; costs 2 for 2xx, 1 for 3xx, 5 for 4xx, none for 5xx and 429.
"""

import re
import threading
from collections.abc import Iterable, Mapping

import msgspec

from killsync.errors import RateLimited
from killsync.model import Priority
from killsync.times import DAY, has_passed, iso_after

LIKELY_COST = 2
ERROR_LIMIT = "error-limit"
_SLOTS = 60
_SETTLES_IN = 1.0
_LONGEST_WINDOW = 7 * DAY
_LIMIT = re.compile(r"(\d{1,10})/(\d{1,6})([smhd])")
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_REST = DAY
# of what background work may spend, the share that history leaves for what is new
_FOR_THE_NEW = 0.1


def cost(status: int) -> int:
    """Return the tokens that an answer with this HTTP status costs."""
    if status == 429 or status >= 500:
        return 0
    return {2: 2, 3: 1}.get(status // 100, 5)


def parse_limit(text: str | None) -> tuple[int, float] | None:
    """Return (tokens, seconds) of a header such as `30/15m`, None if it cannot be believed."""
    match = _LIMIT.fullmatch((text or "").strip())
    if match is None:
        return None
    tokens, seconds = int(match[1]), float(int(match[2]) * _UNIT[match[3]])
    return (tokens, seconds) if tokens and 0 < seconds <= _LONGEST_WINDOW else None


class Bucket(msgspec.Struct):
    """One token bucket: what was spent when, and until when it rests."""

    group: str
    key: str
    limit: int
    window: float
    spent: list[tuple[float, int]] = []
    retry_at: float | None = None

    def remaining(self, now: float) -> int:
        """Return the tokens left."""
        self._forget(now)
        return self.limit - sum(tokens for _, tokens in self.spent)

    def ready_at(self, now: float, tokens: int, reserve: float, booked: int = 0) -> float:
        """Return when `tokens` may be spent, leaving the share `reserve` of the limit.

        `booked` tokens are in flight: until they are settled nobody knows when they come back.
        """
        start = now if has_passed(self.retry_at, now, _LONGEST_REST) else self.retry_at or now
        keep = min(reserve * self.limit, self.limit - tokens)
        missing = tokens + booked + keep - self.remaining(now)
        for then, amount in self.spent:
            if missing <= 0:
                break
            missing -= amount
            start = max(start, then + self.window)
        return start if missing <= 0 else max(start, now + _SETTLES_IN)

    def spend(self, now: float, tokens: int) -> None:
        """Record tokens as spent at `now`, or take some back if negative, newest first."""
        if tokens > 0:
            # coarse slots bound what is kept; rounded up, tokens never come back too early
            grain = self.window / _SLOTS
            then = -(-now // grain) * grain
            if self.spent and self.spent[-1][0] >= then:
                then, before = self.spent.pop()
                tokens += before
            self.spent.append((then, tokens))
        while tokens < 0 and self.spent:
            then, before = self.spent.pop()
            tokens += before
            if tokens > 0:
                self.spent.append((then, tokens))
                break

    def learn(
        self, now: float, limit: tuple[int, float] | None, remaining: int | None, in_flight: int
    ) -> None:
        """Believe ESI's own limit, and its own count where that is higher.

        Somebody else may spend from the same bucket; `in_flight` tokens may be counted already.
        """
        if limit is not None:
            self.limit, self.window = limit
        if remaining is not None:
            self.spend(now, max(0, self.remaining(now) - in_flight - remaining))

    def rest(self, until: float) -> None:
        """Send nothing to this bucket before `until`."""
        self.retry_at = until if self.retry_at is None else max(self.retry_at, until)

    def _forget(self, now: float) -> None:
        # the second condition: a time further ahead than a window is a wrong clock's
        oldest, newest = now - self.window, now + self.window
        self.spent = [entry for entry in self.spent if oldest < entry[0] <= newest]


def sso_bucket() -> Bucket:
    """Return what SSO is counted as: it has no bucket, but may ask for a rest."""
    return Bucket("sso", "", 1_000_000, 60.0)


class Limits:
    """All buckets of one run, shared by its threads; each request is booked before it is sent."""

    def __init__(self, reserve: float) -> None:
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._reserve = reserve
        self._lock = threading.Lock()
        self._in_flight: dict[tuple[str, str], int] = {}
        self._changed: set[tuple[str, str]] = set()

    def ready_at(self, bucket: Bucket, priority: int, now: float, *, requests: int = 1) -> float:
        """Return when so many requests of this priority may be sent.

        `bucket` gives the defaults of one that is not known yet.
        """
        with self._lock:
            return self._ready_at(self._known(bucket), priority, now, requests)

    def book(self, bucket: Bucket, priority: int, now: float) -> None:
        """Count a request about to be sent; raise RateLimited if it must not be sent yet."""
        with self._lock:
            known = self._known(bucket)
            until = self._ready_at(known, priority, now, 1)
            if until > now:
                name = f"{known.group} of {known.key}" if known.key else known.group
                message = f"ESI's rate limit {name} rests until {iso_after(until)}"
                raise RateLimited(message, until)
            key = (known.group, known.key)
            self._in_flight[key] = self._in_flight.get(key, 0) + LIKELY_COST

    def settle(
        self, bucket: Bucket, now: float, status: int | None, headers: Mapping[str, str]
    ) -> None:
        """Replace what was booked by what the answer cost; a lost answer (None) costs as booked."""
        with self._lock:
            known = self._known(bucket)
            key = (known.group, known.key)
            self._in_flight[key] -= LIKELY_COST
            known.spend(now, LIKELY_COST if status is None else cost(status))
            remaining = headers.get("X-Ratelimit-Remaining", "")
            known.learn(
                now,
                parse_limit(headers.get("X-Ratelimit-Limit")),
                int(remaining) if remaining.isdecimal() and len(remaining) < 12 else None,
                self._in_flight[key],
            )
            self._changed.add(key)

    def rest(self, bucket: Bucket, until: float) -> None:
        """Send nothing to the bucket before `until`, in this run or a later one."""
        with self._lock:
            known = self._known(bucket)
            known.rest(until)
            self._changed.add((known.group, known.key))

    def rest_all(self, until: float) -> None:
        """Send nothing to ESI at all before `until`: the legacy error limit is used up."""
        self.rest(Bucket(ERROR_LIMIT, "", 100, 60.0), until)

    def add(self, buckets: Iterable[Bucket]) -> None:
        """Take in what earlier runs spent, where this run has spent nothing yet."""
        with self._lock:
            for bucket in buckets:
                self._buckets.setdefault((bucket.group, bucket.key), bucket)

    def replace(self, bucket: Bucket) -> None:
        """Take in a bucket in place of what was known of it."""
        with self._lock:
            self._buckets[bucket.group, bucket.key] = bucket

    def take_changed(self) -> list[Bucket]:
        """Return copies of the buckets that changed since the last call, to be stored."""
        with self._lock:
            changed = [self._buckets[key] for key in sorted(self._changed)]
            self._changed.clear()
            return [msgspec.structs.replace(b, spent=list(b.spent)) for b in changed]

    def _ready_at(self, bucket: Bucket, priority: int, now: float, requests: int) -> float:
        reserve = 0.0 if priority >= Priority.MANUAL else self._reserve
        if priority < Priority.BACKGROUND:
            reserve += (1 - reserve) * _FOR_THE_NEW
        booked = self._in_flight.get((bucket.group, bucket.key), 0)
        at = bucket.ready_at(now, LIKELY_COST * requests, reserve, booked)
        rest = self._buckets.get((ERROR_LIMIT, ""))
        return at if rest is None else max(at, rest.ready_at(now, 0, 0.0))

    def _known(self, bucket: Bucket) -> Bucket:
        return self._buckets.setdefault((bucket.group, bucket.key), bucket)
