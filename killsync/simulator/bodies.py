"""Killmails generated from a seed: who shot whom, the hash, and the full body on demand.

The shape follows ESI's OpenAPI document; the proportions follow real killmails. A body depends
only on the seed and its killmail, so none has to be kept.
"""

import hashlib
import math
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from killsync.simulator import names

FILETIME_EPOCH = 116_444_736_000_000_000
MAX_ATTACKERS = 2000

_SHIPS, _STRUCTURES = list(names.SHIPS), list(names.STRUCTURES)
_WEAPONS, _MODULES, _CARGO = list(names.WEAPONS), list(names.MODULES), list(names.CARGO)
_CONTAINERS, _SYSTEMS = list(names.CONTAINERS), list(names.SYSTEMS)
_FACTIONS, _NPC_CORPORATIONS = list(names.FACTIONS), list(names.NPC_CORPORATIONS)
_SLOT_FLAGS = (11, 12, 13, 14, 19, 20, 21, 22, 27, 28, 29, 30, 31, 92, 93, 94)
_BAY_FLAGS = (5, 5, 5, 5, 87, 133, 155, 158)


class Killmail(msgspec.Struct, gc=False):
    """What lists and the hash are made from; `text` replaces the generated body verbatim."""

    killmail_id: int
    killmail_time: int
    victim_id: int | None
    final_blow_id: int | None
    ship_type_id: int
    killmail_hash: str = ""
    text: str | None = None


def killmail_hash(killmail: Killmail) -> str:
    """Compute the hash by the formula that all published killmails follow."""
    filetime = killmail.killmail_time * 10_000_000 + FILETIME_EPOCH
    ids = f"{killmail.victim_id}{killmail.final_blow_id}{killmail.ship_type_id}"
    return hashlib.sha1(f"{ids}{filetime}".encode()).hexdigest()


def make_killmail(
    seed: int, killmail_id: int, time: int, owner: int, partner: int | None = None
) -> Killmail:
    """Make a killmail whose victim and final blow are the owner and the partner, or a stranger."""
    rng = Random(seed << 64 | killmail_id << 1)
    chance = rng.random()
    owner_died = chance < 0.4
    other = partner or _stranger(rng, owner_died, chance)
    victim, final_blow = (owner, other) if owner_died else (other, owner)
    ships = _STRUCTURES if victim is None and rng.random() < 0.6 else _SHIPS
    killmail = Killmail(killmail_id, time, victim, final_blow, _pick(rng, ships))
    killmail.killmail_hash = killmail_hash(killmail)
    return killmail


def _stranger(rng: Random, owner_died: bool, chance: float) -> int | None:
    nobody = chance < 0.06 if owner_died else chance > 0.9
    return None if nobody else _pilot(rng)


def _pilot(rng: Random) -> int:
    return names.PILOT_BASE + int(rng.random() * names.PILOTS)


def _pick(rng: Random, choices: list[int]) -> int:
    return choices[int(rng.random() * len(choices))]


