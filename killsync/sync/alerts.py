"""What a person must be told, because it does not go over by itself: pure, and read for `scan`.

Silence means health: a quiet scan says it once, and once a day while it lasts.
"""

import msgspec

from killsync.settings.config import Settings
from killsync.store import facts, waiting_users
from killsync.store.connection import Store
from killsync.store.runs import LockHolder
from killsync.times import DAY, MINUTE, iso, unix

_GRACE = 5 * MINUTE
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


class Overdue(msgspec.Struct, frozen=True):
    """A run holds the lock for longer than it may: it is stopped, or hangs."""

    holder: LockHolder


Alert = Unsynced | Overdue


def overdue(holder: LockHolder | None, now: float) -> Overdue | None:
    """Return that a run holds the lock for longer than it may run, and five minutes."""
    if holder is None or holder.since is None or holder.max_runtime_s is None:
        return None
    ends_by = unix(holder.since) + holder.max_runtime_s
    return Overdue(holder) if now > ends_by + _GRACE else None


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
    since = user.last_sync_at or user.added_at or now
    return Unsynced(user.user_id, user.name, user.error, waiting - 1, iso(since))


def is_news(about: str, last: tuple[str, float] | None, now: float) -> bool:
    """Return whether an alert is to be said: another one than the last, or a day later."""
    return last is None or last[0] != about or not 0 <= now - last[1] < DAY


def subject(alert: Alert) -> str:
    """Return what an alert is about, so that the same one is not said again."""
    if isinstance(alert, Unsynced):
        return "unsynced"
    return f"lock held by {alert.holder.pid} since {alert.holder.since}"


def take_note(store: Store, alert: Alert | None, now: float) -> bool:
    """Remember an alert, or that all is well; return whether it is to be said now."""
    last = facts.last_alert(store.conn)
    if alert is None:
        if last is not None:
            with store.transaction() as conn:
                facts.set_last_alert(conn, None, now)
        return False
    about = subject(alert)
    if not is_news(about, last, now):
        return False
    with store.transaction() as conn:
        facts.set_last_alert(conn, about, now)
    return True
