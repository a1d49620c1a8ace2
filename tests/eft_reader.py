"""A small reader of EFT text, which tells sections apart as pyfa does: by what lies in them."""

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from killsync.model import ItemType

_HEAD = re.compile(r"\[(?P<ship>[^,\[\]]+), (?P<title>[^,\[\]]+)\]")
_EMPTY = re.compile(r"\[Empty (Low|Med|High|Rig) slot\]")
_COUNTED = re.compile(r"(?P<name>[^\[\]]+) x(?P<number>[0-9]+)")
_SINGLE = re.compile(r"(?P<name>[^,\[\]/]+)(, (?P<charge>[^,\[\]/]+))?")
_IMPLANT, _DRONE, _FIGHTER = 20, 18, 87

Mounted = tuple[str, str | None]


class Read(msgspec.Struct):
    """What EFT text says: racks in its order, a None for each empty slot, and numbers of the rest.

    A block of nothing but drones is read as drones wherever it stands, and so are fighters.
    """

    ship: str
    title: str
    racks: list[list[Mounted | None]] = msgspec.field(default_factory=list)
    singles: list[str] = msgspec.field(default_factory=list)
    drones: Counter[str] = msgspec.field(default_factory=Counter)
    fighters: Counter[str] = msgspec.field(default_factory=Counter)
    cargo: Counter[str] = msgspec.field(default_factory=Counter)


def read_eft(text: str, categories: Mapping[str, int | None]) -> Read:
    """Return what the text says; it fails on a line that is none of the format's."""
    assert text.replace("\n", "").isprintable(), text
    head, *blocks = re.split(r"\n\n+", text)
    found = _HEAD.fullmatch(head)
    assert found, head
    read = Read(found["ship"], found["title"])
    for block in blocks:
        lines = block.split("\n")
        if all(_COUNTED.fullmatch(line) for line in lines):
            _counted(read, lines, categories)
        else:
            _singles(read, lines, categories)
    return read


def categories_by_name(types: Mapping[int, ItemType]) -> dict[str, int | None]:
    return {item.name: item.category_id for item in types.values()}


def _counted(read: Read, lines: list[str], categories: Mapping[str, int | None]) -> None:
    numbers: Counter[str] = Counter()
    for line in lines:
        found = _COUNTED.fullmatch(line)
        assert found, line
        numbers[found["name"]] += int(found["number"])
    kinds = {categories.get(name) for name in numbers}
    stock = {_DRONE: read.drones, _FIGHTER: read.fighters}
    (stock.get(kinds.pop() or 0, read.cargo) if len(kinds) == 1 else read.cargo).update(numbers)


def _singles(read: Read, lines: list[str], categories: Mapping[str, int | None]) -> None:
    rack: list[Mounted | None] = []
    for line in lines:
        if _EMPTY.fullmatch(line):
            rack.append(None)
            continue
        found = _SINGLE.fullmatch(line)
        assert found, line
        rack.append((found["name"], found["charge"]))
    names = [mounted[0] for mounted in rack if mounted]
    if any(categories.get(name) == _IMPLANT for name in names):
        read.singles += names
    else:
        read.racks.append(rack)