def make_body(seed: int, killmail: Killmail) -> dict[str, Any]:
    """Generate the full body of a killmail."""
    rng = Random(seed << 64 | killmail.killmail_id << 1 | 1)
    body: dict[str, Any] = {"attackers": _attackers(rng, killmail)}
    damage = sum(attacker["damage_done"] for attacker in body["attackers"])
    body["killmail_id"] = killmail.killmail_id
    body["killmail_time"] = datetime.fromtimestamp(killmail.killmail_time, UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    if rng.random() < 0.05:
        body["moon_id"] = 40_000_000 + int(rng.random() * 350_000)
    body["solar_system_id"] = _pick(rng, _SYSTEMS)
    body["victim"] = _victim(rng, killmail, damage)
    if rng.random() < 0.07:
        body["war_id"] = 600_000 + int(rng.random() * 150_000)
    return body


def _attackers(rng: Random, killmail: Killmail) -> list[dict[str, Any]]:
    count = min(MAX_ATTACKERS, max(1, round(math.exp(rng.gauss(1.2, 1.5)))))
    attackers = [_attacker(rng) for _ in range(count - 1)]
    last = _attacker(rng, killmail.final_blow_id) if killmail.final_blow_id else _npc(rng)
    # Without a final blow the hash is computed from the first attacker.
    has_final_blow = rng.random() >= 0.01
    last["final_blow"] = has_final_blow
    attackers.insert(int(rng.random() ** 3 * count) if has_final_blow else 0, last)
    return attackers


def _attacker(rng: Random, character_id: int | None = None) -> dict[str, Any]:
    chance = 0.0 if character_id else rng.random()
    if chance > 0.98:
        return _npc(rng)
    if chance > 0.97:
        return _structure(rng)
    pilot = character_id or _pilot(rng)
    attacker = _affiliation(pilot) | {"damage_done": _damage(rng)}
    if rng.random() < 0.05:
        attacker["faction_id"] = _pick(rng, _FACTIONS[:4])
    attacker |= {"final_blow": False, "security_status": _security_status(rng)}
    if rng.random() < 0.9:
        attacker["ship_type_id"] = _pick(rng, _SHIPS)
    if rng.random() < 0.97:
        attacker["weapon_type_id"] = _pick(rng, _WEAPONS)
    return attacker


def _affiliation(character_id: int) -> dict[str, Any]:
    corporation = names.corporation_of(character_id)
    alliance = names.alliance_of(corporation)
    ids = {"character_id": character_id, "corporation_id": corporation}
    return ids if alliance is None else {"alliance_id": alliance} | ids


def _damage(rng: Random) -> int:
    return int(rng.random() ** 4 * 50_000)


def _security_status(rng: Random) -> int | float:
    chance = rng.random()
    return (5, 0, -10)[int(chance * 6)] if chance < 0.5 else round(rng.uniform(-10, 5), 1)


def _npc(rng: Random) -> dict[str, Any]:
    npc: dict[str, Any] = {}
    if rng.random() < 0.7:
        npc["corporation_id"] = _pick(rng, _NPC_CORPORATIONS)
    npc |= {"damage_done": _damage(rng), "faction_id": _pick(rng, _FACTIONS), "final_blow": False}
    return npc | {"security_status": 0, "ship_type_id": _pick(rng, _SHIPS)}


def _structure(rng: Random) -> dict[str, Any]:
    owner = {key: value for key, value in _affiliation(_pilot(rng)).items() if key[0] != "c"}
    owner["corporation_id"] = names.CORPORATION_BASE + int(rng.random() * names.CORPORATIONS)
    owner |= {"damage_done": _damage(rng), "final_blow": False, "security_status": 0}
    return owner | {"ship_type_id": _pick(rng, _STRUCTURES)}


def _victim(rng: Random, killmail: Killmail, damage: int) -> dict[str, Any]:
    victim = _affiliation(killmail.victim_id or _pilot(rng))
    structure = killmail.ship_type_id in names.STRUCTURES
    if killmail.victim_id is None:
        del victim["character_id"]
    victim["damage_taken"] = damage
    if rng.random() < 0.1 or (killmail.victim_id is None and not structure):
        victim["faction_id"] = _pick(rng, _FACTIONS)
    if rng.random() >= 0.05:
        victim["items"] = _items(rng)
    if rng.random() < (0.5 if structure else 0.97):
        victim["position"] = _position(rng)
    victim["ship_type_id"] = killmail.ship_type_id
    return victim


def _position(rng: Random) -> dict[str, int | float]:
    if rng.random() < 0.1:
        return {axis: rng.randrange(-(10**13), 10**13) for axis in "xyz"}
    return {axis: rng.uniform(-3e12, 3e12) for axis in "xyz"}


def _items(rng: Random) -> list[dict[str, Any]]:
    if rng.random() < 0.15:
        return []
    items = [_item(rng) for _ in range(1 + int(rng.random() * 42))]
    if rng.random() < 0.1:
        container = {"flag": 5, "item_type_id": _pick(rng, _CONTAINERS)}
        content = [_item(rng, in_container=True) for _ in range(1 + int(rng.random() * 9))]
        items.append(container | {"items": content, "quantity_destroyed": 1, "singleton": 0})
    return items


def _item(rng: Random, in_container: bool = False) -> dict[str, Any]:
    fitted = rng.random() < 0.6 and not in_container
    flags = _SLOT_FLAGS if fitted else _BAY_FLAGS
    flag = 5 if in_container else flags[int(rng.random() * len(flags))]
    item = {"flag": flag, "item_type_id": _pick(rng, _MODULES if fitted else _CARGO)}
    quantity = 1 if fitted else 1 + int(rng.random() ** 6 * 100_000)
    chance = rng.random()
    if chance < 0.55:
        item["quantity_destroyed"] = quantity
    if chance > 0.5:
        item["quantity_dropped"] = quantity
    item["singleton"] = 2 if rng.random() < 0.005 else 0
    return item
