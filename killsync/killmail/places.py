"""Where an item lay: the inventory flag of an item line, as the game's own windows name it.

The numbers are those of CCP's static data (`invFlags`); ESI's killmails carry them as they are.
"""

from enum import StrEnum


class Place(StrEnum):
    """A rack, a bay or a hold, in the game's order; the words are what a person reads."""

    HIGH = "High slots"
    MID = "Mid slots"
    LOW = "Low slots"
    RIG = "Rigs"
    SUBSYSTEM = "Subsystems"
    SERVICE = "Service slots"
    FIGHTER_TUBE = "Fighter tubes"
    DRONE_BAY = "Drone bay"
    FIGHTER_BAY = "Fighter bay"
    IMPLANT = "Implants"
    BOOSTER = "Boosters"
    CARGO = "Cargo"
    FUEL = "Fuel bay"
    MINING = "Mining hold"
    ASTEROID = "Asteroid hold"
    ICE = "Ice hold"
    GAS = "Gas hold"
    MINERAL = "Mineral hold"
    MATERIAL = "Material bay"
    SALVAGE = "Salvage hold"
    AMMO = "Ammo hold"
    COMMAND_CENTER = "Command center hold"
    PLANETARY = "Planetary commodities hold"
    QUAFE = "Quafe bay"
    INFRASTRUCTURE = "Infrastructure hold"
    MOBILE_DEPOT = "Mobile depot hold"
    BOOSTER_BAY = "Booster hold"
    SUBSYSTEM_BAY = "Subsystem hold"
    SHIP_HANGAR = "Ship maintenance bay"
    SHIPS = "Ship hold"
    SMALL_SHIPS = "Small ship hold"
    MEDIUM_SHIPS = "Medium ship hold"
    LARGE_SHIPS = "Large ship hold"
    INDUSTRIAL_SHIPS = "Industrial ship hold"
    FRIGATE_ESCAPE = "Frigate escape bay"
    FLEET_HANGAR = "Fleet hangar"
    STRUCTURE_FUEL = "Structure fuel bay"
    STRUCTURE_CORE = "Core room"
    MOON_MATERIAL = "Moon material bay"
    SECONDARY = "Secondary storage"
    HANGAR = "Hangar"
    CORPORATION_HANGAR = "Corporation hangar"
    CORPORATION_DELIVERIES = "Corporation deliveries"
    CORPORATION_PROJECTS = "Corporation projects hangar"
    DELIVERIES = "Deliveries"
    CAPSULEER_DELIVERIES = "Capsuleer deliveries"
    CRATE = "Crate loot"
    LOCKED = "Locked"
    UNLOCKED = "Unlocked"
    HIDDEN = "Hidden modifiers"
    SKILL = "Skills"
    NOWHERE = "No place"


RACKS = {
    Place.HIGH: range(27, 35),
    Place.MID: range(19, 27),
    Place.LOW: range(11, 19),
    Place.RIG: range(92, 100),
    Place.SUBSYSTEM: range(125, 133),
    Place.SERVICE: range(164, 172),
}
"""The slots of each rack, the first one first."""

ESCAPE_BAY = 179
"""The flag of the frigate escape bay."""

_BAYS = {
    0: Place.NOWHERE,
    4: Place.HANGAR,
    5: Place.CARGO,
    7: Place.SKILL,
    62: Place.CORPORATION_DELIVERIES,
    63: Place.LOCKED,
    64: Place.UNLOCKED,
    87: Place.DRONE_BAY,
    88: Place.BOOSTER,
    89: Place.IMPLANT,
    90: Place.SHIP_HANGAR,
    **dict.fromkeys(range(115, 122), Place.CORPORATION_HANGAR),
    122: Place.SECONDARY,
    133: Place.FUEL,
    134: Place.MINING,
    135: Place.GAS,
    136: Place.MINERAL,
    137: Place.SALVAGE,
    138: Place.SHIPS,
    139: Place.SMALL_SHIPS,
    140: Place.MEDIUM_SHIPS,
    141: Place.LARGE_SHIPS,
    142: Place.INDUSTRIAL_SHIPS,
    143: Place.AMMO,
    148: Place.COMMAND_CENTER,
    149: Place.PLANETARY,
    151: Place.MATERIAL,
    154: Place.QUAFE,
    155: Place.FLEET_HANGAR,
    156: Place.HIDDEN,
    158: Place.FIGHTER_BAY,
    **dict.fromkeys(range(159, 164), Place.FIGHTER_TUBE),
    172: Place.STRUCTURE_FUEL,
    173: Place.DELIVERIES,
    174: Place.CRATE,
    176: Place.BOOSTER_BAY,
    177: Place.SUBSYSTEM_BAY,
    ESCAPE_BAY: Place.FRIGATE_ESCAPE,
    180: Place.STRUCTURE_CORE,
    181: Place.ICE,
    182: Place.ASTEROID,
    183: Place.MOBILE_DEPOT,
    184: Place.CORPORATION_PROJECTS,
    185: Place.INFRASTRUCTURE,
    186: Place.MOON_MATERIAL,
    187: Place.CAPSULEER_DELIVERIES,
}
_PLACES = {flag: rack for rack, slots in RACKS.items() for flag in slots} | _BAYS
_ORDER = {place: number for number, place in enumerate(Place)}


def place_of(flag: int) -> Place | None:
    """Return the place of a flag; None for one that killsync does not know."""
    return _PLACES.get(flag)


def place_name(flag: int) -> str:
    """Return what a person reads of a flag's place: `flag N` of one that is not known."""
    place = place_of(flag)
    return f"flag {flag}" if place is None else str(place)


def place_order(flag: int) -> tuple[int, int]:
    """Return a key that sorts flags in the game's order, unknown ones last by their number."""
    place = place_of(flag)
    return (len(_ORDER), flag) if place is None else (_ORDER[place], 0)


def is_fitted(flag: int) -> bool:
    """Return whether what lies there is part of the fit: a slot of a rack, its charge too."""
    return place_of(flag) in RACKS
