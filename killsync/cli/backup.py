"""`killsync backup`: a whole copy of the database, also while a run goes on."""

import shlex
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import print_result
from killsync.errors import UsageError
from killsync.store import lock, paths
from killsync.terminal.text import count, safe

HELP = {
    "backup": HelpText(
        {
            "killsync backup ~/killsync-monday.db": "a copy, whole at any time",
            "killsync backup --force ~/backups/killsync.db": "in place of an older one",
        },
        exits(
            "the copy is complete",
            _2="FILE cannot be used, or there is no database, or it is damaged; nothing is changed",
        ),
    ),
}


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the copy.")],
    with_tokens: Annotated[
        bool, typer.Option("--with-tokens", help="Copy the token file too, to FILE.tokens.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE if it is there already.")
    ] = False,
) -> None:
    """Copy the database to a file, whole and private (0600), also while a run goes on.

    Refresh tokens are copied only if asked for: whoever has them can read the characters'
    killmails, and SSO may have replaced them by the time they are put back.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        settings = call.settings()
        target = file.absolute()
        for one in (target, paths.token_file(target)) if with_tokens else (target,):
            _check_target(one, settings.database, force=force)
        with ExitStack() as opened:
            store = opened.enter_context(opening.for_reading(settings, any_version=True))
            wanted = {target: store.conn}
            if with_tokens:
                from killsync.tokens import copies

                tokens = closing(copies.open_copy(settings.database))
                wanted[paths.token_file(target)] = opened.enter_context(tokens)
            _write(wanted)
            if not call.quiet:
                _print_done(store.conn, target, with_tokens=with_tokens)


def _write(wanted: dict[Path, sqlite3.Connection]) -> None:
    """Write all of them before any of them appears."""
    from killsync.store import copies

    target = None
    try:
        with ExitStack() as complete:
            for target, conn in wanted.items():
                complete.enter_context(copies.written(conn, target.resolve()))
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from error


def _print_done(conn: sqlite3.Connection, target: Path, *, with_tokens: bool) -> None:
    from killsync.store import restoring

    users, killmails, _ = restoring.contents(conn)
    done = {target: f"{count(killmails, 'killmail')} of {count(users, 'user')}"}
    if with_tokens:
        done[paths.token_file(target)] = "the tokens"
    for file, what in done.items():
        print_result(f"{safe(file, 400)}: {what}, {_size(file.stat().st_size)}")


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 100_000 else f"{number / 1e3:,.0f} kB"


def _check_target(target: Path, database: Path, *, force: bool) -> None:
    """Raise UsageError unless a copy may be written there."""
    if not target.parent.exists():
        make = shlex.join(["mkdir", "-p", str(target.parent)])
        raise UsageError(f"{target}: its directory is not there; run `{make}`")
    if paths.is_reserved(database, target):
        raise UsageError(f"{target}: belongs to the database; name another file")
    if target.exists() and not target.is_file():
        raise UsageError(f"{target}: is not a file")
    if paths.lock_file(target).exists() and lock.is_held(target):
        raise UsageError(f"{target}: is a database that a run is using; name another file")
    there = [one for one in (target, *paths.beside_in_use(target)) if one.exists()]
    if there and not force:
        raise UsageError(f"{there[0]}: is there already; use --force to replace it")
