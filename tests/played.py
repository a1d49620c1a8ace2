"""A database of a quarter of a year that somebody has played, the same each time it is made.

Its killmails, names and prices are the simulator's, at a fixed moment, so that whoever asks for the
last week is told something.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import stored

from killsync.killmail.body import decode
from killsync.model import TypePrice, UserKind
from killsync.simulator.bodies import Killmail
from killsync.simulator.catalogue import TYPES
from killsync.simulator.options import Options
from killsync.simulator.prices import price_of
from killsync.simulator.world import World
from killsync.store import connection, prices, storing, users
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.times import DAY, iso, unix

MOMENT = "2026-11-24T00:00:00Z"
"""When the last killmail is hours old, and everybody is asked."""
NOW = unix(MOMENT)
_OPTIONS = Options(characters=3, corporations=1, killmails=170, shared=0.25, seed=7)
_DAYS_OF_PRICES = (70, 40, 10)  # before now
# who has none here has none yet
_UNNAMED_OF = 23
# a name that no engine may stumble over
_ODD_NAME = 'O\'Dell \u202e \\ "Ä" ; -- \U0001f680'
_ODD_OF = 17


class Played:
    """A world, and the killmails of it that a database has or has not."""

    def __init__(self) -> None:
        self.world = World(_OPTIONS, NOW)
        killmails = self.world.killmails.values()
        self.killmails: Sequence[Killmail] = sorted(killmails, key=lambda one: one.killmail_id)

    def make(self, path: Path) -> None:
        """Make a database of the users, with prices and without killmails."""
        with stored.database(path, {}) as store, store.transaction() as conn:
            for owner in self.world.list_owners():
                corporation = owner.owner_id in self.world.corporations
                kind = UserKind.CORPORATION if corporation else UserKind.CHARACTER
                users.add(conn, owner.owner_id, owner.name, NOW, kind)
            for before in _DAYS_OF_PRICES:
                self._set_prices(store, NOW - before * DAY)

    def store(self, path: Path, killmails: Sequence[Killmail]) -> None:
        """Store killmails as a scan does that asks for their names too."""
        fetched = [
            FetchedKillmail.compared(
                decode(self.world.body(one)[0], one.killmail_id), one.killmail_hash
            )
            for one in killmails
        ]
        with closing(connection.connect(path)) as store, store.transaction() as conn:
            storing.store(conn, fetched, iso(NOW))
            self._set_names(store)

    def _set_prices(self, store: Store, when: float) -> None:
        found = [price_of(_OPTIONS.seed, type_id, int(when // DAY)) for type_id in TYPES]
        listed = [
            TypePrice(price.type_id, price.average_price, price.adjusted_price)
            for price in found
            if price is not None
        ]
        prices.record(store.conn, iso(when).partition("T")[0], listed, when)

    def _set_names(self, store: Store) -> None:
        for (id_,) in stored.rows(store, "SELECT id FROM unnamed_ids"):
            name = self.world.name(id_)
            if name is None or (name.category == "character" and id_ % _UNNAMED_OF == 0):
                continue
            text = name.name if id_ % _ODD_OF else f"{_ODD_NAME} {id_}"
            store.conn.execute(
                "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)",
                [id_, name.category, text, iso(NOW)],
            )
