"""A few figures for monitoring: each from an index or a counter, but for the users, who are few."""

import sqlite3
from collections.abc import Mapping

from killsync.times import unix_or_none


def last_success(conn: sqlite3.Connection) -> float | None:
    """Return when a scan or a sync last ended without an error, in unix seconds."""
    row = conn.execute(
        """SELECT finished_at FROM runs WHERE exit_code = 0 AND command IN ('scan', 'sync')
        ORDER BY id DESC LIMIT 1"""
    ).fetchone()
    return None if row is None else unix_or_none(row[0])


def oldest_sync(conn: sqlite3.Connection) -> float | None:
    """Return the last sync of the active user whose last sync is the oldest, in unix seconds.

    None if no active user has ever been synced.
    """
    (moment,) = conn.execute(
        "SELECT min(last_killmail_sync_at) FROM users WHERE state = 'active'"
    ).fetchone()
    return unix_or_none(moment)


def users(conn: sqlite3.Connection) -> Mapping[tuple[str, str], int]:
    """Return how many users there are of each kind and state that occurs."""
    rows = conn.execute("SELECT kind, state, count(*) FROM users GROUP BY kind, state")
    return {(kind, state): number for kind, state, number in rows}
