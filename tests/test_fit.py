"""A ship's fit in EFT and DNA form: what was carried comes back, whatever it was called."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from eft_reader import Mounted, categories_by_name, read_eft
from hypothesis import given, settings
from hypothesis import strategies as st

from killsync.gamedata.shipped import shipped
from killsync.killmail import body
from killsync.killmail.body import Item, Killmail
from killsync.killmail.fit import Fit, dna, eft, fit_of
from killsync.killmail.places import RACKS, Place
from killsync.model import ItemType

REAL = Path("/work/shared/esi/killmails.jsonl")

_CATEGORIES = {6: "Ship", 7: "Module", 8: "Charge", 18: "Drone", 20: "Implant", 32: "Subsystem"}
_CATEGORIES |= {87: "Fighter", 17: "Commodity"}


def _type(type_id: int, name: str, category: int) -> ItemType:
    return ItemType(type_id, name, None, None, category, _CATEGORIES[category])


TYPES = {
    kind.type_id: kind
    for kind in (
        _type(587, "Rifter", 6),
        _type(2881, "200mm AutoCannon II", 7),
        _type(438, "1MN Afterburner II", 7),
        _type(2046, "Damage Control I", 7),
        _type(519, "Gyrostabilizer II", 7),
        _type(31113, "Small EM Shield Reinforcer I", 7),
        _type(45586, "Loki Core - Augmented Nuclear Reactor", 32),
        _type(178, "Carbonized Lead S", 8),
        _type(185, "EMP S", 8),
        _type(2454, "Hobgoblin I", 18),
        _type(23055, "Templar I", 87),
        _type(10212, "Limited Memory Augmentation", 20),
        _type(4358, "Exotic Dancers, Male", 17),
        _type(34, "Tritanium", 17),
    )
}
_HOSTILE_NAMES = [
    "Two\nlines",
    "Damage Control I\n\n\n[Rifter, another]",
    "Tritanium x9",
    "1MN Afterburner II, EMP S",
    "[Empty Low slot]",
    "[1] muta",
    "EMP S /offline",
    "",
    " ",
    "\u2028\u202e",
    "Rifter]",
]
_HOSTILE = {
    9_000_000 + 10 * number + offset: _type(9_000_000 + 10 * number + offset, name, category)
    for number, name in enumerate(_HOSTILE_NAMES)
    for offset, category in enumerate((7, 8, 17, 18, 20))
}
ALL = TYPES | _HOSTILE
_UNKNOWN = 8_888_888

RIFTER = [
    Item(2881, 27, 0, quantity_destroyed=1),
    Item(178, 27, 0, quantity_dropped=40),
    Item(2881, 29, 0, quantity_dropped=1),
    Item(438, 19, 0, quantity_destroyed=1),
    Item(519, 12, 0, quantity_destroyed=1),
    Item(2046, 11, 0, quantity_destroyed=1),
    Item(31113, 92, 0, quantity_destroyed=1),
    Item(45586, 125, 0, quantity_destroyed=1),
    Item(2454, 87, 0, quantity_destroyed=1),
    Item(2454, 87, 0, quantity_dropped=2),
    Item(23055, 159, 0, quantity_dropped=6),
    Item(10212, 89, 0, quantity_destroyed=1),
    Item(178, 5, 0, quantity_dropped=100),
    Item(178, 5, 0, quantity_destroyed=20),
    Item(185, 30, 0, quantity_destroyed=7),
    Item(4358, 175, 0, quantity_destroyed=1),
    Item(587, 90, 1, quantity_destroyed=1, items=[Item(438, 19, 0, quantity_destroyed=1)]),
]
RIFTER_EFT = """\
[Rifter, Zed Zedovich 107]

Damage Control I
Gyrostabilizer II

1MN Afterburner II

200mm AutoCannon II, Carbonized Lead S
[Empty High slot]
200mm AutoCannon II

Small EM Shield Reinforcer I

Loki Core - Augmented Nuclear Reactor


Hobgoblin I x3

Templar I x6


Limited Memory Augmentation


