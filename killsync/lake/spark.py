"""Archives become a lake: what is left to do of that after earlier calls, done by Spark."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

import killsync
from killsync.archive.events import KillmailRefused
from killsync.errors import KillsyncError
from killsync.events import Report
from killsync.lake import spark_archives, target_names
from killsync.lake.layout import Call, Target
from killsync.lake.spark_driver import Driver
from killsync.lake.spark_errors import explained
from killsync.lake.spark_events import LakeArchiveFlawed, LakeArchiveRead, LakeWritten
from killsync.lake.spark_job import Job
from killsync.lake.spark_plan import PlannedArchive, largest_first, last_seq, partitions
from killsync.lake.spark_reading import Work
from killsync.lake.spark_rows import ArchiveOutcome, Outcome, PartOutcome
from killsync.store.changes import Place

_LOOK_EVERY = 0.2
_CHANGED = "was read more than once, and not alike"
_T = TypeVar("_T")

Progress = Callable[[float, int], None]
"""Takes how many bytes of archives were read, and how many killmails."""


class Stopped(Exception):
    """It was told to stop before it was done: nothing is written."""


class Making:
    """A call that brings archives into a lake, and what became of them so far."""

    def __init__(
        self,
        target: Target,
        planned: Sequence[PlannedArchive],
        report: Report,
        stopping: Callable[[], bool],
        progress: Progress | None = None,
    ) -> None:
        self._target = target
        self._archives = {archive.number: archive for archive in planned}
        self._report = report
        self._stopping = stopping
        self._progress = progress
        self._outcomes: dict[int, ArchiveOutcome] = {}
        self._parts: list[PartOutcome] = []
        self._looked_at = 0
        self._bytes_read = self._killmails_read = 0
        self._began = time.monotonic()

    def do(self, driver: Driver, *, with_hash: bool) -> None:
        """Read the archives and add what they hold to the lake.

        Raises Stopped if it was told to stop, and UsageError or TryLater: nothing is written then.
        """
        planned = largest_first(self._archives.values())
        with self._target.call(Place(last_seq(planned))) as call:
            work = Work(
                planned,
                partitions(planned),
                call.where(),
                with_hash,
                killsync.__version__,
                driver.is_spread,
            )
            job = Job(driver, work)
            try:
                outcomes = self._await(driver, job)
            finally:
                driver.stop()
            for outcome in outcomes:
                self._take(outcome)
            self._write_archives(call)
            call.commit(
                (table, part.month)
                for part in self._parts
                if part.stored
                for table in target_names.BY_MONTH
            )

    def ended(self, unchanged: int, flawed: int, stopped: str | None) -> LakeWritten:
        """Return what became of all; `flawed` counts archives that could not even be tried."""
        read = self._outcomes.values()
        refused: Counter[str] = Counter()
        for outcome in read:
            refused.update(outcome.refused)
        complete = sum(outcome.flaw is None for outcome in read)
        return LakeWritten(
            archives=complete,
            unchanged=unchanged,
            flawed=flawed + len(read) - complete,
            killmails=sum(outcome.killmails for outcome in read) + refused.total(),
            stored=sum(part.stored for part in self._parts),
            known=sum(part.known for part in self._parts),
            months=len({part.month for part in self._parts if part.stored}),
            refused=dict(refused),
            seconds=round(time.monotonic() - self._began, 3),
            stopped=stopped,
        )

    def _await(self, driver: Driver, job: Job) -> list[Outcome]:
        def work() -> list[Outcome]:
            driver.start()
            return job.run()

        def look() -> None:
            if self._stopping():
                raise Stopped
            for outcome in job.read_so_far[self._looked_at :]:
                self._looked_at += 1
                self._take(outcome)

        try:
            return _in_a_thread(work, look)
        except (KillsyncError, Stopped):
            raise
        except Exception as error:
            if self._stopping():
                raise Stopped from None
            raise explained(error, driver.master) from error

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome, PartOutcome):
            self._parts.append(outcome)
            return
        known = self._outcomes.get(outcome.number)
        # what is known of it is said, and need not be kept
        taken = worse(known, msgspec.structs.replace(outcome, shown=[]))
        if taken == known:
            return
        self._outcomes[outcome.number] = taken
        archive = self._archives[outcome.number]
        if known is None:
            self._bytes_read += archive.size
            self._killmails_read += outcome.killmails
        self._say(archive, msgspec.structs.replace(taken, shown=outcome.shown))

    def _say(self, archive: PlannedArchive, outcome: ArchiveOutcome) -> None:
        for reason, what in outcome.shown:
            self._report(KillmailRefused(reason, what))
        if outcome.flaw is not None:
            self._report(LakeArchiveFlawed(archive.shown, outcome.flaw, outcome.killmails))
        else:
            killmails = outcome.killmails + sum(outcome.refused.values())
            self._report(LakeArchiveRead(archive.day, killmails, outcome.refused, outcome.seconds))
        if self._progress is not None:
            self._progress(self._bytes_read, self._killmails_read)

    def _write_archives(self, call: Call) -> None:
        stored: Counter[int] = Counter()
        for part in self._parts:
            stored[part.number] += part.stored
        spark_archives.write(
            call,
            (
                (self._archives[number], outcome, stored[number])
                for number, outcome in sorted(self._outcomes.items())
            ),
        )


def worse(known: ArchiveOutcome | None, again: ArchiveOutcome) -> ArchiveOutcome:
    """Return what is to be held of an archive that was read once more.

    Spark reads it again where what an executor has read is lost with it, and nobody knows of which
    reading the rows are that were written. So an archive is whole only if all readings say so; of
    one that is not, a later call reads it again, and passes over what is there.
    """
    if known is None or known.flaw is not None:
        return known or again
    if again.flaw is None and (again.killmails, again.refused) != (known.killmails, known.refused):
        return msgspec.structs.replace(again, flaw=_CHANGED)
    return known if again.flaw is None else again


class _Result(msgspec.Struct):
    value: Any = None
    error: Exception | None = None


def _in_a_thread(work: Callable[[], _T], look: Callable[[], None]) -> _T:
    """Return what `work` returns, or raise what it raises; `look` is called again and again.

    If `look` raises an error, that ends the wait at once.
    """
    result = _Result()

    def run() -> None:
        try:
            result.value = work()
        except Exception as error:
            result.error = error

    # a daemon: it may hang in Java when this program is to end
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        look()
        thread.join(_LOOK_EVERY)
    if result.error is not None:
        raise result.error
    value: _T = result.value
    return value
