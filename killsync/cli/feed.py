"""`killsync feed`: the stored killmails for a database server, which this keeps current."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.commands import App
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.signals import StopOnSignal
from killsync.errors import UsageError
from killsync.settings.program import install_line
from killsync.store import changes
from killsync.store.connection import Store
from killsync.terminal.text import count

if TYPE_CHECKING:
    from killsync.lake.postgres import Target
    from killsync.lake.postgres_feed import Feed, Report
    from killsync.lake.postgres_reference import Brought

_EXITS = exits(
    "everything is fed, also if there was nothing new",
    _2="no such database, no right to it, or it was fed from elsewhere",
    _75="PostgreSQL cannot be reached, is full or busy: try later",
    _130_143="stopped by a signal; the next call goes on",
)
_SOURCE = re.compile(r"[A-Za-z0-9_.-]{1,60}")
# what PostgreSQL keeps of a name, in bytes
_LONGEST_NAME = 63


HELP = {
    "feed": HelpText(
        {"killsync feed postgres service=killboard": "what is new since the last time"}, _EXITS
    ),
    "feed postgres": HelpText(
        {
            "killsync feed postgres postgresql://kb@db.example/kb": "the password is in ~/.pgpass",
            "killsync feed postgres service=killboard": "as ~/.pg_service.conf has it",
            "killsync feed postgres service=killboard --source alt": "another database beside it",
        },
        _EXITS,
    ),
}

app = App(
    help="Keep the stored killmails current in another database server.",
    no_args_is_help=True,
)


@app.callback()
def targets() -> None:
    """Keep the stored killmails current in another database server."""


def _checked_source(text: str) -> str:
    if not _SOURCE.fullmatch(text):
        raise typer.BadParameter("it may have up to 60 letters, digits, and _ . -")
    return text


def _checked_schema(text: str) -> str:
    taken = text.startswith("pg_") or text == "information_schema"
    # an argument may be no text
    unfit = "\0" in text or os.fsencode(text) != text.encode(errors="replace")
    if taken or unfit or not 0 < len(text.encode()) <= _LONGEST_NAME:
        raise typer.BadParameter("it must be a name that PostgreSQL lets a schema have")
    return text


@app.command()
def postgres(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The database: postgresql://USER@HOST/NAME, service=NAME, or left out where "
            "PGHOST, PGDATABASE or PGSERVICE name it.",
        ),
    ] = None,
    schema: Annotated[
        str, typer.Option(metavar="NAME", parser=_checked_schema, help="The schema in it.")
    ] = "killsync",
    source: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=_checked_source,
            help="What this database is called there, if several feed one schema.",
        ),
    ] = "main",
    with_hash: Annotated[
        bool,
        typer.Option("--with-hash", help="Feed killmail_hash, with which anybody can ask ESI."),
    ] = False,
) -> None:
    """Bring a PostgreSQL database up to date with what is stored, exactly once.

    It makes its tables and views at the first call, and adds what is new at each other. What was
    deleted here is deleted there. Everybody on this machine sees a password in the URL: keep it in
    ~/.pgpass.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        make_feed, connected = _loaded()
        with ExitStack() as stack:
            store = stack.enter_context(opening.for_reading(call.settings()))
            with stop.leaving_at_once():
                target = stack.enter_context(connected(url, schema))
            show = stack.enter_context(_progress(call, store))
            feed = make_feed(
                target,
                store,
                source,
                with_hash=with_hash,
                stops=lambda: stop.exit_code is not None,
                show=show,
            )
            feed.run()
        if not call.quiet:
            print_result(_describe(feed.report, stop.signal_name))
        exit_with(stop.exit_code or 0)


def _loaded() -> tuple[type["Feed"], Callable[..., AbstractContextManager["Target"]]]:
    try:
        from killsync.lake.postgres import connected
        from killsync.lake.postgres_feed import Feed
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "killsync":
            raise
        raise UsageError(
            f"`feed postgres` needs psycopg, and {error.name} is not installed: "
            f"run `{install_line('psycopg[binary]>=3.2')}`"
        ) from None
    return Feed, connected


def _describe(report: "Report", stopped: str | None) -> str:
    done = [count(report.stored, "new killmail")]
    if report.also_stored:
        done.append(f"{report.also_stored:,} that another source had brought")
    if report.removed:
        done.append(f"{report.removed:,} deleted")
    if report.rewritten:
        done.append(f"{report.rewritten:,} with other values")
    text = ", ".join(done + _describe_brought(report.brought))
    if stopped is not None:
        return f"stopped by {stopped}: {text}; the next call goes on"
    return f"{text}: PostgreSQL has everything up to stored_seq {report.stored_seq}"


def _describe_brought(brought: "Brought") -> list[str]:
    done = []
    if brought.users:
        done.append(count(brought.users, "user"))
    if brought.users_gone:
        done.append(f"{count(brought.users_gone, 'user')} gone")
    if brought.names:
        done.append(count(brought.names, "name"))
    if brought.price_days:
        done.append(f"the prices of {count(brought.price_days, 'day')}")
    return done + ["game data"] * (brought.game_data is not None)


@contextmanager
def _progress(call: Invocation, store: Store) -> Iterator[Callable[[int], None]]:
    """Yield what shows up to which `stored_seq` it has come: a bar at a terminal."""
    if call.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda seq: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    from killsync.terminal.console import error_console

    console = error_console()
    columns = (TextColumn("killmails"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=changes.last_place(store.conn).stored_seq)
        yield lambda seq: bar.update(task, completed=seq)
