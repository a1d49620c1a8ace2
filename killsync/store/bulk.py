"""The queries by which killmails leave in bulk, for whoever reads whole columns at once."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from killsync.store.prices import LISTED_PRICE
from killsync.store.views import SECURITY

COUNT = "SELECT count(*) FROM killmails WHERE stored_seq > ? AND stored_seq <= ?"
"""How many killmails have a `stored_seq` above one and up to another."""
IDS_BY_SEQ = """SELECT killmail_id, CAST(substr(killmail_time, 1, 4) || substr(killmail_time, 6, 2)
    AS INTEGER) FROM killmails WHERE stored_seq > ? AND stored_seq <= ?"""
"""Those killmails: id, and month as a number such as 202611."""
NEXT_TIME = "SELECT min(killmail_time) FROM killmails WHERE killmail_time >= ?"
"""The first time of a killmail not before another, as ISO text."""
_WEIGHT = """k.attacker_count + coalesce(length(k.extra), 0) / 16 + coalesce(
    (SELECT max(ordinal) FROM items AS i WHERE i.killmail_id = k.killmail_id), 0)"""
IDS_BY_TIME = f"""SELECT k.killmail_id, k.killmail_time, {_WEIGHT} FROM killmails AS k
    WHERE (k.killmail_time, k.killmail_id) > (?, ?) AND k.killmail_time < ?
        AND k.stored_seq > ? AND k.stored_seq <= ?
    ORDER BY k.killmail_time, k.killmail_id LIMIT ?"""
"""The next of those killmails by time: id, time, and about how many rows it has."""
WEIGHTS = f"""SELECT {_WEIGHT} FROM wanted
    LEFT JOIN killmails AS k ON k.killmail_id = wanted.killmail_id ORDER BY wanted.place"""
"""About how many rows each of the wanted killmails has; NULL if it is gone."""
SETUP = (
    "PRAGMA temp_store = MEMORY",
    "CREATE TEMP TABLE wanted (place INTEGER PRIMARY KEY, killmail_id INTEGER NOT NULL)",
)
"""What a connection needs for the queries of wanted killmails: a table of its own for these."""
WANT = (
    "DELETE FROM wanted",
    "INSERT INTO wanted SELECT key, value FROM json_each(?)",
)
"""Makes those of a JSON list of ids the wanted ones, each by its place in the list."""
_KILLMAILS = """SELECT {columns} FROM wanted
    CROSS JOIN killmails AS k ON k.killmail_id = wanted.killmail_id
    LEFT JOIN killmail_values AS v ON v.killmail_id = k.killmail_id
    WHERE k.stored_seq > ? AND k.stored_seq <= ? ORDER BY wanted.place"""
# walks both in the order of their keys, so that nothing is sorted
_CHILDREN = """SELECT {columns} FROM wanted
    CROSS JOIN {table} AS t ON t.killmail_id = wanted.killmail_id
    ORDER BY wanted.place, t.ordinal"""
NAMES = "SELECT id, name FROM names WHERE id IN (SELECT value FROM json_each(?))"
"""The names of players, corporations and alliances of a JSON list of ids."""
PRICES = f"SELECT value, {LISTED_PRICE.format('value', '?2')} FROM json_each(?1)"
"""What ESI listed for the types of a JSON list, up to a day."""
_SYSTEMS = f"SELECT system_id, name, {SECURITY.format('security')}, region_id, region FROM systems"


def killmails(columns: Sequence[str], values: Sequence[str]) -> str:
    """Return the query for the wanted killmails, of which `stored_seq` lies between two.

    `values` are columns of their rows in `killmail_values`.
    """
    chosen = [*(f"k.{name}" for name in columns), *(f"v.{name}" for name in values)]
    return _KILLMAILS.format(columns=", ".join(chosen))


def children(table: str, columns: Sequence[str]) -> str:
    """Return the query for the `attackers` or `items` of the wanted killmails, in order.

    The first column beside these is the killmail's place among the wanted ones.
    """
    chosen = ["wanted.place", *(f"t.{name}" for name in columns)]
    return _CHILDREN.format(table=table, columns=", ".join(chosen))


def systems(conn: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return the rows of systems: id, name, security as the game shows it, region's id, region.

    Not every version of SQLite rounds alike: whoever reads the rest by another has these from here.
    """
    return conn.execute(_SYSTEMS).fetchall()
