"""What waits and what is wrong, in sentences that say until when, and what to do."""

from killsync.esi.ratelimit import Rest
from killsync.store.runs import LockHolder
from killsync.sync import alerts
from killsync.sync.alerts import Alert
from killsync.sync.forecast import Backlog
from killsync.sync.schedule import Waits
from killsync.sync.selection import Waiters
from killsync.terminal.moments import Zone, time_to_come
from killsync.terminal.text import count, safe
from killsync.times import MINUTE

_LONGEST = 500


def describe_backlog(backlog: Backlog, now: float, zone: Zone = Zone.LOG) -> str:
    """Return what is still pending, why, until when, and when it will be stored; empty if nothing.

    As in `1,295 of 2,629 stored; the rest by about 23:00Z`.
    """
    parts = []
    if backlog.to_come:
        parts.append(_how_much(backlog))
    if backlog.done_at is not None:
        parts.append(_by_when(backlog, now, zone))
    if backlog.resumes_at is not None:
        until = time_to_come(backlog.resumes_at, now, zone)
        parts.append(_RESTS[backlog.resumes_after or Rest.SPENT].format(until=until))
    if backlog.put_off and backlog.again_at is not None:
        again = time_to_come(backlog.again_at, now, zone)
        parts.append(f"{count(backlog.put_off, 'killmail')} put off after errors, until {again}")
    if backlog.open_lists:
        lists = "1 list is" if backlog.open_lists == 1 else f"{backlog.open_lists:,} lists are"
        lists_at = backlog.lists_at
        at = "" if lists_at is None else f", from {time_to_come(lists_at, now, zone)} on"
        parts.append(f"{lists} still being read{at}")
    if backlog.unread_lists and parts:
        lists = "1 list is" if backlog.unread_lists == 1 else f"{backlog.unread_lists:,} lists are"
        parts.append(f"{lists} not read yet")
    return "; ".join(parts)


_RESTS = {
    Rest.SPENT: "ESI's rate limit lets them go on at {until}",
    Rest.ASKED: "ESI asked for a rest until {until}",
    Rest.ERRORS: "ESI answers nothing until {until}, after too many errors",
}


def describe_rest(after: Rest, until: str, now: float, zone: Zone) -> str:
    """Return for what a run waits, and until when (ISO text)."""
    shown = time_to_come(until, now, zone)
    return {
        Rest.SPENT: f"waiting for ESI's limit until {shown}",
        Rest.ASKED: f"waiting until {shown}: ESI asked for a rest",
        Rest.ERRORS: f"waiting until {shown}: ESI answers nothing after too many errors",
    }[after]


def _how_much(backlog: Backlog) -> str:
    about = "about " if backlog.expected or backlog.unread_lists else ""
    if backlog.stored is None:
        return f"{about}{count(backlog.to_come, 'killmail')} still pending"
    return f"{backlog.stored:,} of {about}{backlog.stored + backlog.to_come:,} stored"


def _by_when(backlog: Backlog, now: float, zone: Zone) -> str:
    by = time_to_come(backlog.done_at or "", now, zone, rough=True)
    what = "all stored" if backlog.stored is None else "the rest"
    needs_scans = backlog.resumes_at is not None or backlog.lists_at is not None
    if backlog.scans_seen or not needs_scans:
        return f"{what} by about {by}"
    every = count(round(backlog.scan_every_s / MINUTE), "minute")
    return f"{what} by about {by} if a scan runs every {every}"


_WAITS = {
    Waits.SYNCED: ("was synced not long ago", "were synced not long ago"),
    Waits.CACHED: ("has a list that ESI caches", "have lists that ESI caches"),
    Waits.FAILED: ("waits after failures", "wait after failures"),
    Waits.LIMITED: ("waits for ESI's rate limit", "wait for ESI's rate limit"),
    Waits.LOGIN: ("needs a new login", "need a new login"),
    Waits.DISABLED: ("is disabled", "are disabled"),
}


def describe_waiting(waiting: list[Waiters], now: float, zone: Zone = Zone.LOG) -> str:
    """Return why nothing is due."""
    parts = []
    for one in waiting:
        words = _WAITS[one.why][one.users > 1]
        due = "the next is due" if one.users > 1 else "due"
        at = "" if one.until is None else f", {due} at {time_to_come(one.until, now, zone)}"
        parts.append(f"{count(one.users, 'user')} {words}{at}")
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
