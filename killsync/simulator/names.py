"""Names: of types, systems and factions, and of made-up pilots and corporations."""

import random

import msgspec

from killsync.simulator import catalogue, places

FACTIONS = {
    500001: "Caldari State", 500002: "Minmatar Republic", 500003: "Amarr Empire",
    500004: "Gallente Federation", 500006: "CONCORD Assembly", 500010: "Guristas Pirates",
    500011: "Angel Cartel", 500012: "Blood Raider Covenant", 500020: "Serpentis",
}  # fmt: skip
NPC_CORPORATIONS = {
    1000125: "CONCORD", 1000127: "Guristas", 1000133: "Salvation Angels", 1000134: "Blood Raiders",
    1000135: "Serpentis Corporation", 1000167: "State War Academy", 1000168: "Federal Navy Academy",
}  # fmt: skip


class Band(msgspec.Struct, frozen=True):
    """NPCs that fight together."""

    faction_id: int
    corporation_id: int
    ships: list[int]


_NPC_SHIPS = list(catalogue.NPC_SHIPS)
BANDS = [
    Band(500010, 1000127, _NPC_SHIPS[:3]),
    Band(500011, 1000133, _NPC_SHIPS[3:6]),
    Band(500012, 1000134, _NPC_SHIPS[6:9]),
    Band(500020, 1000135, _NPC_SHIPS[9:12]),
    Band(500006, 1000125, _NPC_SHIPS[12:]),
]

_FIRST = (
    "Aldric", "Anwe", "Arkon", "Astra", "Belisar", "Brannoc", "Caelia", "Corvin", "Dagan",
    "Darya", "Eirik", "Elsa", "Fenris", "Galen", "Hakon", "Ilmari", "Ishara", "Jorund", "Kaska",
    "Kelda", "Lirien", "Lucan", "Maru", "Mirabelle", "Nadia", "Nerys", "Orin", "Otanen",
    "Perrin", "Quillon", "Rhea", "Rurik", "Sabine", "Sarum", "Tavish", "Tyrel", "Ulfar",
    "Vesna", "Wulfric", "Yrsa",
)  # fmt: skip
_LAST = (
    "Abagawa", "Ardishapur", "Arouren", "Blaque", "Caldera", "Drakar", "Endashi", "Falkenrath",
    "Gaterau", "Haakari", "Hakatain", "Ishukone", "Jurtur", "Kador", "Kaalakiota", "Lakonnen",
    "Malkalen", "Matari", "Nakugard", "Nomistrav", "Oskold", "Otsela", "Paavinen", "Quafe",
    "Rakapas", "Rattati", "Sakaala", "Serpentis", "Tash-Murkon", "Tovil", "Umia", "Valkear",
    "Voluval", "Wiyrkomi", "Xerah", "Yulai", "Zainou", "Zoar", "Haeresis", "Ravenloft",
)  # fmt: skip
_ADJECTIVES = (
    "Black", "Silent", "Crimson", "Hollow", "Iron", "Northern", "Fallen", "Gilded", "Rusty",
    "Wandering",
)  # fmt: skip
_NOUNS = (
    "Comet", "Lantern", "Anvil", "Horizon", "Wolves", "Syndicate", "Foundry", "Tide",
    "Vanguard", "Caravan",
)  # fmt: skip

PILOT_BASE, PILOTS = 2_112_000_000, 6000
CHARACTER_BASE = 90_000_001
CORPORATION_BASE, CORPORATIONS = 98_600_000, 100
ALLIANCE_BASE, ALLIANCES = 99_010_000, 30
ACADEMY = 1_000_167
# those that characters of the simulator are members of
PLAYED_BASE = 98_700_001


class Name(msgspec.Struct):
    """One entry in an answer of `POST /universe/names`."""

    id: int
    name: str
    category: str


def character_name(seed: int, number: int) -> str:
    """Make up a character's name, unique to each number; from 1600 on it has a suffix."""
    count = len(_FIRST) * len(_LAST)
    place = (number * 631 + random.Random(seed).randrange(count)) % count
    first, last = divmod(place, len(_LAST))
    generation = number // count
    return f"{_FIRST[first]} {_LAST[last]}" + (f" {generation + 1}" if generation else "")


def is_stranger(character_id: int) -> bool:
    """Return whether an id is one of the made-up pilots, of whom nobody has a token."""
    return 0 <= character_id - PILOT_BASE < PILOTS


def corporation_of(character_id: int) -> int:
    """Return the corporation that a character belongs to: some never leave their academy."""
    if character_id % 97 == 0:
        return ACADEMY
    return CORPORATION_BASE + character_id * 7919 % CORPORATIONS


def alliance_of(corporation_id: int) -> int | None:
    """Return the alliance that a corporation belongs to; every eighth belongs to none."""
    if corporation_id % 8 == 0 or corporation_id in NPC_CORPORATIONS:
        return None
    return ALLIANCE_BASE + corporation_id * 31 % ALLIANCES


def _group_name(number: int) -> str:
    return f"{_ADJECTIVES[number // 10 % 10]} {_NOUNS[number % 10]}"


def played_name(number: int) -> str:
    """Make up the name of a corporation whose list can be read; from 100 on it has a suffix."""
    generation = number // 100
    return f"{_group_name(number * 37 % 100)} Company" + (
        f" {generation + 1}" if generation else ""
    )


_FIXED = [
    ({type_id: article.name for type_id, article in catalogue.TYPES.items()}, "inventory_type"),
    (places.SYSTEMS, "solar_system"),
    (FACTIONS, "faction"),
    (NPC_CORPORATIONS, "corporation"),
]


def name_of(seed: int, thing_id: int) -> Name | None:
    """Return the name of anything in a generated killmail, except registered characters."""
    for names, category in _FIXED:
        if thing_id in names:
            return Name(thing_id, names[thing_id], category)
    if is_stranger(thing_id):
        name = character_name(seed + 1, thing_id - PILOT_BASE)
        return Name(thing_id, name, "character")
    if 0 <= thing_id - CORPORATION_BASE < CORPORATIONS:
        return Name(thing_id, _group_name(thing_id - CORPORATION_BASE), "corporation")
    if 0 <= thing_id - ALLIANCE_BASE < ALLIANCES:
        name = f"{_group_name(thing_id - ALLIANCE_BASE)} Alliance"
        return Name(thing_id, name, "alliance")
    return None
