"""The command line: global options, and one module per command."""

import os
import resource
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from killsync import __version__
from killsync.cli import (
    check,
    demo,
    doctor,
    export,
    init,
    login,
    scan,
    simulator,
    status,
    sync,
    users,
)
from killsync.cli.invocation import Invocation
from killsync.cli.options import hoisted

app = typer.Typer(
    name="killsync",
    help="Keep every killmail of your EVE Online characters in a database of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class LogFormat(StrEnum):
    """How progress is written to standard error."""

    TEXT = "text"
    JSON = "json"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"killsync {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    context: typer.Context,
    db: Annotated[
        str | None, typer.Option(metavar="PATH", help="The database file. [env: KILLSYNC_DB]")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The configuration file. [env: KILLSYNC_CONFIG]"),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more; show tracebacks.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing unless something is wrong.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Progress as lines of text or of JSON.")
    ] = LogFormat.TEXT,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Keep every killmail of your EVE Online characters in a database of your own."""
    context.obj = Invocation(db, config, verbose, quiet, log_format.value)


app.command()(init.init)
app.command()(scan.scan)
app.command()(sync.sync)
app.command()(status.status)
app.command()(login.login)
app.add_typer(users.app, name="users")
app.command()(check.check)
app.command()(export.export)
app.command()(doctor.doctor)
app.command()(demo.demo)
app.command()(simulator.simulator)


def main() -> None:
    """Run the command line; the global options may stand anywhere on it."""
    # a core file would hold tokens
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _open_closed_streams()
    app(args=hoisted(sys.argv[1:]), prog_name="killsync")


def _open_closed_streams() -> None:
    """Whoever calls with a closed stream wants no output, not an error."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
