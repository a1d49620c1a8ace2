"""Repairs of what `check` has found: short transactions, each of which leaves a whole database.

Whoever calls holds the lock. What a body or a list has lost is not invented: it is marked so
that the next scan asks ESI again.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from killsync.model import Priority, UserState
from killsync.store import imports, jobs, killmails, users
from killsync.store.connection import Store
from killsync.store.verify import (
    BAD_HASH,
    NUMBERS,
    STORED,
    UNLISTED,
    bad_limits,
    expected_schema,
)
from killsync.store.verify_bodies import IMPOSSIBLE_SEQ

_BATCH = 500

# a table, its column, and the table whose key that is
_OWNED = (
    ("attackers", "killmail_id", "killmails"),
    ("items", "killmail_id", "killmails"),
    ("killmail_values", "killmail_id", "killmails"),
    ("user_killmails", "user_id", "users"),
    ("jobs", "user_id", "users"),
    ("directors", "corporation_id", "users"),
    ("directors", "character_id", "users"),
    ("zkb_lists", "user_id", "users"),
)
_KEYS = {"killmails": "killmail_id", "users": "user_id"}


def add_missing(store: Store, missing_kind: str) -> None:
    """Make killsync's own indexes, or triggers, again that are missing, if nothing forbids it."""
    there = {name for (name,) in store.conn.execute("SELECT lower(name) FROM sqlite_master")}
    missing = [
        sql
        for name, (kind, sql) in expected_schema().items()
        if kind == missing_kind and name not in there
    ]
    for sql in missing:
        with suppress(sqlite3.IntegrityError):
            store.conn.execute(sql)


def delete_orphans(store: Store) -> None:
    """Delete rows that have lost the row they belong to."""
    for table, column, owner in _OWNED:
        of = f"{table}.{column}"
        orphan = f"NOT EXISTS (SELECT 1 FROM {owner} WHERE {owner}.{_KEYS[owner]} = {of})"
        lost = store.conn.execute(f"SELECT DISTINCT {of} FROM {table} WHERE {orphan}").fetchall()
        for some in _batches(lost):
            with store.transaction() as conn:
                conn.executemany(f"DELETE FROM {table} WHERE {of} = ? AND {orphan}", some)


def ask_again(store: Store, failing: Sequence[tuple[int, str | None]], now: float) -> None:
    """Delete failing bodies and put them back to pending, each with the hash to ask with.

    Without a hash the list rows go instead, and the lists are read again; a body that neither
    a hash nor a list can bring back stays as it is.
    """
    for some in _batches(failing):
        with store.transaction() as conn:
            gone = [
                killmail_id
                for killmail_id, killmail_hash in some
                if _ask_again(conn, killmail_id, killmail_hash, now)
            ]
            killmails.remove(conn, gone)
            _recount(conn, _everyone(conn))


def _ask_again(
    conn: sqlite3.Connection, killmail_id: int, killmail_hash: str | None, now: float
) -> bool:
    listing = _listing(conn, killmail_id)
    if killmail_hash is None:
        _unlist(conn, [killmail_id], now)
        return bool(listing)
    priority = Priority.BACKGROUND if listing else Priority.KEPT
    # one that was purged since it was checked must not come back; whatever it was imported from,
    # the body will be ESI's now
    conn.execute(
        """INSERT OR REPLACE INTO pending_killmails (killmail_id, killmail_hash, priority, origin)
        SELECT killmail_id, ?, ?, iif(origin = 'zkb', 'zkb', 'esi')
        FROM killmails WHERE killmail_id = ?""",
        [killmail_hash, priority, killmail_id],
    )
    return True


def ask_for_set_aside(store: Store) -> None:
    """Make the next scan ask once more for what was set aside."""
    with store.transaction() as conn:
        conn.execute(
            "UPDATE pending_killmails SET not_before = NULL WHERE set_aside_at IS NOT NULL"
        )


def repair_pending(store: Store, now: float) -> None:
    """Forget what is pending although it is stored, or although no user's list shows it.

    What has no usable hash is forgotten too, and its users' lists are read again.
    """
    with store.transaction() as conn:
        rows = conn.execute(f"SELECT killmail_id FROM pending_killmails WHERE {BAD_HASH}")
        _unlist(conn, [killmail_id for (killmail_id,) in rows], now)
        conn.execute(f"DELETE FROM pending_killmails WHERE {STORED} OR ({UNLISTED}) OR {BAD_HASH}")
        _recount(conn, _everyone(conn))


def forget_lost(store: Store, user_id: int, now: float) -> None:
    """Drop a user's list rows that are neither stored nor pending; the list is read again."""
    with store.transaction() as conn:
        conn.execute(
            """DELETE FROM user_killmails WHERE user_id = ?
            AND NOT EXISTS (SELECT 1 FROM killmails
                WHERE killmails.killmail_id = user_killmails.killmail_id)
            AND NOT EXISTS (SELECT 1 FROM pending_killmails
                WHERE pending_killmails.killmail_id = user_killmails.killmail_id)""",
            [user_id],
        )
        _read_lists_again(conn, [user_id], now)
        _recount(conn, [user_id])


