"""How a run is shown while it goes on: lines, and at a terminal two bars below them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from killsync.cli.invocation import Invocation
from killsync.cli.progress import line_report, shows_bar, zone_at_terminal
from killsync.events import Report
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.sync.forecast import Backlog, backlog
from killsync.sync.ticks import Running


@contextmanager
def reporting(
    call: Invocation,
    settings: Settings,
    store: Store,
    *,
    max_runtime: float,
    only_users: Sequence[int] | None = None,
) -> Iterator[Report]:
    """Yield what shows the events of a run as this call wants them.

    The run goes on for `max_runtime` seconds at most, for all users or for `only_users`.
    """
    if not shows_bar(call):
        yield line_report(call, settings)
        return
    from killsync.cli.bars import Bars, new_progress

    running = Running(time.time() + max_runtime, own_only=only_users is not None)

    def forecast(rate: float | None) -> Backlog:
        now = time.time()
        return backlog(store, settings, now, user_ids=only_users, running=running, rate=rate)

    zone = zone_at_terminal(settings)
    with new_progress() as progress:
        yield Bars(progress, forecast, verbose=call.verbose, zone=zone)
