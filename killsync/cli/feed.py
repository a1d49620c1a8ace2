"""`killsync feed`: the stored killmails for a database server, which this keeps current."""

import os
import re
from typing import Annotated

import typer

from killsync.cli import invocation
from killsync.cli.commands import App
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import exit_with
from killsync.cli.signals import StopOnSignal
from killsync.errors import UsageError
from killsync.settings.program import extra_line

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
        try:
            from killsync.cli import postgres_feed
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "killsync":
                raise
            raise UsageError(
                f"`feed postgres` needs psycopg, and {error.name} is not installed: "
                f"run `{extra_line('postgres')}`"
            ) from None
        wanted = postgres_feed.Wanted(url, schema, source, with_hash)
        postgres_feed.bring_up_to_date(call, stop, wanted)
        exit_with(stop.exit_code or 0)
