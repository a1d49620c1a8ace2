"""Times as people read them: EVE time, or that of this machine."""

import time
from datetime import UTC, datetime, timedelta

from killsync.times import unix

# abbreviations that no locale changes: EVE is spoken of in English
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


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


def _on_the_clock(seconds: float, local: bool) -> datetime:
    moment = datetime.fromtimestamp(seconds, UTC)
    try:
        return moment.astimezone() if local else moment
    except (OverflowError, ValueError, OSError):
        # no zone is known of the first and the last day that there are
        return moment
