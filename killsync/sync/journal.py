"""Writes that belong together, committed together: at once, or with the next that cannot wait.

A poll that brought nothing changes only times; many of them share one durable commit.
"""

import sqlite3
from collections.abc import Callable

from killsync.esi.ratelimit import Limits
from killsync.store import limits as stored_limits
from killsync.store.connection import Store
from killsync.store.sqlite_errors import readable_errors

Write = Callable[[sqlite3.Connection], object]

MOST_WRITES = 400
LONGEST_WAIT = 2.0


class Journal:
    """Collects writes in order; `commit` makes all of them durable, with what was spent."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._writes: list[Write] = []
        self._thens: list[Callable[[], object]] = []
        self._since = 0.0

    def add(self, write: Write, now: float, then: Callable[[], object] | None = None) -> None:
        """Keep a write for the next commit, after which `then` is called."""
        if not self._writes:
            self._since = now
        self._writes.append(write)
        if then is not None:
            self._thens.append(then)

    def is_due(self, now: float) -> bool:
        """Return whether what waits has waited long enough."""
        waited = not self._since <= now < self._since + LONGEST_WAIT
        return bool(self._writes) and (waited or len(self._writes) >= MOST_WRITES)

    def commit(self, *writes: Write) -> None:
        """Commit everything that waits, and then `writes`, in one transaction."""
        waiting, self._writes = self._writes, []
        spent = self._limits.take_changed()
        if not waiting and not writes and not spent:
            return
        with readable_errors(self._store.path), self._store.transaction() as conn:
            for write in (*waiting, *writes):
                write(conn)
            stored_limits.save(conn, spent)
        thens, self._thens = self._thens, []
        for then in thens:
            then()
