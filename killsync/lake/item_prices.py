"""What one of each item was worth, for the items of many killmails: as the view `item_lines` says.

The rules and numbers are those of a killmail's value.
"""

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
    priced_on = killmails["priced_on"].take(place)
    types = items["item_type_id"].dictionary_encode()
    price = _of_market(priced_on, types, market)
    is_capsule, is_skin = _special(types, market.reference.types)
    price = pc.if_else(is_capsule, CAPSULE_CENTS / 100, price)
    is_copy = pc.fill_null(pc.equal(items["singleton"], BLUEPRINT_COPY), False)
    price = pc.if_else(pc.or_(is_copy, is_skin), TOKEN_CENTS / 100, price)
    price = pc.if_else(_in_escape_bay(items, place), 0.0, price)
    return pc.if_else(pc.is_valid(priced_on), price, None)


def _special(types: Any, known: Any) -> tuple[Any, Any]:
    """Return of each row whether it is a capsule, and whether a skin."""
    row = pc.index_in(types.dictionary, value_set=known["type_id"])
    found = []
    for column, wanted in (("group_id", Group.CAPSULE), ("category_id", Category.SKIN)):
        of_types = known[column].combine_chunks().take(row)
        is_wanted = pc.fill_null(pc.equal(of_types, int(wanted)), False)
        found.append(is_wanted.take(types.indices))
    return found[0], found[1]


def _of_market(priced_on: Any, types: Any, market: Market) -> Any:
    """Return market prices, each asked for once for a day and a type; NULL where there is none."""
    days = priced_on.dictionary_encode()
    count = max(1, len(types.dictionary))
    both = pc.add(pc.multiply(days.indices.cast(pa.int64()), count), types.indices.cast(pa.int64()))
    pairs = both.dictionary_encode()
    day_of, type_of = _split(pairs.dictionary, count)
    prices = pa.nulls(len(pairs.dictionary), pa.float64())
    for number, day in enumerate(days.dictionary.to_pylist()):
        mine = pc.equal(day_of, number)
        wanted = types.dictionary.take(type_of.filter(mine))
        found = market.prices(day.isoformat(), wanted)
        row = pc.index_in(wanted, value_set=found["type_id"])
        worth = found["price"].cast(pa.float64()).combine_chunks().take(row)
        prices = pc.replace_with_mask(prices, mine, worth)
    return prices.take(pairs.indices)


def _split(pairs: Any, count: int) -> tuple[Any, Any]:
    first = pc.divide(pairs, count)
    return first, pc.subtract(pairs, pc.multiply(first, count))


def _in_escape_bay(items: Columns, place: Any) -> Any:
    """Return of each row whether it lies in the frigate escape bay, itself or in something else."""
    is_there = pc.fill_null(pc.equal(items["flag"], ESCAPE_BAY), False)
    # of the few killmails that have such a bay, what lies in something
    inside = pc.and_(
        pc.is_valid(items["parent"]), pc.is_in(place, value_set=place.filter(is_there))
    )
    if not pc.any(inside).as_py():
        return is_there
    concerned = pc.is_in(place, value_set=place.filter(inside))
    row = pa.array(range(len(place)), pa.int64()).filter(concerned)
    keys = zip(
        place.filter(concerned).to_pylist(),
        items["ordinal"].filter(concerned).to_pylist(),
        strict=True,
    )
    around = zip(
        items["parent"].filter(concerned).to_pylist(),
        is_there.filter(concerned).to_pylist(),
        strict=True,
    )
    tree = dict(zip(keys, around, strict=True))
    found = [_lies_there(tree, *key) for key in tree]
    return pc.or_(is_there, pc.is_in(pa.array(range(len(place)), pa.int64()), row.filter(found)))


def _lies_there(
    tree: dict[tuple[int, int], tuple[int | None, bool]], place: int, ordinal: int | None
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
