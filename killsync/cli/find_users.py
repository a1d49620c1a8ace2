"""Finding the users that a person names."""

from killsync.board.nearest import nearest
from killsync.cli.invocation import storable
from killsync.errors import UsageError
from killsync.model import User
from killsync.store import named, users
from killsync.store.connection import Store
from killsync.store.meant import meant
from killsync.terminal.text import safe

_MOST_NAMED = 5


def find_users(store: Store, words: list[str]) -> list[User]:
    """Return the users that the words name, each once.

    A word is the id of a character or a corporation, else a name in any case, else the beginning of
    one name only. Raises UsageError for a word that names nobody (with the nearest name, if one is
    near) or several.
    """
    found = [_one(store, storable(word)) for word in words]
    return list({user.user_id: user for user in found}.values())


def _one(store: Store, given: str) -> User:
    # an argument that is not UTF-8 names nobody, and SQLite takes none
    word = given.encode(errors="replace").decode()
    if not store.version() or not users.any_user(store.conn):
        raise UsageError(f"{_no_user(word)}: there are no users yet; add one with `killsync login`")
    names = dict(named.of_users(store.conn))
    found = meant(word, names)
    matches = [user for i in found.ids[: _MOST_NAMED + 1] if (user := users.get(store.conn, i))]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise UsageError(_unknown(word, names))
    if not found.is_whole:
        raise UsageError(_ambiguous(word, matches))
    both = _are_of_both_kinds(matches)
    ids = ", ".join(
        f"{user.user_id} (the {user.kind})" if both else str(user.user_id) for user in matches
    )
    raise UsageError(f"{safe(word, 60)!r} matches several users; use an id: {ids}")


def _are_of_both_kinds(matches: list[User]) -> bool:
    """Return whether characters and corporations are among the users, to be told apart."""
    return len({user.kind for user in matches}) > 1


def _no_user(word: str) -> str:
    return f"no user {safe(word, 60)!r}"


def _ambiguous(word: str, matches: list[User]) -> str:
    both = _are_of_both_kinds(matches)
    named = [
        f"{safe(user.name, 60)} ({user.user_id}{f', a {user.kind}' if both else ''})"
        for user in matches[:_MOST_NAMED]
    ]
    more = ", ..." if len(matches) > _MOST_NAMED else ""
    return f"{safe(word, 60)!r} begins the names of several users: {', '.join(named)}{more}"


def _unknown(word: str, names: dict[int, str]) -> str:
    """Return that nobody is called so, with the name, or the id, that is nearest."""
    ids = {str(user_id): name for user_id, name in names.items()}
    if word.isdecimal() and (near := nearest(word, list(ids))) is not None:
        return f"{_no_user(word)}; the nearest is {near}, {safe(ids[near], 60)!r}"
    if (near := nearest(word, list(names.values()))) is not None:
        return f"{_no_user(word)}; the nearest is {safe(near, 60)!r}"
    return f"{_no_user(word)}; `killsync users` lists them"
