"""What killmails are read with, for copies in other engines: users, names, game data, prices.

Each table is read in batches, in a snapshot of its own.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

from killsync.store.prices import PRICE_OF_ROW
from killsync.times import iso

BATCH = 10_000
_USERS = "SELECT user_id, kind, name FROM users"
_NAMES = "SELECT id, category, name, named_at FROM names"
# the index of times would not be taken for those at a time and for NULL in one go
_NAMED_SINCE = f"{_NAMES} WHERE named_at >= ? ORDER BY named_at"
_NAMED_BY_GAME = f"{_NAMES} WHERE named_at IS NULL"
TYPES = "SELECT type_id, name, group_id, group_name, category_id, category_name FROM types"
_SYSTEMS = """SELECT system_id, name, security, constellation_id, constellation, region_id, region
FROM systems"""
FACTIONS = "SELECT faction_id, name FROM factions"
_GAME_DATA = {"types": TYPES, "systems": _SYSTEMS, "factions": FACTIONS}
# what the game data do not have and ESI has named; nothing says when
_NAMED_BY_ESI = {
    "types": f"{TYPES} WHERE group_id IS NULL",
    "systems": f"{_SYSTEMS} WHERE security IS NULL",
    "factions": FACTIONS,
}
_DAYS = "SELECT day, fetched_at FROM price_days ORDER BY day"
_PRICES = f"SELECT p.type_id, p.day, p.average, p.adjusted, {PRICE_OF_ROW}"
_ON_DAYS = f"{_PRICES} FROM prices AS p WHERE p.day IN (SELECT value FROM json_each(:days))"
# the key begins with the type: to find the next one, and in it the day, is to read little of it
_ON_FEW_DAYS = f"""
WITH RECURSIVE priced (type_id) AS (
    SELECT min(type_id) FROM prices
    UNION ALL
    SELECT (SELECT min(type_id) FROM prices WHERE type_id > priced.type_id) FROM priced
    WHERE priced.type_id IS NOT NULL)
{_PRICES} FROM priced CROSS JOIN json_each(:days) AS wanted
    CROSS JOIN prices AS p ON p.type_id = priced.type_id AND p.day = wanted.value
"""
_FEW = 10

Rows = Iterator[list[tuple[Any, ...]]]


def users(conn: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return each user's id, kind and name."""
    return conn.execute(_USERS).fetchall()


def names_since(conn: sqlite3.Connection, since: float) -> Rows:
    """Yield the rows of `names` that ESI has given at a time in unix seconds or later, in order.

    They are of (id, category, name, named_at), as those of `names_of_game` are.
    """
    return _batches(conn.execute(_NAMED_SINCE, [iso(since)]))


def names_of_game(conn: sqlite3.Connection) -> Rows:
    """Yield the rows of `names` that came with the game data."""
    return _batches(conn.execute(_NAMED_BY_GAME))


def game_data(conn: sqlite3.Connection, table: str) -> Rows:
    """Yield all rows of `types`, `systems` or `factions`."""
    return _batches(conn.execute(_GAME_DATA[table]))


def named_by_esi(conn: sqlite3.Connection, table: str) -> Rows:
    """Yield the rows of such a table that game data do not bring, or may not."""
    return _batches(conn.execute(_NAMED_BY_ESI[table]))


def price_days(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return each day whose prices were fetched, in order, and when that was."""
    return conn.execute(_DAYS).fetchall()


def prices_on(conn: sqlite3.Connection, days: Collection[str]) -> Rows:
    """Yield the rows of `prices` of some days.

    They are of (type_id, day, average, adjusted, price), the last as a killmail is valued by it.
    """
    sql = _ON_FEW_DAYS if len(days) <= _FEW else _ON_DAYS
    return _batches(conn.execute(sql, {"days": json.dumps(list(days))}))


def _batches(cursor: sqlite3.Cursor) -> Rows:
    while rows := cursor.fetchmany(BATCH):
        yield rows
