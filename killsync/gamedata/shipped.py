"""The game data that killsync ships, and which build of the game they are of."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from killsync.gamedata import build

if TYPE_CHECKING:
    from killsync.gamedata.game_data import GameData

SHIPPED = Path(__file__).with_name("game-data.zip")


class Edition(msgspec.Struct, frozen=True):
    """Which build some game data are of, when CCP released it, and how much they hold.

    `released_at` is CCP's own text; it may be empty.
    """

    build: int
    released_at: str
    types: int
    systems: int
    corporations: int
    factions: int


def shipped_edition() -> Edition:
    """Return what is known of the shipped data without reading them."""
    return Edition(
        build.BUILD,
        build.RELEASED_AT,
        build.TYPES,
        build.SYSTEMS,
        build.CORPORATIONS,
        build.FACTIONS,
    )


def shipped_build() -> int:
    """Return the build of the shipped data, without reading them."""
    return build.BUILD


def shipped() -> "GameData":
    """Return the shipped data. Raises GameDataBroken or OSError if the installation is damaged."""
    from killsync.gamedata.reading import read

    return read(SHIPPED)
