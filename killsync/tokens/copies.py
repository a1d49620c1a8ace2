"""Copies of the token file: they hold secrets as it does, and are as private."""

import sqlite3
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from killsync.errors import DatabaseError
from killsync.store import copies
from killsync.store.paths import token_file
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


def _check_version(file: Path, conn: sqlite3.Connection) -> None:
    if not schema.is_known(conn):
        raise DatabaseError(f"{file}: is not a token file of this version of killsync")
