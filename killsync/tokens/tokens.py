"""Tokens, in a file of their own beside the database: the only place with secrets.

Each thread that refreshes has its own connection, so that a rotated refresh token is on disk
as soon as SSO has answered.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from killsync.errors import TokenKeyMissing
from killsync.store.connection import write_transaction
from killsync.store.sqlite_errors import is_busy, readable_errors
from killsync.tokens import claims
from killsync.tokens.sealing import Key, Keyring
from killsync.tokens.token_file import TokenFile


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


class Tokens(TokenFile):
    """The token file of a database.

    With a keyring, what is written is encrypted with its first key; plain tokens are read all the
    same. What reads tokens raises TokenKeyMissing if their key is not on the keyring. A token that
    is damaged is read as one that is not ASCII.
    """

    def __init__(self, database: Path, keys: Keyring | None = None) -> None:
        super().__init__(database)
        self._keys = keys or Keyring()

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

    def renew(self, user_id: int, sent: str, token: Token) -> bool:
        """Store what SSO has answered to a refresh token, `sent`, if that is still the stored one.

        It is stored durably if the refresh token is new. Returns False if the character was
        removed or given another token meanwhile.
        """
        lasting = token.refresh_token != sent
        with self._synchronous(lasting), readable_errors(self.path), write_transaction(self._db):
            # the key is looked up within the transaction: `rekey` comes before it, or after
            if not self._is_stored(user_id, sent):
                return False
            me = claims.myself()
            self._db.execute(
                """UPDATE tokens SET refresh_token = ?, access_token = ?, access_expires_at = ?,
                    sealed_by = ?, claimed_by = nullif(claimed_by, ?) WHERE user_id = ?""",
                [*_sealed(token, self._keys.first()), me, user_id],
            )
        return True

    def _is_stored(self, user_id: int, refresh_token: str) -> bool:
        try:
            known = self.get(user_id)
        except TokenKeyMissing:
            # what SSO has replaced must be stored all the same; storing another ends the claim
            return self._claimed_by_me(user_id)
        return known is not None and known.refresh_token == refresh_token

    def _claimed_by_me(self, user_id: int) -> bool:
        row = self._read("SELECT claimed_by FROM tokens WHERE user_id = ?", user_id)
        return row is not None and row[0] == claims.myself()

    def replace(self, old: str, new: str) -> None:
        """Store a refresh token in place of another, if a character has that one.

        Raises TokenKeyMissing.
        """
        with readable_errors(self.path), write_transaction(self._db):
            for user_id, *row in self._everyone():
                if self._opened(*row).refresh_token == old:
                    self._store_again(user_id, Token(new), self._keys.first())

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
            for user_id, *row in self._everyone():
                token = self._opened(*row)
                if token.is_damaged:
                    damaged.append(user_id)
                    continue
                done += 1
                self._store_again(user_id, token, key)
        return Rekeyed(done, damaged, self._erase())

    def _everyone(self) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._db.execute(
            "SELECT user_id, refresh_token, access_token, access_expires_at, sealed_by FROM tokens"
        ).fetchall()
        return rows

    def _store_again(self, user_id: int, token: Token, key: Key | None) -> None:
        self._db.execute(
            """UPDATE tokens SET refresh_token = ?, access_token = ?, access_expires_at = ?,
                sealed_by = ? WHERE user_id = ?""",
            [*_sealed(token, key), user_id],
        )

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

        A claim ends with `put` or `release`, after two minutes, or with its process. What SSO
        answers to the refresh has room on the disk; raises DatabaseError if there is none.
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
            self._reserve_room()
        return True

    def release(self, user_id: int) -> None:
        """Give up a claim without a new token."""
        self._write(
            "UPDATE tokens SET claimed_by = NULL, claimed_until = NULL"
            " WHERE user_id = ? AND claimed_by = ?",
            [user_id, claims.myself()],
        )


def _sealed(token: Token, key: Key | None) -> list[object]:
    """Return refresh token, access token, its end and the key's name, as they are stored."""
    refresh, access = token.refresh_token, token.access_token
    if key is not None:
        refresh, access = key.seal(refresh), access and key.seal(access)
    return [refresh, access, token.access_expires_at, key and key.name]
