"""`killsync feed postgres`: what it does, in its order; it wants psycopg."""

from contextlib import ExitStack

import msgspec

from killsync.cli import opening
from killsync.cli.import_progress import showing
from killsync.cli.invocation import Invocation
from killsync.cli.progress import print_event
from killsync.cli.signals import StopOnSignal
from killsync.lake.postgres import connected
from killsync.lake.postgres_events import PostgresFed
from killsync.lake.postgres_feed import Feed
from killsync.store import changes
from killsync.terminal import feed_lines as feed_lines


class Wanted(msgspec.Struct, frozen=True):
    """Where a database is fed to: an address, a schema, and as which source."""

    url: str | None
    schema: str
    source: str
    with_hash: bool


def bring_up_to_date(call: Invocation, stop: StopOnSignal, wanted: Wanted) -> None:
    """Feed what is new, and say what that was."""
    with ExitStack() as stack:
        store = stack.enter_context(opening.for_reading(call.settings()))
        with stop.leaving_at_once():
            target = stack.enter_context(connected(wanted.url, wanted.schema))
        _, bar = stack.enter_context(showing(call))
        last = changes.last_place(store.conn).stored_seq
        progress = None

        def show(stored_seq: int) -> None:
            nonlocal progress
            progress = progress or bar(last)
            if progress is not None:
                progress(stored_seq, feed.report.stored)

        feed = Feed(
            target,
            store,
            wanted.source,
            with_hash=wanted.with_hash,
            stops=lambda: stop.exit_code is not None,
            show=show,
        )
        feed.run()
    report, brought = feed.report, feed.report.brought
    print_event(
        call,
        PostgresFed(
            source=wanted.source,
            stored_seq=report.stored_seq,
            killmails=report.stored,
            also_stored=report.also_stored,
            removed=report.removed,
            rewritten=report.rewritten,
            users=brought.users,
            users_gone=brought.users_gone,
            names=brought.names,
            price_days=brought.price_days,
            game_data=brought.game_data,
            stopped=None if report.complete else stop.signal_name,
        ),
    )
