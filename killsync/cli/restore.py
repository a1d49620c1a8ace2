"""`killsync restore`: putting a backup back, with what it replaces kept."""

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from killsync import files
from killsync.cli import invocation
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.errors import UsageError
from killsync.store import lock
from killsync.store.paths import lock_file
from killsync.terminal.questions import agree
from killsync.terminal.text import count, safe

_PATIENCE = 60.0


HELP = {
    "restore": HelpText(
        {"killsync restore ~/backups/killsync.db": "asks first; the old one is kept"},
        exits(
            "the backup is in place",
            _2="FILE is not a whole database that this version knows; nothing is changed",
            _75="a run did not end within a minute, or another program is in the way",
        ),
    ),
}


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy of the database.")],
    with_tokens: Annotated[
        bool, typer.Option("--with-tokens", help="Put FILE.tokens back too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put a backup back in place of the database.

    What it replaces is kept beside it, as killsync.db.before-restore, then -2 and so on. The next
    scan finds by itself what the backup lacks, as far as ESI still lists it.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), ExitStack() as opened:
        from killsync.store import restoring

        database = call.settings().database
        if file.exists() and database.exists() and file.samefile(database):
            raise UsageError(f"{file}: is the database itself; name a backup")
        backup = opened.enter_context(closing(restoring.open_backup(file)))
        tokens = None
        if with_tokens:
            from killsync.tokens import copies

            tokens = opened.enter_context(closing(copies.open_copy(file)))
        if not yes:
            _ask(file, database, backup, with_tokens=with_tokens)
        files.create_private(lock_file(database))
        with lock.hold(database, patience=_PATIENCE), ExitStack() as prepared:
            # what can refuse either of them comes before any of them is replaced
            put = {"": prepared.enter_context(restoring.to_restore(backup, database))}
            if tokens is not None:
                to_restore = copies.to_restore(tokens, database)
                put["its tokens"] = prepared.enter_context(to_restore)
            for what, put_back in put.items():
                _print_done(call, database, put_back(), what)


def _ask(file: Path, database: Path, backup: sqlite3.Connection, *, with_tokens: bool) -> None:
    """Raise UsageError unless the person agrees."""
    from killsync.store import restoring

    users, killmails, stored_at = restoring.contents(backup)
    until = f", the last stored at {stored_at}" if stored_at else ""
    tokens = " and its tokens" if with_tokens else ""
    question = (
        f"Replace {safe(str(database), 400)}{tokens} by {safe(str(file), 400)}: "
        f"{count(killmails, 'killmail')} of {count(users, 'user')}{until}?"
    )
    if not agree(question, default=False):
        raise UsageError("nothing was changed; --yes does not ask")


def _print_done(call: Invocation, database: Path, kept: Path | None, what: str = "") -> None:
    if call.quiet:
        return
    name = what or safe(str(database), 400)
    was = "" if kept is None else f"; what it replaced is kept in {safe(str(kept), 400)}"
    print_result(f"{name}: restored{was}")
