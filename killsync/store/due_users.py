"""Which users may be due for a sync."""

import sqlite3
from collections.abc import Iterator

from killsync.model import User
from killsync.store import users
from killsync.times import iso, iso_after

# each branch has its index; a sync time in the future is a wrong clock's
_DUE_IDS = """
    SELECT user_id FROM users WHERE state = 'active' AND backfill_page IS NOT NULL
    UNION SELECT user_id FROM users WHERE state = 'active' AND last_killmail_sync_at IS NULL
    UNION SELECT user_id FROM users WHERE state = 'active' AND last_killmail_sync_at <= :aged
    UNION SELECT user_id FROM users WHERE state = 'active' AND last_killmail_sync_at > :now
    UNION SELECT user_id FROM users WHERE state = 'needs_login'
        AND (not_before <= :now OR not_before > :illegal OR refused_client <> :client_id)"""


def maybe_due(
    conn: sqlite3.Connection, now: float, min_age: float, client_id: str
) -> Iterator[User]:
    """Return the active users with an open gap, never synced, or synced `min_age` ago or more.

    Also those who need a login, if their token may be tried once more.

    `schedule.is_due` decides; this only keeps it from reading every user.
    """
    return users.where(
        conn,
        f"user_id IN ({_DUE_IDS}) ORDER BY last_killmail_sync_at, user_id",
        {
            "aged": iso(now - min_age),
            "now": iso(now),
            "illegal": iso_after(now + users.LONGEST_WAIT),
            "client_id": client_id,
        },
    )
