"""The ids on a killmail that have names: players, corporations, alliances, types and the rest."""

from collections.abc import Iterable
from typing import cast

from killsync.killmail.body import Killmail


def unnamed(id_: int) -> str:
    """Return what a person reads in place of a name that is not known: `#587`."""
    return f"#{id_}"


def ids_with_names(killmails: Iterable[Killmail]) -> set[int]:
    """Return the distinct ids of whoever and whatever is on these killmails.

    Moons and wars have ids too, but no names that ESI gives for them.
    """
    found: set[int | None] = set()
    add = found.update  # looked up once: there are thousands of attackers
    for killmail in killmails:
        v = killmail.victim
        add((v.alliance_id, v.character_id, v.corporation_id, v.faction_id, v.ship_type_id))
        found.add(killmail.solar_system_id)
        for a in killmail.attackers:
            add((a.alliance_id, a.character_id, a.corporation_id, a.faction_id, a.ship_type_id))
            found.add(a.weapon_type_id)
        items = list(v.items or ())
        for item in items:
            found.add(item.item_type_id)
            if item.items:
                items += item.items
    found.discard(None)
    return cast("set[int]", found)
