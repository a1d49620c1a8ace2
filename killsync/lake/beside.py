"""What stands beside the database's columns in a lake: names, the flags of killmails, prices.

All of it follows from rows that come in batches, each killmail with all of its attackers and
items. An id of many rows is looked up once.
"""

from functools import cached_property
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from killsync.lake import arrow_schema, flags, item_prices, tables


class Reference(msgspec.Struct, frozen=True, dict=True):
    """What the game itself names, each a `pyarrow.Table` with one row for each id.

    `types` has `type_id`, `name`, `group_id`, `group_name`, `category_id`, `category_name`;
    `systems` has `system_id`, `name`, `security` as the game shows it, `region_id`, `region`;
    `factions` has `faction_id`, `name`. The columns are int64, string and double.
    """

    types: Any
    systems: Any
    factions: Any

    def rows(self, table: str, ids: Any) -> Any:
        """Return in which row of a table, such as `types`, each id stands; NULL: in none."""
        known = self._row_of_id[table]
        distinct = ids.dictionary_encode()
        rows = pa.array(map(known.get, distinct.dictionary.to_pylist()), pa.int32())
        return rows.take(distinct.indices)

    # pyarrow would look at all types once more with each batch
    @cached_property
    def _row_of_id(self) -> dict[str, dict[int, int]]:
        tables = {"types": self.types, "systems": self.systems, "factions": self.factions}
        return {
            name: {key: row for row, key in enumerate(table.column(0).to_pylist())}
            for name, table in tables.items()
        }


class Known(Protocol):
    """What a database, or the shipped game data, knows of ids."""

    reference: Reference

    def names(self, ids: Any) -> Any:
        """Return the names of players, corporations and alliances.

        `ids` is a `pyarrow.Array` without doubles and NULL; what comes back is a `pyarrow.Table` of
        `id` and `name`. Those without a name may be missing, or NULL.
        """
        ...

    def prices(self, day: str, type_ids: Any) -> Any:
        """Return what types were worth on a day, in ISK: a `pyarrow.Table` of `type_id`, `price`.

        Those without a price may be missing, or NULL.
        """
        ...


PLACE = "place"
"""A column of attackers and items: in which row of the killmails theirs stands."""


def add(raw: dict[str, Any], known: Known, *, with_hash: bool) -> dict[str, Any]:
    """Return the rows of `killmails`, `attackers` and `items` as a lake has them.

    Each is a `pyarrow.Table`. `raw` has the columns of `arrow_schema.raw`, of which those that are
    missing are NULL; the rows of a killmail are together, by `ordinal`, in the order of the
    killmails. Who knows it says of each attacker and item its `PLACE`. What comes back has the
    columns of `arrow_schema.full`.
    """
    batch = {
        name: _whole(table, arrow_schema.raw(name, with_hash=with_hash))
        for name, table in raw.items()
    }
    columns = {name: _Columns(table, known) for name, table in batch.items()}
    for mine in columns.values():
        mine.add_names()
    killmails, attackers, items = (columns[name].found for name in tables.TABLES)
    place = _place(raw["attackers"], killmails, attackers)
    killmails |= flags.of(killmails, attackers, place, known.reference)
    items["price"] = item_prices.of(killmails, items, _place(raw["items"], killmails, items), known)
    return {
        name: pa.table([mine.found[column] for column in schema.names], schema=schema)
        for name, mine in columns.items()
        for schema in [arrow_schema.full(name, with_hash=with_hash)]
    }


def _place(raw: Any, killmails: dict[str, Any], rows: dict[str, Any]) -> Any:
    """Return in which row of the killmails each row's own stands."""
    if PLACE in raw.column_names:
        return _one(raw[PLACE]).cast(pa.int32())
    return pc.index_in(rows["stored_seq"], value_set=killmails["stored_seq"])


def _whole(table: Any, schema: Any) -> dict[str, Any]:
    """Return the columns of a table, each of its type and in one piece."""
    missing = {
        field.name: pa.nulls(table.num_rows, field.type)
        for field in schema
        if field.name not in table.column_names
    }
    present = {field.name: table[field.name] for field in schema if field.name not in missing}
    return missing | {
        name: _one(column.cast(schema.field(name).type, safe=not pa.types.is_integer(column.type)))
        for name, column in present.items()
    }


def _one(column: Any) -> Any:
    """Return a column as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.chunks else pa.array([], column.type)


class _Columns:
    """The columns of one table, by name, as they are found."""

    def __init__(self, found: dict[str, Any], known: Known) -> None:
        self.found = found
        self._known = known

    def add_names(self) -> None:
        """Add what is known of each id that has a name."""
        for column in list(self.found):
            what = column.removeprefix("victim_")
            if what in ("ship_type_id", "weapon_type_id", "item_type_id"):
                self._add(column, "types", _of_type(column))
            elif what == "solar_system_id":
                self._add(column, "systems", _OF_SYSTEM)
            elif what == "faction_id":
                self._add(column, "factions", {"name": _named(column)})
            elif what in ("alliance_id", "character_id", "corporation_id"):
                self._add(column, None, {"name": _named(column)})

    def _add(self, column: str, table: str | None, wanted: dict[str, str]) -> None:
        """Add columns of the row that has an id as its key: `wanted` maps its names to ours.

        The table is one of the reference's, or that of names.
        """
        ids = self.found[column].dictionary_encode()
        reference = self._known.reference
        if table is None:
            rows = self._known.names(ids.dictionary)
            place = pc.index_in(ids.dictionary, value_set=_one(rows["id"]))
        else:
            rows = getattr(reference, table)
            place = reference.rows(table, ids.dictionary)
        for name, ours in wanted.items():
            of_ids = _one(rows[name]).take(place)
            if pa.types.is_string(of_ids.type):
                # equal names of several ids are one, and no name is a NULL
                distinct = of_ids.dictionary_encode()
                indices = distinct.indices.take(ids.indices)
                # pyarrow's own indices need no look at each
                self.found[ours] = pa.DictionaryArray.from_arrays(
                    indices, distinct.dictionary, safe=False
                )
            else:
                self.found[ours] = of_ids.take(ids.indices)


_OF_SYSTEM = {
    "name": "solar_system_name",
    "security": "security",
    "region_id": "region_id",
    "region": "region_name",
}


def _named(column: str) -> str:
    return column.removesuffix("_id") + "_name"


def _of_type(column: str) -> dict[str, str]:
    """Return what of a type stands beside its id in a column, by the names of both."""
    match column:
        case "item_type_id":
            return {
                "name": "item_type_name",
                "group_name": "item_group_name",
                "category_name": "item_category_name",
            }
        case "victim_ship_type_id":
            return {"name": "victim_ship_type_name", "group_name": "victim_ship_group_name"}
    return {"name": _named(column)}
