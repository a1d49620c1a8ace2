"""`killsync users rekey`: encrypts every stored token with another key, or with none."""

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.errors import UsageError
from killsync.settings import config
from killsync.settings.config import Settings
from killsync.settings.places import expanded
from killsync.store import lock, users
from killsync.store.connection import Store
from killsync.store.paths import token_file
from killsync.terminal.text import count, safe

if TYPE_CHECKING:
    from killsync.tokens.tokens import Rekeyed


HELP = {
    "users rekey": HelpText(
        {"killsync users rekey --new-key": "when a key may be known to others"},
        exits(
            "every token is encrypted again",
            _1="a token could not be read, and stays as it is",
            _2="the key is missing, or the database cannot be used",
        ),
    ),
}


def rekey(
    context: typer.Context,
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key", help="First add a new key to the file that token_key_file names."
        ),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Store the tokens plain; the key is needed once more.")
    ] = False,
) -> None:
    """Encrypt every stored token with the first of the configured keys."""
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        if new_key and plain:
            raise UsageError("use --new-key or --plain, not both")
        settings = call.settings()
        with opening.for_reading(settings) as store:
            if new_key:
                done = _with_new_key(call, settings, store)
            else:
                done = _rekey(settings, store, plain=plain)
            _print_done(call, settings, done, plain=plain)
            if not plain:
                _warn_of_copies(call, store)
            if not _warn(call, store, done) and not plain and not call.quiet:
                _print_older(settings)
        exit_with(1 if done.damaged else 0)


def _with_new_key(call: Invocation, settings: Settings, store: Store) -> "Rekeyed":
    from killsync.tokens import key_file
    from killsync.tokens.sealing import Keyring
    from killsync.tokens.tokens import Tokens

    if not settings.token_key_file:
        raise UsageError(
            "token_key_file is not set: name the file for the keys in the configuration, such as "
            'token_key_file = "~/.config/killsync/token.key"'
        )
    file = expanded(settings.token_key_file)
    # a file that lacks the key in use is not the right one
    with closing(Tokens(store.path, Keyring(partial(key_file.keys, file)))) as tokens:
        done = tokens.rekey(make_key=partial(key_file.add_key, file))
    if not call.quiet:
        print_result(
            f"a new key stands first in {safe(file, 400)}: keep a copy of it away from "
            f"{safe(token_file(store.path).name)}; without it everybody must log in again"
        )
    return done


def _rekey(settings: Settings, store: Store, *, plain: bool) -> "Rekeyed":
    from killsync.tokens.sealing import ONE_LINER, Keyring
    from killsync.tokens.tokens import Tokens

    if not config.token_keys(settings):
        raise UsageError(
            "no key is configured: set token_key_file and run `killsync users rekey --new-key`, "
            f"or set KILLSYNC_TOKEN_KEY (`{ONE_LINER}` makes one)"
        )
    with closing(Tokens(store.path, Keyring(partial(config.token_keys, settings)))) as tokens:
        return tokens.rekey(plain=plain)


def _print_done(call: Invocation, settings: Settings, done: "Rekeyed", *, plain: bool) -> None:
    if call.quiet:
        return
    whose = f"the tokens of {count(done.tokens, 'user')} are"
    if plain:
        print_result(f"{whose} stored plain; they stay so without a key in the configuration")
        return
    several = len(config.token_keys(settings)) > 1
    print_result(f"{whose} encrypted with the {'first ' if several else ''}key")


def _print_older(settings: Settings) -> None:
    older = len(config.token_keys(settings)) - 1
    if older > 0:
        print_result(
            f"{count(older, 'older key')} may be removed, unless a backup is to be read again"
        )


def _warn_of_copies(call: Invocation, store: Store) -> None:
    from killsync.tokens import copies

    for file in copies.left_plain(store.path):
        call.warn(
            f"{safe(file, 400)}: may hold earlier tokens that are not encrypted: delete it if you "
            "do not need it"
        )


def _warn(call: Invocation, store: Store, done: "Rekeyed") -> bool:
    """Warn of what keeps an older key from being removed; return whether anything does."""
    for user_id in done.damaged:
        user = users.get(store.conn, user_id)
        name = f"user {user_id}" if user is None else f"{safe(user.name)} ({user_id})"
        call.warn(f"{name}: the token is damaged and was left as it is: `killsync login` renews it")
    if not done.erased:
        call.warn(
            "another program is using the token file: copies of the tokens as they were may be "
            "left in it; run `killsync users rekey` again later"
        )
    held = lock.is_held(store.path)
    if held:
        call.warn(
            "a run is in progress: what it renews may be stored as before; run `killsync users "
            "rekey` again after it, before you remove a key"
        )
    return held or bool(done.damaged) or not done.erased
