"""Finding the users that a person names."""

import difflib

from killsync.errors import UsageError
from killsync.model import User
from killsync.store import users
from killsync.store.connection import Store
from killsync.terminal.text import safe


def find_users(store: Store, words: list[str]) -> list[User]:
    """Return the users that the words name, each once: a character id, else a name in any case.

    Raises UsageError for a word that matches nobody (with the nearest name) or several.
    """
    found = [_one(store, word) for word in words]
    return list({user.user_id: user for user in found}.values())


def _one(store: Store, word: str) -> User:
    if not store.version():
        raise UsageError(_unknown(word, []))
    known = users.get(store.conn, int(word)) if word.isdecimal() and len(word) < 19 else None
    if known is not None:
        return known
    matches = users.named(store.conn, word)
    if len(matches) > 1:
        ids = ", ".join(str(user.user_id) for user in matches)
        raise UsageError(f"{safe(word, 60)!r} matches several users; use an id: {ids}")
    if not matches:
        raise UsageError(_unknown(word, users.names(store.conn)))
    return matches[0]


def _unknown(word: str, names: list[str]) -> str:
    by_folded = {name.casefold(): name for name in names}
    nearest = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.0)
    text = f"no user {safe(word, 60)!r}"
    if nearest:
        return f"{text}; the nearest is {safe(by_folded[nearest[0]], 60)!r}"
    return f"{text}: there are no users yet; add one with `killsync login`"
