"""Users who wait: after failures, for a login, with an open gap, or without a sync for long."""

import json
import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from killsync.model import User
from killsync.store import users
from killsync.times import iso


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


def lift_backoff(conn: sqlite3.Connection, now: float) -> list[int]:
    """End the back-off of every user who failed; return who they are."""
    rows = conn.execute(
        """UPDATE users SET not_before = NULL
        WHERE state = 'active' AND failures > 0 AND not_before > ? RETURNING user_id""",
        [iso(now)],
    )
    return [user_id for (user_id,) in rows.fetchall()]


def others_refreshed_since(conn: sqlite3.Connection, user_id: int, moment: str) -> bool:
    """Return whether SSO has accepted another user's token since a time, in ISO text."""
    row = conn.execute(
        "SELECT EXISTS (SELECT 1 FROM users WHERE refreshed_at >= ? AND user_id <> ?)",
        [moment, user_id],
    ).fetchone()
    return bool(row[0])


def is_alone(conn: sqlite3.Connection, user_id: int) -> bool:
    """Return whether no other character is active: corporations have no tokens of their own."""
    row = conn.execute(
        """SELECT EXISTS (SELECT 1 FROM users
            WHERE state = 'active' AND kind <> 'corporation' AND user_id <> ?)""",
        [user_id],
    ).fetchone()
    return not row[0]


def others_listed_since(conn: sqlite3.Connection, user_id: int, moment: str) -> bool:
    """Return whether another user's list was read since a time, in ISO text, or nobody else is."""
    read, others = conn.execute(
        """SELECT
            EXISTS (SELECT 1 FROM users WHERE state = 'active' AND last_killmail_sync_at >= :since
                AND user_id <> :user),
            EXISTS (SELECT 1 FROM users WHERE state = 'active' AND user_id <> :user)""",
        {"since": moment, "user": user_id},
    ).fetchone()
    return bool(read) or not others


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


def open_gaps(conn: sqlite3.Connection, user_ids: Iterable[int] | None = None) -> list[User]:
    """Return the active users whose lists are still being read: all, or which of these."""
    mine = "" if user_ids is None else " AND user_id IN (SELECT value FROM json_each(:users))"
    return list(
        users.where(
            conn,
            f"state = 'active' AND backfill_page IS NOT NULL{mine}",
            {"users": json.dumps(list(user_ids or []))},
        )
    )


def never_read(conn: sqlite3.Connection, user_ids: Iterable[int] | None = None) -> int:
    """Return of how many active users no list was ever read: of all, or of these."""
    mine = "" if user_ids is None else " AND user_id IN (SELECT value FROM json_each(:users))"
    (number,) = conn.execute(
        "SELECT count(*) FROM users"
        f" WHERE state = 'active' AND last_killmail_sync_at IS NULL{mine}",
        {"users": json.dumps(list(user_ids or []))},
    ).fetchone()
    return int(number)


# of more, counting them would cost more than the number is worth
_MOST_COUNTED = 100_000
# whose bodies are all there, or set aside, waits for none. The users' own counts say so, and users
# are few: going through what is pending, row by row, would take longer than all the rest
_WAITING = """SELECT user_id, listed, killmails FROM users
    WHERE (state = 'active' AND backfill_page IS NOT NULL)
        OR listed > killmails AND listed - killmails > (
            SELECT count(*) FROM pending_killmails AS aside
            CROSS JOIN user_killmails AS mine ON mine.user_id = users.user_id
                AND mine.killmail_id = aside.killmail_id AND mine.listed
            WHERE aside.set_aside_at IS NOT NULL)"""
_THESE = """SELECT user_id, listed, killmails FROM users
    WHERE user_id IN (SELECT value FROM json_each(?))"""


class Listed(msgspec.Struct, frozen=True):
    """How many killmails some users' lists have shown; what is on several counts once.

    `in_all` it counts for each list. So many of them are `stored`.
    """

    distinct: int
    in_all: int
    stored: int


def listed_for_waiting(
    conn: sqlite3.Connection, user_ids: Sequence[int] | None = None
) -> Listed | None:
    """Return what was listed for all users who wait for killmails, or for these.

    None if that would take long to count.
    """
    rows = conn.execute(_WAITING) if user_ids is None else conn.execute(_THESE, [_json(user_ids)])
    counted = [(user_id, shown, stored) for user_id, shown, stored in rows if shown]
    in_all = sum(shown for _, shown, _ in counted)
    if len(counted) <= 1:
        return Listed(in_all, in_all, sum(stored for *_, stored in counted))
    if in_all > _MOST_COUNTED:
        return None
    distinct, stored = conn.execute(
        """SELECT count(*), count(killmails.killmail_id) FROM (
            SELECT DISTINCT killmail_id FROM user_killmails
            WHERE user_id IN (SELECT value FROM json_each(?)) AND listed) AS mine
        LEFT JOIN killmails USING (killmail_id)""",
        [_json(user_id for user_id, *_ in counted)],
    ).fetchone()
    return Listed(int(distinct), int(in_all), int(stored))


def _json(user_ids: Iterable[int]) -> str:
    return json.dumps(list(user_ids))


def unsynced(
    conn: sqlite3.Connection, *, added_before: float, synced_before: float
) -> tuple[User | None, int]:
    """Return the active user who has waited longest for a sync, and how many wait in all.

    Those wait who were last synced before a time, never and were added before another, or whose
    jobs have all failed since then.
    """
    long_ago = {"added": iso(added_before), "synced": iso(synced_before)}
    longest, number = None, 0
    for since, which in (
        ("added_at", "last_killmail_sync_at IS NULL AND added_at <= :added"),
        ("last_killmail_sync_at", "last_killmail_sync_at <= :synced"),
        ("troubled_since", "troubled_since <= :added AND last_killmail_sync_at > :synced"),
    ):
        found = f"FROM users WHERE state = 'active' AND {which}"
        (some,) = conn.execute(f"SELECT count(*) {found}", long_ago).fetchone()
        number += some
        first = conn.execute(
            f"SELECT user_id, {since} {found} ORDER BY {since} LIMIT 1", long_ago
        ).fetchone()
        if first is not None and (longest is None or first[1] < longest[1]):
            longest = first
    return (None if longest is None else users.get(conn, longest[0])), number
