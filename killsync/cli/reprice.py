"""`killsync data reprice`: the value of every stored killmail is computed again."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.signals import StopOnSignal
from killsync.store import game_data, prices, revaluing, verify
from killsync.store.connection import Store
from killsync.store.revaluing import Step
from killsync.terminal.console import error_console
from killsync.terminal.isk import isk
from killsync.terminal.text import count

_LOCK_PATIENCE = 60.0
_NO_PRICES = (
    "there are no prices yet, and nothing was changed: the next `killsync scan` that has something "
    "to value asks ESI for them, unless `prices` is off"
)


HELP = {
    "data reprice": HelpText(
        {"killsync data reprice": "after an update that counts otherwise"},
        exits(
            "every killmail is valued again, or there are no prices yet",
            _75="a run did not end within a minute",
            _130_143="stopped by a signal; what was valued again stays so",
        ),
    ),
}


class _Done(msgspec.Struct):
    """What was done so far; `before` and `after` are the sums of the totals, in ISK."""

    killmails: int = 0
    changed: int = 0
    before: float = 0.0
    after: float = 0.0

    def add(self, step: Step) -> None:
        self.killmails += step.killmails
        self.changed += step.changed
        self.before += step.before
        self.after += step.after


def reprice(context: typer.Context) -> None:
    """Value every stored killmail again, by the prices of its day and the rules of this version.

    Nobody is asked: the prices are those that scans have kept. Otherwise a value never changes
    once it is known. It may be stopped and started again at any time.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        with (
            opening.for_writing(call.settings()) as store,
            opening.locked_patiently(store, call, stop, _LOCK_PATIENCE),
        ):
            game_data.load_if_outdated(store)
            # another program may keep the database locked for long
            store.gives_up = stop.flag.is_set
            if prices.any_fetched(store.conn, time.time()):
                done, total = _Done(), verify.size(store.conn)
                with _progress(call, total) as show:
                    _reprice(store, stop, done, show)
                _print(call, _describe(done, total, stop.signal_name))
            else:
                _print(call, _NO_PRICES)
        exit_with(stop.exit_code or 0)


def _reprice(store: Store, stop: StopOnSignal, done: _Done, show: Callable[[int], None]) -> None:
    below: int | None = None
    now = time.time()
    while stop.exit_code is None:
        with store.transaction() as conn:
            step = revaluing.reprice(conn, now, below)
        done.add(step)
        show(done.killmails)
        below = step.lowest
        if below is None:
            return


def _describe(done: _Done, total: int, stopped: str | None) -> str:
    changed = f"{done.changed:,} changed" if done.changed else "none changed"
    if stopped is not None:
        return (
            f"stopped by {stopped}: {done.killmails:,} of {count(total, 'killmail')} valued again, "
            f"{changed}; `killsync data reprice` starts over"
        )
    worth = f"{isk(done.after)} ISK in all"
    if done.changed:
        more = done.after - done.before
        worth += f", {isk(abs(more))} {'less' if more < 0 else 'more'} than before"
    return f"{count(done.killmails, 'killmail')} valued again, {changed}: {worth}"


def _print(call: Invocation, text: str) -> None:
    if not call.quiet:
        print_result(text)


@contextmanager
def _progress(call: Invocation, total: int) -> Iterator[Callable[[int], None]]:
    """Yield what shows how many killmails are done: a bar at a terminal, elsewhere nothing."""
    if call.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = error_console()
    columns = (TextColumn("killmails"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
