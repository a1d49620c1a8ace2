"""`killsync export --format parquet`: what it does, in its order; it wants pyarrow."""

from killsync.cli import opening
from killsync.cli.import_progress import showing
from killsync.cli.invocation import Invocation
from killsync.cli.signals import leaving_by_exception
from killsync.lake import parquet
from killsync.lake.layout import Maker, open_target
from killsync.store import names
from killsync.terminal import parquet_lines as parquet_lines

# fewer are there before a bar could be read
_WORTH_A_BAR = 10_000


def add_new(call: Invocation, address: str, *, with_hash: bool) -> None:
    """Add to the lake at an address what was stored and deleted since the last call."""
    with (
        leaving_by_exception(),
        opening.for_reading(call.settings()) as store,
        open_target(address, Maker.DATABASE, with_hash=with_hash) as target,
    ):
        unnamed = names.counts(store.conn).unnamed
        with showing(call) as (report, bar):
            progress = None

            def show(done: int, total: int) -> None:
                nonlocal progress
                if progress is None and total >= _WORTH_A_BAR:
                    progress = bar(total)
                if progress is not None:
                    progress(done, done)

            exported = parquet.add_new(store, target, show, with_hash=with_hash)
        report(exported)
    if unnamed and exported.killmails and not call.quiet:
        have = "id of the database has" if unnamed == 1 else "ids of the database have"
        call.warn(
            f"{unnamed:,} {have} no name yet: where one was written, it stays without; `killsync "
            "names` says which"
        )
