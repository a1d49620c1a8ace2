"""Users and their tokens: who can be synced, and who needs a login."""

from collections.abc import Iterator, Set

from killsync.doctor import storage
from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped
from killsync.doctor.setup import Setup
from killsync.errors import KillsyncError
from killsync.model import User, UserKind, UserState
from killsync.settings import config
from killsync.store import directors, users
from killsync.store.paths import token_file
from killsync.tokens import schema as token_schema
from killsync.tokens.sealing import Keyring

_MOST_NAMED = 5


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how the logins are; nothing is decrypted, and no token read."""
    found = _users(setup)
    if found is None:
        yield skipped("users", "the database cannot be read")
        return
    known, readable = found
    if not known:
        yield problem("users", "there are none yet", setup.command("login"))
        return
    try:
        holders = token_schema.holders(setup.settings.database)
    except KillsyncError as error:
        yield problem("tokens", str(error), "restore it from a backup, or log in again")
        return
    path = token_file(setup.settings.database)
    if not path.exists():
        text = f"{path}: is missing, and with it every login"
        yield problem("tokens", text, f"put it back, or {setup.command('login')}")
        return
    yield from _examine_key(setup, {name for name in holders.values() if name})
    corporations = [user for user in known if user.kind is UserKind.CORPORATION]
    characters = [user for user in known if user.kind is not UserKind.CORPORATION]
    yield from _examine_characters(setup, characters, holders.keys())
    yield from _examine_corporations(setup, corporations, readable)


def _examine_key(setup: Setup, names: set[str]) -> Iterator[Diagnosis]:
    """Yield whether the keys are there that the tokens are encrypted with."""
    try:
        texts = config.token_keys(setup.settings)
    except KillsyncError:
        return  # reported with the settings
    try:
        keys = Keyring(lambda: texts)
    except KillsyncError as error:
        yield problem("token key", str(error), "set token_key_file to the file with the key")
        return
    if all(map(keys.named, names)):
        if names:
            yield ok("token key", "opens the tokens")
        return
    what = "another key than is configured" if keys.first() else "a key"
    yield problem(
        "token key",
        f"the tokens are encrypted with {what}",
        f"set token_key_file to the file with it; only if it is lost, delete "
        f"{token_file(setup.settings.database)} and {setup.command('login --another')}",
    )


def _examine_characters(setup: Setup, known: list[User], holders: Set[int]) -> Iterator[Diagnosis]:
    waiting = [user for user in known if user.state is UserState.NEEDS_LOGIN]
    active = [user for user in known if user.state is UserState.ACTIVE]
    without = [user for user in active if user.user_id not in holders]
    if waiting:
        yield problem("users", f"needs a new login: {_names(waiting)}", setup.command("login"))
    if without:
        yield problem("tokens", f"there is none for {_names(without)}", setup.command("login"))
    fit = len(active) - len(without)
    if fit:
        yield ok("users", f"{fit} with a login")


def _examine_corporations(
    setup: Setup, known: list[User], readable: Set[int]
) -> Iterator[Diagnosis]:
    """Yield which corporations' lists can be read: they have directors, and no tokens."""
    synced = [user for user in known if user.state in (UserState.ACTIVE, UserState.NEEDS_LOGIN)]
    unread = [user for user in synced if user.user_id not in readable]
    if unread:
        text = f"no director can read the list of {_names(unread)}"
        yield problem("corporations", text, setup.command("login --corporation"))
    if read := len(synced) - len(unread):
        yield ok("corporations", f"{read} read by directors")


def _users(setup: Setup) -> tuple[list[User], Set[int]] | None:
    """Return the users, and which corporations a director can read; None if that is not known."""
    try:
        with storage.opened(setup.settings.database) as store:
            return list(users.everyone(store.conn)), directors.readable(store.conn)
    except KillsyncError:
        return ([], set()) if not setup.settings.database.exists() else None


def _names(some: list[User]) -> str:
    named = ", ".join(f"{user.name} ({user.user_id})" for user in some[:_MOST_NAMED])
    return named if len(some) <= _MOST_NAMED else f"{named} and {len(some) - _MOST_NAMED} more"
