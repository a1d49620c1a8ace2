"""How `import zkb` is shown while it goes on: lines, and at a terminal one bar in their place."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from killsync.cli.invocation import Invocation
from killsync.cli.progress import line_report, print_above_bar, shows_bar
from killsync.events import Event, Report
from killsync.sync import events, zkb_events
from killsync.terminal.console import error_console
from killsync.terminal.text import safe
from killsync.times import span

if TYPE_CHECKING:
    from rich.progress import Progress

# when the bodies that are left will have been fetched, as far as ESI's limit allows: unix seconds
DoneAt = Callable[[], float | None]


@contextmanager
def reporting(call: Invocation, done_at: DoneAt) -> Iterator[Report]:
    """Yield what shows the events of an import as this call wants them."""
    if not shows_bar(call):
        lines = line_report(call)
        # how many wait has just been said
        yield lambda event: None if isinstance(event, events.Working) else lines(event)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    console = error_console()
    of, left = TextColumn("{task.fields[of]}"), TextColumn("{task.fields[left]}")
    words = TextColumn("{task.description}", markup=False)
    with Progress(words, BarColumn(), of, left, console=console, transient=True) as progress:
        yield _Bar(progress, done_at, verbose=call.verbose)


def rate(done: int, seconds: float) -> float:
    """Return how many were done in a second."""
    return done / seconds if seconds > 0 else 0.0


def seconds_left(left: int, a_second: float, done_at: float | None, now: float) -> float | None:
    """Return for how long the rest takes: at this rate, and as ESI's limit allows, the longer.

    None if that is not known yet. Times are unix seconds.
    """
    if not a_second:
        return None
    return max(left / a_second, (done_at or now) - now)


class _Bar:
    def __init__(self, progress: "Progress", done_at: DoneAt, *, verbose: bool) -> None:
        self._progress = progress
        self._done_at = done_at
        self._verbose = verbose
        self._task = progress.add_task("", total=None, visible=False, of="", left="")
        self._began = time.monotonic()
        self._pages = 0
        self._bodies = 0
        self._expected = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case zkb_events.ZkbPageListed():
                self._show_page(event)
                return
            case events.BodiesStored():
                self._bodies += event.batch
                self._show_bodies()
                return
            case zkb_events.ZkbBodiesStarted():
                self._began = time.monotonic()
                self._expected = event.ready
                self._show_bodies()
            case events.PageListed():
                self._expected += event.new
            case events.BodyPutOff() | events.BodySetAside() | events.BodyNotOurs():
                self._expected -= 1
            case events.Working():
                return
        print_above_bar(self._progress.console, event, verbose=self._verbose)

    def _show_page(self, event: zkb_events.ZkbPageListed) -> None:
        if not self._pages:
            self._began = time.monotonic()
        # the first says nothing of how fast they come
        a_second = rate(self._pages, time.monotonic() - self._began)
        self._pages += 1
        self._progress.update(
            self._task,
            visible=True,
            total=None,
            description=f"{safe(event.name, 40)}, {event.side}",
            of=f"page {event.page:,}, {event.listed:,} killmails",
            left=f"{a_second:.1f} pages/s" if a_second else "",
        )

    def _show_bodies(self) -> None:
        total = max(self._expected, self._bodies)
        a_second = rate(self._bodies, time.monotonic() - self._began)
        left = seconds_left(total - self._bodies, a_second, self._done_at(), time.time())
        shown = "" if left is None else f", {span(left)} left"
        self._progress.update(
            self._task,
            visible=True,
            total=total,
            completed=self._bodies,
            description="killmails from ESI",
            of=f"{self._bodies:,} of {total:,}",
            left=f"{a_second:.1f}/s{shown}",
        )
