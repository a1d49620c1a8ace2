"""Times as people read them: EVE time, or that of this machine."""

import math
import time
from datetime import UTC, datetime, timedelta
from enum import Enum

from killsync.times import DAY, MINUTE, clock, duration, iso, span, unix

_JUST_NOW = 2.0
# abbreviations that no locale changes: EVE is spoken of in English
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Zone(Enum):
    """Whose clock times are shown by: a log's (UTC, as ISO has it), EVE's, or this machine's."""

    LOG = "log"
    EVE = "eve"
    LOCAL = "local"


def time_to_come(text: str, now: float, zone: Zone, *, rough: bool = False) -> str:
    """Return a time to come as `23:05`, `tomorrow 03:00`, `Nov 29 03:00` or `2027-01-02 03:00`.

    It is rounded up to a minute, and what has passed is now. In a log it is as `times.clock` has
    it, to the second unless it is `rough`. EVE time is called so where the machine's differs.
    """
    if zone is Zone.LOG:
        return clock(text, now, rough=rough)
    local = zone is Zone.LOCAL
    soonest = math.ceil(max(unix(text), now) / MINUTE) * MINUTE
    then, today = (_on_the_clock(at, local) for at in (soonest, now))
    eve = "" if local or not _on_the_clock(soonest, local=True).utcoffset() else " EVE time"
    shown = f"{then:%H:%M}{eve}"
    if then.date() == today.date():
        return shown
    if then.date() == today.date() + timedelta(days=1):
        return f"tomorrow {shown}"
    if then.year == today.year:
        return f"{_MONTHS[then.month - 1]} {then:%d} {shown}"
    return f"{then.date().isoformat()} {shown}"


def in_line(text: str, zone: Zone) -> str:
    """Return a time to come in a line of text; a log has it as programs write it."""
    return text if zone is Zone.LOG else time_to_come(text, time.time(), zone)


def shown_time(text: str, local: bool, now: float | None = None) -> str:
    """Return a time of the database as `today 14:03`, `Nov 24 03:00` or `2025-11-24`.

    It is EVE time (UTC), or that of this machine if `local`; `now` is in unix seconds.
    """
    now = time.time() if now is None else now
    then, today = (_on_the_clock(at, local) for at in (unix(text), now))
    if then.date() == today.date():
        return f"today {then:%H:%M}"
    if then.date() == today.date() - timedelta(days=1):
        return f"yesterday {then:%H:%M}"
    if then.year == today.year:
        return f"{_MONTHS[then.month - 1]} {then:%d %H:%M}"
    return then.date().isoformat()


def near(then: float, now: float, zone: Zone) -> str:
    """Return a time as `just now`, `5 min ago` or `in 3 h`; more than a day away as its date."""
    away = abs(then - now)
    if then > now + DAY:
        return time_to_come(iso(then), now, zone)
    if then < now - DAY:
        return shown_time(iso(then), zone is Zone.LOCAL, now)
    if away < _JUST_NOW:
        return "just now" if then <= now else "now"
    return f"{span(away)} ago" if then < now else f"in {span(away)}"


def length(seconds: float, zone: Zone) -> str:
    """Return how long something takes, as a person reads it, or a log has it."""
    return duration(seconds) if zone is Zone.LOG else span(seconds)


def _on_the_clock(seconds: float, local: bool) -> datetime:
    moment = datetime.fromtimestamp(seconds, UTC)
    try:
        return moment.astimezone() if local else moment
    except (OverflowError, ValueError, OSError):
        # no zone is known of the first and the last day that there are
        return moment
