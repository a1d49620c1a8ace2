"""Putting a backup of the killmail database back."""

import sqlite3
import time
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from pathlib import Path

import msgspec

from killsync.errors import DatabaseError
from killsync.store import connection, copies, facts, outbox, reading
from killsync.store.verify_bodies import IMPOSSIBLE_SEQ

_SINCE_OUTBOX = 7
_SINCE_REMOVED = 8
_REMOVED_SEQ = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'removed_killmails'"


class Numbers(msgspec.Struct, frozen=True):
    """The highest numbers of the change feed that were ever given, 0 where none is known."""

    stored: int = 0
    removed: int = 0


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
    last = _last_numbers(database)
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


def _last_numbers(database: Path) -> Numbers:
    """Return the highest numbers of the feed, as far as the database can still be read."""
    if not database.exists():
        return Numbers()
    with (
        suppress(sqlite3.Error, DatabaseError),
        closing(reading.connect(database)[0]) as conn,
    ):
        removed = _removed_seq(conn) if _version(conn) >= _SINCE_REMOVED else 0
        return Numbers(_possible(facts.last_stored_seq(conn)), _possible(removed))
    return Numbers()


def _possible(number: int) -> int:
    return number if 0 < number < IMPOSSIBLE_SEQ else 0


def _version(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA user_version").fetchone()[0])


def _removed_seq(conn: sqlite3.Connection) -> int:
    return int(conn.execute(_REMOVED_SEQ).fetchone()[0])


def _continue_after(copy: sqlite3.Connection, last: Numbers) -> None:
    version = _version(copy)
    facts.begin_lineage(copy)
    copy.execute("UPDATE facts SET value = max(value, ?) WHERE name = 'stored_seq'", [last.stored])
    if version >= _SINCE_REMOVED:
        removed = max(_removed_seq(copy), last.removed)
        copy.execute("DELETE FROM sqlite_sequence WHERE name = 'removed_killmails'")
        copy.execute("INSERT INTO sqlite_sequence VALUES ('removed_killmails', ?)", [removed])
    else:
        # the upgrade reads it
        copy.execute("INSERT OR REPLACE INTO facts VALUES ('removed_seq', ?)", [last.removed])
    if version >= _SINCE_OUTBOX:
        outbox.start_over(copy, time.time())
    else:
        # the upgrade reads it: the lists of this database show what may have been told since
        copy.execute("INSERT OR REPLACE INTO facts VALUES ('restored', 1)")
