"""Fits by type id, read from the tables of `hulls` and `structures`."""

from collections.abc import Iterator
from typing import NamedTuple

from killsync.simulator import catalogue, hulls, structures
from killsync.simulator.catalogue import ID_OF

# where ESI says that something lies, in an item's `flag`
LOW, MID, HIGH, RIG, SUBSYSTEM, SERVICE, TUBE = 11, 19, 27, 92, 125, 164, 159
CARGO, DRONE_BAY, BOOSTER, IMPLANT, CORE = 5, 87, 88, 89, 180

FIRST_FLAG = {
    "low": LOW, "mid": MID, "high": HIGH, "rig": RIG, "subsystem": SUBSYSTEM, "service": SERVICE,
    "tubes": TUBE,
}  # fmt: skip
BAY_FLAG = {
    "drones": DRONE_BAY, "ship_hangar": 90, "fuel_bay": 133, "ore_hold": 134, "fleet_hangar": 155,
    "fighter_bay": 158, "structure_fuel": 172, "escape_bay": 179,
}  # fmt: skip


class Fitted(NamedTuple):
    """What lies in one slot, the charge in it, if any, or an amount of it in a bay."""

    flag: int
    type_id: int
    amount: int = 1
    charge_id: int | None = None


def _read(fit: dict[str, str]) -> list[Fitted]:
    fitted: list[Fitted] = []
    for place, text in fit.items():
        entries = list(_entries(text))
        if place == "tubes":
            # a tube holds a whole squadron
            fitted += [
                Fitted(FIRST_FLAG[place] + number, type_id, count)
                for number, (count, type_id, _) in enumerate(entries)
            ]
        elif place in FIRST_FLAG:
            single = [entry for entry in entries for _ in range(entry[0])]
            fitted += [
                Fitted(FIRST_FLAG[place] + number, type_id, 1, charge_id)
                for number, (_, type_id, charge_id) in enumerate(single)
            ]
        else:
            fitted += [Fitted(BAY_FLAG[place], type_id, count) for count, type_id, _ in entries]
    return fitted


def _entries(text: str) -> Iterator[tuple[int, int, int | None]]:
    for entry in text.split(", "):
        number, cross, rest = entry.partition("x ")
        counted = bool(cross) and number.isdigit()
        module, _, charge = (rest if counted else entry).partition(" / ")
        yield int(number) if counted else 1, ID_OF[module], ID_OF[charge] if charge else None


FITS: dict[int, list[Fitted]] = {
    ID_OF[name]: _read(fit) for name, fit in (hulls.SHIPS | structures.STRUCTURES).items()
}


def weapons(type_id: int) -> list[int]:
    """Return what a killmail may name as the weapon of a hull or structure; it may be nothing.

    A turret stands for itself, a launcher is named by its missile, drones and fighters by their
    type.
    """
    named: list[int] = []
    for fitted in FITS.get(type_id, []):
        if fitted.flag in range(HIGH, HIGH + 8) and fitted.charge_id:
            launcher = "Launcher" in catalogue.TYPES[fitted.type_id].name
            named.append(fitted.charge_id if launcher else fitted.type_id)
        elif fitted.type_id in catalogue.DRONES:
            named.append(fitted.type_id)
    return named


WEAPONS: dict[int, list[int]] = {type_id: weapons(type_id) for type_id in FITS}
