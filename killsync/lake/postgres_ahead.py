"""Reading ahead: the next batch is read from SQLite while PostgreSQL stores the one before."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from killsync.lake.postgres_places import Fed
from killsync.lake.postgres_rows import Batch
from killsync.store.changes import Place


class Ahead:
    """What comes next, read in a thread of its own, which alone uses the database meanwhile."""

    def __init__(self, read: Callable[[Place], Batch]) -> None:
        """Take what reads the batch after a place."""
        self._read = read
        self._thread = ThreadPoolExecutor(1)
        self._fed: Fed | None = None
        self._batch: Future[Batch] = Future()

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def after(self, fed: Fed) -> Batch:
        """Return the batch after a source's place, and begin to read the one after that.

        What was read ahead is one snapshot, like any other, and what has happened since comes
        later. But where another feed has been at work, it may have gone past that already, as what
        was written again: then what was read ahead does not count, and the batch is read now.
        """
        if fed != self._fed:
            self._begin(fed)
        batch = self._batch.result()
        if batch:
            self._begin(msgspec.structs.replace(fed, place=batch.place))
        return batch

    def _begin(self, fed: Fed) -> None:
        self._fed, self._batch = fed, self._thread.submit(self._read, fed.place)
