"""What a killmail is worth in ISK: pure, from its rows and the prices of one day.

Everything is counted in whole cents, so that the parts add up: hull + fitted + cargo = total =
dropped + destroyed. The rules are zKillboard's where both have one. Where SQL values single items
(`item_lines`), it takes the rules and their numbers from here.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from killsync.killmail.body import Item, Killmail
from killsync.killmail.game_ids import Category, Group
from killsync.killmail.places import ESCAPE_BAY, is_fitted
from killsync.model import ItemType

BLUEPRINT_COPY = 2  # of `singleton`
TOKEN_CENTS = 1
"""Of a copied blueprint and of a skin there is no market price that means anything."""
CAPSULE_CENTS = 1_000_000
"""What any capsule is worth."""
_FITTED = frozenset(filter(is_fitted, range(256)))
_NO_SLOTS: frozenset[int] = frozenset()
# below this many ISK a float holds each cent, and sums of a few are right once they are rounded
_EXACT_TO_THE_CENT = 2**43
_BITS_OF_A_FLOAT = 53
DEAREST = 1e15
"""ISK; a price above it is none of the game's, where all there is costs less together."""

Worth = Callable[[int], int | None]
"""What one of a type is worth, in cents; None: it has no price."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """What a killmail is worth, in ISK; all sums are None if nothing of it has a price.

    `unpriced` counts the rows without a price, of which the hull is one.
    """

    hull: float | None
    fitted: float | None
    cargo: float | None
    dropped: float | None
    destroyed: float | None
    total: float | None
    unpriced: int


def unit_price(price: float | None, item_type: ItemType | None) -> int | None:
    """Return what one of a type is worth, in cents, from its market price in ISK.

    Skins are worth 0.01 and capsules 10,000 whatever the market says. A price of zero, which ESI
    gives for what is never traded, is no price.
    """
    if item_type is not None and item_type.category_id == Category.SKIN:
        return TOKEN_CENTS
    if item_type is not None and item_type.group_id == Group.CAPSULE:
        return CAPSULE_CENTS
    return round(price * 100) or None if price is not None and 0 < price <= DEAREST else None


def value(killmail: Killmail, types: Mapping[int, ItemType], prices: Mapping[int, float]) -> Value:
    """Return what a killmail is worth at these market prices, in ISK by type."""

    def worth(type_id: int) -> int | None:
        return unit_price(prices.get(type_id), types.get(type_id))

    victim = killmail.victim
    return value_of(victim.ship_type_id, victim.items or [], worth)


def value_of(hull_type_id: int, items: Sequence[Item], worth: Worth) -> Value:
    """Return what a hull and what it carried are worth.

    Each row counts once, those in other items too. What lies in the frigate escape bay (flag 179)
    is no row at all. A quantity that is absent or negative counts as none; there is no upper limit.
    """
    hull = worth(hull_type_id)
    priced, unpriced, *parts = _sums(items, worth, _FITTED)
    if hull is None:
        unpriced += 1
        if not priced:
            return Value(None, None, None, None, None, None, unpriced)
    return _summed([hull or 0, *parts], unpriced)


def _sums(items: Sequence[Item], worth: Worth, slots: frozenset[int]) -> list[int]:
    """Return how many rows have a price, how many have none, and four sums in cents.

    Those are what was destroyed elsewhere and in `slots`, and what dropped elsewhere and there.
    """
    priced = unpriced = 0
    gone, left = [0, 0], [0, 0]
    within: list[Item] = []
    for item in items:
        if item.flag == ESCAPE_BAY:
            continue
        if item.items:
            within += item.items
        cents = TOKEN_CENTS if item.singleton == BLUEPRINT_COPY else worth(item.item_type_id)
        if cents is None:
            unpriced += 1
            continue
        priced += 1
        place = item.flag in slots
        quantity = item.quantity_destroyed
        if quantity is not None and quantity > 0:
            gone[place] += cents * quantity
        quantity = item.quantity_dropped
        if quantity is not None and quantity > 0:
            left[place] += cents * quantity
    found = [priced, unpriced, *gone, *left]
    if within:
        # no slot there is the victim's: a ship in a hangar has slots of its own
        inner = _sums(within, worth, _NO_SLOTS)
        return [mine + theirs for mine, theirs in zip(found, inner, strict=True)]
    return found


def _summed(parts: list[int], unpriced: int) -> Value:
    """Return the sums of parts in cents as ISK.

    Below 2**43 ISK each is the float nearest to its cents: sums of them are equal once they are
    rounded to the cent. From there on all are whole ISK, or coarser, and add up as they are.
    """
    total = sum(parts)
    if total >= _EXACT_TO_THE_CENT * 100:
        # no killmail of the game is worth as much: whole ISK, or as many as a float can tell apart
        grain = 100 << max(0, (total // 100).bit_length() - _BITS_OF_A_FLOAT)
        parts = [part // grain * grain for part in parts]
    hull, cargo_gone, fitted_gone, cargo_left, fitted_left = parts
    return Value(
        hull=hull / 100,
        fitted=(fitted_gone + fitted_left) / 100,
        cargo=(cargo_gone + cargo_left) / 100,
        dropped=(fitted_left + cargo_left) / 100,
        destroyed=(hull + fitted_gone + cargo_gone) / 100,
        total=sum(parts) / 100,
        unpriced=unpriced,
    )
