"""What a ship was fitted with, in the forms that other programs read: EFT and DNA."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from killsync.killmail.body import Item, Killmail
from killsync.killmail.game_ids import MODULES, Category
from killsync.killmail.places import RACKS, Place, place_of
from killsync.model import ItemType

Types = Mapping[int, ItemType]

_BAYS = {
    Place.DRONE_BAY: ("drones", Category.DRONE),
    Place.FIGHTER_TUBE: ("fighters", Category.FIGHTER),
    Place.FIGHTER_BAY: ("fighters", Category.FIGHTER),
    Place.IMPLANT: ("implants", Category.IMPLANT),
    Place.BOOSTER: ("boosters", Category.IMPLANT),
}
# what is not known may be a module
_MAY_BE_FITTED = {None, *MODULES}
# no rack has more slots, and no capsule more implants
_MOST_LINES = 16

_EFT_RACKS = {
    Place.LOW: "[Empty Low slot]",
    Place.MID: "[Empty Med slot]",
    Place.HIGH: "[Empty High slot]",
    Place.RIG: "[Empty Rig slot]",
    Place.SUBSYSTEM: None,
    Place.SERVICE: None,
}
_DNA_RACKS = (Place.SUBSYSTEM, Place.HIGH, Place.MID, Place.LOW, Place.RIG, Place.SERVICE)

# what would end a name, or make another line of it
_BREAKS_A_LINE = re.compile(r"[\[\]]|^$|^\s|\s$")
_BREAKS_A_MODULE = re.compile(r"[,/]| x[0-9]+$")


class Mounted(Struct, frozen=True):
    """What lies in a slot of a rack, and the lines of what it was loaded with."""

    item: Item
    charges: list[Item]


class Module(Struct, frozen=True):
    """A fitted module: its slot's flag, its type, the type that it was loaded with, how many."""

    flag: int
    type_id: int
    charge: int | None = None
    loaded: int = 0


class Fit(Struct, frozen=True):
    """A ship's fit; everything but modules is a number of each type, dropped and destroyed alike.

    `cargo` is whatever has no other place: all other bays, what lies in something else, a charge
    without a module. Nothing that the victim carried is missing.
    """

    ship_type_id: int
    modules: dict[Place, list[Module]]
    drones: Counter[int]
    fighters: Counter[int]
    implants: Counter[int]
    boosters: Counter[int]
    cargo: Counter[int]


def counted(quantity: int | None) -> int:
    """Return how many; a quantity that is absent or negative counts as none, as in its value."""
    return max(0, quantity or 0)


def quantity(item: Item) -> int:
    """Return how many a line stands for: what dropped and what was destroyed; one at least."""
    return max(1, counted(item.quantity_dropped) + counted(item.quantity_destroyed))


def mount(items: Iterable[Item], types: Types) -> list[Mounted]:
    """Return what lies in the racks by slot, each module with the charges of its slot.

    A charge in a slot without a module stands by itself.
    """
    slots: dict[int, list[Item]] = {}
    for item in items:
        if place_of(item.flag) in RACKS:
            slots.setdefault(item.flag, []).append(item)
    return [mounted for _, lines in sorted(slots.items()) for mounted in _in_slot(lines, types)]


def fit_of(killmail: Killmail, types: Types) -> Fit:
    """Return the fit of the victim's ship."""
    victim = killmail.victim
    items = victim.items or []
    fit = Fit(victim.ship_type_id, {}, *(Counter[int]() for _ in range(5)))
    for mounted in mount(items, types):
        _add_mounted(fit, mounted, types)
    for item in items:
        if place_of(item.flag) not in RACKS:
            _add_to_bay(fit, item, types)
        for inner in _inside(item):
            fit.cargo[inner.item_type_id] += quantity(inner)
    return fit


def eft(fit: Fit, types: Types, title: str) -> str:
    """Return a fit as EFT text, without a line break at its end.

    An empty slot is written where a later one of its rack is full, so that modules keep theirs. A
    type without a name, or with one that the format cannot hold, is written `Type 12345`; other
    programs skip that line.
    """
    head = f"[{_module_name(fit.ship_type_id, types)}, {_title(title)}]"
    racks = _blocks(_rack_lines(fit, rack, types) for rack in _EFT_RACKS)
    minions = _blocks(_counted(stock, types) for stock in (fit.drones, fit.fighters))
    character = _blocks(_each(stock, types) for stock in (fit.implants, fit.boosters))
    cargo = "\n".join(_counted(fit.cargo, types))
    sections = [part for part in (racks, minions, character, cargo) if part]
    return "\n\n".join([head, "\n\n\n".join(sections)]) if sections else head


