"""Names: of types, systems and factions, and of made-up pilots and corporations."""

import random

import msgspec

SHIPS = {
    587: "Rifter", 602: "Kestrel", 593: "Tristan", 597: "Punisher", 621: "Caracal",
    626: "Vexor", 627: "Thorax", 629: "Rupture", 638: "Raven", 639: "Tempest",
    641: "Megathron", 645: "Dominix", 670: "Capsule", 11377: "Nemesis", 11999: "Vagabond",
    12005: "Ishtar", 12015: "Muninn", 12034: "Hound", 16227: "Ferox", 16231: "Cyclone",
    17478: "Retriever", 17480: "Procurer", 17715: "Gila", 17738: "Machariel",
    20185: "Charon", 22456: "Sabre", 24696: "Harbinger", 24698: "Drake", 24702: "Hurricane",
    28352: "Rorqual", 29984: "Tengu", 29990: "Loki", 33328: "Capsule - Genolution 'Auroral' 197",
}  # fmt: skip
STRUCTURES = {
    35825: "Raitaru", 35826: "Azbel", 35832: "Astrahus", 35833: "Fortizar", 35834: "Keepstar",
    35835: "Athanor", 35836: "Tatara",
}  # fmt: skip
WEAPONS = {
    2410: "Heavy Missile Launcher II", 2929: "800mm Repeating Cannon II",
    2961: "1400mm Howitzer Artillery II", 3057: "Mega Pulse Laser II", 2185: "Hammerhead II",
    2456: "Hobgoblin II", 2488: "Warrior II", 27351: "Caldari Navy Inferno Torpedo",
}  # fmt: skip
MODULES = {
    2048: "Damage Control II", 519: "Gyrostabilizer II", 438: "1MN Afterburner II",
    440: "5MN Microwarpdrive II", 448: "Warp Scrambler II", 527: "Stasis Webifier II",
    3244: "Warp Disruptor II", 2281: "Multispectrum Shield Hardener II",
    3841: "Large Shield Extender II", 2364: "Heat Sink II",
    10190: "Magnetic Field Stabilizer II", 22291: "Ballistic Control System II",
}  # fmt: skip
CARGO = {
    28668: "Nanite Repair Paste", 34: "Tritanium", 35: "Pyerite", 36: "Mexallon", 37: "Isogen",
    38: "Nocxium", 39: "Zydrine", 40: "Megacyte", 44992: "PLEX", 16273: "Liquid Ozone",
}  # fmt: skip
CONTAINERS = {
    3465: "Large Secure Container", 3466: "Medium Secure Container",
    3467: "Small Secure Container", 11489: "Giant Secure Container",
}  # fmt: skip
SYSTEMS = {
    30000142: "Jita", 30000144: "Perimeter", 30002187: "Amarr", 30002659: "Dodixie",
    30002510: "Rens", 30002053: "Hek", 30002813: "Tama", 30002537: "Amamake",
    30004759: "1DQ1-A", 30005196: "Ahbazon", 30002718: "Rancer", 30001161: "HED-GP",
    30002768: "Uedama", 31000005: "Thera",
}  # fmt: skip
FACTIONS = {
    500001: "Caldari State", 500002: "Minmatar Republic", 500003: "Amarr Empire",
    500004: "Gallente Federation", 500010: "Guristas Pirates", 500011: "Angel Cartel",
    500012: "Blood Raider Covenant", 500019: "Sansha's Nation", 500020: "Serpentis",
}  # fmt: skip
NPC_CORPORATIONS = {1000125: "CONCORD", 1000127: "Guristas", 1000133: "Salvation Angels"}

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


def corporation_of(character_id: int) -> int:
    """Return the corporation that a character belongs to."""
    return CORPORATION_BASE + character_id * 7919 % CORPORATIONS


def alliance_of(corporation_id: int) -> int | None:
    """Return the alliance that a corporation belongs to; every eighth belongs to none."""
    if corporation_id % 8 == 0:
        return None
    return ALLIANCE_BASE + corporation_id * 31 % ALLIANCES


def _group_name(number: int) -> str:
    return f"{_ADJECTIVES[number // 10 % 10]} {_NOUNS[number % 10]}"


_FIXED = [
    (SHIPS | STRUCTURES | WEAPONS | MODULES | CARGO | CONTAINERS, "inventory_type"),
    (SYSTEMS, "solar_system"),
    (FACTIONS, "faction"),
    (NPC_CORPORATIONS, "corporation"),
]


def name_of(seed: int, thing_id: int) -> Name | None:
    """Return the name of anything in a generated killmail, except registered characters."""
    for names, category in _FIXED:
        if thing_id in names:
            return Name(thing_id, names[thing_id], category)
    if 0 <= thing_id - PILOT_BASE < PILOTS:
        name = character_name(seed + 1, thing_id - PILOT_BASE)
        return Name(thing_id, name, "character")
    if 0 <= thing_id - CORPORATION_BASE < CORPORATIONS:
        return Name(thing_id, _group_name(thing_id - CORPORATION_BASE), "corporation")
    if 0 <= thing_id - ALLIANCE_BASE < ALLIANCES:
        name = f"{_group_name(thing_id - ALLIANCE_BASE)} Alliance"
        return Name(thing_id, name, "alliance")
    return None
