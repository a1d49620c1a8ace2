"""One run at a time: a write transaction held on a SQLite file beside the database.

The operating system frees it when the process dies, however it dies.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from killsync.errors import DatabaseError, TryLater
from killsync.store.paths import lock_file


class RunInProgress(TryLater):
    """Another run holds the lock."""


@contextmanager
def hold(database: Path, *, patience: float = 1.0) -> Iterator[None]:
    """Hold the lock; raise RunInProgress if it is not free within `patience` seconds.

    The file must exist; raise DatabaseError if it cannot be written. A short look by `is_held`
    never makes a run give way.
    """
    file = lock_file(database)
    if not os.access(file, os.W_OK):
        # SQLite would open it for reading, and a transaction on it would hold nothing
        raise DatabaseError(f"{file}: cannot be written; check its permissions and its owner")
    conn = sqlite3.connect(file, timeout=0, isolation_level=None)
    try:
        deadline = time.monotonic() + patience
        while not _begin(conn):
            if time.monotonic() >= deadline:
                raise RunInProgress("another run is in progress")
            time.sleep(0.05)
        yield
    finally:
        conn.close()


def is_held(database: Path) -> bool:
    """Return whether a run holds the lock now."""
    if not lock_file(database).exists():
        return False
    conn = sqlite3.connect(lock_file(database), timeout=0, isolation_level=None)
    try:
        return not _begin(conn)
    finally:
        conn.close()


def _begin(conn: sqlite3.Connection) -> bool:
    try:
        conn.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise
    except sqlite3.DatabaseError as error:
        raise DatabaseError("the .lock file beside the database is damaged: delete it") from error
    return True
