"""Putting a backup of the killmail database back."""

import sqlite3
import time
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from pathlib import Path

from killsync.errors import DatabaseError
from killsync.store import connection, copies, facts, outbox, reading
from killsync.store.verify_bodies import IMPOSSIBLE_SEQ

_SINCE_OUTBOX = 7


def open_backup(file: Path) -> sqlite3.Connection:
    """Open a backup for reading. Raises DatabaseError unless it is whole and known."""
    return copies.open_whole(file, partial(_check_backup, file))


def contents(conn: sqlite3.Connection) -> tuple[int, int, str | None]:
    """Return how many users and killmails a database holds, and when the last was stored."""
    (users,) = conn.execute("SELECT count(*) FROM users").fetchone()
    killmails, stored_at = conn.execute("SELECT count(*), max(stored_at) FROM killmails").fetchone()
    return users, killmails, stored_at


def to_restore(
    backup: sqlite3.Connection, database: Path
) -> AbstractContextManager[copies.PutBack]:
    """Return a context with what puts a backup in place of the database.

    The caller holds the lock. What is missing since is found by the next scan: each user's stored
    id and ETag are the backup's, so that lists are read down to where it ends. What is stored
    after that gets numbers that no program has seen before. Raises as `copies.to_put_back`.
    """
    last = _last_number(database)
    return copies.to_put_back(
        backup,
        database,
        check=partial(connection.check_whose, database),
        adapt=lambda copy: _continue_after(copy, last),
    )


def _check_backup(file: Path, conn: sqlite3.Connection) -> None:
    connection.check_known(file, conn)
    if conn.execute("PRAGMA user_version").fetchone()[0] == 0:
        raise DatabaseError(f"{file}: is not a killsync database")


def _last_number(database: Path) -> int:
    """Return the highest number of the feed, as far as the database can still be read."""
    if not database.exists():
        return 0
    with (
        suppress(sqlite3.Error, DatabaseError),
        closing(reading.connect(database)[0]) as conn,
    ):
        number = facts.last_stored_seq(conn)
        return number if 0 < number < IMPOSSIBLE_SEQ else 0
    return 0


def _continue_after(copy: sqlite3.Connection, last: int) -> None:
    copy.execute("UPDATE facts SET value = max(value, ?) WHERE name = 'stored_seq'", [last])
    if copy.execute("PRAGMA user_version").fetchone()[0] >= _SINCE_OUTBOX:
        outbox.start_over(copy, time.time())
    else:
        # the upgrade reads it: the lists of this database show what may have been told since
        copy.execute("INSERT OR REPLACE INTO facts VALUES ('restored', 1)")
