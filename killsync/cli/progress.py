"""How a run is shown while it goes on: lines, and at a terminal a bar of killmails below them."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from killsync.cli import output
from killsync.cli.invocation import Invocation, print_result
from killsync.events import Detail, Event, Report, Trouble
from killsync.sync import events
from killsync.terminal.lines import LineReport, line, sentence

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def line_report(call: Invocation) -> LineReport:
    """Return what writes events as lines, as this call wants them."""
    return LineReport(quiet=call.quiet, as_json=call.log_format == "json", verbose=call.verbose)


def print_event(call: Invocation, event: Event, *, dated: bool = False) -> None:
    """Write an event of the result to standard output, unless the call is quiet.

    With its time, if it is to be `dated`, except at a terminal; in JSON always.
    """
    dated = dated and not sys.stdout.isatty()
    shown = line(event, time.time(), as_json=call.log_format == "json", dated=dated)
    if call.quiet:
        output.transcribe(shown)
    else:
        print_result(shown)


def shows_bar(call: Invocation) -> bool:
    """Return whether progress is shown as a bar: at a terminal that can, unless told otherwise."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return not (call.log_format == "json" or call.quiet or plain)


def print_above_bar(console: "Console", event: Event, *, verbose: bool) -> None:
    """Print an event at a terminal, unless it is a detail that was not asked for."""
    if isinstance(event, Detail) and not verbose:
        return
    from rich.text import Text

    style = "red" if isinstance(event, Trouble) else ""
    console.print(Text(sentence(event), style=style))


@contextmanager
def reporting(call: Invocation) -> Iterator[Report]:
    """Yield what shows the events of a run as this call wants them."""
    if not shows_bar(call):
        yield line_report(call)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    columns = (TextColumn("killmails"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _TerminalReport(progress, verbose=call.verbose)


class _TerminalReport:
    def __init__(self, progress: "Progress", *, verbose: bool) -> None:
        self._verbose = verbose
        self._progress = progress
        self._task = progress.add_task("killmails", total=0, visible=False)
        self._expected = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, events.BodiesStored):
            self._progress.advance(self._task, event.batch)
            return
        self._expect(event)
        print_above_bar(self._progress.console, event, verbose=self._verbose)

    def _expect(self, event: Event) -> None:
        match event:
            case events.Working():
                self._expected += event.pending
            case events.PageListed():
                self._expected += event.new
            case events.BodyPutOff() | events.BodySetAside():
                self._expected -= 1
            case _:
                return
        self._progress.update(self._task, total=self._expected, visible=self._expected > 0)
