"""ESI's rate limits as decisions over numbers: no I/O, time as an argument (unix seconds).

A bucket's window floats: tokens come back one window after they were spent. Source: ESI's
documentation of rate limits; costs 2 for 2xx, 1 for 3xx, 5 for 4xx, none for 5xx and 429.

What an answer says of limits and rests is believed within reason: no window and no rest counts
for more than an hour, no limit for less than a tenth of what is documented. If the same is said
again after that hour, the rest doubles, up to six hours.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from killsync.errors import RateLimited
from killsync.model import Priority
from killsync.times import DAY, HOUR, has_passed, iso_after

LIKELY_COST = 2
ERROR_LIMIT = "error-limit"
SSO_GROUP = "sso"
_SLOTS = 60
SETTLES_IN = 1.0
# a header that names more is no header of ESI's
_LONGEST_WINDOW = 366 * DAY
_LEAST_SHARE = 10
_LIMIT = re.compile(r"(\d{1,10})/(\d{1,6})([smhd])")
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BELIEVED = HOUR
LONGEST_REST = 6 * HOUR
# of what background work may spend, the share that history leaves for what is new
_FOR_THE_NEW = 0.1


class Rest(StrEnum):
    """Why nothing may be sent to a bucket for a while."""

    SPENT = "spent"  # what may be spent of ESI's limit is spent
    ASKED = "asked"  # an answer has asked for a rest
    ERRORS = "errors"  # ESI answers nobody here: the limit on errors


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


def kept_share(priority: int, reserve: float) -> float:
    """Return the share of a bucket that a request of this priority must leave."""
    if priority >= Priority.MANUAL:
        return 0.0
    return reserve + ((1 - reserve) * _FOR_THE_NEW if priority < Priority.BACKGROUND else 0.0)


def believed_rest(seconds: float, long_rests: int) -> float:
    """Return for how long to rest when an answer asks for `seconds`.

    An hour at most, or two, four, and six if so many rests in a row were longer than that.
    """
    if seconds <= _BELIEVED:
        return seconds
    return float(min(seconds, _BELIEVED * 2 ** min(long_rests, 10), LONGEST_REST))


class Bucket(msgspec.Struct):
    """One token bucket: what was spent when, and until when it rests.

    `long_rests` counts the rests in a row that were longer than can be believed: one request at
    a time asks again then.
    """

    group: str
    key: str
    limit: int
    window: float
    spent: list[tuple[float, int]] = []
    retry_at: float | None = None
    long_rests: int = 0

    def remaining(self, now: float) -> int:
        """Return the tokens left."""
        self._forget(now)
        return self.limit - sum(tokens for _, tokens in self.spent)

    def ready_at(self, now: float, tokens: int, reserve: float, booked: int = 0) -> float:
        """Return when `tokens` may be spent, leaving the share `reserve` of the limit.

        `booked` tokens are in flight: until they are settled nobody knows when they come back.
        """
        start = max(now, self.retry_at or now) if self.is_resting(now) else now
        if self.long_rests and booked:
            start = max(start, now + SETTLES_IN)
        keep = min(reserve * self.limit, self.limit - tokens)
        missing = tokens + booked + keep - self.remaining(now)
        for then, amount in self.spent:
            if missing <= 0:
                break
            missing -= amount
            start = max(start, then + self.window)
        return start if missing <= 0 else max(start, now + SETTLES_IN)

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

    def rest(self, now: float, seconds: float) -> float:
        """Send nothing to this bucket for as long as that is believed; return until when."""
        resting = self.is_resting(now)
        # several answers of the same moment are one rest
        before = max(0, self.long_rests - 1) if resting else self.long_rests
        until = now + believed_rest(seconds, before)
        if seconds > _BELIEVED:
            self.long_rests = before + 1
        elif not resting:
            self.long_rests = 0
        self.retry_at = max(self.retry_at or until, until) if resting else until
        return self.retry_at

    def is_resting(self, now: float) -> bool:
        """Return whether nothing may be sent because an answer asked for a rest."""
        return not has_passed(self.retry_at, now, LONGEST_REST)

    def keep_within_reason(self, documented: "Bucket") -> None:
        """Limit what an answer said of this bucket to what can be believed."""
        self.window = min(self.window, max(documented.window, _BELIEVED))
        self.limit = max(self.limit, -(-documented.limit // _LEAST_SHARE))

    def _forget(self, now: float) -> None:
        # the second condition: a time further ahead than a window is a wrong clock's
        oldest, newest = now - self.window, now + self.window
        self.spent = [entry for entry in self.spent if oldest < entry[0] <= newest]


def why_resting(bucket: Bucket, errors: Bucket | None, now: float) -> Rest:
    """Return why a bucket rests, provided that it does; `errors` is the limit on errors."""
    if errors is not None and errors.is_resting(now) and not bucket.is_resting(now):
        return Rest.ERRORS
    return Rest.ASKED if bucket.is_resting(now) else Rest.SPENT


def _error_limit() -> Bucket:
    return Bucket(ERROR_LIMIT, "", 100, 60.0)


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

    def why_resting(self, bucket: Bucket, now: float) -> Rest:
        """Return why a bucket rests, provided that it does."""
        with self._lock:
            errors = self._buckets.get((ERROR_LIMIT, ""))
            return why_resting(self._known(bucket), errors, now)

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
            known.keep_within_reason(bucket)
            self._changed.add(key)

    def rest(self, bucket: Bucket, now: float, seconds: float) -> float:
        """Send nothing to the bucket for so long, within reason, in this run or a later one.

        Returns until when.
        """
        with self._lock:
            known = self._known(bucket)
            self._changed.add((known.group, known.key))
            return known.rest(now, seconds)

    def rest_all(self, now: float, seconds: float) -> float:
        """Send nothing to ESI at all for so long: the legacy error limit is used up."""
        return self.rest(_error_limit(), now, seconds)

    def answered(self, bucket: Bucket, now: float) -> None:
        """Record that a request was answered, and no rest asked for."""
        with self._lock:
            # SSO's answers say nothing of ESI's limit on errors
            errors = None if bucket.group == SSO_GROUP else self._buckets.get((ERROR_LIMIT, ""))
            for known in (self._known(bucket), errors):
                if known is not None and known.long_rests and not known.is_resting(now):
                    known.long_rests = 0
                    self._changed.add((known.group, known.key))

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
        reserve = kept_share(priority, self._reserve)
        booked = self._in_flight.get((bucket.group, bucket.key), 0)
        at = bucket.ready_at(now, LIKELY_COST * requests, reserve, booked)
        rest = self._buckets.get((ERROR_LIMIT, ""))
        if rest is None:
            return at
        # a limit on errors, not on tokens: nothing is booked there
        in_flight = sum(self._in_flight.values()) if rest.long_rests else 0
        return max(at, rest.ready_at(now, 0, 0.0, min(in_flight, 1)))

    def _known(self, bucket: Bucket) -> Bucket:
        key = (bucket.group, bucket.key)
        known = self._buckets.get(key)
        if known is None:
            known = self._buckets[key] = msgspec.structs.replace(bucket, spent=list(bucket.spent))
        known.keep_within_reason(bucket)
        return known
