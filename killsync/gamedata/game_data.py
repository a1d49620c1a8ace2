"""What killsync knows of the game: the values that reading an export gives."""

import msgspec

from killsync.model import ItemType


class System(msgspec.Struct, frozen=True, gc=False):
    """A solar system; `security` is the true one, not rounded, None if not known."""

    system_id: int
    name: str
    security: float | None = None
    constellation_id: int | None = None
    constellation: str | None = None
    region_id: int | None = None
    region: str | None = None


class GameData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that has a name of the game's own; `corporations` are those of NPCs.

    `build` is the number of the game's build, which rises; `released_at` is CCP's own text.
    """

    build: int
    released_at: str
    types: list[ItemType]
    systems: list[System]
    corporations: dict[int, str]
    factions: dict[int, str]
