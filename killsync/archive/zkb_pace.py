"""When zKillboard may be asked: one request at a time and a second, whoever sends it.

That is kept in the database, so that neither a new process nor one beside this one is quicker,
and a rest that zKillboard has asked for outlives the process.
"""

import threading
import time
from collections.abc import Callable

from killsync.errors import NotSent, RateLimited
from killsync.store import facts
from killsync.store.connection import Store
from killsync.times import HOUR, MINUTE, has_passed, iso_after

# from the end of one request to the start of the next
INTERVAL = 1.0
# how long a turn is held for an answer; one whose process was killed keeps others waiting for it
_HELD = 10.0
# a rest of an earlier command's that is waited for
_PATIENCE = MINUTE
# no rest counts for more, whatever an answer says
_LONGEST_REST = HOUR


class Pace:
    """Lets one request a second through, by whichever process works on this database."""

    def __init__(
        self,
        store: Store,
        stopping: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._stopping = stopping
        self._clock = clock
        self._held: float | None = None

    def wait(self) -> None:
        """Wait for the next turn, and take it.

        Raises RateLimited if that is far off, and NotSent if the command stops meanwhile.
        """
        while (until := self._take_turn()) is not None:
            if until > self._clock() + _PATIENCE:
                raise RateLimited(
                    f"zKillboard has asked for a rest until {iso_after(until)}", until
                )
            if self._stopping.wait(until - self._clock()):
                raise NotSent

    def answered(self) -> None:
        """Give the turn back: a request has ended, and the next second counts from now."""
        self._not_before(self._clock() + INTERVAL)

    def rest(self, seconds: float) -> float:
        """Send nothing for so long, an hour at most; return until when, in unix seconds."""
        until = self._clock() + min(seconds, _LONGEST_REST)
        self._not_before(until)
        return until

    def _take_turn(self) -> float | None:
        """Take the turn, or return when the next one is."""
        with self._store.transaction() as conn:
            until = self._set_until()
            if until is not None:
                return until
            facts.set_zkb_not_before(conn, self._clock() + _HELD)
            self._held = facts.zkb_not_before(conn)
            return None

    def _not_before(self, until: float) -> None:
        """Have nothing sent until then, nor before a later time that another process has set."""
        with self._store.transaction() as conn:
            found = self._set_until()
            if found is not None and found != self._held:
                until = max(until, found)
            facts.set_zkb_not_before(conn, until)
            self._held = None

    def _set_until(self) -> float | None:
        """Return until when nothing may be sent, unless that has passed or is a wrong clock's."""
        until = facts.zkb_not_before(self._store.conn)
        if until is None or has_passed(until, self._clock(), _LONGEST_REST):
            return None
        return until
