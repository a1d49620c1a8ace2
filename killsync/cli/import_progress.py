"""How an import is shown while it goes on: a line an archive, or at a terminal a bar below them."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from killsync.archive.everef import Progress
from killsync.cli.invocation import Invocation
from killsync.cli.progress import line_report
from killsync.events import Detail, Event, Report, Trouble
from killsync.terminal.import_lines import sentence

Showing = tuple[Report, Callable[[float | None], Progress | None]]
"""What reports events, and what makes a bar, None if none is shown.

It takes how much work there is, None if nobody knows."""


@contextmanager
def showing(call: Invocation) -> Iterator[Showing]:
    """Yield what shows an import as this call wants it."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    if call.log_format == "json" or call.quiet or plain:
        yield line_report(call), lambda total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    rate = TextColumn("{task.fields[read]:,} killmails, {task.fields[rate]:,} a second")
    columns = (BarColumn(), TaskProgressColumn(), rate, TimeLeft())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, read=0, rate=0, visible=False)

        def report(event: Event) -> None:
            if not isinstance(event, Detail) or call.verbose:
                style = "red" if isinstance(event, Trouble) else ""
                console.print(Text(sentence(event), style=style))

        def show(done: float, killmails: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0
            rate = int(killmails / elapsed) if elapsed else 0
            bar.update(task, completed=done, read=killmails, rate=rate)

        def start(total: float | None) -> Progress:
            bar.update(task, total=total, visible=total is None or total > 0)
            return show

        yield report, start
