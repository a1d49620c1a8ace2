"""What one of each item was worth, for the items of many killmails: as the view `item_lines` says.

The rules and numbers are those of a killmail's value.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from killsync.killmail.game_ids import Category, Group
from killsync.killmail.places import ESCAPE_BAY
from killsync.killmail.value import BLUEPRINT_COPY, CAPSULE_CENTS, TOKEN_CENTS

Columns = dict[str, Any]
"""The columns of a table, by name, each a `pyarrow.Array`."""


class Market(Protocol):
    """What knows types and their prices; `beside.Known` says more."""

    reference: Any

    def prices(self, day: str, type_ids: Any) -> Any:
        """Return the prices of types on a day."""
        ...


def of(killmails: Columns, items: Columns, place: Any, market: Market) -> Any:
    """Return the price of each item in ISK, NULL where there is none.

    `place` says of each item in which row of `killmails` its killmail stands.
    """
    days = killmails["priced_on"].dictionary_encode(null_encoding="encode")
    types = items["item_type_id"].dictionary_encode()
    # a number for each pair of a day and a type
    pairs = types.indices
    if len(days.dictionary) > 1:
        first = pc.multiply(days.indices, len(types.dictionary)).take(place)
        pairs = pc.add(first, pairs)
    pairs = pairs.dictionary_encode()
    price = _of_pairs(pairs.dictionary, days.dictionary, types.dictionary, market)
    price = price.take(pairs.indices)
    is_copy = pc.equal(items["singleton"], BLUEPRINT_COPY)
    is_free = _in_escape_bay(items, place)
    if pc.any(pc.or_kleene(is_copy, is_free)).as_py():
        has_prices = killmails["priced_on"].is_valid().take(place)
        price = pc.if_else(pc.and_kleene(is_copy, has_prices), TOKEN_CENTS / 100, price)
        price = pc.if_else(pc.and_kleene(is_free, has_prices), 0.0, price)
    return price


def _of_pairs(pairs: Any, days: Any, types: Any, market: Market) -> Any:
    """Return what a type was worth on a day, for pairs of both; of no day it is NULL."""
    count = max(1, len(types))
    day_of = pc.divide(pairs, count)
    type_of = pc.subtract(pairs, pc.multiply(day_of, count))
    prices = pa.nulls(len(pairs), pa.float64())
    for number, day in enumerate(days.to_pylist()):
        if day is not None:
            mine = pc.equal(day_of, number)
            wanted = types.take(type_of.filter(mine))
            found = market.prices(day.isoformat(), wanted)
            worth = _taken(found, "price", pc.index_in(wanted, value_set=found["type_id"]))
            prices = pc.replace_with_mask(prices, mine, worth)
    has_day = days.take(day_of).is_valid()
    return pc.if_else(has_day, _by_rule(prices, types.take(type_of), market), prices)


def _by_rule(worth: Any, types: Any, market: Market) -> Any:
    """Return prices of types where those of skins and capsules are what killsync says."""
    known = market.reference.types
    row = market.reference.rows("types", types)
    for column, wanted, cents in (
        ("group_id", Group.CAPSULE, CAPSULE_CENTS),
        ("category_id", Category.SKIN, TOKEN_CENTS),
    ):
        is_wanted = pc.fill_null(pc.equal(_taken(known, column, row), int(wanted)), False)
        worth = pc.if_else(is_wanted, cents / 100, worth)
    return worth


def _taken(table: Any, column: str, rows: Any) -> Any:
    return pa.concat_arrays(table[column].chunks).take(rows)


def _in_escape_bay(items: Columns, place: Any) -> Any:
    """Return of each row whether it lies in the frigate escape bay, itself or in something else."""
    is_there = pc.fill_null(pc.equal(items["flag"], ESCAPE_BAY), False)
    # of the few killmails that have such a bay, what lies in something, and the bay's own
    nested = pc.is_valid(items["parent"])
    here = pc.is_in(place.filter(nested), value_set=place.filter(is_there))
    if not pc.any(here).as_py():
        return is_there
    nested = pc.replace_with_mask(nested, nested, here)
    concerned = pc.or_(nested, is_there)
    keys = (place, items["ordinal"])
    around = (items["parent"], is_there)
    tree = dict(zip(_rows(keys, concerned), _rows(around, concerned), strict=True))
    inside = pa.array([_lies_there(tree, *key) for key in tree])
    return pc.replace_with_mask(is_there, concerned, inside)


def _rows(columns: Sequence[Any], chosen: Any) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.filter(chosen).to_pylist() for column in columns), strict=True)


def _lies_there(
    tree: dict[tuple[Any, ...], tuple[Any, ...]], place: int, ordinal: int | None
) -> bool:
    """Return whether an item, or one of those around it, is in the bay."""
    seen: set[int] = set()
    # rows that were spoilt may go round in a circle
    while ordinal is not None and ordinal not in seen and (place, ordinal) in tree:
        seen.add(ordinal)
        ordinal, is_there = tree[place, ordinal]
        if is_there:
            return True
    return False
