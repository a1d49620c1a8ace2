"""The global options, and the one edge where errors become a line and an exit code."""

import json
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec
import typer

from killsync.cli import output, private_files
from killsync.cli.swallowed import raised_again
from killsync.errors import INTERRUPTED, DatabaseError, KillsyncError, describe
from killsync.model import STARTED_BY_SYSTEMD, Caller
from killsync.settings import config
from killsync.settings.config import CheckedSettings, Settings
from killsync.settings.program import Program, this_program
from killsync.terminal.text import safe
from killsync.times import iso

_STREAMS = (0, 1, 2)


class Invocation(msgspec.Struct):
    """The global options of this call."""

    db: str | None = None
    config: Path | None = None
    verbose: bool = False
    quiet: bool = False
    log_format: str = "text"

    def settings(self, **flags: object) -> Settings:
        """Return the settings in force; `flags` are the command's own.

        Files with secrets that others may read are made private, with a warning.
        """
        self.warn_of_unknown_variables()
        settings = config.load(self.config, {"db": self.db, **flags}, os.environ)
        for line in private_files.keep_private(
            settings, config.config_file(self.config, os.environ)
        ):
            self.warn(line)
        return settings

    def warn_of_unknown_variables(self) -> None:
        """Warn of each variable that looks like a setting and is none, unless the call is quiet."""
        if self.quiet:
            return  # cron would mail it at every tick
        for name, near in config.unknown_variables(os.environ).items():
            meant = f"; {near} may be meant" if near else ""
            self.warn(f"{safe(name)} is not a setting, and does nothing{meant}: unset it")

    def examined(self) -> CheckedSettings:
        """Return the settings of files, environment and global options, and where each stands."""
        return config.examine(self.config, {"db": self.db}, os.environ)

    @property
    def program(self) -> Program:
        """How to call this program again, on the same configuration and database."""
        return this_program(self.config, self.db, os.environ)

    def caller(self, settings: Settings) -> Caller:
        """Return what a run records of how it was called."""
        return Caller(
            program=storable(shlex.join(self.program.words)),
            config=storable(str(config.config_file(self.config, os.environ).absolute())),
            database=storable(str(settings.database.absolute())),
            variables=sorted(filter(_is_recorded, os.environ)),
            terminal=any(map(os.isatty, _STREAMS)),
        )

    def warn(self, text: str, **fields: object) -> None:
        """Write a line about what is wrong to standard error, in the log's format.

        In JSON the `fields` stand beside the text: what it says, for programs.
        """
        if self.log_format == "json":
            about = {"time": iso(time.time()), "event": "Warning", "text": text}
            line = json.dumps(about | fields)
        else:
            line = f"killsync: {text}"
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def warn_of_monitoring(self, text: str) -> None:
        """Warn that monitoring gets nothing, which it notices itself.

        Not if the call is quiet, unless it is verbose: cron would mail it at every tick.
        """
        if self.verbose or not self.quiet:
            self.warn(text)


def from_context(context: typer.Context) -> Invocation:
    """Return the global options that a command was called with."""
    invocation = context.find_object(Invocation)
    assert invocation is not None
    return invocation


@contextmanager
def edge(invocation: Invocation, *, works: bool = False) -> Iterator[None]:
    """Turn every error into one line and its exit code; the traceback only with --verbose.

    A command that `works` goes on when standard output, which only describes its work, cannot
    be written. Of others it is the result, and a reader who leaves ends them with 141.
    """
    if works:
        output.never_block("stdout")
    try:
        with raised_again(), _interruptible():
            yield
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:
        _explain(invocation, error)
        exit_with(exit_code_of(error))


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends the program with."""
    match error:
        case KillsyncError() | typer.Exit():
            return error.exit_code
        case KeyboardInterrupt():
            return INTERRUPTED
        case BrokenPipeError():
            return output.BROKEN_PIPE
        case OSError():
            return DatabaseError.exit_code
    return 1


def _explain(invocation: Invocation, error: BaseException) -> None:
    """Write the line that a person reads of an error, if any."""
    match error:
        case KeyboardInterrupt():
            return
        case BrokenPipeError():
            output.give_up()
            return
        case KillsyncError():
            text = str(error)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            text = f"{where}{error.strerror or error}"
            text = output.unwritable(error) if output.give_up() else text
        case _:
            text = f"{describe(error)}; use --verbose to see where it happened"
    _print_error(invocation, error, text)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make Ctrl-C a KeyboardInterrupt; before and after, it ends the process silently."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def exit_with(code: int) -> NoReturn:
    """End the program with an exit code."""
    raise typer.Exit(code)


def print_result(text: str) -> None:
    """Write a line of the result to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def storable(text: str) -> str:
    """Return text that UTF-8 can encode: a path may hold bytes that are not UTF-8."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _is_recorded(variable: str) -> bool:
    if variable == STARTED_BY_SYSTEMD:
        return os.environ[variable] == str(os.getpid())
    return variable.startswith(config.ENVIRONMENT_PREFIX)


def _print_error(invocation: Invocation, error: BaseException, text: str) -> None:
    fields = {}
    if invocation.verbose and invocation.log_format == "json":
        fields["traceback"] = "".join(traceback.format_exception(error))
    elif invocation.verbose:
        traceback.print_exception(error)
    invocation.warn(safe(text, 500), **fields)
