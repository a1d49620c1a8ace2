"""What a person must be told, because it does not pass by itself.

Silence means health: a quiet scan says it once, and once a day while it lasts.
"""

import msgspec

from killsync.settings.config import Settings
from killsync.store import facts, lock, pending, retries, waiting_users
from killsync.store.connection import Store
from killsync.store.runs import LockHolder
from killsync.times import DAY, HOUR, MINUTE, is_within, iso, span, unix

_GRACE = 5 * MINUTE
# one killmail that can never be had is no reason to warn every day
_FEW_PENDING = 3
# two ticks: one who is due is not synced the same second
_DUE_FOR = 20 * MINUTE


class Unsynced(msgspec.Struct, frozen=True):
    """For whom nothing has succeeded for long, and how many others; `since` is ISO text.

    Of several the user who waits longest.
    """

    user_id: int
    name: str
    error: str | None
    others: int
    since: str


class Unfetched(msgspec.Struct, frozen=True):
    """No killmail could be fetched for long, and why; `since` is ISO text."""

    pending: int
    error: str | None
    since: str


class Overdue(msgspec.Struct, frozen=True):
    """A run holds the lock for longer than it may, which was until `ends_by`, in unix seconds."""

    holder: LockHolder
    ends_by: float


Alert = Unsynced | Unfetched | Overdue


def overdue(holder: LockHolder | None, now: float) -> Overdue | None:
    """Return that a run holds the lock for longer than it may run, and five minutes."""
    if holder is None or holder.since is None or holder.max_runtime_s is None:
        return None
    ends_by = unix(holder.since) + holder.max_runtime_s
    return Overdue(holder, ends_by) if now > ends_by + _GRACE else None


def unsynced(store: Store, settings: Settings, now: float) -> Unsynced | None:
    """Return for whom nothing has succeeded for `alert_after`; the user who waits longest."""
    patience = settings.alert_after
    user, waiting = waiting_users.unsynced(
        store.conn,
        added_before=now - patience,
        synced_before=now - max(patience, settings.min_age + _DUE_FOR),
    )
    if user is None:
        return None
    known = [user.last_sync_at or user.added_at, user.troubled_since]
    since = min((moment for moment in known if moment is not None), default=now)
    return Unsynced(user.user_id, user.name, user.error, waiting - 1, iso(since))


def unfetched(store: Store, settings: Settings, now: float) -> Unfetched | None:
    """Return that no killmail could be fetched for `alert_after`, although some are pending."""
    since = facts.bodies_fail_since(store.conn)
    if since is None or now - since < settings.alert_after:
        return None
    counts = pending.count_by_state(store.conn)
    waiting = counts.ready + counts.put_off
    error = retries.any_error(store.conn)
    return Unfetched(waiting, error, iso(since)) if waiting >= _FEW_PENDING else None


def current(store: Store, settings: Settings, now: float) -> Unsynced | Unfetched | None:
    """Return what a run cannot put right and a person must know, None if all is well."""
    return unsynced(store, settings, now) or unfetched(store, settings, now)


def is_news(about: str, last: tuple[str, float] | None, now: float) -> bool:
    """Return whether an alert is to be said: a day after the last, or if it is about another thing.

    Also if it is about the same, and after an hour of more than twice as many users: not all wait
    for equally long.
    """
    if last is None or not is_within(last[1], now, DAY):
        return True
    kind, before = about.partition(": ")[0], last[0].partition(": ")[0]
    return kind != before or (has_grown(about, last[0]) and now - last[1] >= HOUR)


def has_grown(about: str, before: str) -> bool:
    """Return whether an alert is about more than twice as many users as before."""
    number, known = about.partition(": ")[2], before.partition(": ")[2]
    return number.isdecimal() and known.isdecimal() and int(number) > 2 * int(known)


def subject(alert: Unsynced | Unfetched) -> str:
    """Return what an alert is about, so that the same one is not said again."""
    return f"unsynced: {alert.others + 1}" if isinstance(alert, Unsynced) else "unfetched"


def take_note(store: Store, alert: Unsynced | Unfetched | None, now: float) -> bool:
    """Remember an alert, or that all is well; return whether it is to be said now."""
    last = facts.last_alert(store.conn)
    if alert is None:
        if last is not None:
            with store.transaction() as conn:
                facts.set_last_alert(conn, None, now)
        return False
    about = subject(alert)
    news = is_news(about, last, now)
    at = now if news or last is None else last[1]
    # not all are hit at once, and those that recover may be hit once more
    is_other = last is not None and about != last[0]
    shrunk = last is not None and has_grown(last[0], about)
    if news or shrunk or (is_other and now - at < HOUR):
        with store.transaction() as conn:
            facts.set_last_alert(conn, about, at)
            if news and last is not None and has_grown(about, last[0]):
                facts.set_alert_grew_at(conn, now)
    return news


def take_note_of_lock(store: Store, alert: Overdue, now: float) -> bool:
    """Remember that a run holds the lock for too long; return whether that is to be said now."""
    try:
        noted = lock.noted_at(store.path)
        if noted > alert.ends_by and is_within(noted, now, DAY):
            return False
        lock.note_overdue(store.path, now)
    except OSError:
        pass  # said once more is better than not at all
    return True


def describe(alert: Alert, now: float) -> tuple[str, str]:
    """Return what is wrong, and what to do; text from outside is in it as it came."""
    match alert:
        case Overdue():
            holder = alert.holder
            lasts = span(now - unix(holder.since or iso(now)))
            return (
                f"{holder.command} (pid {holder.pid} on {holder.host}) has held the lock for "
                f"{lasts}, longer than it may run, and nothing else can: it was stopped, or hangs",
                f"`kill -CONT {holder.pid}` lets a stopped one go on, `kill -9 {holder.pid}` ends "
                "it; nothing is lost",
            )
        case Unsynced():
            others = f" and {alert.others} more" if alert.others else ""
            return (
                f"nothing has succeeded for {alert.name}{others} for "
                f"{span(now - unix(alert.since))}{_because(alert.error)}",
                "`killsync status` and `killsync doctor` say more",
            )
        case Unfetched():
            return (
                f"no killmail could be fetched for {span(now - unix(alert.since))}, "
                f"{alert.pending:,} wait{_because(alert.error)}",
                "they are tried again by themselves; `killsync status` says more",
            )


def _because(error: str | None) -> str:
    return f": {error}" if error else ""
