"""How events are shown: as lines, at a terminal also above a bar, or as one that changes."""

import os
import sys
import time
from typing import TYPE_CHECKING

from killsync.cli import output
from killsync.cli.invocation import Invocation, print_result
from killsync.events import Detail, Event, Trouble
from killsync.settings.config import Settings
from killsync.terminal.console import error_console
from killsync.terminal.lines import LineReport, line, sentence
from killsync.terminal.moments import Zone, time_to_come

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


def zone_at_terminal(settings: Settings) -> Zone:
    """Return by whose clock times are shown at a terminal."""
    return Zone.LOCAL if settings.time_zone == "local" else Zone.EVE


def line_report(call: Invocation, settings: Settings | None = None) -> LineReport:
    """Return what writes events as lines, as this call wants them; at a terminal by its clock."""
    as_json, zone = call.log_format == "json", zone_at_terminal(settings) if settings else Zone.LOG
    return LineReport(quiet=call.quiet, as_json=as_json, verbose=call.verbose, zone=zone)


def print_event(
    call: Invocation, event: Event, settings: Settings | None = None, *, dated: bool = False
) -> None:
    """Write an event of the result to standard output, unless the call is quiet.

    With its time, if it is to be `dated`, except at a terminal; in JSON always. At a terminal the
    times to come in it are shown as the settings say.
    """
    at_terminal = sys.stdout.isatty()
    zone = zone_at_terminal(settings) if settings and at_terminal else Zone.LOG
    as_json = call.log_format == "json"
    shown = line(event, time.time(), as_json=as_json, dated=dated and not at_terminal, zone=zone)
    if call.quiet:
        output.transcribe(shown)
    else:
        print_result(shown)


def shows_bar(call: Invocation) -> bool:
    """Return whether progress is shown as a bar: at a terminal that can, unless told otherwise."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return not (call.log_format == "json" or call.quiet or plain)


def print_above_bar(
    console: "Console", event: Event, *, verbose: bool, zone: Zone = Zone.LOG
) -> None:
    """Print an event at a terminal, unless it is a detail that was not asked for."""
    if isinstance(event, Detail) and not verbose:
        return
    from rich.text import Text

    style = "red" if isinstance(event, Trouble) else ""
    console.print(Text(sentence(event, zone), style=style))


class WaitingLine:
    """What a command waits for: at a terminal one line that changes, else a line per change."""

    def __init__(self, call: Invocation, settings: Settings) -> None:
        self._lines = line_report(call, settings)
        self._at_terminal = shows_bar(call)
        self._zone = zone_at_terminal(settings)
        self._status: Status | None = None
        self._shown: Event | None = None

    def show(self, event: Event, done_at: str | None) -> None:
        """Show what it waits for; at a terminal also when all is there (ISO text), if known."""
        if not self._at_terminal:
            if event != self._shown:
                self._lines(event)
            self._shown = event
            return
        by = "" if done_at is None else f"; {self._by(done_at)}"
        self._update(f"{sentence(event, self._zone)}{by}")

    def clear(self) -> None:
        """Take the line away: the command goes on."""
        if self._status is not None:
            self._status.stop()
        self._status = None

    def _by(self, done_at: str) -> str:
        return f"all by about {time_to_come(done_at, time.time(), self._zone, rough=True)}"

    def _update(self, text: str) -> None:
        if self._status is None:
            from rich.status import Status

            console = error_console()
            self._status = Status(text, console=console)
            self._status.start()
        self._status.update(text)
