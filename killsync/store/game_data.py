"""Game data in the database: types, systems, factions, and the names of NPC corporations."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from killsync.gamedata.shipped import shipped, shipped_build
from killsync.model import ItemType
from killsync.store import facts

if TYPE_CHECKING:
    from killsync.gamedata.game_data import GameData
    from killsync.store.connection import Store

# SQLite takes at least 999 parameters
_AT_ONCE = 900
_SEVERAL = ", ".join("?" * _AT_ONCE)

# what has not changed is not written: an index would be changed twice for each row
_TYPES = """
INSERT INTO types VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (type_id) DO UPDATE SET
    name = excluded.name, group_id = excluded.group_id, group_name = excluded.group_name,
    category_id = excluded.category_id, category_name = excluded.category_name
WHERE (name, group_id, group_name, category_id, category_name) IS NOT (
    excluded.name, excluded.group_id, excluded.group_name,
    excluded.category_id, excluded.category_name)
"""
_SYSTEMS = """
INSERT INTO systems VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (system_id) DO UPDATE SET
    name = excluded.name, security = excluded.security,
    constellation_id = excluded.constellation_id, constellation = excluded.constellation,
    region_id = excluded.region_id, region = excluded.region
WHERE (name, security, constellation_id, constellation, region_id, region) IS NOT (
    excluded.name, excluded.security, excluded.constellation_id, excluded.constellation,
    excluded.region_id, excluded.region)
"""
_FACTIONS = """
INSERT INTO factions VALUES (?, ?) ON CONFLICT (faction_id) DO UPDATE SET name = excluded.name
"""
_CORPORATIONS = """
INSERT INTO names VALUES (?, 'corporation', ?, NULL) ON CONFLICT (id) DO UPDATE SET
    category = excluded.category, name = excluded.name, named_at = NULL
"""
_FORGET_UNNAMED = """
DELETE FROM unnamed_ids WHERE id IN (SELECT type_id FROM types)
    OR id IN (SELECT system_id FROM systems) OR id IN (SELECT faction_id FROM factions)
    OR id IN (SELECT id FROM names WHERE named_at IS NULL)
"""


class Counts(msgspec.Struct, frozen=True):
    """How many rows of game data there are, those that only ESI has named not among them."""

    types: int
    systems: int
    corporations: int
    factions: int


def load(conn: sqlite3.Connection, data: "GameData") -> None:
    """Put game data in place of what is loaded; the caller holds a transaction.

    What they name no more keeps the name that it had: killmails may show it.
    """
    conn.executemany(_TYPES, map(msgspec.structs.astuple, data.types))
    conn.executemany(_SYSTEMS, map(msgspec.structs.astuple, data.systems))
    conn.executemany(_FACTIONS, data.factions.items())
    conn.executemany(_CORPORATIONS, data.corporations.items())
    conn.execute(_FORGET_UNNAMED)
    facts.set_game_data(conn, data.build, data.released_at, _rows_loaded(conn))


def is_outdated(conn: sqlite3.Connection) -> bool:
    """Return whether older game data are loaded than those that are shipped, or none."""
    loaded = facts.game_data(conn)
    return loaded is None or loaded[0] < shipped_build()


def load_if_outdated(store: "Store") -> None:
    """Load the shipped game data unless they, or newer ones, are loaded.

    The caller holds the lock. Raises GameDataBroken or OSError if the installation is damaged.
    """
    if is_outdated(store.conn):
        data = shipped()
        with store.transaction() as conn:
            load(conn, data)


def lost(conn: sqlite3.Connection) -> int:
    """Return how many rows are gone since the game data were loaded: nothing deletes any."""
    return max(0, (facts.game_data_rows(conn) or 0) - _rows_loaded(conn))


def load_again(store: "Store") -> None:
    """Have the next scan load the game data, as if none were loaded."""
    with store.transaction() as conn:
        facts.forget_game_data(conn)


def _rows_loaded(conn: sqlite3.Connection) -> int:
    return sum(msgspec.structs.astuple(counts(conn)))


def counts(conn: sqlite3.Connection) -> Counts:
    """Return how much is loaded."""
    return Counts(
        *conn.execute(
            """SELECT (SELECT count(*) FROM types WHERE group_id IS NOT NULL),
                (SELECT count(*) FROM systems WHERE security IS NOT NULL),
                (SELECT count(*) FROM names WHERE category = 'corporation' AND named_at IS NULL),
                (SELECT count(*) FROM factions)"""
        ).fetchone()
    )


def types_of(conn: sqlite3.Connection, ids: Iterable[int]) -> dict[int, ItemType]:
    """Return what is known of some types; those of unknown ids are left out."""
    found = _rows(
        conn, f"SELECT * FROM types WHERE type_id IN ({_SEVERAL})", list(dict.fromkeys(ids))
    )
    return {row[0]: ItemType(*row) for row in found}


def _rows(conn: sqlite3.Connection, sql: str, ids: Sequence[int]) -> list[Any]:
    rows: list[Any] = []
    for start in range(0, len(ids), _AT_ONCE):
        part: list[int | None] = [*ids[start : start + _AT_ONCE]]
        # one statement for any number of ids, which SQLite compiles once
        rows += conn.execute(sql, part + [None] * (_AT_ONCE - len(part)))
    return rows
