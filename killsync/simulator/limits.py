"""Floating-window token buckets and the legacy error limit; times are passed in."""

import math
from collections import deque
from collections.abc import Hashable

import msgspec

UNLIMITED = 1_000_000_000


class Allowance(msgspec.Struct, frozen=True):
    """How many tokens a group allows in a window of seconds."""

    group: str
    tokens: int
    window: int

    @property
    def limit(self) -> int:
        """Return the tokens per window; 0 tokens stand for no limit."""
        return self.tokens or UNLIMITED

    @property
    def label(self) -> str:
        """Format the allowance for X-Ratelimit-Limit, such as `30/15m`."""
        for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
            if self.window % seconds == 0:
                return f"{self.limit}/{self.window // seconds}{unit}"
        return f"{self.limit}/{self.window}s"


class Bucket:
    """The tokens spent; each is returned exactly one window later."""

    def __init__(self) -> None:
        self._spent: deque[tuple[float, int]] = deque()
        self._used = 0

    def used(self, allowance: Allowance, now: float) -> int:
        """Count the tokens spent within the window."""
        while self._spent and self._spent[0][0] + allowance.window <= now:
            self._used -= self._spent.popleft()[1]
        return self._used

    def remaining(self, allowance: Allowance, now: float) -> int:
        """Count the tokens left."""
        return max(0, allowance.limit - self.used(allowance, now))

    def wait(self, allowance: Allowance, now: float) -> float:
        """Return the seconds until a token is available; 0 if one is available now."""
        excess = self.used(allowance, now) - allowance.limit
        if excess < 0:
            return 0
        for spent_at, cost in self._spent:
            excess -= cost
            if excess < 0:
                return spent_at + allowance.window - now
        return 0

    def spend(self, cost: int, now: float) -> None:
        """Spend tokens, even more than are left."""
        if cost:
            self._spent.append((now, cost))
            self._used += cost


class ErrorLimit:
    """Errors on routes without a group, counted in consecutive windows."""

    def __init__(self) -> None:
        self._errors = 0
        self._reset_at = 0.0
        self._forced = False

    def _roll(self, window: int, now: float) -> None:
        if now >= self._reset_at:
            self._errors, self._reset_at, self._forced = 0, now + window, False

    def count(self, window: int, now: float) -> None:
        """Count one error."""
        self._roll(window, now)
        self._errors += 1

    def force(self, seconds: float, now: float) -> None:
        """Treat the limit as exceeded for the next `seconds`."""
        self._reset_at, self._forced = now + seconds, True

    def exceeded(self, limit: int, window: int, now: float) -> bool:
        """Return whether every route has to answer 420."""
        self._roll(window, now)
        return self._forced or self._errors >= limit

    def headers(self, limit: int, window: int, now: float) -> dict[str, str]:
        """Return the headers of the legacy error limit."""
        exceeded = self.exceeded(limit, window, now)
        return {
            "X-ESI-Error-Limit-Remain": str(0 if exceeded else limit - self._errors),
            "X-ESI-Error-Limit-Reset": str(math.ceil(self._reset_at - now)),
        }


class Limits:
    """All buckets, keyed by group and owner, and the one error limit."""

    def __init__(self) -> None:
        self._buckets: dict[Hashable, Bucket] = {}
        self.errors = ErrorLimit()

    def bucket(self, group: str, owner: Hashable) -> Bucket:
        """Return the bucket of an owner; a new one is full."""
        return self._buckets.setdefault((group, owner), Bucket())


def cost_of(status: int) -> int:
    """Return the price of an answer in tokens, as ESI documents it."""
    if status == 429:
        return 0
    return {2: 2, 3: 1, 4: 5}.get(status // 100, 0)


def bucket_headers(allowance: Allowance, bucket: Bucket, now: float) -> dict[str, str]:
    """Return the rate-limit headers of a route with a group."""
    return {
        "X-Ratelimit-Group": allowance.group,
        "X-Ratelimit-Limit": allowance.label,
        "X-Ratelimit-Remaining": str(bucket.remaining(allowance, now)),
        "X-Ratelimit-Used": str(bucket.used(allowance, now)),
    }
