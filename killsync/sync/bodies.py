"""Killmail bodies: which to fetch next, what became of each, stored in batches."""

import sqlite3
from collections import deque
from functools import partial

from killsync.errors import (
    BodyRejected,
    KillmailUnknown,
    NotSent,
    OutOfFiles,
    RateLimited,
    Unavailable,
    told,
)
from killsync.killmail.body import Killmail
from killsync.killmail.hash import expected_hash
from killsync.model import Pending, Priority
from killsync.store import killmails, pending
from killsync.store.killmails import Arrival
from killsync.sync import schedule
from killsync.sync.context import Services, Tally
from killsync.sync.events import BodiesStored, BodyPutOff, BodySetAside, HashMismatch
from killsync.sync.journal import Journal
from killsync.times import iso, iso_after

BATCH = 100
# of what earlier runs have left, and in one run: three runs share a window of 15 minutes, of
# which history leaves room for 144 bodies
STILL_NEW = 20
_NEW_IN_A_RUN = 48
# a battle's killmails have thousands of attackers each
_MOST_BYTES = 2 * 1024 * 1024
_LONGEST_WAIT = 1.0


class Bodies:
    """The bodies of one run: candidates, those in flight, and those that wait to be stored."""

    def __init__(self, services: Services, journal: Journal, tally: Tally) -> None:
        self._store = services.store
        self._report = services.report
        self._only_users = services.only_users
        self._journal = journal
        self._tally = tally
        self._candidates: deque[Pending] = deque()
        self._exhausted = False
        self._taken: dict[int, Pending] = {}
        self._arrivals: list[Arrival] = []
        self._bytes = 0
        self._doubts: dict[int, Unavailable] = {}
        self._since = 0.0
        self._new_left = _NEW_IN_A_RUN

    def look_again(self) -> None:
        """Forget what was read of the pending bodies: something more urgent may be there."""
        self._candidates.clear()
        self._exhausted = False

    def peek(self) -> Pending | None:
        """Return the most urgent body that nobody fetches yet, without taking it."""
        if not self._candidates and not self._exhausted:
            # those taken are still pending, so that many more must be read
            found = pending.ready(
                self._store.conn, BATCH + len(self._taken), only_users=self._only_users
            )
            self._candidates.extend(p for p in found if p.killmail_id not in self._taken)
            self._exhausted = not self._candidates
        return self._candidates[0] if self._candidates else None

    def take(self) -> Pending:
        """Take the body that `peek` shows."""
        body = self._candidates.popleft()
        self._taken[body.killmail_id] = body
        self._new_left -= body.priority == Priority.BACKGROUND
        return body

    def limited_as(self, body: Pending) -> int:
        """Return the priority with which a body may spend: a flood of new ones is history.

        So that the next run finds tokens left for what is new then.
        """
        flood = body.priority == Priority.BACKGROUND and self._new_left <= 0
        return Priority.GAP if flood else body.priority

    def arrived(self, killmail_id: int, body: Killmail, size: int, now: float) -> None:
        """Keep a body, that had `size` bytes, until its batch is stored."""
        if not self._arrivals:
            self._since = now
        self._arrivals.append(Arrival(body, self._taken[killmail_id].killmail_hash))
        self._bytes += size

    def failed(self, killmail_id: int, error: BaseException, now: float) -> None:
        """Put a body off, set it aside, or give it back if only a limit stood in its way."""
        body = self._taken[killmail_id]
        if isinstance(error, RateLimited | NotSent | OutOfFiles):
            del self._taken[killmail_id]
            self.look_again()
            return
        self._tally.errors += 1
        text = told(error)
        if isinstance(error, KillmailUnknown | BodyRejected):
            self._tally.failures += 1
            aside = partial(pending.set_aside, killmail_id=killmail_id, error=text, now=now)
            self._journal.add(aside, now, partial(self._taken.pop, killmail_id, None))
            self._report(BodySetAside(killmail_id, text))
            return
        self._tally.failures += body.attempts == 0
        again = self._put_off(body, text, now)
        self._report(BodyPutOff(killmail_id, text, iso_after(again), first=body.attempts == 0))

    def _put_off(self, body: Pending, text: str, now: float) -> float:
        again = now + schedule.body_backoff(body.attempts + 1)
        write = partial(pending.put_off, killmail_id=body.killmail_id, error=text, not_before=again)
        self._journal.add(write, now, partial(self._taken.pop, body.killmail_id, None))
        return again

    def doubt(self, killmail_id: int, error: Unavailable) -> None:
        """Hold back a body that got no answer, until it is known whether anything gets one."""
        self._doubts[killmail_id] = error

    def settle_doubts(self, now: float, *, down: bool, answered: bool = False) -> None:
        """Put off what was held back, for its own failure or because the service is `down`.

        Of a service that had not `answered` anything before, it stays pending as it was.
        Otherwise it is put off without a word: these bodies alone must not end every run.
        """
        doubts, self._doubts = self._doubts, {}
        for killmail_id, error in doubts.items():
            if not down:
                self.failed(killmail_id, error, now)
            elif answered:
                self._put_off(self._taken[killmail_id], told(error), now)
            else:
                del self._taken[killmail_id]

    def is_batch_due(self, now: float) -> bool:
        """Tell whether what has arrived is to be stored now."""
        waited = not self._since <= now < self._since + _LONGEST_WAIT
        full = len(self._arrivals) >= BATCH or self._bytes >= _MOST_BYTES
        return bool(self._arrivals) and (waited or full)

    def store(self, now: float) -> None:
        """Store what has arrived, in one transaction."""
        arrivals, self._arrivals, self._bytes = self._arrivals, [], 0
        if not arrivals:
            return
        ids = [arrival.killmail.killmail_id for arrival in arrivals]
        stored: list[int] = []

        def write(conn: sqlite3.Connection) -> None:
            wanted = pending.still_pending(conn, ids)
            kept = [arrival for arrival in arrivals if arrival.killmail.killmail_id in wanted]
            stored.extend(killmails.insert(conn, kept, iso(now)))
            pending.done(conn, ids, stored)

        self._journal.commit(write)
        for killmail_id in ids:
            del self._taken[killmail_id]
        self._tally.stored += len(stored)
        self._report(BodiesStored(len(stored), self._tally.stored))
        for arrival in arrivals:
            if expected_hash(arrival.killmail) != arrival.killmail_hash:
                self._report(HashMismatch(arrival.killmail.killmail_id))
