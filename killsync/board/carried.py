"""What a victim carried, as lines by place in the game's order, each with its worth. Pure."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from msgspec import Struct

from killsync.killmail.body import Item
from killsync.killmail.fit import counted, mount
from killsync.killmail.ids import unnamed
from killsync.killmail.places import ESCAPE_BAY, RACKS, place_name, place_of, place_order
from killsync.killmail.value import BLUEPRINT_COPY
from killsync.model import ItemType

Cents = Callable[[int, int], int | None]
"""What one of a type, with its singleton, is worth in cents; None: it has no price."""


def _worthless(_type_id: int, _singleton: int) -> int:
    return 0


class Line(Struct, frozen=True):
    """Some of one type that dropped, or that were destroyed; `depth` is what they lie in.

    `isk` is what they are worth together, None if they have no price.
    """

    name: str
    quantity: int
    dropped: bool
    isk: float | None
    depth: int = 0


class Section(Struct, frozen=True):
    """What lay in one place."""

    place: str
    lines: list[Line]


def sections(items: list[Item], types: Mapping[int, ItemType], cents: Cents) -> list[Section]:
    """Return the places of what was carried, in the game's order, and what lay there.

    A module has what it was loaded with below it, and a container what it held. What lay in the
    frigate escape bay is worth nothing, as in the killmail's value.
    """
    places: dict[tuple[tuple[int, int], str], list[Item]] = defaultdict(list)
    for item in items:
        places[place_order(item.flag), place_name(item.flag)].append(item)
    made = []
    for (_, name), lying in sorted(places.items()):
        lines = _Lines(types, cents)
        if place_of(lying[0].flag) in RACKS:
            lines.add_rack(lying)
        else:
            lines.add_bay(lying, 0)
        made.append(Section(name, lines.lines))
    return made


class _Lines:
    """The lines of one place while they are made."""

    def __init__(self, types: Mapping[int, ItemType], cents: Cents) -> None:
        self.lines: list[Line] = []
        self._types = types
        self._cents = cents

    def add_rack(self, items: list[Item]) -> None:
        for mounted in mount(items, self._types):
            self._add(mounted.item, 0)
            for charge in mounted.charges:
                self._add(charge, 1)

    def add_bay(self, items: list[Item], depth: int) -> None:
        """Add the same things once, those that hold others each by itself."""
        alike: dict[tuple[int, int, bool], list[Item]] = {}
        for number, item in enumerate(items):
            # a number that is no singleton keeps a container apart from all others
            apart = -1 - number if item.items else item.singleton
            in_escape_bay = item.flag == ESCAPE_BAY
            alike.setdefault((item.item_type_id, apart, in_escape_bay), []).append(item)
        for same in alike.values():
            self._add(_together(same), depth)

    def _add(self, item: Item, depth: int) -> None:
        before = self._cents
        if item.flag == ESCAPE_BAY:
            self._cents = _worthless
        self._add_lines(item, depth)
        self._cents = before

    def _add_lines(self, item: Item, depth: int) -> None:
        dropped, destroyed = counted(item.quantity_dropped), counted(item.quantity_destroyed)
        if dropped:
            self._add_line(item, dropped, depth, dropped=True)
        if destroyed or not dropped:
            self._add_line(item, destroyed, depth, dropped=False)
        if item.items:
            self.add_bay(item.items, depth + 1)

    def _add_line(self, item: Item, quantity: int, depth: int, *, dropped: bool) -> None:
        known = self._types.get(item.item_type_id)
        name = unnamed(item.item_type_id) if known is None else known.name
        if item.singleton == BLUEPRINT_COPY:
            name += " (copy)"
        cents = self._cents(item.item_type_id, item.singleton)
        isk = None if cents is None else cents * quantity / 100
        self.lines.append(Line(name, quantity, dropped, isk, depth))


def _together(same: list[Item]) -> Item:
    first = same[0]
    return Item(
        item_type_id=first.item_type_id,
        flag=first.flag,
        singleton=first.singleton,
        quantity_dropped=sum(counted(item.quantity_dropped) for item in same),
        quantity_destroyed=sum(counted(item.quantity_destroyed) for item in same),
        items=first.items,
    )
