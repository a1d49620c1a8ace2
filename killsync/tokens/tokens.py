"""Tokens, in a file of their own beside the database: the only place with secrets.

Each thread that refreshes has its own connection, so that a rotated refresh token is on disk
as soon as SSO has answered.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlite_utils import Database

from killsync.errors import TokenKeyMissing
from killsync.store.connection import write_transaction
from killsync.store.paths import token_file
from killsync.store.sqlite_errors import is_busy, readable_errors
from killsync.tokens import claims
from killsync.tokens import schema as token_schema
from killsync.tokens.sealing import Key, Keyring

_PROOF = "about:blank"
# more than the rows of a character take
_PROOF_SIZE = 16384


class Token(msgspec.Struct, frozen=True):
    """A character's tokens; `__repr__` keeps them out of logs and tracebacks."""

    refresh_token: str
    access_token: str | None = None
    access_expires_at: float | None = None

    def __repr__(self) -> str:
        return "Token(...)"

    @property
    def is_damaged(self) -> bool:
        """Whether the refresh token cannot be one that SSO gave: those are ASCII."""
        return not self.refresh_token or not self.refresh_token.isascii()


class Rekeyed(msgspec.Struct, frozen=True):
    """What `rekey` has done: how many characters' tokens it has stored again.

    The tokens of the `damaged` could not be read, and are as they were. `erased` says whether no
    copy of what was stored before is left in SQLite's files.
    """

    tokens: int
    damaged: list[int]
    erased: bool


