"""Names of ids, and the ids that wait for one.

An id stands in `unnamed_ids` while it is to be asked for: because it has no name, or because its
name is old. Game data name most types, systems and factions; ESI names the rest.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from killsync.model import LARGEST_ID
from killsync.times import DAY, HOUR, iso, iso_after

if TYPE_CHECKING:
    # reading names must not load what sends requests
    from killsync.esi.universe import Named

# after the first time that an id is unknown, the second, ...
ASK_AGAIN = (HOUR, DAY, 7 * DAY, 30 * DAY)
RENEW_AFTER = 90 * DAY
# a time further ahead was written by a wrong clock
_LONGEST_WAIT = ASK_AGAIN[-1] + DAY

_PEOPLE = "names"
_TABLES = {
    "character": _PEOPLE,
    "corporation": _PEOPLE,
    "alliance": _PEOPLE,
    "inventory_type": "types",
    "solar_system": "systems",
    "faction": "factions",
}
_KEYS = {"names": "id", "types": "type_id", "systems": "system_id", "factions": "faction_id"}


# IN looks a key up right in the table; EXISTS takes twice as long
_UNKNOWN = " AND ".join(f"value NOT IN (SELECT {key} FROM {table})" for table, key in _KEYS.items())
_ASK_LATER = f"""
INSERT OR IGNORE INTO unnamed_ids (id)
SELECT value FROM json_each(?) WHERE value BETWEEN 1 AND {LARGEST_ID} AND {_UNKNOWN}
    AND value NOT IN (SELECT id FROM unnamed_ids)
"""
_UNNAMED = f"FROM (SELECT id AS value, * FROM unnamed_ids) WHERE {_UNKNOWN}"
# UNION makes the ids of many rows distinct before any of them is looked up
_IDS_ON = """
WITH chosen AS (SELECT value AS id FROM json_each(?))
SELECT solar_system_id FROM chosen JOIN killmails ON killmail_id = id
UNION SELECT victim_alliance_id FROM chosen JOIN killmails ON killmail_id = id
UNION SELECT victim_character_id FROM chosen JOIN killmails ON killmail_id = id
UNION SELECT victim_corporation_id FROM chosen JOIN killmails ON killmail_id = id
UNION SELECT victim_faction_id FROM chosen JOIN killmails ON killmail_id = id
UNION SELECT victim_ship_type_id FROM chosen JOIN killmails ON killmail_id = id
UNION SELECT alliance_id FROM chosen JOIN attackers ON killmail_id = id
UNION SELECT character_id FROM chosen JOIN attackers ON killmail_id = id
UNION SELECT corporation_id FROM chosen JOIN attackers ON killmail_id = id
UNION SELECT faction_id FROM chosen JOIN attackers ON killmail_id = id
UNION SELECT ship_type_id FROM chosen JOIN attackers ON killmail_id = id
UNION SELECT weapon_type_id FROM chosen JOIN attackers ON killmail_id = id
UNION SELECT item_type_id FROM chosen JOIN items ON killmail_id = id
"""
_STORE = {
    "names": """INSERT INTO names (id, category, name, named_at)
        VALUES (:id, :category, :name, :now)
        ON CONFLICT DO UPDATE SET
            category = excluded.category, name = excluded.name, named_at = excluded.named_at"""
} | {
    table: f"""INSERT INTO {table} ({_KEYS[table]}, name) VALUES (:id, :name)
        ON CONFLICT DO UPDATE SET name = excluded.name"""
    for table in ("types", "systems", "factions")
}
_IN_LINE = "EXISTS (SELECT 1 FROM unnamed_ids WHERE unnamed_ids.id = names.id)"
_NAMES_OF = " UNION ALL ".join(
    f"SELECT {key}, name FROM {table} WHERE {key} IN (SELECT value FROM json_each(:ids))"
    for table, key in _KEYS.items()
)


class UnnamedId(msgspec.Struct, frozen=True):
    """An id without a name: how often ESI did not know it, and when it is asked for again.

    `not_before` is ISO text, None: by the next scan.
    """

    id: int
    attempts: int
    not_before: str | None


class NameCounts(msgspec.Struct, frozen=True):
    """How many names there are of each kind, and how many ids have none.

    Of those, ESI did not know the `unknown` ones; the others have not been asked for. `renewing`
    names are asked for again. `oldest` and `newest` are when ESI gave a name, as ISO text.
    """

    named: dict[str, int]
    oldest: str | None
    newest: str | None
    unnamed: int
    unknown: int
    renewing: int


def ask_later(conn: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Put those of some ids in line that have no name, for a later run to ask for.

    The caller holds the transaction. What can be no id of ESI's is left out.
    """
    # rising keys fill SQLite's pages
    conn.execute(_ASK_LATER, [msgspec.json.encode(sorted(set(ids))).decode()])


