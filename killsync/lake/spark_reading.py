"""Reading archives where Spark has its hands: each in a stream, whatever its size."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import Any

import msgspec

import killsync
from killsync.archive.decompression import decompressed_here
from killsync.archive.judging import NotTaken, judge
from killsync.archive.refusals import BrokenArchive, Flaw, Refusal
from killsync.archive.tar import members
from killsync.errors import UsageError
from killsync.lake import target_names
from killsync.lake.layout import Where
from killsync.lake.spark_plan import PlannedArchive
from killsync.lake.spark_rows import ArchiveOutcome, Batch, note
from killsync.lake.target_address import files_of
from killsync.lake.target_files import has
from killsync.model import Origin

_READ = 262_144
_MOST_SHOWN = 20


class Work(msgspec.Struct, frozen=True):
    """What is to be done, for all who take part in it.

    The killmails go into `turns` partitions, and to `where`. `version` is that of the killsync
    that has planned it; `is_spread` says that other machines take part.
    """

    archives: list[PlannedArchive]
    turns: int
    where: Where
    with_hash: bool
    version: str
    is_spread: bool


def read(
    work: Work, numbers: Iterator[int], done: Callable[[ArchiveOutcome], None]
) -> Iterator[Any]:
    """Yield rows, as `pyarrow.RecordBatch`, of the archives that have these places in the plan.

    `done` is called with what became of each, which the last of its rows says too. Raises
    UsageError if it could not be done here.
    """
    check(work)
    for number in numbers:
        reading = _Reading(work.archives[number], work)
        yield from reading.rows()
        outcome = reading.outcome()
        done(outcome)
        yield note(outcome)


def check(work: Work) -> None:
    """Raise UsageError unless this process can take part in some work."""
    if killsync.__version__ != work.version:
        raise UsageError(
            f"{gethostname()} has killsync {killsync.__version__} and not {work.version}: install "
            "the same on all machines"
        )
    where = work.where
    folder = f"{target_names.UNFINISHED}/{where.name}"
    if not has(files_of(where.address), folder, target_names.BEGUN):
        raise UsageError(
            f"{where.shown}: {gethostname()} does not see what is written there: name a "
            "directory that all machines share, or s3://bucket/prefix"
        )


class _Reading:
    """One archive that is read."""

    def __init__(self, archive: PlannedArchive, work: Work) -> None:
        self._archive = archive
        self._batch = Batch(work.turns, with_hash=work.with_hash)
        self._is_spread = work.is_spread
        self._taken = 0
        self._refused: Counter[Refusal] = Counter()
        self._shown: list[tuple[str, str]] = []
        self._flaw: str | None = None
        self._began = time.monotonic()

    def rows(self) -> Iterator[Any]:
        """Yield the killmails, up to a flaw if there is one."""
        try:
            with _opened(self._archive) as source:
                for position, (killmail_id, raw) in enumerate(
                    members(decompressed_here(source), self._refuse)
                ):
                    self._take(position, killmail_id, raw)
                    if self._batch.is_full:
                        yield from self._batch.pack()
        except BrokenArchive as end:
            self._flaw = end.flaw
        except OSError as error:
            where = f" on {gethostname()}" if self._is_spread else ""
            self._flaw = f"{Flaw.UNREADABLE}{where}: {error.strerror or type(error).__name__}"
        yield from self._batch.pack()

    def outcome(self) -> ArchiveOutcome:
        """Return what became of it."""
        return ArchiveOutcome(
            self._archive.number,
            self._taken,
            {reason.value: number for reason, number in self._refused.items()},
            self._shown,
            self._flaw,
            round(time.monotonic() - self._began, 3),
        )

    def _take(self, position: int, killmail_id: int, raw: bytes) -> None:
        try:
            fetched = judge(raw, killmail_id, Origin.EVEREF)
        except NotTaken as refused:
            self._refuse(refused.reason, refused.what)
            return
        archive = self._archive
        self._batch.add(fetched, archive.first_seq + position, archive.stored_at, len(raw))
        self._taken += 1

    def _refuse(self, reason: Refusal, what: str) -> None:
        self._refused[reason] += 1
        if len(self._shown) < _MOST_SHOWN:
            self._shown.append((reason.value, what))


@contextmanager
def _opened(archive: PlannedArchive) -> Iterator[Callable[[], bytes]]:
    """Yield what returns the next bytes of an archive, none at its end."""
    if archive.root:
        with files_of(archive.root).input(archive.path) as remote:
            yield lambda: bytes(remote.read(_READ))
    else:
        with Path(archive.path).open("rb", buffering=0) as file:
            yield lambda: file.read(_READ)


def numbers_in(batches: Iterator[Any]) -> Iterator[int]:
    """Yield the numbers that stand in the one column of Spark's batches."""
    for batch in batches:
        numbers: Sequence[int] = batch.column(0).to_pylist()
        yield from numbers
