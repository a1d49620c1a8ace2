"""Copies of the token file: they hold secrets as it does, and are as private."""

import sqlite3
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

from killsync import files
from killsync.errors import DatabaseError
from killsync.store import copies, reading
from killsync.store.paths import that_sqlite_opens, token_file, token_files, with_sqlite_files
from killsync.tokens import schema


def open_copy(database: Path) -> sqlite3.Connection:
    """Open the token file of a database, or beside a backup of one, for reading.

    Raises DatabaseError unless it is there, whole and of a version that is known.
    """
    file = token_file(database)
    schema.require_own(file)
    return copies.open_whole(file, partial(_check_version, file))


def to_restore(
    backup: sqlite3.Connection, database: Path
) -> AbstractContextManager[copies.PutBack]:
    """Return a context with what puts a copy in place of the token file.

    Raises as `copies.to_put_back`, and DatabaseError if the token file belongs to another user.
    """
    file = token_file(database)
    schema.require_own(file)
    return copies.to_put_back(backup, file, check=partial(_check_version, file))


def left_plain(database: Path) -> list[Path]:
    """Return each file beside the token file that may hold earlier tokens, not encrypted.

    Those are copies, and what a killed program has left of one; what another program writes now is
    not among them. No token is read.
    """
    tokens = token_file(database)
    in_use = {*with_sqlite_files(tokens), *that_sqlite_opens(tokens)}
    return [file for file in token_files(database) if file not in in_use and _may_hold_plain(file)]


def _may_hold_plain(file: Path) -> bool:
    if file.name.endswith("-shm") or not (file.exists() and file.stat().st_size):
        return False
    if files.is_draft(file):
        return not files.is_being_written(file)
    try:
        with closing(reading.connect_unchanging(file)) as conn:
            plain = "SELECT 1 FROM tokens WHERE sealed_by IS NULL AND refresh_token <> ''"
            return conn.execute(plain).fetchone() is not None
    except sqlite3.Error:
        return True  # damaged, a WAL, or from before there were keys


def _check_version(file: Path, conn: sqlite3.Connection) -> None:
    if not schema.is_known(conn):
        raise DatabaseError(f"{file}: is not a token file of this version of killsync")
