"""Feeding PostgreSQL: everything that was stored and deleted since the last feed, exactly once.

A batch is one transaction: it reads the place of its source, copies what comes next, and moves the
place. Whatever is killed, the place and the rows go together. Of two that feed one source, each
waits for the other's batch and goes on behind it.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from killsync.errors import UsageError
from killsync.lake import (
    postgres_changes,
    postgres_places,
    postgres_reference,
    postgres_rows,
    postgres_schema,
)
from killsync.lake.postgres import Conn, Target
from killsync.lake.postgres_ahead import Ahead
from killsync.lake.postgres_errors import Undone
from killsync.lake.postgres_places import Fed
from killsync.lake.postgres_reference import Brought
from killsync.lake.postgres_rows import Reader
from killsync.store import changes, facts
from killsync.store.connection import Store, snapshot

# seconds: others hold the schema for a batch at a time
_PATIENCE = 60.0
# before what was undone at once is tried again
_PAUSE = 0.2

_T = TypeVar("_T")


class Report(msgspec.Struct):
    """What one feed has done; `rewritten` counts killmails whose values or hash source changed."""

    stored: int = 0
    also_stored: int = 0
    removed: int = 0
    rewritten: int = 0
    stored_seq: int = 0
    brought: Brought = msgspec.field(default_factory=Brought)
    complete: bool = False


class Feed:
    """One feed of a source, step by step; each step is a transaction.

    `stops` is asked between them. `show` is told up to which `stored_seq` it has come.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        source: str,
        *,
        with_hash: bool,
        stops: Callable[[], bool],
        show: Callable[[int], None],
    ) -> None:
        self.report = Report()
        self._target = target
        self._store = store
        self._conn = store.conn
        self._source = source
        self._with_hash = with_hash
        self._reader = Reader(store.conn, source, with_hash=with_hash)
        self._stops = stops
        self._show = show

    def run(self) -> None:
        """Feed all that is new, then what has changed of the rest.

        Raises UsageError and TryLater; what was committed by then is whole.
        """
        if self._tried(partial(postgres_schema.upgrade, self._target)) is None:
            return
        self._repeat(self._begin, once=True)
        if self._bring() and self._copy() and self._repeat(self._rewrite_next):
            self.report.complete = self._repeat(self._end, once=True)

    def _repeat(self, step: Callable[[Conn], bool], *, once: bool = False) -> bool:
        """Do a step until it says that nothing is left; return whether it came to that."""
        while (more := self._tried(partial(self._held, step))) is not None:
            if once or not more:
                return True
        return False

    def _held(self, step: Callable[[Conn], bool]) -> bool:
        """Do a step in a transaction that holds the schema."""
        with self._target.transaction() as conn:
            postgres_places.hold(conn)
            more = step(conn)
            # what was read of a file that nobody watches is not to stay there
            self._store.check_unchanged()
            return more

    def _tried(self, do: Callable[[], _T]) -> _T | None:
        """Return what something returns, tried for a minute while others are in its way.

        None: it was stopped before it came to that.
        """
        deadline = time.monotonic() + _PATIENCE
        while not self._stops():
            before = msgspec.structs.replace(self.report)
            try:
                return do()
            except Undone:
                self.report = before
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
        return None

    def _begin(self, conn: Conn) -> bool:
        with snapshot(self._conn):
            now = facts.lineage(self._conn), changes.last_rewritten(self._conn)
        postgres_places.begin(conn, self._source, *now, with_hash=self._with_hash)
        fed = postgres_places.read(conn, self._source)
        self.report.stored_seq = fed.place.stored_seq
        with snapshot(self._conn):
            ours = changes.goes_on_from(self._conn, fed.place)
        if not ours:
            raise UsageError(
                f"the schema {self._target.schema} was fed from another database as the source "
                f"{self._source}, or this one was restored from before that: feed it under "
                "another name with --source, or drop the schema and feed it again"
            )
        if fed.with_hash != self._with_hash:
            postgres_places.set_with_hash(conn, self._source, with_hash=self._with_hash)
        return False

    def _bring(self) -> bool:
        brought = postgres_reference.bring(self._repeat, self._conn, self._source, time.time())
        self.report.brought = brought
        return brought.complete

    def _copy(self) -> bool:
        with Ahead(self._reader.next_batch) as ahead:
            return self._repeat(partial(self._copy_next, ahead))

    def _copy_next(self, ahead: Ahead, conn: Conn) -> bool:
        fed = postgres_places.read(conn, self._source)
        batch = ahead.after(fed)
        if not batch:
            # another feed may have brought it
            self.report.stored_seq = fed.place.stored_seq
            return False
        removed = postgres_changes.remove(conn, self._source, batch.removed)
        stored = postgres_changes.store(conn, self._source, batch) if batch.stored else 0
        postgres_places.advance(conn, self._source, batch.place)
        self.report.removed += removed
        self.report.stored += stored
        self.report.also_stored += len(batch.stored) - stored
        self.report.stored_seq = batch.place.stored_seq
        self._show(batch.place.stored_seq)
        return True

    def _rewrite_next(self, conn: Conn) -> bool:
        fed = postgres_places.read(conn, self._source)
        with snapshot(self._conn):
            lineage = facts.lineage(self._conn)
            last = changes.last_rewritten(self._conn)
            if fed.lineage != lineage or fed.rewritten_seq > last:
                return self._rewrite_all_next(conn, fed, lineage, last)
            after = fed.rewritten_seq
            found = postgres_rows.rewritten(self._conn, after, with_hash=self._with_hash)
        if found is None:
            return False
        self.report.rewritten += postgres_changes.rewrite(conn, self._source, found)
        postgres_places.set_rewritten(conn, self._source, found.until)
        return True

    def _rewrite_all_next(self, conn: Conn, fed: Fed, lineage: int, last: int) -> bool:
        """Bring the columns of the next killmails, whether they were written again or not."""
        after = fed.rewriting_after
        if fed.next_lineage != lineage or fed.rewritten_seq > last:
            after = 0
            postgres_places.begin_whole(conn, self._source, lineage, last)
        until = fed.place.stored_seq
        found = postgres_rows.whole(self._conn, after, until, with_hash=self._with_hash)
        if found is None:
            postgres_places.end_whole(conn, self._source)
        else:
            self.report.rewritten += postgres_changes.rewrite(conn, self._source, found)
            postgres_places.set_whole(conn, self._source, found.until)
        return True

    def _end(self, conn: Conn) -> bool:
        postgres_places.end(conn, self._source)
        return False
