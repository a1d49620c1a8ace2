"""Times and durations: unix seconds inside, ISO 8601 text in the database, `15m` for people."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
_IN_DAYS = 2

_UNITS = {"ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LONGEST_DURATION = 3650 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_EPOCH = datetime(1970, 1, 1)
_LATEST = 253402300799.0  # 9999-12-31T23:59:59Z: the last second that ISO text can hold


def iso(seconds: float) -> str:
    """Return unix seconds as `2026-11-24T03:00:00Z`, fractions cut off."""
    whole = max(0, min(math.floor(seconds), int(_LATEST)))
    return (_PLAIN_EPOCH + timedelta(seconds=whole)).isoformat() + "Z"


def iso_after(seconds: float) -> str:
    """Return the first whole second that is not before `seconds`, for times to wait for."""
    return iso(math.ceil(seconds))


def iso_or_none(seconds: float | None) -> str | None:
    """Return the first whole second not before a time to wait for, None for None."""
    return None if seconds is None else iso_after(seconds)


# the time of a killmail is looked at three times until it is stored
@lru_cache(maxsize=1024)
def unix(text: str) -> float:
    """Return the unix seconds of ISO 8601 text; raise ValueError if it is not one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH).total_seconds()


def unix_or_none(text: str | None) -> float | None:
    """Return the unix seconds of a database time, None for NULL."""
    return None if text is None else unix(text)


def is_iso(text: object) -> bool:
    """Return whether a value is a time as `iso` writes it."""
    try:
        return isinstance(text, str) and iso(unix(text)) == text
    except ValueError:
        return False


def parse_duration(text: str) -> float:
    """Return the seconds of `100ms`, `90s`, `15m`, `9h` or `7d`; raise ValueError otherwise."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration is a number and a unit, such as 90s, 15m, 9h or 7d")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST_DURATION:
        raise ValueError("a duration may be ten years at most")
    return seconds


def duration_text(seconds: float) -> str:
    """Return seconds so that `parse_duration` gives back exactly the same."""
    if seconds == 0:
        return "0s"
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1.0)):
        if seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    thousandths = f"{round(seconds * 1000)}ms"
    exact = parse_duration(thousandths) == seconds
    return thousandths if exact else f"{Decimal(repr(seconds)):f}s"


def retry_after(text: str | None, default: float) -> float:
    """Return the seconds of a Retry-After header, a day at most; `default` if it names none."""
    return min(float(text), DAY) if text and text.isdecimal() else default


def span(seconds: float) -> str:
    """Return how long something takes, as `45 s`, `5 min`, `3 h` or `2 days`."""
    if seconds < MINUTE:
        return f"{max(0, int(seconds))} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min"
    days = int(seconds // DAY)
    return f"{int(seconds // HOUR)} h" if days < _IN_DAYS else f"{days} days"


def duration(seconds: float) -> str:
    """Return the same for a log, as settings are written: `45s`, `20m`, `3h`, `2d`."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def clock(moment: str, now: float, *, rough: bool = False) -> str:
    """Return a time to come, ISO text, as `23:05:10Z`, with its date if that is another day.

    A `rough` one is given to the next minute. What has passed is given as now.
    """
    then = max(unix(moment), now)
    day, _, shown = iso_after(math.ceil(then / MINUTE) * MINUTE if rough else then).partition("T")
    shown = shown.removesuffix(":00Z") + "Z" if rough else shown
    return shown if day == iso(now).partition("T")[0] else f"{day} {shown}"


def ago(then: float | None, now: float) -> str:
    """Return how long ago `then` was, `never` for None."""
    return "never" if then is None else f"{span(now - then)} ago"


def has_passed(then: float | None, now: float, longest: float) -> bool:
    """Return whether the time to wait for is over.

    A time further ahead than `longest` seconds, the longest that may legally be waited, was
    written by a clock that was wrong, and counts as passed.
    """
    return then is None or then <= now or then > now + longest


def is_within(then: float | None, now: float, seconds: float) -> bool:
    """Return whether a time lies less than so many seconds back.

    One that is still to come was written by a clock that was wrong, and does not.
    """
    return then is not None and 0 <= now - then < seconds
