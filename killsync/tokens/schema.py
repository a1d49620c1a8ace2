"""The token file: its schema, how it is opened, and who is in it."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from sqlite_utils import Database, Migrations

from killsync import files
from killsync.errors import DatabaseError
from killsync.store import reading
from killsync.store.connection import write_transaction
from killsync.store.paths import that_sqlite_opens, token_file
from killsync.store.sqlite_errors import readable_errors

_VERSION = 3

migrations = Migrations("killsync-tokens")


@migrations()
def m001_initial(db: Database) -> None:
    """Create the token tables of killsync 0.1."""
    db.executescript(
        """
        CREATE TABLE tokens (
            user_id INTEGER PRIMARY KEY,
            refresh_token TEXT NOT NULL,
            access_token TEXT,
            access_expires_at REAL,
            owner TEXT,
            claimed_by TEXT,
            claimed_until REAL
        ) STRICT;
        CREATE TABLE sso_documents (
            url TEXT PRIMARY KEY,
            body BLOB NOT NULL,
            fetched_at REAL NOT NULL
        ) STRICT;
        PRAGMA user_version = 1;
        """
    )


@migrations()
def m002_sealed_by(db: Database) -> None:
    """Name the key that both tokens of a row are encrypted with, null if they are plain."""
    db.execute("ALTER TABLE tokens ADD COLUMN sealed_by TEXT")
    db.execute("PRAGMA user_version = 2")


@migrations()
def m003_earlier_tokens(db: Database) -> None:
    """Keep the refresh tokens before the newest until that has proved itself, with spaces between.

    They are encrypted together, with the key of the row.
    """
    db.execute("ALTER TABLE tokens ADD COLUMN earlier_tokens TEXT")
    db.execute("PRAGMA user_version = 3")


def connect(path: Path) -> sqlite3.Connection:
    """Open a token file for one thread, created if necessary and upgraded if it is older.

    What is committed is on disk, and what is deleted is overwritten. Raises DatabaseError if it
    cannot be used, or belongs to another user.
    """
    require_own(path)
    with readable_errors(path):
        files.create_private(path)
        conn = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
    try:
        # judged before it is closed: then there would be file descriptors to spare again
        with readable_errors(path):
            _prepare(path, conn)
        # once more: SQLite uses what it finds, and it has opened all of them by now
        require_own(path)
    except BaseException:
        conn.close()
        raise
    return conn


def require_own(path: Path) -> None:
    """Raise DatabaseError if a token file, or what SQLite keeps beside it, is another user's."""
    for file in that_sqlite_opens(path):
        files.require_own(file)


def _prepare(path: Path, conn: sqlite3.Connection) -> None:
    # a damaged token is one user's trouble, and no error may repeat it
    conn.text_factory = partial(str, encoding="utf-8", errors="replace")
    # what is sorted or copied holds tokens: not in a file of /tmp
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "temp_store = MEMORY",
    ):
        conn.execute(f"PRAGMA {pragma}")
    version = int(conn.execute("PRAGMA user_version").fetchone()[0])
    if version > _VERSION:
        raise DatabaseError(f"{path}: was made by a newer killsync; upgrade it")
    if version < _VERSION:
        db = Database(conn)
        with write_transaction(db):
            migrations.apply(db)


def is_known(conn: sqlite3.Connection) -> bool:
    """Return whether an open file is a token file of a version that this program knows."""
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    table = conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").fetchone()
    return 1 <= version <= _VERSION and table is not None


def holders(database: Path) -> dict[int, str | None]:
    """Return who has a refresh token, with the name of the key it is encrypted with, if it is.

    No token is read. Raises DatabaseError if the file is there and is not a whole token file of
    a version that is known, or belongs to another user.
    """
    path = token_file(database)
    if not path.exists():
        return {}
    require_own(path)
    with readable_errors(path), closing(reading.connect(path)[0]) as conn:
        (found,) = conn.execute("PRAGMA integrity_check(1)").fetchone()
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if found != "ok" or not 1 <= version <= _VERSION:
            raise DatabaseError(f"{path}: is damaged, or not a token file of this version")
        key = "sealed_by" if version > 1 else "NULL"
        return dict(conn.execute(f"SELECT user_id, {key} FROM tokens WHERE refresh_token <> ''"))
