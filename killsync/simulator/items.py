"""What a victim had with it, laid out as the game lays it out: each thing where it can lie."""

from random import Random
from typing import Any

from killsync.simulator import catalogue, fits
from killsync.simulator.catalogue import ID_OF

BLUEPRINT_COPY = 2

# nobody carries more of a ware than this is worth, in ISK
_MOST_WORTH = 300_000_000

_IMPLANTS, _BOOSTERS = list(catalogue.IMPLANTS), list(catalogue.BOOSTERS)
_CARGO = list(catalogue.CARGO)
_SPARE_MODULES = [
    type_id
    for type_id in catalogue.MODULES
    if not catalogue.TYPES[type_id].name.startswith("Standup")
]
_CONTAINERS, _BLUEPRINTS = list(catalogue.CONTAINERS), list(catalogue.BLUEPRINTS)
_SKINS = list(catalogue.SKINS)
_CAPSULES = {
    type_id for type_id in catalogue.SHIPS if catalogue.TYPES[type_id].name[:7] == "Capsule"
}
_HAULERS = {ID_OF["Badger"], ID_OF["Charon"], ID_OF["Mobile Tractor Unit"]}
_CORE_OF = {
    type_id: ID_OF[f"{structure.name} Upwell Quantum Core"]
    for type_id, structure in catalogue.STRUCTURES.items()
}
_NEVER_DROPS = {
    *range(fits.RIG, fits.RIG + 8),
    *range(fits.SERVICE, fits.SERVICE + 8),
    fits.IMPLANT,
    fits.BOOSTER,
}

Item = dict[str, Any]


def make_items(rng: Random, type_id: int) -> list[Item]:
    """Make the items of a victim, in no particular order; one in ten had nothing."""
    if rng.random() < 0.1:
        return []
    if type_id in _CAPSULES:
        return _head(rng)
    items = [item for fitted in fits.FITS.get(type_id, []) for item in _fitted(rng, fitted)]
    if type_id in catalogue.STRUCTURES:
        if rng.random() < 0.8:
            items.append(_item(rng, fits.CORE, _CORE_OF[type_id]))
    else:
        items += _cargo(rng, type_id)
    items.sort(key=lambda item: rng.random())
    return items


def _head(rng: Random) -> list[Item]:
    """Make the implants and boosters of a capsule, if there are any."""
    count = int(rng.random() * 14) - 3
    implants = rng.sample(_IMPLANTS, max(count, 0))
    boosters = rng.sample(_BOOSTERS, 1) if rng.random() < 0.15 else []
    return [_item(rng, fits.IMPLANT, type_id) for type_id in implants] + [
        _item(rng, fits.BOOSTER, type_id) for type_id in boosters
    ]


def _fitted(rng: Random, fitted: fits.Fitted) -> list[Item]:
    # now and then a slot or a bay is empty
    if rng.random() < 0.06:
        return []
    amount = fitted.amount if fitted.amount < 10 else 1 + int(rng.random() * fitted.amount)
    items = [_item(rng, fitted.flag, fitted.type_id, amount)]
    if fitted.charge_id and rng.random() < 0.85:
        items.append(_charges(rng, fitted.flag, fitted.charge_id, 40))
    return items


def _charges(rng: Random, flag: int, type_id: int, most: int) -> Item:
    """Make a stack of charges; crystals and scripts, which are dear, come one by one."""
    dear = catalogue.TYPES[type_id].price > 40_000
    return _item(rng, flag, type_id, 1 if dear else 1 + int(rng.random() * most))


def _cargo(rng: Random, type_id: int) -> list[Item]:
    most = 24 if type_id in _HAULERS else 8
    items = [_loose(rng) for _ in range(int(rng.random() * most))]
    spare = [fitted.charge_id for fitted in fits.FITS.get(type_id, []) if fitted.charge_id]
    for charge_id in spare[: 1 + int(rng.random() * 2)]:
        items.append(_charges(rng, fits.CARGO, charge_id, 2000))
    if rng.random() < 0.1:
        container = {"flag": fits.CARGO, "item_type_id": rng.choice(_CONTAINERS)}
        content = [_loose(rng) for _ in range(1 + int(rng.random() * 9))]
        items.append(container | {"items": content, "quantity_destroyed": 1, "singleton": 0})
    return items


def _loose(rng: Random) -> Item:
    """Make one line of cargo: wares, spare modules, at times a blueprint or a skin."""
    chance = rng.random()
    if chance < 0.03:
        blueprint = _item(rng, fits.CARGO, rng.choice(_BLUEPRINTS))
        return blueprint | {"singleton": BLUEPRINT_COPY if chance < 0.02 else 0}
    if chance < 0.05:
        return _item(rng, fits.CARGO, rng.choice(_SKINS))
    if chance < 0.3:
        return _item(rng, fits.CARGO, rng.choice(_SPARE_MODULES))
    ware = rng.choice(_CARGO)
    most = min(100_000, _MOST_WORTH / catalogue.TYPES[ware].price)
    return _item(rng, fits.CARGO, ware, 1 + int(rng.random() ** 6 * most))


def _item(rng: Random, flag: int, type_id: int, quantity: int = 1) -> Item:
    item: Item = {"flag": flag, "item_type_id": type_id}
    chance = rng.random()
    # what is built in never drops; a stack of which some dropped is one line
    if chance < 0.5 or flag in _NEVER_DROPS:
        item["quantity_destroyed"] = quantity
    elif chance < 0.95 or quantity == 1:
        item["quantity_dropped"] = quantity
    else:
        item["quantity_destroyed"] = destroyed = 1 + int(rng.random() * (quantity - 1))
        item["quantity_dropped"] = quantity - destroyed
    item["singleton"] = 0
    return item
