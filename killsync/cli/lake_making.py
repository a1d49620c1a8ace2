"""What `killsync lake` does, in its order; it wants pyarrow and pyspark."""

from collections.abc import Sequence
from datetime import date

import msgspec

from killsync.cli.import_progress import Showing
from killsync.cli.invocation import Invocation
from killsync.cli.signals import StopOnSignal
from killsync.lake import spark_archives, spark_plan, spark_sources
from killsync.lake.layout import Maker, Target, open_target
from killsync.lake.spark import Making, Stopped
from killsync.lake.spark_driver import Driver
from killsync.lake.spark_events import LakeArchiveFlawed, LakeToRead, LakeWritten
from killsync.lake.spark_plan import PlannedArchive
from killsync.terminal import lake_lines as lake_lines


class Wanted(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    archives: Sequence[str]
    output: str
    master: str
    with_hash: bool


def make(
    call: Invocation, wanted: Wanted, stop: StopOnSignal, shown: Showing, today: date
) -> LakeWritten:
    """Bring the archives into the lake, and return what became of them.

    Raises UsageError or TryLater: then nothing is written.
    """
    report, bar = shown
    sources = spark_sources.find(wanted.archives, today)
    # what it lacks is said before anything is created
    driver = Driver(wanted.master, verbose=call.verbose)
    with open_target(wanted.output, Maker.ARCHIVES, with_hash=wanted.with_hash) as target:
        planned = _plan(sources, target)
        size = sum(archive.size for archive in planned)
        unchanged = len(sources.archives) - len(planned)
        report(LakeToRead(len(planned), size, wanted.master, unchanged, sources.ignored))
        for place, flaw in sources.refused.items():
            report(LakeArchiveFlawed(place, flaw))
        progress = bar(size) if planned else None
        making = Making(target, planned, report, stop.flag.is_set, progress)
        if planned and not stop.flag.is_set():
            try:
                making.do(driver, with_hash=wanted.with_hash)
            except Stopped:
                return making.ended(unchanged, len(sources.refused), stop.signal_name)
        return making.ended(unchanged, len(sources.refused), None)


def _plan(sources: spark_sources.Sources, target: Target) -> list[PlannedArchive]:
    read = spark_archives.versions_read(target)
    return spark_plan.plan(sources.archives, read, target.place.stored_seq)
