"""`killsync export`: stored killmails for other programs: ESI's own JSON, csv or Parquet."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from killsync import files
from killsync.cli import filling_in, invocation, moments, opening, options
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.invocation import Invocation
from killsync.errors import UsageError
from killsync.settings.program import extra_line
from killsync.store import paths
from killsync.terminal.text import safe, safe_json

if TYPE_CHECKING:
    from killsync.board.kills import Asked
    from killsync.store.connection import Store
    from killsync.store.exporting import Selection

# what SQLite can hold
_LARGEST = 2**63 - 1


HELP = {
    "export": HelpText(
        {
            "killsync export --user maru --since 7d > week.jsonl": "one user's week",
            "killsync export --format csv --losses -o losses": "tables for spreadsheets",
            "killsync export --format parquet -o ~/lake": "adds what is new, for DuckDB and others",
        },
        exits(
            "done, also if nothing matches",
            _2="a name, a time or an option is wrong, or PATH cannot be written",
            _75="somebody else writes to PATH, or its store does not answer: try later",
            _130_143=STOPPED,
        ),
    ),
}


class Form(StrEnum):
    """How killmails are written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def _named(given: str) -> str:
    if not given:
        raise typer.BadParameter("give a name, or leave it out")
    return given


def export(
    context: typer.Context,
    form: Annotated[Form, typer.Option("--format", help="How killmails are written.")] = Form.JSONL,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER", help="Only killmails that this user is on, or on the user's list."
        ),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    only_kills: options.OnlyKills = False,
    only_losses: options.OnlyLosses = False,
    after_seq: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Only what was stored after the killmail of this stored_seq, in that order.",
        ),
    ] = None,
    with_hash: Annotated[
        bool,
        typer.Option("--with-hash", help="Add killmail_hash, with which anybody can ask ESI."),
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            parser=_named,
            help="Write to this file, or directory; parquet also to s3://bucket/prefix.",
        ),
    ] = None,
) -> None:
    """Write stored killmails for other programs, the oldest first.

    jsonl is a line for each, equal to what ESI sent. csv is three files, killmails.csv,
    attackers.csv and items.csv, in the directory PATH, with the columns of the database. Text
    stands in them as it is, also where a spreadsheet would take it for a formula.

    parquet is for engines such as DuckDB, Polars and Spark: the same tables by month, with names
    beside the ids and prices. Each call adds to PATH what was stored since the last one. Let one
    call at a time write to a store: there, nothing makes a second one wait.
    """
    call = invocation.from_context(context)
    with invocation.edge(call):
        if only_kills and only_losses:
            raise UsageError("--kills and --losses: leave out both for all killmails")
        chosen: dict[str, object] = {
            "--user": user,
            "--since": since,
            "--until": until,
            "--kills": only_kills or None,
            "--losses": only_losses or None,
            "--after-seq": after_seq,
        }
        if form is Form.PARQUET:
            _write_parquet(call, output, chosen, with_hash=with_hash)
            return
        path = None if output is None else Path(output)
        if form is Form.CSV and (path is None or output == "-"):
            raise UsageError("--format csv writes three files: name a directory for them with -o")
        first, last = moments.period(since, until, time.time())
        settings = call.settings()
        with opening.for_reading(settings) as store:
            from killsync.board.kills import Asked
            from killsync.killmail.sides import Side
            from killsync.store.exporting import Selection

            only = None if user is None else find_users(store, [user])[0].user_id
            side = Side.LOSS if only_losses else Side.KILL if only_kills else None
            after = None if after_seq is None else min(after_seq, _LARGEST)
            wanted = Selection(only, side, first, last, after)
            asked = Asked(
                user=user,
                user_id=only,
                since=first,
                until=last,
                kills=only_kills,
                losses=only_losses,
            )
            if form is Form.CSV and path is not None:
                from killsync.lake import csv_files

                mode = _mode_of_new_files()
                written = csv_files.write(store.conn, wanted, path, with_hash=with_hash, mode=mode)
            else:
                _check_target(path, settings.database)
                written = _write_lines(store, wanted, path, with_hash=with_hash)
            # nothing new is no surprise
            if not written and after_seq is None:
                _warn_of_nothing(call, asked)
            if asked.user_id is not None or asked.kills or asked.losses:
                filling_in.warn(call, store)


def _write_parquet(
    call: Invocation, output: str | None, chosen: Mapping[str, object], *, with_hash: bool
) -> None:
    """Add what is new to a lake; what was chosen of the killmails is refused."""
    for option, value in chosen.items():
        if value is not None:
            raise UsageError(
                f"--format parquet takes no {option}: each call adds all that is new; use csv or "
                "jsonl for some of it, or ask the engine that reads the files for less"
            )
    if output is None or output == "-":
        raise UsageError("--format parquet writes a directory, or s3://bucket/prefix: add -o PATH")
    try:
        from killsync.cli import parquet_export
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "killsync":
            raise
        raise UsageError(
            f"--format parquet needs {error.name}, which is not installed: "
            f"run `{extra_line('parquet')}`"
        ) from None
    parquet_export.add_new(call, output, with_hash=with_hash)


def _warn_of_nothing(call: Invocation, asked: "Asked") -> None:
    from killsync.board.kills import describe

    if not call.quiet and (searched := describe(asked)):
        call.warn(f"no killmails match {safe(searched, 400)}")


def _write_lines(
    store: "Store", wanted: "Selection", output: Path | None, *, with_hash: bool
) -> int:
    """Write a line for each killmail; return how many."""
    from killsync.killmail import body as killmail
    from killsync.store import exporting

    written = 0
    with _sink(output) as sink:
        for stored in exporting.bodies(store.conn, wanted, with_hash=with_hash):
            line = killmail.encode(stored)
            if sink.isatty():
                line = safe_json(line.decode()).encode()
            sink.write(line + b"\n")
            written += 1
    return written


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