EMP S x7
Carbonized Lead S x120
Exotic Dancers, Male x1
Rifter x1
1MN Afterburner II x1"""


def lost(items: list[Item], ship: int = 587) -> Killmail:
    victim = body.Victim(damage_taken=1, ship_type_id=ship, items=items)
    return Killmail(
        killmail_id=107,
        killmail_time="2026-11-24T03:00:00Z",
        solar_system_id=30000142,
        victim=victim,
        attackers=[],
    )


def label(type_id: int, types: Mapping[int, ItemType], *, counted: bool = False) -> str:
    """Return how a type has to stand in the text."""
    name = types[type_id].name if type_id in types else ""
    breaks = not name.strip() or not name.isprintable() or any(c in "[]" for c in name)
    if not counted:
        breaks = breaks or any(c in ",/" for c in name) or name == "Tritanium x9"
    return f"Type {type_id}" if breaks else name


def test_eft_has_each_rack_drones_implants_and_cargo_in_its_order() -> None:
    assert eft(fit_of(lost(RIFTER), TYPES), TYPES, "Zed Zedovich 107") == RIFTER_EFT


def test_dna_has_subsystems_racks_drones_and_charges_in_its_order() -> None:
    assert dna(fit_of(lost(RIFTER), TYPES), TYPES) == (
        "587:45586;1:2881;2:438;1:2046;1:519;1:31113;1:2454;3:23055;6:178;160:185;7::"
    )


def test_an_empty_hull_is_a_first_line_and_nothing_else() -> None:
    fit = fit_of(lost([]), TYPES)
    assert eft(fit, TYPES, "Zed") == "[Rifter, Zed]"
    assert dna(fit, TYPES) == "587::"


@pytest.mark.parametrize("flag", [175, 188, 5, 155, 10**15, -3])
def test_what_lies_in_any_other_place_is_a_line_of_the_cargo(flag: int) -> None:
    fit = fit_of(lost([Item(34, flag, 0, quantity_dropped=3)]), TYPES)
    assert fit.cargo == {34: 3}
    assert eft(fit, TYPES, "Zed").splitlines()[-1] == "Tritanium x3"


def test_of_two_kinds_of_charges_in_a_slot_the_second_is_cargo() -> None:
    slot = [Item(178, 27, 0, quantity_dropped=5), Item(2881, 27, 0, quantity_dropped=1)]
    fit = fit_of(lost([*slot, Item(185, 27, 0, quantity_destroyed=9)]), TYPES)
    assert [(m.type_id, m.charge) for m in fit.modules[Place.HIGH]] == [(2881, 178)]
    assert fit.cargo == {185: 9}


def test_a_negative_quantity_takes_nothing_away() -> None:
    items = [Item(34, 5, 0, quantity_dropped=5, quantity_destroyed=-3)]
    assert fit_of(lost(items), TYPES).cargo == {34: 5}


def test_a_line_without_quantities_counts_as_one() -> None:
    assert fit_of(lost([Item(34, 5, 0)]), TYPES).cargo == {34: 1}


def test_a_stack_in_a_slot_cannot_make_endless_text() -> None:
    items = [Item(438, 19, 0, quantity_dropped=2**62), Item(10212, 89, 0, quantity_dropped=2**62)]
    fit = fit_of(lost(items), TYPES)
    assert len(eft(fit, TYPES, "Zed")) < 2_000
    assert fit.cargo[438] + len(fit.modules[Place.MID]) == 2**62
    assert fit.cargo[10212] + fit.implants[10212] == 2**62


@pytest.mark.parametrize("title", ["", "\n[x, y]", "a, b]", "\x1b[31m", "\u202e"])
def test_a_hostile_title_stays_on_the_first_line(title: str) -> None:
    read = read_eft(eft(fit_of(lost(RIFTER), TYPES), TYPES, title), categories_by_name(TYPES))
    assert read.ship == "Rifter"
    assert sum(map(len, read.racks)) == 8


flags = st.sampled_from(
    [*RACKS[Place.LOW], *RACKS[Place.HIGH], 19, 20, 92, 125, 164, 5, 87, 88, 89, 155, 158, 159, 175]
)
numbers = st.none() | st.integers(0, 30)
items = st.builds(
    Item,
    item_type_id=st.sampled_from([*TYPES, *TYPES, *_HOSTILE, _UNKNOWN]),
    flag=flags,
    singleton=st.just(0),
    quantity_destroyed=numbers,
    quantity_dropped=numbers,
    items=st.none(),
)
nesting = st.builds(
    lambda outer, inner: msgspec.structs.replace(outer, items=inner),
    items,
    st.lists(items, max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(carried=st.lists(items | nesting, max_size=25))
def test_generated_eft_reads_back_to_the_same_fit(carried: list[Item]) -> None:
    check_reads_back(lost(carried), ALL)


@settings(max_examples=150, deadline=None)
@given(carried=st.lists(items | nesting, max_size=25))
def test_nothing_that_was_carried_is_missing_from_a_fit(carried: list[Item]) -> None:
    fit = fit_of(lost(carried), ALL)
    stocks = (fit.drones, fit.fighters, fit.implants, fit.boosters, fit.cargo)
    found = sum(stocks, Counter(m.type_id for rack in fit.modules.values() for m in rack))
    loaded = {m.charge for rack in fit.modules.values() for m in rack}
    expected: Counter[int] = Counter()
    for item in [*carried, *(inner for outer in carried for inner in outer.items or [])]:
        number = (item.quantity_dropped or 0) + (item.quantity_destroyed or 0)
        expected[item.item_type_id] += max(1, number)
    assert found.keys() | loaded - {None} == expected.keys()
    for type_id, number in expected.items():
        assert found[type_id] == number or (type_id in loaded and found[type_id] < number)


def check_reads_back(killmail: Killmail, types: Mapping[int, ItemType]) -> None:
    fit = fit_of(killmail, types)
    # other types may bear the same names
    carried = {kind: types[kind] for kind in type_ids(killmail) if kind in types}
    read = read_eft(eft(fit, types, "a title"), categories_by_name(carried))
    assert read.ship == label(fit.ship_type_id, types)
    assert read.racks == expected_racks(fit, types)
    assert read.singles == [
        label(kind, types) for stock in (fit.implants, fit.boosters) for kind in stock.elements()
    ]
    counted = Counter[str]()
    for stock in (fit.drones, fit.fighters, fit.cargo):
        for kind, number in stock.items():
            counted[label(kind, types, counted=True)] += number
    # drones alone in the cargo are read as drones: the format does not tell the two apart
    assert read.drones + read.fighters + read.cargo == counted
    if len({kind.category_id for kind in map(types.get, fit.cargo) if kind}) > 1:
        assert read.cargo.keys() == {label(kind, types, counted=True) for kind in fit.cargo}


def type_ids(killmail: Killmail) -> set[int]:
    items = list(killmail.victim.items or [])
    for item in items:
        items += item.items or []
    return {item.item_type_id for item in items}


def expected_racks(fit: Fit, types: Mapping[int, ItemType]) -> list[list[Mounted | None]]:
    racks = []
    for place in (Place.LOW, Place.MID, Place.HIGH, Place.RIG, Place.SUBSYSTEM, Place.SERVICE):
        modules = fit.modules.get(place, [])
        rack: list[Mounted | None] = []
        for slot in RACKS[place]:
            mounted: list[Mounted | None] = [
                (label(m.type_id, types), None if m.charge is None else label(m.charge, types))
                for m in modules
                if m.flag == slot
            ]
            rack += mounted or [None]
        while rack and rack[-1] is None:
            del rack[-1]
        if place in (Place.SUBSYSTEM, Place.SERVICE):
            rack = [mounted for mounted in rack if mounted]
        racks.append(rack)
    return [rack for rack in racks if rack]


@pytest.mark.skipif(not REAL.exists(), reason="ESI's real bodies are not at hand")
def test_the_fits_of_real_bodies_read_back() -> None:
    types = {kind.type_id: kind for kind in shipped().types}
    for line in REAL.read_text().splitlines():
        record = json.loads(line)
        killmail = body.decode(json.dumps(record["body"]).encode(), record["killmail_id"])
        check_reads_back(killmail, types)
