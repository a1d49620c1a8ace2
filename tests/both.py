"""Asks SQLite and PostgreSQL the same, and gives what they answer one form."""

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from killsync.lake.postgres import connected
from killsync.lake.postgres_feed import Feed, Report
from killsync.store import connection
from killsync.store.connection import Store

SCHEMA = "killsync"
KEYS = {
    "kills": ("killmail_id", "user_id"),
    "user_killmails": ("killmail_id", "user_id"),
    "sides": ("killmail_id",),
    "losses_by_ship": ("ship_id",),
    "activity_by_day": ("day",),
    "item_lines": ("killmail_id", "ordinal"),
    "attacker_lines": ("killmail_id", "ordinal"),
    "killmail_values": ("killmail_id",),
}
# sums of doubles depend on the order
SUMS = {"losses_by_ship": ("lost",), "activity_by_day": ("destroyed", "lost")}

ONLY_IN_SQLITE = {("killmail_values", "source")}

Row = dict[str, Any]


def _nothing(*_: object) -> None:
    pass


def feed(
    store: Store,
    url: str,
    *,
    source: str = "main",
    steps: int | None = None,
    between: Callable[[], None] = _nothing,
    show: Callable[[int], None] = _nothing,
) -> Report:
    """Feed a database, as the command does; with `steps`, break off after so many.

    `between` is called before each step, `show` amid each batch.
    """
    left = iter(range(steps)) if steps is not None else None

    def stops() -> bool:
        between()
        return left is not None and next(left, None) is None

    with (
        closing(connection.connect(store.path, read_only=True)) as read,
        connected(url, SCHEMA) as target,
    ):
        feeding = Feed(target, read, source, with_hash=False, stops=stops, show=show)
        feeding.run()
        return feeding.report


def ask_sqlite(store: Store, query: str) -> list[Row]:
    """Return the rows of a query, by column."""
    cursor = store.conn.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor]


def ask_postgres(url: str, query: str) -> list[Row]:
    """Return the rows of a query, by column: truths as 0 and 1, times as SQLite has them."""
    (rows,) = ask_postgres_all(url, [query])
    return rows


def ask_postgres_all(url: str, queries: Iterable[str]) -> list[list[Row]]:
    """Return the rows of several queries."""
    options = f"-c timezone=Asia/Tokyo -c search_path={SCHEMA}"
    with closing(psycopg.connect(url, options=options)) as conn:
        return [_rows(conn.execute(query.encode())) for query in queries]


def _rows(cursor: psycopg.Cursor[Any]) -> list[Row]:
    names = [column.name for column in cursor.description or []]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor]


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value)
    # what PostgreSQL cannot hold
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def rows_of(view: str) -> str:
    """Return the query for the rows of a view that both have."""
    columns, condition = "*", ""
    if view == "user_killmails":
        # PostgreSQL's has no `listed`, and a `side`
        columns, condition = "user_id, killmail_id, role, killmail_time", " WHERE role IS NOT NULL"
    return f"SELECT {columns} FROM {view}{condition} ORDER BY {', '.join(KEYS[view])}"


def assert_same_views(store: Store, url: str) -> None:
    """Assert that each view has the same rows in both."""
    there = ask_postgres_all(url, map(rows_of, KEYS))
    for view, theirs in zip(KEYS, there, strict=True):
        ours = ask_sqlite(store, rows_of(view))
        kept = [{n: row[n] for n in row if (view, n) not in ONLY_IN_SQLITE} for row in ours]
        assert theirs == [_nearly(view, row) for row in kept], view


def _nearly(view: str, row: Row) -> Row:
    """Return a row that equals one whose sums differ by no more than their order makes them."""
    sums = {name: row[name] for name in SUMS.get(view, ())}
    return row | {name: isk and pytest.approx(isk, rel=1e-12) for name, isk in sums.items()}
