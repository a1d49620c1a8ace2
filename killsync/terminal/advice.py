"""What waits and what is wrong, in sentences that say until when, and what to do."""

from killsync.store.runs import LockHolder
from killsync.sync import alerts
from killsync.sync.alerts import Alert
from killsync.sync.forecast import Backlog
from killsync.sync.schedule import Waits
from killsync.sync.selection import Waiters
from killsync.terminal.text import count, safe
from killsync.times import clock

_LONGEST = 500


def describe_backlog(backlog: Backlog, now: float) -> str:
    """Return what is still pending, why, until when, and when it will be stored; empty if nothing.

    Times are of UTC.
    """
    parts = []
    if backlog.ready:
        parts.append(f"{count(backlog.ready, 'killmail')} still pending")
    if backlog.resumes_at is not None:
        parts.append(f"ESI's rate limit lets them go on at {clock(backlog.resumes_at, now)}")
    if backlog.done_at is not None:
        parts.append(f"all stored by about {clock(backlog.done_at, now, rough=True)}")
    if backlog.put_off and backlog.again_at is not None:
        again = clock(backlog.again_at, now)
        parts.append(f"{count(backlog.put_off, 'killmail')} put off after errors, until {again}")
    if backlog.open_lists:
        lists = "1 list is" if backlog.open_lists == 1 else f"{backlog.open_lists:,} lists are"
        at = "" if backlog.lists_at is None else f", from {clock(backlog.lists_at, now)} on"
        parts.append(f"{lists} still being read{at}")
    return "; ".join(parts)


_WAITS = {
    Waits.SYNCED: ("was synced not long ago", "were synced not long ago"),
    Waits.CACHED: ("has a list that ESI caches", "have lists that ESI caches"),
    Waits.FAILED: ("waits after failures", "wait after failures"),
    Waits.LIMITED: ("waits for ESI's rate limit", "wait for ESI's rate limit"),
    Waits.LOGIN: ("needs a new login", "need a new login"),
    Waits.DISABLED: ("is disabled", "are disabled"),
}


def describe_waiting(waiting: list[Waiters], now: float) -> str:
    """Return why nothing is due."""
    parts = []
    for one in waiting:
        words = _WAITS[one.why][one.users > 1]
        until = "" if one.until is None else f", until {clock(one.until, now)}"
        parts.append(f"{count(one.users, 'user')} {words}{until}")
    return "; ".join(parts)


def describe_alert(alert: Alert, now: float) -> str:
    """Return what is wrong and what to do, in one line."""
    what, cure = alerts.describe(alert, now)
    return f"{safe(what, _LONGEST)}; {cure}"


def describe_holder(holder: LockHolder) -> str:
    """Return who holds the lock."""
    if holder.pid is None:
        return "a run that has only just started"
    return f"{safe(holder.command)} (pid {holder.pid} on {safe(holder.host)})"
