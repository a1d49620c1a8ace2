"""Tokens, in a file of their own beside the database: the only place with secrets.

Each thread that refreshes has its own connection, so that a rotated refresh token is on disk
as soon as SSO has answered.
"""

import os
import socket
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from sqlite_utils import Database, Migrations

from killsync.errors import DatabaseError
from killsync.store.connection import make_private_file, token_file, write_transaction
from killsync.store.sqlite_errors import readable_errors

_VERSION = 1
_LONGEST_CLAIM = 120.0
_PROOF = "about:blank"
# more than the rows of a character take
_PROOF_SIZE = 16384

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


class Token(msgspec.Struct, frozen=True):
    """A character's tokens; `__repr__` keeps them out of logs and tracebacks."""

    refresh_token: str
    access_token: str | None = None
    access_expires_at: float | None = None

    def __repr__(self) -> str:
        return "Token(...)"


def holders(database: Path) -> set[int]:
    """Return the characters who have a refresh token, and read no token.

    Raises DatabaseError if the file is there and is not a whole token file of this version.
    """
    path = token_file(database)
    if not path.exists():
        return set()
    with (
        readable_errors(path),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn,
    ):
        (found,) = conn.execute("PRAGMA integrity_check(1)").fetchone()
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if found != "ok" or version != _VERSION:
            raise DatabaseError(f"{path}: is damaged, or no token file of this version")
        rows = conn.execute("SELECT user_id FROM tokens WHERE refresh_token <> ''")
        return {user_id for (user_id,) in rows}


class Tokens:
    """The token file of a database."""

    def __init__(self, database: Path) -> None:
        self.path = token_file(database)
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    def get(self, user_id: int) -> Token | None:
        """Return a character's tokens, None if there are none."""
        row = self._read(
            "SELECT refresh_token, access_token, access_expires_at FROM tokens WHERE user_id = ?",
            user_id,
        )
        return None if row is None else Token(*row)

    def owner(self, user_id: int) -> str | None:
        """Return whose account a character belonged to at its last login, None if unknown."""
        row = self._read("SELECT owner FROM tokens WHERE user_id = ?", user_id)
        return None if row is None else row[0]

    def put(self, user_id: int, token: Token, owner: str | None = None) -> None:
        """Store tokens durably, in place of earlier ones."""
        self._write(
            """INSERT INTO tokens (user_id, refresh_token, access_token, access_expires_at, owner)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (user_id) DO UPDATE SET refresh_token = ?2, access_token = ?3,
                access_expires_at = ?4, owner = coalesce(?5, owner), claimed_by = NULL,
                claimed_until = NULL""",
            [user_id, token.refresh_token, token.access_token, token.access_expires_at, owner],
        )

    def renew(self, user_id: int, token: Token) -> bool:
        """Store what a refresh under a claim has brought.

        Returns False if the claim is gone: the character was removed or renewed meanwhile.
        """
        with readable_errors(self.path), write_transaction(self._db):
            changed = self._db.execute(
                """UPDATE tokens SET refresh_token = ?, access_token = ?, access_expires_at = ?,
                    claimed_by = NULL, claimed_until = NULL
                WHERE user_id = ? AND claimed_by = ?""",
                [
                    token.refresh_token,
                    token.access_token,
                    token.access_expires_at,
                    user_id,
                    _myself(),
                ],
            ).rowcount
        return changed == 1

    def forget_access(self, user_id: int, access_token: str) -> None:
        """Drop an access token that ESI does not accept."""
        self._write(
            "UPDATE tokens SET access_token = NULL, access_expires_at = NULL"
            " WHERE user_id = ? AND access_token = ?",
            [user_id, access_token],
        )

    def remove(self, user_id: int, token: Token | None = None) -> bool:
        """Delete a character's tokens; given a `token`, only if it is still his.

        Returns False if he has another one now.
        """
        with readable_errors(self.path), write_transaction(self._db):
            now = self.get(user_id)
            if token is not None and now is not None and now.refresh_token != token.refresh_token:
                return False
            self._db.execute("DELETE FROM tokens WHERE user_id = ?", [user_id])
        return True

    def claim(self, user_id: int, now: float) -> bool:
        """Claim the only refresh of a character at a time; False if another process has it.

        A claim ends with `put` or `release`, after two minutes, or with its process.
        """
        # a claim is for processes that live: it need not survive a power cut
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            return self._claim(user_id, now)
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def _claim(self, user_id: int, now: float) -> bool:
        with readable_errors(self.path), write_transaction(self._db):
            row = self._db.execute(
                "SELECT claimed_by, claimed_until FROM tokens WHERE user_id = ?", [user_id]
            ).fetchone()
            if row is not None and row[0] and _is_held(row[0], row[1], now):
                return False
            self._db.execute(
                "UPDATE tokens SET claimed_by = ?, claimed_until = ? WHERE user_id = ?",
                [_myself(), now + _LONGEST_CLAIM, user_id],
            )
        return True

    def release(self, user_id: int) -> None:
        """Give up a claim without a new token."""
        self._write(
            "UPDATE tokens SET claimed_by = NULL, claimed_until = NULL"
            " WHERE user_id = ? AND claimed_by = ?",
            [user_id, _myself()],
        )

    def document(self, url: str) -> tuple[bytes, float] | None:
        """Return a stored SSO document and when it was fetched."""
        row = self._read("SELECT body, fetched_at FROM sso_documents WHERE url = ?", url)
        return None if row is None else (row[0], row[1])

    def keep_document(self, url: str, body: bytes, now: float) -> None:
        """Store an SSO document."""
        self._write("INSERT OR REPLACE INTO sso_documents VALUES (?, ?, ?)", [url, body, now])

    def prove_writable(self) -> None:
        """Write something durably and take it back. Raises DatabaseError if that fails."""
        self.keep_document(_PROOF, bytes(_PROOF_SIZE), 0.0)
        self._write("DELETE FROM sso_documents WHERE url = ?", [_PROOF])

    def close(self) -> None:
        """Close every thread's connection; the threads have ended."""
        for conn in self._all:
            conn.close()

    def _read(self, sql: str, key: int | str) -> tuple[Any, ...] | None:
        with readable_errors(self.path):
            row: tuple[Any, ...] | None = self._db.execute(sql, [key]).fetchone()
            return row

    def _write(self, sql: str, parameters: list[object]) -> None:
        with readable_errors(self.path), write_transaction(self._db):
            self._db.execute(sql, parameters)

    @property
    def _db(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._open()
        return db

    def _open(self) -> Database:
        with readable_errors(self.path):
            make_private_file(self.path)
            conn = sqlite3.connect(
                self.path, timeout=60.0, isolation_level=None, check_same_thread=False
            )
            self._all.append(conn)
            # a damaged token is one user's trouble, and no error may repeat it
            conn.text_factory = partial(str, encoding="utf-8", errors="replace")
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                conn.execute(f"PRAGMA {pragma}")
            db = Database(conn)
            version = int(conn.execute("PRAGMA user_version").fetchone()[0])
            if version > _VERSION:
                raise DatabaseError(f"{self.path}: was made by a newer killsync; upgrade it")
            if version < _VERSION:
                with write_transaction(db):
                    migrations.apply(db)
        return db


def _myself() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_held(claimed_by: str, until: float, now: float) -> bool:
    if not now <= until <= now + _LONGEST_CLAIM or claimed_by == _myself():
        return False
    host, _, pid = claimed_by.rpartition(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
