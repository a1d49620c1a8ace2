"""`killsync export`: stored killmails as ESI's own JSON, one per line."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from killsync import files
from killsync.cli import invocation, moments, opening
from killsync.cli.find_users import find_users
from killsync.errors import UsageError
from killsync.store import paths
from killsync.terminal.text import safe_json


def export(
    context: typer.Context,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only killmails on this user's list.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only killmails since: 7d, or 2026-11-24T03:00:00Z."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")
    ] = None,
) -> None:
    """Write stored killmails as JSON lines, oldest first, equal to what ESI sent."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        settings = call.settings()
        moment = moments.since_text(since, time.time())
        with opening.for_reading(settings) as store:
            from killsync.killmail import body as killmail
            from killsync.store import killmails

            only = None if user is None else find_users(store, [user])[0].user_id
            _check_target(output, settings.database)
            with _sink(output) as sink:
                for stored in killmails.export(store.conn, user_id=only, since=moment):
                    line = killmail.encode(stored)
                    if sink.isatty():
                        line = safe_json(line.decode()).encode()
                    sink.write(line + b"\n")


def _check_target(output: Path | None, database: Path) -> None:
    """Raise UsageError if the export would replace a file of the database."""
    if output is not None and output.exists() and paths.belongs_to(database, output):
        raise UsageError(f"{output}: belongs to the database; name another file")


@contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    """Yield where to write; a file appears only once it is complete."""
    if output is None or str(output) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif output.exists() and not output.is_file():
        with output.open("wb") as pipe_or_device:
            yield pipe_or_device
    else:
        with ExitStack() as stack:
            try:
                file = files.whole_file(output.resolve(), mode=_mode_of_new_files())
                stream = stack.enter_context(file)
            except OSError as error:
                raise UsageError(f"{output}: cannot be written: {error.strerror}") from error
            yield stream


def _mode_of_new_files() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
