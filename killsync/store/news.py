"""What is news: what a list shows once all that it held before was recorded."""

import json
import sqlite3
from collections.abc import Sequence

from killsync.times import iso


def note_complete(conn: sqlite3.Connection, user_id: int, now: float) -> None:
    """Remember that a user's list was read to its end, if no gap is open and it is the first time.

    The caller has recorded how far the list is done, in the same transaction.
    """
    conn.execute(
        """UPDATE users SET complete_since = ?
        WHERE user_id = ? AND complete_since IS NULL AND backfill_page IS NULL""",
        [iso(now), user_id],
    )


def is_complete(conn: sqlite3.Connection, user_id: int) -> bool:
    """Return whether a user's first pass over the whole list has ended."""
    row = conn.execute(
        "SELECT 1 FROM users WHERE user_id = ? AND complete_since IS NOT NULL", [user_id]
    )
    return row.fetchone() is not None


def mark(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Note of pending killmails that they are news for some user."""
    conn.execute(
        "UPDATE pending_killmails SET fresh = 1 WHERE killmail_id IN"
        " (SELECT value FROM json_each(?))",
        [json.dumps(list(killmail_ids))],
    )


def among(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> list[int]:
    """Return which of these pending killmails are news."""
    rows = conn.execute(
        "SELECT killmail_id FROM pending_killmails WHERE fresh AND killmail_id IN"
        " (SELECT value FROM json_each(?))",
        [json.dumps(list(killmail_ids))],
    )
    return [killmail_id for (killmail_id,) in rows]
