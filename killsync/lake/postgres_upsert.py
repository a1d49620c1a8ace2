"""Putting rows into a table of PostgreSQL's by their key, many at a time."""

from collections.abc import Collection
from typing import Any

import msgspec

from killsync.lake.postgres import Conn


class Table(msgspec.Struct, frozen=True):
    """A table: its columns with their types, of which the first ones are its key."""

    name: str
    columns: dict[str, str]
    keys: int = 1

    @property
    def key(self) -> str:
        """The columns of the key, as SQL lists them."""
        return ", ".join([*self.columns][: self.keys])


def create(conn: Conn, table: Table) -> None:
    """Create a table, in the schema of a transaction."""
    columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
    conn.execute(f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({table.key}))")


def upsert(conn: Conn, table: Table, rows: Collection[tuple[Any, ...]], when: str = "true") -> int:
    """Insert rows, or change the rows of their keys; return how many were written.

    One that is there is changed if it differs and a condition holds, in which `excluded` is the
    given row. The caller holds the transaction.
    """
    if not rows:
        return 0
    others = [*table.columns][table.keys :]
    given = ", ".join(f"%s::{kind}[]" for kind in table.columns.values())
    old, new = (", ".join(f"{of}.{name}" for name in others) for of in (table.name, "excluded"))
    return conn.execute(
        f"""INSERT INTO {table.name} SELECT * FROM unnest({given})
        ON CONFLICT ({table.key}) DO UPDATE SET ({", ".join(others)}) = ROW ({new})
        WHERE ({when}) AND ({old}) IS DISTINCT FROM ({new})""",
        [list(column) for column in zip(*rows, strict=True)],
    ).rowcount