def repair_cursor(store: Store, user_id: int, now: float) -> None:
    """Make a user's cursor vouch only for what is recorded; the list is read again.

    An open gap starts at page 2 again and goes to the end of the list.
    """
    columns = [name for _, name, *_ in store.conn.execute("PRAGMA table_info(users)")]
    of_gap = [c for c in columns if c.startswith("backfill_") and c != "backfill_page"]
    with store.transaction() as conn:
        conn.execute(
            f"""UPDATE users SET {"".join(f"{column} = NULL, " for column in of_gap)}
                last_killmail_id = (
                    SELECT max(killmail_id) FROM user_killmails
                    WHERE user_id = :user AND listed),
                backfill_page = iif(backfill_page IS NULL, NULL, 2)
            WHERE user_id = :user""",
            {"user": user_id},
        )
        _read_lists_again(conn, [user_id], now)


def recount(store: Store, user_id: int, now: float) -> None:
    """Count a user's killmails again; if list rows were lost, the list is read again."""
    with store.transaction() as conn:
        before = _counted(conn, user_id)
        _recount(conn, [user_id])
        if _counted(conn, user_id) < before:
            _read_lists_again(conn, [user_id], now)


def repair_feed(store: Store) -> None:
    """Set the counter of the change feed above every number that is in use."""
    with store.transaction() as conn:
        conn.execute(
            f"""INSERT INTO facts
            SELECT 'stored_seq', coalesce(max(stored_seq), 0) FROM ({NUMBERS})
            WHERE stored_seq < {IMPOSSIBLE_SEQ}
            ON CONFLICT (name) DO UPDATE SET
                value = max(excluded.value, iif(typeof(value) = 'integer', value, 0))"""
        )


def repair_imports(store: Store) -> None:
    """Have archives read again for whoever may have been added since."""
    with store.transaction() as conn:
        imports.repair_counter(conn)


def repair_jobs(store: Store) -> None:
    """Queue what is stuck again, and leave each user one open job."""
    with store.transaction() as conn:
        conn.execute(
            """DELETE FROM jobs WHERE state IN ('queued', 'running') AND EXISTS (
                SELECT 1 FROM jobs AS other WHERE other.user_id = jobs.user_id
                AND other.state IN ('queued', 'running') AND other.id < jobs.id)"""
        )
        jobs.give_back_all(conn)


def forget_bad_limits(store: Store) -> None:
    """Forget rate limits whose spending cannot be read."""
    with store.transaction() as conn:
        conn.executemany(
            'DELETE FROM rate_limits WHERE "group" = ? AND "key" = ?', bad_limits(conn)
        )


def needs_login(store: Store, user_id: int) -> None:
    """Stop asking for a user without a token."""
    with store.transaction() as conn:
        error = "there is no token for this character"
        users.set_state(conn, user_id, UserState.NEEDS_LOGIN, error)
        jobs.drop_open(conn, user_id)


def _batches(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


def _listing(conn: sqlite3.Connection, killmail_id: int) -> list[int]:
    rows = conn.execute(
        "SELECT user_id FROM user_killmails WHERE killmail_id = ? AND listed", [killmail_id]
    )
    return [user_id for (user_id,) in rows]


def _everyone(conn: sqlite3.Connection) -> list[int]:
    return [user_id for (user_id,) in conn.execute("SELECT user_id FROM users")]


def _unlist(conn: sqlite3.Connection, killmail_ids: Iterable[int], now: float) -> None:
    for killmail_id in killmail_ids:
        listing = _listing(conn, killmail_id)
        conn.execute("DELETE FROM user_killmails WHERE killmail_id = ?", [killmail_id])
        _read_lists_again(conn, listing, now)


def _read_lists_again(conn: sqlite3.Connection, user_ids: Sequence[int], now: float) -> None:
    """Make the next scan read whole lists, as if nothing were known of them."""
    conn.executemany(
        """UPDATE users SET last_full_at = NULL, list_etag = NULL, list_cached_until = NULL,
            backfill_cached_until = NULL WHERE user_id = ?""",
        [[user_id] for user_id in user_ids],
    )
    active = [
        user_id
        for user_id in user_ids
        if conn.execute(
            "SELECT 1 FROM users WHERE user_id = ? AND state = 'active'", [user_id]
        ).fetchone()
    ]
    jobs.queue(conn, active, Priority.BACKGROUND, now, full=True, at_once=True)


def _counted(conn: sqlite3.Connection, user_id: int) -> int:
    return int(conn.execute("SELECT listed FROM users WHERE user_id = ?", [user_id]).fetchone()[0])


def _recount(conn: sqlite3.Connection, user_ids: Iterable[int]) -> None:
    conn.executemany(
        """UPDATE users SET
            listed = (SELECT count(*) FROM user_killmails AS mine
                WHERE mine.user_id = users.user_id AND mine.listed),
            killmails = (SELECT count(*) FROM user_killmails AS mine
                JOIN killmails ON killmails.killmail_id = mine.killmail_id
                WHERE mine.user_id = users.user_id AND mine.listed)
        WHERE user_id = ?""",
        [[user_id] for user_id in user_ids],
    )
