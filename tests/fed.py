"""What stands in a PostgreSQL database that was fed, and in the database that it was fed from."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from killsync.lake.tables import HASH, TABLES, VALUES, Column, Kind

Row = dict[str, Any]

_ORDER = {"killmails": "killmail_id", "attackers": "1, 3", "items": "1, 3"}
_FROM = {
    "killmails": "killmails AS k LEFT JOIN killmail_values AS v USING (killmail_id)",
    "attackers": "attackers AS t JOIN killmails AS k USING (killmail_id)",
    "items": "items AS t JOIN killmails AS k USING (killmail_id)",
}
_PLACE: LiteralString = "SELECT stored_seq, removed_seq FROM places WHERE source = %s"
_NUMBERS: LiteralString = """
SELECT stored_seq FROM killmails WHERE source = %s
UNION ALL SELECT stored_seq FROM also_stored WHERE source = %s
UNION ALL SELECT stored_seq FROM removed_killmails WHERE source = %s
"""


def ask(url: str, query: LiteralString, *parameters: Any, schema: str = "killsync") -> list[Any]:
    """Return the rows of a query in the schema that was fed; times are in UTC."""
    with closing(
        psycopg.connect(url, options="-c timezone=UTC -c datestyle=ISO", autocommit=True)
    ) as conn:
        conn.execute("SELECT set_config('search_path', quote_ident(%s), false)", [schema])
        return conn.execute(query, parameters).fetchall()


def fed(url: str, *, schema: str = "killsync") -> dict[str, list[Row]]:
    """Return the rows of the three tables, without whose they are."""
    found = {}
    for table, columns in TABLES.items():
        names = ", ".join(
            f"{column.name}::text" if column.kind is Kind.JSON else column.name
            for column in columns
        )
        rows = ask(url, f"SELECT {names} FROM {table} ORDER BY {_ORDER[table]}", schema=schema)
        found[table] = [_row(columns, row) for row in rows]
    return found


def stored(database: Path, *, with_hash: bool = False) -> dict[str, list[Row]]:
    """Return what ought to stand there: the database's own rows, with the types of there."""
    found = {}
    with closing(sqlite3.connect(database)) as conn:
        for table, columns in TABLES.items():
            names = ", ".join(_qualified(table, column) for column in columns)
            rows = conn.execute(f"SELECT {names} FROM {_FROM[table]} ORDER BY {_ORDER[table]}")
            found[table] = [_row(columns, row) for row in rows]
    for row in found["killmails"]:
        row[HASH] = row[HASH] if with_hash else None
    return found


def assert_equal(url: str, database: Path, *, schema: str = "killsync") -> None:
    """Compare everything, and see that each `stored_seq` is accounted for exactly once."""
    assert fed(url, schema=schema) == stored(database)
    assert_accounted_for(url, database, schema=schema)


def assert_accounted_for(
    url: str, database: Path, source: str = "main", *, schema: str = "killsync"
) -> None:
    """See that each number of the change feed up to the place stands somewhere, once."""
    place = ask(url, _PLACE, source, schema=schema)
    rows = ask(url, _NUMBERS, source, source, source, schema=schema)
    with closing(sqlite3.connect(database)) as conn:
        numbers = conn.execute(
            "SELECT stored_seq FROM killmails UNION ALL SELECT stored_seq FROM removed_killmails"
        ).fetchall()
        removed = conn.execute("SELECT coalesce(max(removed_seq), 0) FROM removed_killmails")
        assert sorted(rows) == sorted(numbers)
        # of a place whose killmail was deleted the number stays
        assert place == [(max(numbers, default=(0,))[0], removed.fetchone()[0])]


def _qualified(table: str, column: Column) -> str:
    if column.name == "killmail_id":
        return column.name
    if table != "killmails":
        return f"{'k' if column.name == 'stored_seq' else 't'}.{column.name}"
    return f"{'v' if column in VALUES else 'k'}.{column.name}"


def _row(columns: Iterable[Column], values: Iterable[Any]) -> Row:
    return {c.name: _typed(c.kind, value) for c, value in zip(columns, values, strict=True)}


def _typed(kind: Kind, value: Any) -> Any:
    if value is None or isinstance(value, datetime | date | bool):
        return value
    match kind:
        case Kind.BOOLEAN:
            return bool(value)
        case Kind.TIME:
            return datetime.fromisoformat(value).astimezone(UTC)
        case Kind.DAY:
            return date.fromisoformat(value)
        case Kind.DOUBLE:
            return float(value)
        case Kind.JSON:
            return json.loads(value)
    return value
