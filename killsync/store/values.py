"""What stored killmails are worth: rows of `killmail_values`, one for each.

A killmail is valued once, when it is stored, by the prices of its day if they were fetched, else of
the nearest later day, else the nearest earlier. While there are no prices at all everything of its
row is NULL.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from killsync.killmail.body import Item, Killmail
from killsync.killmail.value import unit_price, value_of
from killsync.model import ItemType
from killsync.store import changes, facts, killmails
from killsync.store.prices import any_fetched, day_for, prices_on

COLUMNS = """killmail_id, hull, fitted, cargo, dropped, destroyed, total, unpriced, priced_on"""
# a new killmail has no row; were there one, REPLACE would cost twice as much
_INSERT = f"""INSERT OR IGNORE INTO killmail_values ({COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_REPLACE = _INSERT.replace("IGNORE", "REPLACE")
_TYPE = "SELECT name, group_id, group_name, category_id, category_name FROM types WHERE type_id = ?"
_ANY_MISSING = "SELECT EXISTS (SELECT 1 FROM killmail_values WHERE priced_on IS NULL)"
_NOTHING = (None,) * 8
TOTAL = 6  # where a row has it
DAY_LENGTH = len("2026-11-24")
# killmails that one step looks at, fewer if they are large: some 50 ms
AT_ONCE = 500
_LOSSES = """SELECT killmail_id, killmail_time, victim_ship_type_id FROM killmails
    WHERE killmail_id IN (SELECT value FROM json_each(?))"""
_NEWEST = "SELECT killmail_id FROM killmails ORDER BY killmail_id DESC LIMIT ?"
_BELOW = "SELECT killmail_id FROM killmails WHERE killmail_id < ? ORDER BY killmail_id DESC LIMIT ?"
# killmails come by day, and each day has its prices
_DAYS_AT_HAND = 4
_TYPES_AT_HAND = 20_000

Loss = tuple[int, str, int, Sequence[Item]]
"""What is valued: a killmail's id, its day, the hull, and what it carried."""
Row = tuple[Any, ...]
"""A row of `killmail_values`."""


def write(conn: sqlite3.Connection, stored: Iterable[tuple[Killmail, str]], now: float) -> None:
    """Value killmails, given with their stored times, in the transaction that stores them."""
    losses = [
        (k.killmail_id, time[:DAY_LENGTH], k.victim.ship_type_id, k.victim.items or [])
        for k, time in stored
    ]
    conn.executemany(_INSERT, rows(conn, losses, now))


def rows(conn: sqlite3.Connection, losses: Iterable[Loss], now: float) -> list[Row]:
    """Return the rows that follow from the prices at hand."""
    priced: dict[str, str | None] = {}
    made: list[Row] = []
    for killmail_id, day, hull, carried in losses:
        if day not in priced:
            priced[day] = day_for(conn, day, now)
        priced_on = priced[day]
        if priced_on is None:
            made.append((killmail_id, *_NOTHING))
            continue
        found = value_of(hull, carried, _worth(conn, priced_on).__getitem__)
        made.append(
            (
                *(killmail_id, found.hull, found.fitted, found.cargo, found.dropped),
                *(found.destroyed, found.total, found.unpriced, priced_on),
            )
        )
    return made


def any_waiting(conn: sqlite3.Connection) -> bool:
    """Return whether some stored killmail has no value, whether there are prices or not."""
    return facts.values_below(conn) is not None or bool(conn.execute(_ANY_MISSING).fetchone()[0])


def any_to_fill(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether `filling_in.fill_next` has something to do."""
    if facts.values_below(conn) is not None:
        return True
    return any_fetched(conn, now) and any_waiting(conn)


def write_rows(conn: sqlite3.Connection, made: Sequence[Row]) -> None:
    """Write rows, in place of those that are there; the caller holds the transaction.

    Copies of the database elsewhere learn of it.
    """
    conn.executemany(_REPLACE, made)
    changes.note_rewritten(conn, [row[0] for row in made])


class _UnitPrices(dict[int, int | None]):
    """What one of each type is worth on a day, in cents, looked up once for each type."""

    def __init__(self, conn: sqlite3.Connection, day: str) -> None:
        self._conn = conn
        self._day = day

    def __missing__(self, type_id: int) -> int | None:
        if len(self) >= _TYPES_AT_HAND:
            self.clear()  # no game has as many: a hostile body
        price = prices_on(self._conn, self._day, [type_id]).get(type_id)
        self[type_id] = cents = unit_price(price, _type(self._conn, type_id))
        return cents


# a day's prices do not change once they are fetched
@lru_cache(maxsize=_DAYS_AT_HAND)
def _worth(conn: sqlite3.Connection, day: str) -> _UnitPrices:
    return _UnitPrices(conn, day)


def _type(conn: sqlite3.Connection, type_id: int) -> ItemType | None:
    row = conn.execute(_TYPE, (type_id,)).fetchone()
    return None if row is None else ItemType(type_id, *row)


def next_below(conn: sqlite3.Connection, below: int | None, limit: int) -> list[int]:
    """Return the newest stored killmails below an id, None: of all, that may be in memory together.

    There are at most `limit`.
    """
    if below is None:
        return few_of(conn, conn.execute(_NEWEST, (limit,)))
    return few_of(conn, conn.execute(_BELOW, (below, limit)))


def few_of(conn: sqlite3.Connection, found: sqlite3.Cursor) -> list[int]:
    """Return as many of the ids found as may be in memory together."""
    ids = [killmail_id for (killmail_id,) in found]
    return ids[: killmails.few_enough(conn, ids)]


def losses_of(conn: sqlite3.Connection, ids: Sequence[int]) -> list[Loss]:
    """Return what is valued of stored killmails."""
    items = killmails.carried(conn, ids)
    return [
        (killmail_id, time[:DAY_LENGTH], hull, items.get(killmail_id, []))
        for killmail_id, time, hull in conn.execute(_LOSSES, (json.dumps(ids),))
    ]