def ask_later_about(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Put the ids in line that occur on these stored killmails, and have no name."""
    rows = conn.execute(_IDS_ON, [json.dumps(list(killmail_ids))])
    ask_later(conn, [id_ for (id_,) in rows if id_ is not None])


def next_to_ask(conn: sqlite3.Connection, limit: int) -> list[int]:
    """Return the next ids to ask for that have never been unknown."""
    rows = conn.execute(
        """SELECT id FROM unnamed_ids WHERE not_before IS NULL AND attempts = 0
        ORDER BY id LIMIT ?""",
        [limit],
    )
    return [id_ for (id_,) in rows]


def next_to_ask_again(conn: sqlite3.Connection, limit: int, now: float) -> list[int]:
    """Return ids that were unknown and may be asked for again; others must not go with them."""
    rows = conn.execute(
        """SELECT id FROM unnamed_ids WHERE not_before IS NULL AND attempts > 0
        UNION ALL SELECT id FROM unnamed_ids WHERE not_before <= :now
        UNION ALL SELECT id FROM unnamed_ids WHERE not_before > :wrong
        LIMIT :limit""",
        {"now": iso(now), "wrong": iso(now + _LONGEST_WAIT), "limit": limit},
    )
    return [id_ for (id_,) in rows]


def any_to_ask(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether an id may be asked for now."""
    return bool(next_to_ask(conn, 1) or next_to_ask_again(conn, 1, now))


def named(conn: sqlite3.Connection, answers: "Sequence[Named]", now: float) -> list[int]:
    """Store what ESI has named, and return the ids that it says are of a kind without a table.

    What was put in line is done then. The caller holds the transaction.
    """
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    homeless = []
    for one in answers:
        table = _TABLES.get(one.category)
        if table is None:
            homeless.append(one.id)
            continue
        values = {"id": one.id, "name": one.name}
        rows[table].append(
            values | {"category": one.category, "now": iso(now)} if table == _PEOPLE else values
        )
    for table, given in rows.items():
        conn.executemany(_STORE[table], given)
    stored = [row["id"] for given in rows.values() for row in given]
    conn.execute(
        "DELETE FROM unnamed_ids WHERE id IN (SELECT value FROM json_each(?))",
        [json.dumps(stored)],
    )
    return homeless


def unknown(conn: sqlite3.Connection, ids: Collection[int], now: float) -> None:
    """Record that ESI does not know these ids: they are asked for again, later each time.

    An old name is kept meanwhile. The caller holds the transaction.
    """
    when = [iso_after(now + wait) for wait in ASK_AGAIN]
    conn.execute(
        """UPDATE unnamed_ids SET attempts = attempts + 1,
            not_before = json_extract(:when, '$[' || min(attempts, :last) || ']')
        WHERE id IN (SELECT value FROM json_each(:ids))""",
        {"when": json.dumps(when), "last": len(when) - 1, "ids": json.dumps(list(ids))},
    )


def any_to_renew(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether a name is so old that it is asked for again."""
    row = conn.execute(
        f"""SELECT EXISTS (SELECT 1 FROM names WHERE named_at < ?
        AND NOT {_IN_LINE})""",
        [iso(now - RENEW_AFTER)],
    )
    return bool(row.fetchone()[0])


def renew(conn: sqlite3.Connection, limit: int, now: float, older_than: float = RENEW_AFTER) -> int:
    """Put the oldest names in line to be asked for again; return how many.

    They are kept until ESI gives others. The caller holds the transaction.
    """
    return conn.execute(
        f"""INSERT INTO unnamed_ids (id)
        SELECT id FROM names WHERE named_at < ? AND NOT {_IN_LINE} ORDER BY named_at LIMIT ?""",
        [iso(now - older_than), limit],
    ).rowcount


def forget_waits(conn: sqlite3.Connection) -> int:
    """Have every id that was unknown asked for by the next run; return how many."""
    return conn.execute(
        "UPDATE unnamed_ids SET not_before = NULL WHERE not_before IS NOT NULL"
    ).rowcount


def names_of(conn: sqlite3.Connection, ids: Iterable[int]) -> dict[int, str]:
    """Return the names of those of these ids that have one, of whatever kind they are."""
    return dict(conn.execute(_NAMES_OF, {"ids": json.dumps(list(set(ids)))}).fetchall())


def counts(conn: sqlite3.Connection) -> NameCounts:
    """Count names and unnamed ids; of many names that takes a while."""
    people = dict(conn.execute("SELECT category, count(*) FROM names GROUP BY category").fetchall())
    kinds = {kind: people.pop(kind, 0) for kind, table in _TABLES.items() if table == _PEOPLE}
    for table in ("types", "systems", "factions"):
        kinds[table.removesuffix("s")] = conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    unnamed, unknown = conn.execute(
        f"SELECT count(*), coalesce(sum(attempts > 0), 0) {_UNNAMED}"
    ).fetchone()
    in_line = conn.execute("SELECT count(*) FROM unnamed_ids").fetchone()[0]
    # a question for each, which the index answers
    oldest, newest = (
        conn.execute(f"SELECT {end}(named_at) FROM names WHERE named_at IS NOT NULL").fetchone()[0]
        for end in ("min", "max")
    )
    return NameCounts(kinds, oldest, newest, unnamed, unknown, in_line - unnamed)


def first_unnamed(conn: sqlite3.Connection, limit: int) -> list[UnnamedId]:
    """Return ids without a name, those first that were unknown most often; a limit of 0 is none."""
    rows = conn.execute(
        f"SELECT id, attempts, not_before {_UNNAMED} ORDER BY attempts DESC, id LIMIT ?",
        [min(limit, LARGEST_ID) or -1],
    )
    return [UnnamedId(*row) for row in rows]
