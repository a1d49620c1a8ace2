"""What waits and what is wrong, in sentences that say until when, and what to do."""

from killsync.store.runs import LockHolder
from killsync.sync.alerts import Alert, Overdue, Unsynced
from killsync.sync.forecast import Backlog
from killsync.sync.schedule import Waits
from killsync.sync.selection import Waiters
from killsync.terminal.text import count, safe
from killsync.times import clock, duration, unix


def describe_backlog(backlog: Backlog, now: float) -> str:
    """Return what is still pending, why, until when, and when it will be there; empty if nothing.

    Times are of UTC.
    """
    parts = []
    if backlog.ready:
        parts.append(f"{count(backlog.ready, 'killmail')} still pending")
    if backlog.resumes_at is not None:
        parts.append(f"ESI's rate limit lets them go on at {clock(backlog.resumes_at, now)}")
    if backlog.done_at is not None:
        parts.append(f"all there by about {clock(backlog.done_at, now, rough=True)}")
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


def describe_alert(alert: Alert, now: float, *, cause: str | None = None) -> str:
    """Return an alert in one line; `cause` is why nothing succeeds, as far as a run knows."""
    match alert:
        case Overdue():
            return describe_overdue(alert.holder, now)
        case Unsynced():
            return describe_unsynced(alert, now, cause=cause)


def describe_holder(holder: LockHolder) -> str:
    """Return who holds the lock."""
    if holder.pid is None:
        return "a run that has only just started"
    return f"{safe(holder.command)} (pid {holder.pid} on {safe(holder.host)})"


def describe_overdue(holder: LockHolder, now: float) -> str:
    """Return that a run has held the lock for longer than it may, and what to do."""
    pid, since = holder.pid, unix(holder.since) if holder.since else now
    return (
        f"{describe_holder(holder)} has held the lock for {duration(now - since)}, longer than "
        "it may run, and nothing else can: it was stopped, or hangs. "
        f"`kill -CONT {pid}` lets a stopped one go on, `kill -9 {pid}` ends it; nothing is lost"
    )


def describe_unsynced(alert: Unsynced, now: float, *, cause: str | None = None) -> str:
    """Return for whom nothing has succeeded for long, and why."""
    who = safe(alert.name, 40)
    if alert.others:
        who += f" and {count(alert.others, 'other')}"
    why = cause or (safe(alert.error) if alert.error else "")
    reason = f": {why}" if why else ""
    return (
        f"nothing has succeeded for {who} for {duration(now - unix(alert.since))}{reason}; "
        "`killsync status` and `killsync doctor` say more"
    )
