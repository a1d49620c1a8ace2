"""Encryption of stored tokens with keys of the operator's own (Fernet, of cryptography).

Fernet also proves that a text is what was sealed: one that was changed does not open.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from contextlib import suppress

from killsync.errors import KillsyncError, UsageError

# in place of a text that cannot be read; no token of SSO's is like it
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
ONE_LINER = "head -c 32 /dev/urandom | base64"
KEY_BYTES = 32


class Key:
    """One key. Its `name` distinguishes it from others, and reveals nothing about it."""

    def __init__(self, secret: bytes) -> None:
        from cryptography.fernet import Fernet

        self.name = hashlib.sha256(b"killsync token key" + secret).hexdigest()[:16]
        self._fernet = Fernet(base64.urlsafe_b64encode(secret))

    def seal(self, text: str) -> str:
        """Return a text so that only this key opens it."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Return what was sealed, UNREADABLE if that was not done with this key or is damaged."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except (InvalidToken, UnicodeDecodeError):
            return UNREADABLE


class Keyring:
    """The configured keys: the first seals, all of them open. Used by several threads.

    `read` gives their texts, and is asked again whenever it matters, so that a run goes on when
    its key file has been given a new key.
    """

    def __init__(self, read: Callable[[], list[str]] = list) -> None:
        """Raise UsageError if a key is not valid, or what `read` raises."""
        self._read = read
        self._texts: list[str] = []
        self._keys: list[Key] = []
        self._look()

    def first(self) -> Key | None:
        """Return the key that seals, None if tokens are to be stored plain."""
        self._look_again()
        return next(iter(self._keys), None)

    def named(self, name: str) -> Key | None:
        """Return the key of a name, None if it is not there."""
        key = self._known(name)
        if key is None:
            self._look_again()
            key = self._known(name)
        return key

    def _look_again(self) -> None:
        # a token that SSO has just replaced must be stored, whatever became of the key file
        with suppress(KillsyncError):
            self._look()

    def _known(self, name: str) -> Key | None:
        return next((key for key in self._keys if key.name == name), None)

    def _look(self) -> None:
        texts = self._read()
        if texts != self._texts:
            self._keys = [_parsed(text, number) for number, text in enumerate(texts, 1)]
            self._texts = texts


def _parsed(text: str, number: int) -> Key:
    """Return the key that a text stands for; both alphabets of base64 will do."""
    try:
        secret = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise UsageError(
            f"token_key: key {number} is not {KEY_BYTES} random bytes in base64; "
            f"`{ONE_LINER}` makes one"
        )
    return Key(secret)
