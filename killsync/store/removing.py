"""Removing a user: whose the killmails are that stay or go.

A killmail belongs to every user whose list shows it, or who takes part in it. One that nobody of
ours takes part in, as `import --all` may store, belongs to nobody, and is nobody's to purge.
"""

import sqlite3
from collections.abc import Sequence

from killsync.store import imports, killmails, roles, users
from killsync.store.connection import Store

_BATCH = 1_000
_ALONE = """
SELECT killmail_id FROM user_killmails AS mine WHERE user_id = ?
AND NOT EXISTS (SELECT 1 FROM user_killmails AS other
    WHERE other.killmail_id = mine.killmail_id AND other.user_id <> mine.user_id)
"""


def look_up_whose(store: Store) -> None:
    """Find out, step by step, what is still not known of who takes part in which killmail."""
    while roles.any_to_look_up(store.conn):
        with store.transaction() as conn:
            roles.look_up_next(conn)


def only_of(conn: sqlite3.Connection, user_id: int) -> list[int]:
    """Return the stored killmails that belong to this user and no other."""
    alone = _alone(conn, user_id)
    return [i for some in _batches(alone) for i in killmails.stored_among(conn, some)]


def remove(conn: sqlite3.Connection, user_id: int, *, purge: bool) -> int:
    """Delete a user with its list rows, and what is pending for no other user.

    `purge` also deletes the stored killmails that belong to no other user; archives of which they
    are wanted still are read again by the next import. Returns how many killmails were deleted. The
    caller holds the transaction.
    """
    if purge and roles.any_to_look_up(conn):
        # somebody was registered since `look_up_whose`, and may take part
        for some in _batches(_alone(conn, user_id)):
            roles.look_up(conn, some)
    alone = _alone(conn, user_id)
    stored = only_of(conn, user_id) if purge else []
    conn.executemany("DELETE FROM pending_killmails WHERE killmail_id = ?", [[i] for i in alone])
    users.remove(conn, user_id)
    killmails.remove(conn, stored)
    if stored:
        imports.forget_for_everybody(conn)
    return len(stored)


def _alone(conn: sqlite3.Connection, user_id: int) -> list[int]:
    return [killmail_id for (killmail_id,) in conn.execute(_ALONE, [user_id])]


def _batches(killmail_ids: Sequence[int]) -> list[Sequence[int]]:
    return [killmail_ids[start : start + _BATCH] for start in range(0, len(killmail_ids), _BATCH)]
