"""What the shipped game data name: what stands beside the rows where there is no database."""

from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from killsync.gamedata.shipped import shipped
from killsync.lake.beside import Reference

if TYPE_CHECKING:
    from killsync.gamedata.game_data import GameData

_TENTH = Decimal("0.1")
_LEAST_ABOVE_NULL = 0.05


class ShippedNames:
    """Names of types, systems, factions and NPC corporations; nobody's else, and no prices."""

    def __init__(self, data: "GameData") -> None:
        self.reference = Reference(_types(data), _systems(data), _factions(data))
        ids, names = list(data.corporations), list(data.corporations.values())
        self._names = pa.table({"id": pa.array(ids, pa.int64()), "name": pa.array(names)})

    def names(self, ids: Any) -> Any:
        """Return the names of NPC corporations, whoever is asked for: there are few."""
        return self._names

    def prices(self, day: str, type_ids: Any) -> Any:
        """Return no price."""
        return pa.table({"type_id": pa.array([], pa.int64()), "price": pa.array([], pa.float64())})


@cache
def shipped_names() -> ShippedNames:
    """Return what the shipped game data name. Raises GameDataBroken or OSError."""
    return ShippedNames(shipped())


def shown_security(true: float | None) -> float | None:
    """Return a system's security as the game shows it, and as the view `kills` rounds it."""
    if true is None:
        return None
    if 0 < true < _LEAST_ABOVE_NULL:
        return 0.1
    # as SQLite does: by the digits that are written, and the half away from nothing
    return float(Decimal(repr(true)).quantize(_TENTH, ROUND_HALF_UP)) + 0.0


def _types(data: "GameData") -> Any:
    types = data.types
    return pa.table(
        {
            "type_id": pa.array([one.type_id for one in types], pa.int64()),
            "name": pa.array([one.name for one in types], pa.string()),
            "group_id": pa.array([one.group_id for one in types], pa.int64()),
            "group_name": pa.array([one.group for one in types], pa.string()),
            "category_id": pa.array([one.category_id for one in types], pa.int64()),
            "category_name": pa.array([one.category for one in types], pa.string()),
        }
    )


def _systems(data: "GameData") -> Any:
    systems = data.systems
    return pa.table(
        {
            "system_id": pa.array([one.system_id for one in systems], pa.int64()),
            "name": pa.array([one.name for one in systems], pa.string()),
            "security": pa.array([shown_security(one.security) for one in systems], pa.float64()),
            "region_id": pa.array([one.region_id for one in systems], pa.int64()),
            "region": pa.array([one.region for one in systems], pa.string()),
        }
    )


def _factions(data: "GameData") -> Any:
    ids, names = list(data.factions), list(data.factions.values())
    return pa.table({"faction_id": pa.array(ids, pa.int64()), "name": pa.array(names)})