class Tokens:
    """The token file of a database.

    With a keyring, what is written is encrypted with its first key; plain tokens are read all the
    same. What reads tokens raises TokenKeyMissing if their key is not on the keyring. A token that
    is damaged is read as one that is not ASCII.
    """

    def __init__(self, database: Path, keys: Keyring | None = None) -> None:
        self.path = token_file(database)
        self._keys = keys or Keyring()
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    def require_keys(self) -> None:
        """Raise TokenKeyMissing unless the keys of all tokens are there."""
        with readable_errors(self.path):
            names = self._db.execute("SELECT DISTINCT sealed_by FROM tokens").fetchall()
        for (name,) in names:
            self._key(name)

    def get(self, user_id: int) -> Token | None:
        """Return a character's tokens, None if there are none."""
        row = self._read(
            "SELECT refresh_token, access_token, access_expires_at, sealed_by"
            " FROM tokens WHERE user_id = ?",
            user_id,
        )
        return None if row is None else self._opened(*row)

    def owner(self, user_id: int) -> str | None:
        """Return whose account a character belonged to at its last login, None if unknown."""
        row = self._read("SELECT owner FROM tokens WHERE user_id = ?", user_id)
        return None if row is None else row[0]

    def put(self, user_id: int, token: Token, owner: str | None = None) -> None:
        """Store tokens durably, in place of earlier ones."""
        with readable_errors(self.path), write_transaction(self._db):
            self._db.execute(
                """INSERT INTO tokens (user_id, refresh_token, access_token, access_expires_at,
                    sealed_by, owner)
                VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (user_id) DO UPDATE SET refresh_token = excluded.refresh_token,
                    access_token = excluded.access_token,
                    access_expires_at = excluded.access_expires_at,
                    sealed_by = excluded.sealed_by, owner = coalesce(excluded.owner, owner),
                    claimed_by = NULL, claimed_until = NULL""",
                [user_id, *_sealed(token, self._keys.first()), owner],
            )

    def renew(self, user_id: int, token: Token) -> bool:
        """Store what a refresh under a claim has brought; durably, if the refresh token is new.

        Returns False if the claim is gone: the character was removed or renewed meanwhile.
        """
        lasting = not self._holds(user_id, token.refresh_token)
        with self._synchronous(lasting), readable_errors(self.path), write_transaction(self._db):
            # the key is looked up within the transaction: `rekey` comes before it, or after
            changed = self._db.execute(
                """UPDATE tokens SET refresh_token = ?, access_token = ?, access_expires_at = ?,
                    sealed_by = ?, claimed_by = NULL, claimed_until = NULL
                WHERE user_id = ? AND claimed_by = ?""",
                [*_sealed(token, self._keys.first()), user_id, claims.myself()],
            ).rowcount
        return changed == 1

    def _holds(self, user_id: int, refresh_token: str) -> bool:
        # asked before the transaction: `rekey` changes how a token is stored, never which
        try:
            known = self.get(user_id)
        except TokenKeyMissing:  # what SSO has replaced must be stored all the same
            return False
        return known is not None and known.refresh_token == refresh_token

    def rekey(self, *, plain: bool = False, make_key: Callable[[], None] | None = None) -> Rekeyed:
        """Store every token again, encrypted with the first key, or `plain`: all of them or none.

        `make_key` puts a new one first, once it is certain that the others are there; no other
        process does so meanwhile. Other processes may go on. Raises TokenKeyMissing if a token
        cannot be opened, and what `make_key` raises.
        """
        damaged, done = [], 0
        with readable_errors(self.path), write_transaction(self._db):
            if make_key is not None:
                self.require_keys()
                make_key()
            key = None if plain else self._keys.first()
            for user_id, *row in self._db.execute(
                "SELECT user_id, refresh_token, access_token, access_expires_at, sealed_by"
                " FROM tokens"
            ).fetchall():
                token = self._opened(*row)
                if token.is_damaged:
                    damaged.append(user_id)
                    continue
                done += 1
                self._db.execute(
                    """UPDATE tokens SET refresh_token = ?, access_token = ?,
                        access_expires_at = ?, sealed_by = ? WHERE user_id = ?""",
                    [*_sealed(token, key), user_id],
                )
        return Rekeyed(done, damaged, self._erase())

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

    def _opened(
        self, refresh: str, access: str | None, expires_at: float | None, sealed_by: str | None
    ) -> Token:
        key = self._key(sealed_by)
        if key is not None:
            refresh, access = key.open(refresh), access and key.open(access)
        return Token(refresh, access, expires_at)

    def _key(self, name: str | None) -> Key | None:
        """Return the key of a name, None for plain tokens. Raises TokenKeyMissing."""
        if name is None:
            return None
        key = self._keys.named(name)
        if key is None:
            what = "another key than is configured" if self._keys.first() else "a key"
            raise TokenKeyMissing(
                f"{self.path}: holds tokens that are encrypted with {what}: set token_key_file or "
                "KILLSYNC_TOKEN_KEY to the key. No token is lost. Only if the key is, delete this "
                "file and log in again with `killsync login --another`"
            )
        return key

    def forget_access(self, user_id: int, access_token: str) -> None:
        """Drop an access token that ESI does not accept."""
        with readable_errors(self.path), write_transaction(self._db):
            token = self.get(user_id)
            if token is not None and token.access_token == access_token:
                self._db.execute(
                    "UPDATE tokens SET access_token = NULL, access_expires_at = NULL"
                    " WHERE user_id = ?",
                    [user_id],
                )

    def remove(self, user_id: int, token: Token | None = None) -> bool:
        """Delete a character's tokens; given a `token`, only if it is still the stored one.

        Returns False if there is another one now.
        """
        with readable_errors(self.path), write_transaction(self._db):
            now = token and self.get(user_id)
            if token and now and now.refresh_token != token.refresh_token:
                return False
            self._db.execute("DELETE FROM tokens WHERE user_id = ?", [user_id])
        return True

    def claim(self, user_id: int, now: float) -> bool:
        """Claim the only refresh of a character at a time; False if another process has it.

        A claim ends with `put` or `release`, after two minutes, or with its process.
        """
        # a claim is for processes that live
        with self._synchronous(False), readable_errors(self.path), write_transaction(self._db):
            row = self._db.execute(
                "SELECT claimed_by, claimed_until FROM tokens WHERE user_id = ?", [user_id]
            ).fetchone()
            if row is not None and row[0] and claims.is_held(row[0], row[1], now):
                return False
            self._db.execute(
                "UPDATE tokens SET claimed_by = ?, claimed_until = ? WHERE user_id = ?",
                [claims.myself(), now + claims.LONGEST, user_id],
            )
        return True

    def release(self, user_id: int) -> None:
        """Give up a claim without a new token."""
        self._write(
            "UPDATE tokens SET claimed_by = NULL, claimed_until = NULL"
            " WHERE user_id = ? AND claimed_by = ?",
            [user_id, claims.myself()],
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


def _sealed(token: Token, key: Key | None) -> list[object]:
    """Return refresh token, access token, its end and the key's name, as they are stored."""
    refresh, access = token.refresh_token, token.access_token
    if key is not None:
        refresh, access = key.seal(refresh), access and key.seal(access)
    return [refresh, access, token.access_expires_at, key and key.name]
