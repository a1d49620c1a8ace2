"""Repairs of words and times that no command knows."""

from killsync.model import UserState
from killsync.store import jobs, users
from killsync.store.connection import Store
from killsync.store.verify_columns import BAD_TIME, TIMES, is_unknown
from killsync.times import iso

# where a time cannot be absent, or its absence means something else
_NOT_NULL_TIMES = {
    ("users", "added_at"),
    ("jobs", "queued_at"),
    ("runs", "started_at"),
    ("runs", "finished_at"),
    ("pending_killmails", "set_aside_at"),
    ("imports", "read_at"),
    ("zkb_lists", "read_at"),
    ("outbox", "queued_at"),
    ("outbox", "not_before"),
    ("troubles", "since"),
}


def repair_words(store: Store) -> None:
    """Disable users of no known state, make those of no known kind what they were, queue odd jobs.

    Such a user is disabled because it is no longer known whether it may be synced. What is pending
    came from ESI if a list shows it; an archive of no known source counts as not read. What was
    to be told may have been.
    """
    with store.transaction() as conn:
        for (user_id,) in conn.execute(
            f"SELECT user_id FROM users WHERE {is_unknown('users.state')}"
        ).fetchall():
            users.set_state(conn, user_id, UserState.DISABLED, "the state was lost")
            jobs.drop_open(conn, user_id)
        conn.execute(
            f"""UPDATE users SET kind = iif(user_id IN (SELECT corporation_id FROM directors),
                'corporation', 'character') WHERE {is_unknown("users.kind")}"""
        )
        odd = is_unknown("jobs.state")
        # a user has one open job at most: the one that is there already will do
        conn.execute(f"UPDATE OR IGNORE jobs SET state = 'queued', finished_at = NULL WHERE {odd}")
        conn.execute(f"DELETE FROM jobs WHERE {odd}")
        conn.execute(
            f"""UPDATE pending_killmails SET origin = iif(EXISTS (
                SELECT 1 FROM user_killmails AS u
                WHERE u.killmail_id = pending_killmails.killmail_id AND u.listed), 'esi', 'zkb')
            WHERE {is_unknown("pending_killmails.origin")}"""
        )
        conn.execute(f"DELETE FROM imports WHERE {is_unknown('imports.source')}")
        conn.execute(f"DELETE FROM zkb_lists WHERE {is_unknown('zkb_lists.side')}")
        conn.execute(
            f"""UPDATE outbox SET state = 'uncertain', ended_at = coalesce(ended_at, queued_at)
            WHERE {is_unknown("outbox.state")}"""
        )


def repair_times(store: Store, now: float) -> None:
    """Forget times that are not valid; where there must be one, it becomes now."""
    with store.transaction() as conn:
        for table, columns in TIMES.items():
            for column in columns.split():
                instead = iso(now) if (table, column) in _NOT_NULL_TIMES else None
                conn.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {BAD_TIME.format(column)}", [instead]
                )
