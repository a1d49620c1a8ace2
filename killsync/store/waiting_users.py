"""Users who wait: after failures, for a login, with an open gap, or without a sync for long."""

import json
import sqlite3
from collections.abc import Iterable

from killsync.model import User
from killsync.store import users
from killsync.times import iso, unix_or_none


def failing(conn: sqlite3.Connection, now: float, limit: int) -> list[User]:
    """Return one user of each error whose back-off goes on, the one whose it ends first."""
    rows = conn.execute(
        """SELECT user_id, min(not_before) FROM users
        WHERE state = 'active' AND failures > 0 AND not_before > ?
        GROUP BY error ORDER BY 2 LIMIT ?""",
        [iso(now), limit],
    )
    return [
        user for user_id, _ in rows.fetchall() if (user := users.get(conn, user_id)) is not None
    ]


def lift_backoff(conn: sqlite3.Connection, error: str, now: float) -> list[int]:
    """End the back-off of every user who failed with this error; return who they are."""
    rows = conn.execute(
        """UPDATE users SET not_before = NULL
        WHERE state = 'active' AND failures > 0 AND not_before > ? AND error = ?
        RETURNING user_id""",
        [iso(now), error],
    )
    return [user_id for (user_id,) in rows.fetchall()]


def forget_put_off(conn: sqlite3.Connection, user_ids: Iterable[int] | None, now: float) -> int:
    """Let users who back off or need a login be tried at once; all, or these. Return how many."""
    mine = "" if user_ids is None else " AND user_id IN (SELECT value FROM json_each(:users))"
    values = {"users": json.dumps(list(user_ids or [])), "now": iso(now)}
    return sum(
        conn.execute(f"UPDATE users SET not_before = {then} WHERE {which}{mine}", values).rowcount
        for which, then in (
            ("state = 'active' AND failures > 0 AND not_before > :now", "NULL"),
            ("state = 'needs_login'", ":now"),
        )
    )


def open_gaps(
    conn: sqlite3.Connection, user_ids: Iterable[int] | None = None
) -> tuple[int, float | None]:
    """Return how many active users' lists are still being read, and when the next goes on.

    Of all users, or of these.
    """
    mine = "" if user_ids is None else " AND user_id IN (SELECT value FROM json_each(:users))"
    number, at = conn.execute(
        f"""SELECT count(*), min(coalesce(not_before, '')) FROM users
        WHERE state = 'active' AND backfill_page IS NOT NULL{mine}""",
        {"users": json.dumps(list(user_ids or []))},
    ).fetchone()
    return int(number), unix_or_none(at or None)


def unsynced(
    conn: sqlite3.Connection, *, added_before: float, synced_before: float
) -> tuple[User | None, int]:
    """Return the active user who has waited longest for a sync, and how many wait in all.

    Those wait who were last synced before a time, or never and were added before another.
    """
    waiting = [
        ("last_killmail_sync_at IS NULL AND added_at", "added_at", added_before),
        ("last_killmail_sync_at", "last_killmail_sync_at", synced_before),
    ]
    longest, number = None, 0
    for column, order, moment in waiting:
        which = f"FROM users WHERE state = 'active' AND {column} <= ?"
        (some,) = conn.execute(f"SELECT count(*) {which}", [iso(moment)]).fetchone()
        number += some
        first = conn.execute(
            f"SELECT user_id, {order} {which} ORDER BY {order} LIMIT 1", [iso(moment)]
        ).fetchone()
        if first is not None and (longest is None or first[1] < longest[1]):
            longest = first
    return (None if longest is None else users.get(conn, longest[0])), number
