"""Finding the ids that bear a name: of ships, systems, regions, players and their corporations."""

import json
import sqlite3
from enum import StrEnum

from killsync.killmail.game_ids import VICTIMS
from killsync.store import facts

# so that nobody is offered a blueprint; NULL: only ESI has named it
_VICTIMS = f"(category_id IN ({', '.join(map(str, sorted(VICTIMS)))}) OR category_id IS NULL)"
# where nothing near is to be looked for among more
_MOST_COMPARED = 20_000


class Named(StrEnum):
    """What bears a name; the words are those that a person reads."""

    SHIP = "ship"
    SHIP_GROUP = "group of ships"
    SYSTEM = "system"
    REGION = "region"
    PARTY = "pilot, corporation or alliance"


_SOURCES = {
    Named.SHIP: f"SELECT type_id AS id, name FROM types WHERE {_VICTIMS}",
    Named.SHIP_GROUP: f"""SELECT DISTINCT group_id AS id, group_name AS name FROM types
        WHERE {_VICTIMS} AND group_name IS NOT NULL""",
    Named.SYSTEM: "SELECT system_id AS id, name FROM systems",
    Named.REGION: """SELECT DISTINCT region_id AS id, region AS name FROM systems
        WHERE region IS NOT NULL""",
    Named.PARTY: """SELECT id, name FROM names
        UNION ALL SELECT faction_id, name FROM factions""",
}
_BEGINS = "name COLLATE NOCASE >= :start AND name COLLATE NOCASE < :start || char(0x10FFFF)"

_OTHER_LETTERS = "*[^ -~]*"


def exactly(conn: sqlite3.Connection, named: Named, name: str) -> list[int]:
    """Return the ids of that name, whatever the case of its ASCII letters."""
    rows = conn.execute(f"SELECT id FROM ({_SOURCES[named]}) WHERE name = ? COLLATE NOCASE", [name])
    return [id_ for (id_,) in rows]


def beginning(
    conn: sqlite3.Connection, named: Named, start: str, limit: int
) -> list[tuple[int, str]]:
    """Return up to `limit` ids and names that begin so, whatever the case of ASCII letters."""
    return conn.execute(
        f"""SELECT id, name FROM ({_SOURCES[named]}) WHERE {_BEGINS}
        ORDER BY name COLLATE NOCASE, id LIMIT :limit""",
        {"start": start, "limit": limit},
    ).fetchall()


def with_other_letters(conn: sqlite3.Connection, named: Named) -> list[tuple[int, str]]:
    """Return the ids and names with letters beyond ASCII, which SQLite compares by their case."""
    return conn.execute(
        f"SELECT id, name FROM ({_SOURCES[named]}) WHERE name GLOB ? LIMIT ?",
        [_OTHER_LETTERS, _MOST_COMPARED],
    ).fetchall()


def of_users(conn: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return every user's id and name, by name; of a database of any version."""
    return conn.execute(
        "SELECT user_id, name FROM users ORDER BY name COLLATE NOCASE, user_id"
    ).fetchall()


def has_name(conn: sqlite3.Connection, named: Named, id_: int) -> bool:
    """Return whether an id is that of such a thing, by its name."""
    asked = f"SELECT EXISTS (SELECT 1 FROM ({_SOURCES[named]}) WHERE id = ?)"
    return bool(conn.execute(asked, [id_]).fetchone()[0])


def may_occur(conn: sqlite3.Connection, id_: int) -> bool:
    """Return whether an id that names nothing here may yet stand in a stored killmail."""
    if facts.values_below(conn) is not None:
        # older killmails, whose ids are not all collected yet
        return True
    asked = "SELECT EXISTS (SELECT 1 FROM unnamed_ids WHERE id = ?)"
    return bool(conn.execute(asked, [id_]).fetchone()[0])


def similar(conn: sqlite3.Connection, named: Named, name: str) -> list[str]:
    """Return the names that are worth comparing with one that nothing bears.

    Of pilots, of whom there may be a million, only those with the same first letter, or with
    letters beyond ASCII.
    """
    start = name[:1] if named is Named.PARTY else ""
    rows = conn.execute(
        f"SELECT name FROM ({_SOURCES[named]}) WHERE {_BEGINS} OR name GLOB :other LIMIT :limit",
        {"start": start, "limit": _MOST_COMPARED, "other": _OTHER_LETTERS},
    )
    return [found for (found,) in rows]


def ships_of_groups(conn: sqlite3.Connection, group_ids: list[int]) -> list[int]:
    """Return the types of these groups."""
    rows = conn.execute(
        "SELECT type_id FROM types WHERE group_id IN (SELECT value FROM json_each(?))",
        [json.dumps(group_ids)],
    )
    return [type_id for (type_id,) in rows]


def systems_of_regions(conn: sqlite3.Connection, region_ids: list[int]) -> list[int]:
    """Return the systems of these regions."""
    rows = conn.execute(
        "SELECT system_id FROM systems WHERE region_id IN (SELECT value FROM json_each(?))",
        [json.dumps(region_ids)],
    )
    return [system_id for (system_id,) in rows]
