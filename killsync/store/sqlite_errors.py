"""SQLite's errors, in words for a person."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from killsync.errors import DatabaseBusy, DatabaseError, OutOfFiles
from killsync.store import wal

_DISK_FULL = "the disk is full; what was committed is safe, free some space"

_DAMAGED = (
    "is damaged, and was not changed: put a backup back with `killsync restore`, or save what can "
    "be read into a new file with `sqlite3 killsync.db .recover`"
)


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into DatabaseError that names the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if _out_of_files():
            raise OutOfFiles from error
        kind = DatabaseBusy if is_busy(error) else DatabaseError
        raise kind(f"{path}: {_advice(error, path)}") from error


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another program keeps the database locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def disk_is_full(path: Path) -> DatabaseError:
    """Return the error of a file that there is no room for."""
    return DatabaseError(f"{path}: {_DISK_FULL}")


def foreign_wal(path: Path) -> str:
    """Return what to do about a WAL that belongs to another copy of the database."""
    name = wal.file_of(path).name
    return (
        f"{name} beside it belongs to another copy of the database, as when a copy was put over "
        f"it: move {name} and {name[:-3]}shm away, or put a backup back with `killsync restore`"
    )


def _out_of_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _advice(error: sqlite3.Error, path: Path) -> str:
    code = getattr(error, "sqlite_errorcode", 0)
    # no room for what SQLite keeps beside a database that is in use
    code = sqlite3.SQLITE_FULL if code == sqlite3.SQLITE_IOERR_SHMSIZE else code & 0xFF
    if code == sqlite3.SQLITE_CORRUPT and wal.has_commits(path) and wal.is_whole_alone(path):
        return foreign_wal(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) and _is_on_read_only(path):
        return "is on a read-only file system; name a copy elsewhere with --db"
    return {
        sqlite3.SQLITE_NOTADB: "is not an SQLite database; name another with --db",
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_READONLY: "cannot be written; check the permissions of it and its directory",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the permissions of it and its directory",
        sqlite3.SQLITE_FULL: _DISK_FULL,
        sqlite3.SQLITE_IOERR: "cannot be read or written; what was committed is safe, check "
        "the disk and its free space",
        sqlite3.SQLITE_BUSY: "another program keeps it locked; try again later",
    }.get(code, _quote(error))


def _is_on_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _quote(error: sqlite3.Error) -> str:
    # Python quotes the bytes that are not UTF-8, which may be a token
    if "decode" in str(error):
        return "holds text that is not valid UTF-8; `killsync check` says where"
    return f"SQLite says: {error}"
