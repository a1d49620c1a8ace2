"""One run at a time: a write transaction held on a SQLite file beside the database.

The operating system frees it when the process dies, however it dies.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from killsync.errors import DatabaseError, TryLater
from killsync.store.paths import lock_file

# source: SQLite's documentation of its file format: the byte whose lock announces a writer
_RESERVED_BYTE = 0x40000001


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
                raise RunInProgress("another run is in progress; try again when it has ended")
            time.sleep(0.05)
        yield
    finally:
        conn.close()


def is_held(database: Path) -> bool:
    """Return whether a run holds the lock now."""
    file = lock_file(database)
    if not file.exists():
        return False
    if not os.access(file, os.W_OK):
        return _is_locked_by_another_user(file)
    conn = sqlite3.connect(file, timeout=0, isolation_level=None)
    try:
        return not _begin(conn)
    finally:
        conn.close()


def _is_locked_by_another_user(file: Path) -> bool:
    """Look at the lock of a file that may not be written: SQLite would lock nothing on it."""
    try:
        with file.open("rb") as stream:
            # shared, where a run holds it alone; it ends with the stream
            fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _RESERVED_BYTE)
    except BlockingIOError:
        return True
    except OSError:
        return False  # it cannot be seen from here
    return False


def note_overdue(database: Path, now: float) -> None:
    """Remember that somebody was warned of the lock: as the time of its file.

    Nothing is written into it, and whoever holds the lock may block the database too. Raises
    OSError.
    """
    os.utime(lock_file(database), (now, now))


def noted_at(database: Path) -> float:
    """Return when `note_overdue` was called last, or when the file was made, in unix seconds.

    Raises OSError.
    """
    return lock_file(database).stat().st_mtime


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
