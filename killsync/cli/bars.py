"""Two bars of a run at a terminal: the lists that it reads, and the killmails that it stores.

Imported only where bars are shown: rich takes its time.
"""

import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from killsync.cli.progress import print_above_bar
from killsync.errors import KillsyncError
from killsync.esi.ratelimit import Rest
from killsync.events import Event
from killsync.sync import events
from killsync.sync.forecast import Backlog
from killsync.terminal.advice import describe_rest
from killsync.terminal.console import error_console
from killsync.terminal.moments import Zone, time_to_come
from killsync.terminal.text import time_left
from killsync.times import unix

# what is pending, and when it will be there, at so many bodies a second (None: not known yet)
Forecast = Callable[[float | None], Backlog]

# in seconds, and as a multiple of what the last look took
_LOOKS_APART, _LOOKS_COST = 1.0, 20
# columns of the terminal
_FOR_BOTH_TIMES = 120
# over which the rate is taken, in seconds
_LATELY = 15.0


def new_progress() -> Progress:
    """Return the bars, with nothing in them yet."""
    console = error_console()
    of = TextColumn("{task.fields[of]}", markup=False)
    words = TextColumn("{task.description}", markup=False)
    # a narrow terminal shortens the bar: what may not wrap keeps its width
    left = _Left(table_column=Column(no_wrap=True))
    columns = (words, BarColumn(bar_width=24), of, left)
    return Progress(*columns, console=console, transient=True)


class _Left(ProgressColumn):
    """What is left, in words that are right at the moment they are shown."""

    def render(self, task: Task) -> Text:
        """Return what the task says of itself now."""
        left: Callable[[], str] = task.fields["left"]
        return Text(left())


class Looks:
    """When to look at what is pending: seldom enough to take no more than 5 % of a run."""

    def __init__(self) -> None:
        self._not_before = self._usual_at = -math.inf

    def is_due(self, now: float, *, at_once: bool) -> bool:
        """Return whether to look now; `at_once` if something has changed that is worth a look."""
        return now >= (self._not_before if at_once else self._usual_at)

    def ended(self, began: float, now: float) -> None:
        """Take note of a look that ends now."""
        self._not_before = now + _LOOKS_COST * (now - began)
        self._usual_at = max(now + _LOOKS_APART, self._not_before)


class Bars:
    """Shows the events of a run: bars below, and above them what people may want to read."""

    def __init__(
        self, progress: Progress, forecast: Forecast, *, verbose: bool, zone: Zone
    ) -> None:
        self._progress = progress
        self._forecast = forecast
        self._verbose = verbose
        self._zone = zone
        self._backlog: Backlog | None = None
        self._looks = Looks()
        self._stored = 0
        self._lately: deque[tuple[float, int]] = deque([(time.time(), 0)])
        # by user: the page that was read last, and how many there are, as far as is known
        self._pages: dict[int, tuple[int, int | None]] = {}
        self._due = 0
        self._listed = 0
        self._lists = self._add_row("lists", str)
        self._killmails = self._add_row("killmails", self._left)

    def _add_row(self, name: str, left: Callable[[], str]) -> TaskID:
        return self._progress.add_task(name, total=None, visible=False, of="", left=left)

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, events.BodiesStored):
            self._stored = event.stored
            self._lately.append((time.time(), event.stored))
            self._progress.update(self._killmails, completed=event.stored)
        else:
            self._follow_lists(event)
            print_above_bar(self._progress.console, event, verbose=self._verbose, zone=self._zone)
        self._look(at_once=isinstance(event, events.PageListed | events.Working | events.Waiting))

    def _follow_lists(self, event: Event) -> None:
        match event:
            case events.Queued():
                self._due = event.due
            case events.ListStarted():
                self._pages.setdefault(event.user_id, (0, None))
            case events.PageListed():
                self._pages[event.user_id] = (event.page, event.pages)
            case events.Listed() | events.ListPutOff() | events.UserFailed():
                self._listed += 1
            case _:
                return
        self._show_lists()

    def _show_lists(self) -> None:
        """Show how many lists are done; of one alone, how many pages."""
        lists = max(self._due, len(self._pages))
        if not lists:
            return
        if lists == 1 and self._pages:
            ((done, total),) = self._pages.values()
            known = "" if total is None else f" of {max(done, total):,}"
            of = f"page {done:,}{known}" if done else ""
        else:
            done, total = self._listed, lists
            of = f"{min(done, lists):,} of {lists:,}"
        total = None if total is None else max(done, total)
        self._progress.update(self._lists, completed=done, total=total, visible=True, of=of)

    def _look(self, *, at_once: bool) -> None:
        """Look at what is pending, now and then: several events come in a second."""
        began = time.monotonic()
        if not self._looks.is_due(began, at_once=at_once):
            return
        try:
            found = self._backlog = self._forecast(self._rate(time.time()))
        except (sqlite3.Error, KillsyncError):
            return  # the run itself says what is wrong
        finally:
            self._looks.ended(began, time.monotonic())
        total = self._stored + found.to_come
        about = "about " if found.expected or found.unread_lists else ""
        self._progress.update(
            self._killmails,
            completed=self._stored,
            total=total,
            visible=total > 0,
            of=f"{self._stored:,} of {about}{total:,}",
        )

    def _rate(self, now: float) -> float | None:
        """Return how many bodies a second were stored lately, None if that is not known."""
        while len(self._lately) > 1 and self._lately[1][0] < now - _LATELY:
            self._lately.popleft()
        since, before = self._lately[0]
        seconds = now - since
        return (self._stored - before) / seconds if self._stored > before and seconds > 1 else None

    def _left(self) -> str:
        known, now = self._backlog, time.time()
        if known is None or known.done_at is None:
            return ""
        if known.resumes_at is not None and unix(known.resumes_at) > now + 1:
            after = known.resumes_after or Rest.SPENT
            rests = describe_rest(after, known.resumes_at, now, self._zone)
            if self._progress.console.width < _FOR_BOTH_TIMES:
                return rests
            by = time_to_come(known.done_at, now, self._zone, rough=True)
            return f"{rests}; all by about {by}"
        return f"{_pace(self._rate(now))}{time_left(unix(known.done_at) - now)}"


def _pace(rate: float | None) -> str:
    if rate is None:
        return ""
    return f"{rate:,.0f}/s  " if rate >= 1 else f"{rate * 60:,.0f}/min  "
