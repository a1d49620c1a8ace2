"""What `GET /markets/prices` answers: a price for most types, another one on each UTC day."""

import math
from random import Random

import msgspec

from killsync.simulator.catalogue import SHIPS, STRUCTURES, TYPES
from killsync.simulator.options import Options

DAY = 86400


class Price(msgspec.Struct, omit_defaults=True):
    """One entry of the answer; either price may be missing."""

    type_id: int
    average_price: float | None = None
    adjusted_price: float | None = None


class NewPrice(msgspec.Struct, forbid_unknown_fields=True):
    """A price to answer from now on, in ISK."""

    average_price: float | None = None
    adjusted_price: float | None = None


class NewPrices(msgspec.Struct, forbid_unknown_fields=True):
    """Prices by type id; None takes a type out of the list. `only` lists nothing else."""

    prices: dict[int, NewPrice | None] = {}
    only: bool = False


class Market:
    """The prices of one world: they follow from its seed and the day, unless set."""

    def __init__(self, options: Options) -> None:
        self._seed = options.seed
        self._set: dict[int, NewPrice | None] = {}
        self._only = False
        self._listed: tuple[int, bytes] = (-1, b"")

    def change(self, new: NewPrices) -> None:
        """Set prices; they hold on every day."""
        self._set |= new.prices
        self._only = new.only
        self._listed = (-1, b"")

    def listed(self, now: float) -> bytes:
        """Return the encoded list of a moment's day."""
        day = int(now // DAY)
        if self._listed[0] != day:
            found = {} if self._only else {price.type_id: price for price in self._generated(day)}
            for type_id, price in self._set.items():
                found.pop(type_id, None)
                if price is not None:
                    found[type_id] = Price(type_id, price.average_price, price.adjusted_price)
            self._listed = day, msgspec.json.encode([found[type_id] for type_id in sorted(found)])
        return self._listed[1]

    def _generated(self, day: int) -> list[Price]:
        found = (price_of(self._seed, type_id, day) for type_id in TYPES)
        return [price for price in found if price]


def price_of(seed: int, type_id: int, day: int) -> Price | None:
    """Return a type's price on a day, counted from 1970; None if it is not on the list.

    Of what is traded, one type in thirty is not listed unless it is a ship or a structure, one in
    twelve has no average price, and one in fifteen no adjusted one.
    """
    worth = TYPES[type_id].price
    rng = Random(f"{type_id}:{seed}")
    rare = rng.random() < 1 / 30 and type_id not in SHIPS and type_id not in STRUCTURES
    if not worth or rare:
        return None
    lacks = rng.random()
    # a slow wave, and some noise each day
    wave = 0.12 * math.sin(day / rng.uniform(5, 25) + rng.uniform(0, 7))
    level = worth * rng.uniform(0.95, 1.05) * (1 + wave)
    average = level * Random(f"{type_id}:{seed}:{day}").uniform(0.97, 1.03)
    return Price(
        type_id,
        None if lacks < 1 / 12 else round(average, 2),
        None if lacks > 14 / 15 else round(level * 0.98, 4),
    )
