"""Numbers of the game that mean something to killsync: ranges of ids, categories and groups."""

from enum import IntEnum

NPC_CHARACTERS_UP_TO = 3_999_999
"""A character with a higher id is a player. Source: ESI's documentation of id ranges."""
NPC_CORPORATIONS_UP_TO = 1_999_999
"""A corporation with a higher id is a player corporation, from the same source."""


class Category(IntEnum):
    """Categories of types, from CCP's static data."""

    SHIP = 6
    MODULE = 7
    CHARGE = 8
    DRONE = 18
    IMPLANT = 20
    DEPLOYABLE = 22
    STARBASE = 23
    SUBSYSTEM = 32
    SOVEREIGNTY = 40
    ORBITAL = 46
    STRUCTURE = 65
    STRUCTURE_MODULE = 66
    FIGHTER = 87
    SKIN = 91


class Group(IntEnum):
    """Groups of types, from CCP's static data."""

    CAPSULE = 29
    SHUTTLE = 31
    CORVETTE = 237


MODULES = frozenset({Category.MODULE, Category.SUBSYSTEM, Category.STRUCTURE_MODULE})
"""What fits into a slot of a rack."""

VICTIMS = frozenset(
    {
        Category.SHIP,
        Category.DEPLOYABLE,
        Category.STARBASE,
        Category.SOVEREIGNTY,
        Category.ORBITAL,
        Category.STRUCTURE,
        Category.FIGHTER,
    }
)
"""What a killmail can be of."""


def is_player(character_id: int | None) -> bool:
    """Return whether a character is a player's; nobody's is not."""
    return character_id is not None and character_id > NPC_CHARACTERS_UP_TO
