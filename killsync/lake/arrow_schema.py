"""The columns of the Parquet files: those of the database, typed, with names and flags beside."""

from typing import Any

import pyarrow as pa

from killsync.lake import tables
from killsync.lake.tables import HASH, Column, Kind

NAME = pa.dictionary(pa.int32(), pa.string())
"""In memory; in a file a name is text."""
_TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TEXT: pa.string(),
    Kind.TIME: pa.timestamp("us", "UTC"),
    Kind.DAY: pa.date32(),
    Kind.JSON: pa.string(),
}

# what stands behind a column of the database, and what follows from the whole row
_BESIDE = {
    "solar_system_id": {
        "solar_system_name": NAME,
        "security": pa.float64(),
        "region_id": pa.int64(),
        "region_name": NAME,
    },
    "victim_ship_type_id": {"victim_ship_type_name": NAME, "victim_ship_group_name": NAME},
    "item_type_id": {
        "item_type_name": NAME,
        "item_group_name": NAME,
        "item_category_name": NAME,
    },
} | {
    f"{what}_id": {f"{what}_name": NAME}
    for who in ("", "victim_")
    for what in map(
        who.__add__,
        ("alliance", "character", "corporation", "faction", "ship_type", "weapon_type"),
    )
    if what != "victim_ship_type"
}
_AT_THE_END = {
    "killmails": {"solo": pa.bool_(), "npc": pa.bool_(), "awox": pa.bool_()},
    "attackers": {},
    "items": {"price": pa.float64()},
}
_OF_THE_DATABASE = {**tables.TABLES, "removed": tables.REMOVED}


def raw(table: str, *, with_hash: bool) -> Any:
    """Return the schema of a table's rows as the database has them, a `pyarrow.Schema`."""
    columns = _OF_THE_DATABASE[table]
    return pa.schema([(c.name, _type(c)) for c in columns if with_hash or c.name != HASH])


def full(table: str, *, with_hash: bool) -> Any:
    """Return the schema of a table's parts: that of its rows, with what stands beside."""
    fields: dict[str, Any] = {}
    for field in raw(table, with_hash=with_hash):
        fields[field.name] = field.type
        fields |= _BESIDE.get(field.name, {})
    return pa.schema(fields | _AT_THE_END[table])


def options(schema: Any) -> dict[str, Any]:
    """Return what a `pyarrow.parquet.ParquetWriter` is to be told of such parts.

    A name is written as text, which every engine takes, and without its least and greatest, which
    would take as long as all the rest of it. Numbers that rise are written as differences, and so
    is damage; what is another in nearly every row has no dictionary.
    """
    delta = {"killmail_id", "stored_seq", "ordinal", "damage_done", "victim_damage_taken"}
    various = {"killmail_time", "victim_x", "victim_y", "victim_z"} | {
        column.name for column in tables.VALUES if column.kind is Kind.DOUBLE
    }
    return {
        "use_dictionary": [name for name in schema.names if name not in delta | various],
        "column_encoding": {n: "DELTA_BINARY_PACKED" for n in schema.names if n in delta},
        "write_statistics": [field.name for field in schema if field.type != NAME],
    }


def _type(column: Column) -> Any:
    return _TYPES[column.kind]
