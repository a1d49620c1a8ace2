"""How an import is shown while it goes on: a line an archive, or at a terminal a bar below them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from killsync.archive.everef import Progress
from killsync.cli.invocation import Invocation
from killsync.cli.progress import line_report, print_above_bar, shows_bar
from killsync.events import Event, Report
from killsync.terminal.console import error_console

Showing = tuple[Report, Callable[[float | None], Progress | None]]
"""What reports events, and what makes a bar, None if none is shown.

It takes how much work there is, None if nobody knows."""


@contextmanager
def showing(call: Invocation) -> Iterator[Showing]:
    """Yield what shows an import as this call wants it."""
    if not shows_bar(call):
        yield line_report(call), lambda total: None
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = error_console()
    rate = TextColumn("{task.fields[read]:,} killmails, {task.fields[rate]:,} a second")
    columns = (BarColumn(), TaskProgressColumn(), rate, TimeLeft())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, read=0, rate=0, visible=False)

        def report(event: Event) -> None:
            print_above_bar(console, event, verbose=call.verbose)

        def show(done: float, killmails: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0
            rate = int(killmails / elapsed) if elapsed else 0
            bar.update(task, completed=done, read=killmails, rate=rate)

        def start(total: float | None) -> Progress:
            bar.update(task, total=total, visible=total is None or total > 0)
            return show

        yield report, start
