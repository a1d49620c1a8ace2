"""The command line: global options, and one module per command."""

import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from killsync import __version__
from killsync.cli import output
from killsync.cli.commands import App, Group
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.options import hoisted
from killsync.terminal.streams import accept_anything

if TYPE_CHECKING:
    from killsync.cli.help_pages import Groups

# what `killsync --help` says of each, in the order in which people need them
GROUPS = {
    "Setting up": {
        "init": "Write the configuration file, and show the line for cron.",
        "login": "Register a character, and its corporation, through EVE SSO.",
        "users": "List, add, disable, enable and remove users; rekey tokens.",
        "doctor": "Say what is missing or wrong, and how to fix it.",
    },
    "Every day": {
        "scan": "Sync every user that is due: the command for cron.",
        "sync": "Sync users now, before all background work.",
        "status": "Show who is up to date, what is wrong and what goes on.",
        "retry": "Try again what was set aside or put off.",
    },
    "Reading": {
        "kills": "Show kills and losses, newest first, with names and ISK.",
        "stats": "Show what was done and lost, by ship, opponent, month or hour.",
        "browse": "Show a killboard in the web browser, on this machine only.",
    },
    "Looking after it": {
        "check": "Verify the database offline; --repair fixes what can be fixed.",
        "backup": "Copy the database to a file, also while a run goes on.",
        "restore": "Put a backup back; what it replaces is kept.",
        "names": "Show how many ids have names, and which have none.",
        "tell": "Show what was told and what waits, by channel; --test one.",
        "data": "Show the game data (types, systems); update brings newer ones.",
    },
    "In and out": {
        "import": "Import killmails from EVE Ref, zKillboard or an export.",
        "export": "Write stored killmails as JSON lines, CSV or Parquet.",
        "lake": "Turn all archives of the game into Parquet files, with Spark.",
        "feed": "Keep a PostgreSQL database current with what is stored.",
    },
    "Trying it out": {
        "demo": "Show the whole cycle on this machine, without an account.",
        "simulator": "Run a simulated ESI and SSO on this machine, until Ctrl-C.",
    },
}
SUMMARIES = {name: text for group in GROUPS.values() for name, text in group.items()}

# a command that no module can be named after
_MODULES = {"import": "importing"}


HELP = {
    "": HelpText(
        {
            "killsync demo": "see it work, without an account",
            "killsync init": "begin: the configuration, and the line for cron",
            "killsync kills --help": "what a command does, with examples",
        },
        exits(
            "done; also a scan that had nothing to do",
            _1="finished, but something failed for the first time",
            _2="wrong usage or configuration",
            _75="could not be done now: nothing is lost, try later",
            _130_143=STOPPED,
        ),
    ),
}


class Commands(Mapping[str, Any]):
    """Commands by name; a module is imported only when its command is asked for.

    Each name stands for a module, and the function in it unless it has commands of its own.
    """

    def __init__(self, functions: Mapping[str, tuple[str, str]]) -> None:
        self._functions = functions

    def __getitem__(self, name: str) -> Any:
        module_name, function = self._functions[name]
        module = import_module(f"killsync.cli.{module_name}")
        own = getattr(module, "app", None)
        if own is None:
            own = App()
            own.command(name)(getattr(module, function))
        return typer.main.get_command(own)

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


class _Program(Group):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        functions = {name: (_MODULES.get(name, name), name) for name in SUMMARIES}
        self.commands = Commands(functions)  # type: ignore[assignment]

    def summaries(self) -> "Groups":
        return GROUPS

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        # the help and the version are printed here or, of a command, in `invoke`
        with output.printing(), _in_plain_words():
            return super().make_context(*arguments, **settings)

    def invoke(self, context: Any) -> Any:
        with output.printing(), _in_plain_words():
            return super().invoke(context)

    def list_commands(self, _: object) -> list[str]:
        return list(self.commands)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Take what only a programmer knows from the words for a value that is not valid."""
    try:
        yield
    except typer.BadParameter as error:
        error.message = error.message.removeprefix("Value error, ").replace(
            "Input should", "it must"
        )
        raise


app = App(
    cls=_Program,
    name="killsync",
    help="Keep every killmail of your EVE Online characters in a database of your own.",
    no_args_is_help=True,
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


def _install_completion(wanted: bool) -> None:
    if wanted:
        from killsync.cli import shell_scripts

        _print_and_exit(shell_scripts.install)


def _show_completion(wanted: bool) -> None:
    if wanted:
        from killsync.cli import shell_scripts

        _print_and_exit(shell_scripts.script_here)


def _print_and_exit(result: Callable[[], str]) -> NoReturn:
    from killsync.cli import invocation

    with invocation.edge(invocation.Invocation()):
        invocation.print_result(result())
    raise typer.Exit


@app.callback()
def main_options(
    context: typer.Context,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The database file. [env: KILLSYNC_DB]",
            show_default="killsync.db in the user's data directory",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="The configuration file. [env: KILLSYNC_CONFIG]",
            show_default="config.toml in the user's configuration directory",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more; show tracebacks.")
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
    install_completion: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            is_eager=True,
            callback=_install_completion,
            help="Let Tab complete commands, options and names in this shell: bash, zsh or fish.",
        ),
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option(
            "--show-completion",
            is_eager=True,
            callback=_show_completion,
            help="Print the script that does so, to install it elsewhere.",
        ),
    ] = False,
) -> None:
    """Keep every killmail of your EVE Online characters in a database of your own."""
    from killsync.cli.invocation import Invocation

    context.obj = Invocation(db, config, verbose, quiet, log_format.value)


def main() -> None:
    """Run the command line; the global options may stand anywhere on it."""
    # a core file would hold tokens
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _open_closed_streams()
    _drop_impossible_sizes()
    for stream in (sys.stdout, sys.stderr):
        accept_anything(stream)
    output.never_block("stderr")
    try:
        if shell := os.environ.get("_KILLSYNC_COMPLETE"):
            from killsync.cli import completion

            completion.answer(shell, sys.argv[1:], typer.main.get_command(app))
            return
        app(args=hoisted(sys.argv[1:]), prog_name="killsync")
    finally:
        output.finish()


def _drop_impossible_sizes() -> None:
    """Let the terminal say how large it is where a shell has exported a size of 0."""
    for name in ("COLUMNS", "LINES"):
        size = os.environ.get(name, "")
        if size.isdigit() and int(size) == 0:
            del os.environ[name]


def _open_closed_streams() -> None:
    """Open the null device in place of closed streams: no output is wanted, not an error."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
