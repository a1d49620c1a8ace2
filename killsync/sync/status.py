"""What `status` tells: read from the database alone, without a single request."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from killsync.esi.ratelimit import Bucket
from killsync.model import User
from killsync.settings.config import Settings
from killsync.store import jobs, limits, lock, pending, runs, users
from killsync.store.connection import Store, snapshot
from killsync.sync import schedule
from killsync.times import DAY, has_passed, iso, iso_after

_MOST_SET_ASIDE = 10


def status(
    store: Store, settings: Settings, now: float, *, only: list[User] | None = None
) -> dict[str, Any]:
    """Return the object that `status --json` prints; times are UTC ISO 8601 text."""
    with snapshot(store.conn):
        return _status(store.conn, store.path, settings, now, only)


def _status(
    conn: sqlite3.Connection,
    database: Path,
    settings: Settings,
    now: float,
    only: list[User] | None,
) -> dict[str, Any]:
    shown = users.everyone(conn) if only is None else only
    total, aside = pending.counts(conn)
    newest = runs.latest(conn, 1)
    return {
        "database": str(database),
        "lock": holder(conn, database),
        "users": [_user(user, now, settings.min_age) for user in shown],
        "jobs": jobs.counts(conn),
        "pending_killmails": total,
        "set_aside_killmails": aside,
        "set_aside": [
            {"killmail_id": killmail_id, "error": error}
            for killmail_id, error in pending.set_aside_newest(conn, _MOST_SET_ASIDE)
        ],
        "rate_limits": [_bucket(bucket, now) for bucket in limits.everything(conn)],
        "last_run": newest[0] if newest else None,
    }


def holder(conn: sqlite3.Connection, database: Path) -> dict[str, Any] | None:
    """Return who holds the lock (pid, host, command, since), None if nobody does."""
    if not lock.is_held(database):
        return None
    known = runs.holder(conn)
    if known is None:
        return {"pid": None, "host": None, "command": None, "since": None}
    return msgspec.structs.asdict(known)


def _user(user: User, now: float, min_age: float) -> dict[str, Any]:
    cursor = user.cursor
    due = schedule.next_due_at(user, now, min_age)
    return {
        "user_id": user.user_id,
        "name": user.name,
        "state": user.state,
        "last_killmail_id": cursor.last_killmail_id,
        "last_killmail_sync_at": _time(user.last_sync_at),
        "next_due_at": None if due is None else iso_after(due),
        "killmails": user.killmails,
        "pending": user.pending,
        "backfill": None
        if cursor.page is None
        else {"page": cursor.page, "until_id": cursor.until_id},
        "failures": user.failures,
        "error": user.error,
    }


def _bucket(bucket: Bucket, now: float) -> dict[str, Any]:
    resting = bucket.retry_at is not None and not has_passed(bucket.retry_at, now, DAY)
    return {
        "group": bucket.group,
        "key": bucket.key,
        "remaining": max(0, bucket.remaining(now)),
        "limit": bucket.limit,
        "window_s": bucket.window,
        "retry_at": iso_after(bucket.retry_at) if resting and bucket.retry_at else None,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
