"""The ids on a killmail that have names: players, corporations, alliances, types and the rest."""

from collections.abc import Iterable

from killsync.killmail.body import Killmail


def ids_with_names(killmails: Iterable[Killmail]) -> set[int]:
    """Return the distinct ids of whoever and whatever is on these killmails.

    Moons and wars have ids too, but no names that ESI gives for them.
    """
    found: set[int | None] = set()
    for killmail in killmails:
        victim = killmail.victim
        found.add(killmail.solar_system_id)
        found.update((victim.alliance_id, victim.character_id, victim.corporation_id))
        found.update((victim.faction_id, victim.ship_type_id))
        for one in killmail.attackers:
            found.update((one.alliance_id, one.character_id, one.corporation_id))
            found.update((one.faction_id, one.ship_type_id, one.weapon_type_id))
        items = list(victim.items or ())
        for item in items:
            found.add(item.item_type_id)
            items += item.items or ()
    return {id_ for id_ in found if id_ is not None}
