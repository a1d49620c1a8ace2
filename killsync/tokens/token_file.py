"""The open token file: a connection for each thread, and SSO's documents."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from killsync.store import room
from killsync.store.connection import write_transaction
from killsync.store.paths import token_file
from killsync.store.sqlite_errors import is_busy, readable_errors
from killsync.tokens import schema as token_schema

_PROOF = "about:blank"
# more than the rows of a character take
_PROOF_SIZE = 24576
# for the answers to all refreshes that may be on their way
_ROOM = 16 * _PROOF_SIZE


class TokenFile:
    """The token file of a database, created when it is first used."""

    def __init__(self, database: Path) -> None:
        self.path = token_file(database)
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    def document(self, url: str) -> tuple[bytes, float] | None:
        """Return a stored SSO document and when it was fetched."""
        row = self._read("SELECT body, fetched_at FROM sso_documents WHERE url = ?", url)
        return None if row is None else (row[0], row[1])

    def keep_document(self, url: str, body: bytes, now: float) -> None:
        """Store an SSO document."""
        self._write("INSERT OR REPLACE INTO sso_documents VALUES (?, ?, ?)", [url, body, now])

    def prove_writable(self) -> None:
        """Write something durably and take it back. Raises DatabaseError if that fails.

        What SSO answers next has room on the disk then.
        """
        self.keep_document(_PROOF, bytes(_PROOF_SIZE), 0.0)
        with readable_errors(self.path), write_transaction(self._db):
            self._db.execute("DELETE FROM sso_documents WHERE url = ?", [_PROOF])
            self._reserve_room()

    def _reserve_room(self) -> None:
        """Keep room on the disk for what SSO answers; the caller holds a write transaction."""
        room.reserve(self.path, _ROOM)

    def _erase(self) -> bool:
        """Leave nothing in the files of what has been overwritten; False if others are in the way.

        secure_delete wipes what killsync deletes, but not what another program has deleted, and
        not the pages in the WAL.
        """
        with readable_errors(self.path):
            try:
                self._db.execute("VACUUM")
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                return False
        return not busy

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

    @contextmanager
    def _synchronous(self, lasting: bool) -> Iterator[None]:
        """Commit what is written within durably or, if a power cut may undo it, without a wait."""
        if lasting:
            yield
            return
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    @property
    def _db(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._open()
        return db

    def _open(self) -> Database:
        conn = token_schema.connect(self.path)
        self._all.append(conn)
        return Database(conn)