def dna(fit: Fit, types: Types) -> str:
    """Return a fit as the game's DNA: modules by rack, then drones, fighters and charges.

    The game would fit whatever else it held, so cargo that is no charge is left out, as are
    implants and boosters. Charges are those that were loaded and those in the cargo.
    """
    parts: list[tuple[int, int]] = []
    charges: Counter[int] = Counter()
    for rack in _DNA_RACKS:
        modules = fit.modules.get(rack, [])
        parts += Counter(module.type_id for module in modules).items()
        for module in modules:
            if module.charge is not None:
                charges[module.charge] += module.loaded
    for type_id, number in fit.cargo.items():
        if _category_of(type_id, types) == Category.CHARGE:
            charges[type_id] += number
    parts += [*fit.drones.items(), *fit.fighters.items(), *charges.items()]
    return ":".join([str(fit.ship_type_id), *(f"{kind};{number}" for kind, number in parts)]) + "::"


def _in_slot(lines: list[Item], types: Types) -> list[Mounted]:
    modules = [item for item in lines if _may_be_module(item, types)]
    charges = [item for item in lines if _category(item, types) == Category.CHARGE]
    if not modules:
        return [Mounted(item, []) for item in lines]
    others = [item for item in lines if item is not modules[0] and item not in charges]
    return [Mounted(modules[0], charges), *(Mounted(other, []) for other in others)]


def _may_be_module(item: Item, types: Types) -> bool:
    return _category(item, types) in _MAY_BE_FITTED


def _add_mounted(fit: Fit, mounted: Mounted, types: Types) -> None:
    """Put a module with its charge into its rack, and what cannot be fitted into the cargo."""
    item, charges = mounted.item, mounted.charges
    place = place_of(item.flag)
    if place is None or not _may_be_module(item, types):
        fit.cargo[item.item_type_id] += quantity(item)
        return
    charge = charges[0].item_type_id if charges else None
    number = min(quantity(item), _MOST_LINES)
    loaded = sum(quantity(line) for line in charges if line.item_type_id == charge)
    module = Module(item.flag, item.item_type_id, charge, max(1, loaded // number))
    fit.modules.setdefault(place, []).extend([module] * number)
    if number < quantity(item):
        fit.cargo[item.item_type_id] += quantity(item) - number
    for other in charges:
        if other.item_type_id != charge:
            fit.cargo[other.item_type_id] += quantity(other)


def _add_to_bay(fit: Fit, item: Item, types: Types) -> None:
    place, kind, number = place_of(item.flag), item.item_type_id, quantity(item)
    name, category = _BAYS.get(place, ("cargo", None)) if place else ("cargo", None)
    if _category(item, types) in (None, category):
        stock: Counter[int] = getattr(fit, name)
        room = _MOST_LINES - stock[kind] if category == Category.IMPLANT else number
        stock[kind] += min(number, room)
        number -= min(number, room)
    if number:
        fit.cargo[kind] += number


def _inside(item: Item) -> Iterator[Item]:
    for inner in item.items or []:
        yield inner
        yield from _inside(inner)


def _category(item: Item, types: Types) -> int | None:
    return _category_of(item.item_type_id, types)


def _category_of(type_id: int, types: Types) -> int | None:
    known = types.get(type_id)
    return None if known is None else known.category_id


def _blocks(blocks: Iterable[Sequence[str]]) -> str:
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _rack_lines(fit: Fit, rack: Place, types: Types) -> list[str]:
    lines = []
    expected, empty = RACKS[rack].start, _EFT_RACKS[rack]
    for module in fit.modules.get(rack, []):
        if empty is not None:
            lines += [empty] * (module.flag - expected)
        expected = module.flag + 1
        names = [module.type_id] if module.charge is None else [module.type_id, module.charge]
        lines.append(", ".join(_module_name(type_id, types) for type_id in names))
    return lines


def _counted(stock: Counter[int], types: Types) -> list[str]:
    return [f"{_name(type_id, types)} x{number}" for type_id, number in stock.items()]


def _each(stock: Counter[int], types: Types) -> list[str]:
    return [_module_name(type_id, types) for type_id in stock.elements()]


def _name(type_id: int, types: Types) -> str:
    """Return a name for a line that ends with its number; only such a name may have a comma."""
    known = types.get(type_id)
    if known is None or _BREAKS_A_LINE.search(known.name) or _has_hidden(known.name):
        return f"Type {type_id}"
    return known.name


def _module_name(type_id: int, types: Types) -> str:
    name = _name(type_id, types)
    return f"Type {type_id}" if _BREAKS_A_MODULE.search(name) else name


def _title(text: str) -> str:
    """Return text for the first line, without what would end it."""
    shown = "".join(" " if c in ",[]" or _has_hidden(c) else c for c in text)
    return " ".join(shown.split()) or "killmail"


def _has_hidden(text: str) -> bool:
    return any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for c in text)
