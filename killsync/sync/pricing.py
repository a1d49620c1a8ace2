"""Market prices, asked for once a day beside the killmails, and the values that waited for them.

What goes wrong here costs values only, until a later run: no exit code, no tally, no user.
"""

import sqlite3
from functools import partial

from killsync.errors import NotSent, RateLimited, describe
from killsync.esi import prices as market
from killsync.model import TypePrice
from killsync.store import facts, filling_in, pending, prices, values
from killsync.sync.context import Services
from killsync.sync.events import PricesKept, PricesPutOff
from killsync.sync.journal import Journal
from killsync.sync.slots import Kind, Request, Slots
from killsync.sync.upkeep import keep_failure
from killsync.sync.values_due import day_of, may_ask_now
from killsync.times import HOUR, iso_after

TRY_AGAIN_AFTER = HOUR


class Pricing:
    """Asks for the day's prices while killmails are fetched, if there is something to value."""

    def __init__(self, services: Services, journal: Journal, slots: Slots) -> None:
        self._s = services
        self._journal = journal
        self._slots = slots
        # one request of a run at most, whatever becomes of it
        self._is_over = not services.settings.prices

    def start(self, now: float) -> None:
        """Ask for prices, if that is to be done now."""
        if self._is_over:
            return
        if not may_ask_now(self._s.store.conn, now):
            # a run is too short for the time to come
            self._is_over = True
            return
        if not self._has_work():
            return
        self._is_over = True
        # noted before it is sent: what ends a run amid the request must not have it sent again
        not_before = partial(facts.set_prices_not_before, until=now + TRY_AGAIN_AFTER)
        self._journal.commit(not_before)
        self._slots.start(
            Request(
                Kind.PRICES,
                of=0,
                urgent=False,
                failed_before=False,
                send=partial(market.prices, self._s.esi),
                answered=partial(self._answered, day_of(now)),
                failed=self._failed,
            )
        )

    def is_waiting(self, now: float) -> bool:
        """Return whether prices are to be asked for right now."""
        return not self._is_over and may_ask_now(self._s.store.conn, now) and self._has_work()

    def _has_work(self) -> bool:
        conn = self._s.store.conn
        return pending.any_ready(conn) or values.any_waiting(conn)

    def _answered(self, day: str, found: list[TypePrice], now: float) -> None:
        changed = 0

        def keep(conn: sqlite3.Connection) -> None:
            nonlocal changed
            changed = prices.record(conn, day, found, now)
            facts.set_prices_not_before(conn, None)
            facts.set_failure(conn, "prices", None)

        self._journal.commit(keep)
        self._s.report(PricesKept(day, len(found), changed))

    def _failed(self, error: BaseException, now: float) -> None:
        if isinstance(error, NotSent):
            self._journal.add(partial(facts.set_prices_not_before, until=None), now)
            return
        until = now + TRY_AGAIN_AFTER
        if isinstance(error, RateLimited):
            until = max(until, error.until)
        self._journal.add(partial(facts.set_prices_not_before, until=until), now)
        keep_failure(self._s, self._journal, "prices", error, now)
        self._s.report(PricesPutOff(describe(error), iso_after(until)))


class Valuing:
    """Values killmails that were stored without prices, or before there were values, by steps."""

    def __init__(self, services: Services, journal: Journal, slots: Slots) -> None:
        self._store = services.store
        self._journal = journal
        self._slots = slots

    def start(self, now: float) -> None:
        """Value the next killmails, in a transaction of their own."""
        self._journal.commit(partial(filling_in.fill_next, now=now))

    def is_waiting(self, now: float) -> bool:
        """Return whether killmails can be valued now; while prices are under way they wait."""
        return not self._slots.any_busy(Kind.PRICES) and values.any_to_fill(self._store.conn, now)
