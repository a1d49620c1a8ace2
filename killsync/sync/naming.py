"""Asking ESI for names: after the killmails, one request at a time, and never in their way.

What goes wrong here costs names only, until the next run: no exit code, no tally, no user.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial

from killsync.errors import (
    Blame,
    IdsUnknown,
    KillsyncError,
    Misshapen,
    NotSent,
    TooLarge,
    Unavailable,
    blame_of,
    describe,
)
from killsync.esi import universe
from killsync.esi.buckets import names_bucket
from killsync.esi.universe import AT_ONCE, NAMES_PRIORITY, Names
from killsync.store import facts, names
from killsync.sync.context import Services
from killsync.sync.events import NamesStopped, NamesStored
from killsync.sync.journal import Journal
from killsync.sync.slots import Kind, Request, Slots
from killsync.sync.splitting import Splitting
from killsync.sync.upkeep import keep_failure
from killsync.times import HOUR

# ESI allows 100 errors a minute; the rest is left for killmails
LEAST_ERRORS_LEFT = 50
# a service that fails is left alone for a while where nothing else is to be done
START_AGAIN_AFTER = HOUR
# most that were unknown still are: the fewer there are, the sooner each is asked for on its own
_AGAIN_AT_ONCE = 10


class Naming:
    """The names that one scan asks for."""

    def __init__(self, services: Services, journal: Journal, slots: Slots) -> None:
        self._s = services
        self._journal = journal
        self._slots = slots
        self._splitting = Splitting()
        self._renewed = False
        self._met_a_bug = False
        if not services.settings.names:
            self._splitting.stop()

    def start(self, now: float) -> None:
        """Send the next request that may be sent now; with none left, put old names in line."""
        if not self.is_waiting(now):
            return
        if self._splitting.is_done:
            self._splitting.add(self._next_batch(now))
        if self._splitting.is_done:
            self._renewed = True
            self._journal.commit(partial(names.renew, limit=AT_ONCE, now=now))
            return
        ids = self._splitting.next_ids()
        self._slots.start(
            Request(
                Kind.NAMES,
                of=ids[0],
                urgent=False,
                failed_before=False,
                send=partial(universe.names, self._s.esi, ids),
                answered=self._answered,
                failed=self._failed,
            )
        )

    def is_waiting(self, now: float) -> bool:
        """Return whether there is something to ask for, and it may be sent right now."""
        if self._splitting.is_over or not self._slots.free(Kind.NAMES, urgent=False):
            return False
        if self._s.limits.ready_at(names_bucket(), NAMES_PRIORITY, now) > now:
            return False
        if not self._splitting.is_done or names.any_to_ask(self._s.store.conn, now):
            return True
        return not self._renewed and names.any_to_renew(self._s.store.conn, now)

    def _next_batch(self, now: float) -> Sequence[int]:
        conn = self._s.store.conn
        return names.next_to_ask(conn, AT_ONCE) or names.next_to_ask_again(
            conn, _AGAIN_AT_ONCE, now
        )

    def _answered(self, answer: Names, now: float) -> None:
        unknown = self._splitting.answered({one.id for one in answer.named})

        def write(conn: sqlite3.Connection) -> None:
            if not self._met_a_bug:
                facts.set_failure(conn, "names", None)
            unknown.extend(names.named(conn, answer.named, now))
            names.unknown(conn, unknown, now)

        self._journal.commit(write)
        self._s.report(NamesStored(len(answer.named), len(unknown)))
        self._keep_errors(answer.errors_left, now)

    def _failed(self, error: BaseException, now: float) -> None:
        if not isinstance(error, KillsyncError):
            self._met_a_bug = True
            keep_failure(self._s, self._journal, "names", error, now)
        if isinstance(error, NotSent):
            self._splitting.stop()
        elif not _may_be_an_id(error):
            self._give_up(error, now)
        else:
            unknown = self._splitting.refused(
                is_reasoned=isinstance(error, IdsUnknown | Misshapen | TooLarge)
            )
            if unknown:
                self._journal.commit(partial(names.unknown, ids=unknown, now=now))
                self._s.report(NamesStored(0, len(unknown)))
            if self._splitting.is_over:
                self._give_up(error, now)
        if isinstance(error, IdsUnknown):
            self._keep_errors(error.errors_left, now)

    def _keep_errors(self, left: int | None, now: float) -> None:
        if left is not None and left < LEAST_ERRORS_LEFT and not self._splitting.is_over:
            self._stop(f"only {left} errors are left of ESI's limit", now)

    def _give_up(self, error: BaseException, now: float) -> None:
        if not self._splitting.any_answered and not self._met_a_bug:
            keep_failure(self._s, self._journal, "names", error, now)
        self._stop(describe(error), now)

    def _stop(self, reason: str, now: float) -> None:
        self._splitting.stop()
        # other work may have them asked for sooner, but none is started for them alone
        not_before = now + START_AGAIN_AFTER
        self._journal.add(partial(facts.set_names_not_before, until=not_before), now)
        self._s.report(NamesStopped(reason))


def _may_be_an_id(error: BaseException) -> bool:
    """Return whether the same request without one of its ids may work."""
    was_sent = isinstance(error, Unavailable) and error.was_sent
    return was_sent or blame_of(error) is Blame.REQUEST
