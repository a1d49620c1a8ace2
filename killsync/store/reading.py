"""Opening an SQLite file only to read it, wherever it lies: on a read-only file system too."""

import os
import sqlite3
from pathlib import Path

from killsync.errors import DatabaseError
from killsync.store import wal
from killsync.store.paths import beside_in_use

_READ_ONLY, _UNCHANGING = "mode=ro", "mode=ro&immutable=1"
_LONGEST_VALUE = 1_000_000
_EFFECTIVE = os.access in os.supports_effective_ids
_NOT_WRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def connect(path: Path, *, timeout: float = 60.0) -> tuple[sqlite3.Connection, bool]:
    """Open a file for reading; return also whether it was opened as one that nobody changes.

    SQLite reads a database in WAL mode only where it may create a file beside it. Raises
    DatabaseError if it may not, and commits are in the WAL that are not in the file yet, or half of
    a change that was broken off is in the file.
    """
    conn = _open(path, unchanging=False, timeout=timeout)
    try:
        conn.execute("PRAGMA schema_version")
    except sqlite3.OperationalError as error:
        conn.close()
        if error.sqlite_errorcode & 0xFF not in _NOT_WRITABLE or _may_write_beside(path):
            raise
    except BaseException:
        conn.close()
        raise
    else:
        return conn, False
    journal = beside_in_use(path.resolve())[-1]
    if wal.has_commits(path):
        raise _needed_too(path, wal.file_of(path), "holds commits too")
    if journal.exists() and journal.stat().st_size:
        raise _needed_too(path, journal, "may be needed to undo a change that was broken off")
    return connect_unchanging(path), True


def uri(path: Path, *, unchanging: bool) -> str:
    """Return what SQLite takes for a file that is only read; `unchanging` as `connect` says it."""
    how = _UNCHANGING if unchanging else _READ_ONLY
    return f"{path.absolute().as_uri()}?{how}"


def connect_unchanging(path: Path) -> sqlite3.Connection:
    """Open a file that nobody changes meanwhile, and that has no WAL; none is made beside it."""
    return _open(path, unchanging=True, timeout=0)


def connect_alone(path: Path) -> sqlite3.Connection:
    """Open a file for SQL of a person's own: no SQL leads to another file, or changes this one."""
    conn, _ = connect(path)
    conn.execute("PRAGMA query_only = ON")
    conn.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    # a thousand rows are kept in memory at a time
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    return conn


def _needed_too(path: Path, beside: Path, why: str) -> DatabaseError:
    return DatabaseError(
        f"{path}: cannot be read here, where nothing may be written: {beside.name} beside it "
        f"{why}; copy both to a directory of your own, and name that copy with --db"
    )


def _open(path: Path, *, unchanging: bool, timeout: float) -> sqlite3.Connection:
    opened = uri(path, unchanging=unchanging)
    return sqlite3.connect(
        opened,
        uri=True,
        timeout=timeout,
        isolation_level=None,
        # a feed reads ahead; one thread at a time
        check_same_thread=False,
    )


def _may_write_beside(path: Path) -> bool:
    return os.access(path.resolve().parent, os.W_OK, effective_ids=_EFFECTIVE)
