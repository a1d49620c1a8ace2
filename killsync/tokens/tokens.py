"""Tokens, in a file of their own beside the database: the only place with secrets.

Each thread that refreshes has its own connection, so that a rotated refresh token is on disk
as soon as SSO has answered.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from killsync.errors import TokenKeyMissing
from killsync.store.connection import write_transaction
from killsync.store.sqlite_errors import readable_errors
from killsync.tokens import claims
from killsync.tokens.sealing import Key, Keyring
from killsync.tokens.succession import Whose, beside, kept, may_be_refresh_token
from killsync.tokens.token_file import TokenFile


class Token(msgspec.Struct, frozen=True):
    """A character's tokens; `__repr__` keeps them out of logs and tracebacks.

    `earlier` are refresh tokens to send if SSO refuses the first, until that has proved itself.
    """

    refresh_token: str
    access_token: str | None = None
    access_expires_at: float | None = None
    earlier: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Token(...)"

    @classmethod
    def of(cls, refresh_tokens: Sequence[str]) -> "Token":
        """Return these refresh tokens, which are at least one, without an access token."""
        return cls(refresh_tokens[0], earlier=tuple(refresh_tokens[1:]))

    def holding(self, refresh_tokens: Sequence[str]) -> "Token":
        """Return the same access token with these refresh tokens."""
        return msgspec.structs.replace(
            self, refresh_token=refresh_tokens[0], earlier=tuple(refresh_tokens[1:])
        )

    @property
    def refresh_tokens(self) -> tuple[str, ...]:
        """All refresh tokens that can be SSO's, in the order in which to send them."""
        return tuple(filter(may_be_refresh_token, (self.refresh_token, *self.earlier)))

    @property
    def is_damaged(self) -> bool:
        """Whether no refresh token can be one that SSO gave."""
        return not self.refresh_tokens


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
    is damaged is read as one that cannot be SSO's.
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
            "SELECT refresh_token, access_token, access_expires_at, earlier_tokens, sealed_by"
            " FROM tokens WHERE user_id = ?",
            user_id,
        )
        return None if row is None else self._opened(*row)

    def owner(self, user_id: int) -> str | None:
        """Return whose account a character belonged to at its last login, None if unknown."""
        row = self._read("SELECT owner FROM tokens WHERE user_id = ?", user_id)
        return None if row is None else row[0]

    def put(self, user_id: int, token: Token, owner: str | None = None) -> None:
        """Store tokens durably, in place of all that were stored.

        If they have earlier ones, those that were stored are kept behind these: the new refresh
        token must prove itself before any is dropped.
        """
        with readable_errors(self.path), write_transaction(self._db):
            if token.earlier:
                token = self._with_stored(user_id, token)
            self._db.execute(
                """INSERT INTO tokens (user_id, refresh_token, access_token, access_expires_at,
                    earlier_tokens, sealed_by, owner)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (user_id) DO UPDATE SET refresh_token = excluded.refresh_token,
                    access_token = excluded.access_token,
                    access_expires_at = excluded.access_expires_at,
                    earlier_tokens = excluded.earlier_tokens, sealed_by = excluded.sealed_by,
                    owner = coalesce(excluded.owner, owner),
                    claimed_by = NULL, claimed_until = NULL""",
                [user_id, *_sealed(token, self._keys.first()), owner],
            )

    def _with_stored(self, user_id: int, token: Token) -> Token:
        with suppress(TokenKeyMissing):
            known = self.get(user_id)
            if known is not None:
                return token.holding(beside(token.refresh_tokens, known.refresh_tokens))
        return token

    def renew(self, user_id: int, before: Token, sent: str, answered: Token, whose: Whose) -> bool:
        """Store what SSO has answered to `sent`, one of the refresh tokens stored `before`.

        It is stored durably if the refresh token is new; an access token only if it is the
        character's own. Returns False if `sent` is stored no more: the character was removed or
        given another token meanwhile.
        """
        new = answered.refresh_token
        with (
            self._synchronous(new != sent),
            readable_errors(self.path),
            write_transaction(self._db),
        ):
            # the key is looked up within the transaction: `rekey` comes before it, or after
            known = self._known(user_id, before)
            if sent not in known:
                return False
            if known == before.refresh_tokens or whose is Whose.ANOTHERS:
                tokens = kept(known, sent, new, whose)
            else:
                # another process has stored what came of the same token: either may be right
                tokens = beside([new], known)
            token = answered.holding(tokens) if whose is Whose.OURS else Token.of(tokens)
            me = claims.myself()
            self._db.execute(
                """UPDATE tokens SET refresh_token = ?, access_token = ?, access_expires_at = ?,
                    earlier_tokens = ?, sealed_by = ?, claimed_by = nullif(claimed_by, ?)
                WHERE user_id = ?""",
                [*_sealed(token, self._keys.first()), me, user_id],
            )
        return True

    def _known(self, user_id: int, before: Token) -> tuple[str, ...]:
        try:
            token = self.get(user_id)
        except TokenKeyMissing:
            # what SSO has replaced must be stored all the same; storing another ends the claim
            token = before if self._claimed_by_me(user_id) else None
        return () if token is None else token.refresh_tokens

    def _claimed_by_me(self, user_id: int) -> bool:
        row = self._read("SELECT claimed_by FROM tokens WHERE user_id = ?", user_id)
        return row is not None and row[0] == claims.myself()

    def add_successor(self, old: str, new: str) -> None:
        """Keep what SSO has answered to a refresh token beside it, if a character has that one.

        Whose the new one is has not been found out. Raises TokenKeyMissing.
        """
        with readable_errors(self.path), write_transaction(self._db):
            for user_id, *row in self._everyone():
                known = self._opened(*row).refresh_tokens
                if old in known:
                    token = Token.of(kept(known, old, new, Whose.UNCLEAR))
                    self._store_again(user_id, token, self._keys.first())

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
                self._store_again(user_id, token.holding(token.refresh_tokens), key)
        return Rekeyed(done, damaged, self._erase())

    def _everyone(self) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._db.execute(
            """SELECT user_id, refresh_token, access_token, access_expires_at, earlier_tokens,
                sealed_by FROM tokens"""
        ).fetchall()
        return rows

    def _store_again(self, user_id: int, token: Token, key: Key | None) -> None:
        self._db.execute(
            """UPDATE tokens SET refresh_token = ?, access_token = ?, access_expires_at = ?,
                earlier_tokens = ?, sealed_by = ? WHERE user_id = ?""",
            [*_sealed(token, key), user_id],
        )

    def _opened(
        self,
        refresh: str,
        access: str | None,
        expires_at: float | None,
        earlier: str | None,
        sealed_by: str | None,
    ) -> Token:
        key = self._key(sealed_by)
        if key is not None:
            refresh, access = key.open(refresh), access and key.open(access)
            earlier = earlier and key.open(earlier)
        return Token(refresh, access, expires_at, tuple((earlier or "").split()))

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
            if token and now and now.refresh_tokens != token.refresh_tokens:
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
    """Return a row: refresh token, access token, its end, earlier tokens, the key's name."""
    refresh, access = token.refresh_token, token.access_token
    earlier = " ".join(token.earlier) or None
    if key is not None:
        refresh, access = key.seal(refresh), access and key.seal(access)
        earlier = earlier and key.seal(earlier)
    return [refresh, access, token.access_expires_at, earlier, key and key.name]
