"""Killmails generated from a seed: who shot whom, the hash, and the full body on demand.

The shape follows ESI's OpenAPI document; the proportions follow real killmails. A body depends
only on the seed and its killmail, so none has to be kept.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any

import msgspec

from killsync.simulator import catalogue, names, places
from killsync.simulator.catalogue import ID_OF
from killsync.simulator.fits import WEAPONS
from killsync.simulator.habits import habits_of
from killsync.simulator.items import make_items

FILETIME_EPOCH = 116_444_736_000_000_000
MAX_ATTACKERS = 2000
_LEAST_OF_FINAL_BLOW = 350

_DEPLOYABLES = list(catalogue.DEPLOYABLES)
# the large ones are seldom lost, and a Keepstar is an event that the whole game speaks of
_STRUCTURES = {
    ID_OF["Raitaru"]: 30, ID_OF["Astrahus"]: 30, ID_OF["Athanor"]: 30, ID_OF["Azbel"]: 2,
    ID_OF["Fortizar"]: 2, ID_OF["Tatara"]: 2, ID_OF["Keepstar"]: 0.01,
}  # fmt: skip
_STRUCTURES_UP_TO = list(accumulate(_STRUCTURES.values()))
_CAPSULE, _GOLDEN_CAPSULE = 670, 33328
_HUMBLE = [ID_OF["Ibis"], ID_OF["Caldari Shuttle"]]
_ABYSS = list(places.ABYSS)
_MILITIAS = [500001, 500002, 500003, 500004]


class Killmail(msgspec.Struct, gc=False):
    """What lists and the hash are made from; `text` replaces the generated body verbatim.

    A corporation that is not given follows from the character's id. `others` are attackers without
    the final blow that must be there, each with its corporation.
    """

    killmail_id: int
    killmail_time: int
    victim_id: int | None
    final_blow_id: int | None
    ship_type_id: int
    killmail_hash: str = ""
    text: str | None = None
    victim_corporation_id: int | None = None
    final_blow_corporation_id: int | None = None
    others: tuple[tuple[int, int | None], ...] = ()

    @property
    def victim(self) -> tuple[int | None, int | None]:
        """Return the ids of the victim and of its corporation, as far as they are given."""
        return self.victim_id, self.victim_corporation_id

    @property
    def attackers(self) -> list[tuple[int | None, int | None]]:
        """Return the same of those attackers who are given."""
        return [(self.final_blow_id, self.final_blow_corporation_id), *self.others]

    def take_side(self, character_id: int, corporation_id: int) -> bool:
        """Name a character's corporation on its side; False if another one stands there."""
        taken = False
        if self.victim_id == character_id and self.victim_corporation_id is None:
            self.victim_corporation_id, taken = corporation_id, True
        if self.final_blow_id == character_id and self.final_blow_corporation_id is None:
            self.final_blow_corporation_id, taken = corporation_id, True
        return taken


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
    other = partner or _stranger(rng, owner, owner_died, chance)
    victim, final_blow = (owner, other) if owner_died else (other, owner)
    type_id = _thing(rng) if victim is None else _ship(rng, seed, victim)
    killmail = Killmail(killmail_id, time, victim, final_blow, type_id)
    killmail.killmail_hash = killmail_hash(killmail)
    return killmail


def _stranger(rng: Random, owner: int, owner_died: bool, chance: float) -> int | None:
    nobody = chance < 0.06 if owner_died else chance > 0.9
    if nobody:
        return None
    # a friend's fire, now and then
    return _comrade(rng, owner) if rng.random() < 0.015 else _pilot(rng)


def _thing(rng: Random) -> int:
    """Choose what is nobody's ship."""
    return _structure_type(rng) if rng.random() < 0.15 else _pick(rng, _DEPLOYABLES)


def _structure_type(rng: Random) -> int:
    return rng.choices(list(_STRUCTURES), cum_weights=_STRUCTURES_UP_TO)[0]


def _ship(rng: Random, seed: int, character_id: int) -> int:
    """Choose the ship that a character loses."""
    chance = rng.random()
    if chance < 0.12:
        return _CAPSULE if chance < 0.11 else _GOLDEN_CAPSULE
    return _pick(rng, _HUMBLE) if chance < 0.15 else habits_of(seed, character_id).hull(rng)


def _pilot(rng: Random) -> int:
    return names.PILOT_BASE + int(rng.random() * names.PILOTS)


def _comrade(rng: Random, character_id: int) -> int:
    """Choose a pilot of a character's corporation."""
    squads = names.PILOTS // names.CORPORATIONS
    base = names.PILOT_BASE + character_id % names.CORPORATIONS
    return base + int(rng.random() * squads) * names.CORPORATIONS


def _pick(rng: Random, choices: Sequence[int]) -> int:
    return choices[int(rng.random() * len(choices))]


def make_body(seed: int, killmail: Killmail) -> dict[str, Any]:
    """Generate the full body of a killmail."""
    rng = Random(seed << 64 | killmail.killmail_id << 1 | 1)
    body: dict[str, Any] = {"attackers": _attackers(rng, seed, killmail)}
    players = any("character_id" in attacker for attacker in body["attackers"])
    damage = sum(attacker["damage_done"] for attacker in body["attackers"])
    body["killmail_id"] = killmail.killmail_id
    body["killmail_time"] = datetime.fromtimestamp(killmail.killmail_time, UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    if rng.random() < 0.05:
        body["moon_id"] = 40_000_000 + int(rng.random() * 350_000)
    body["solar_system_id"] = _system(rng, seed, killmail, players)
    body["victim"] = _victim(rng, killmail, damage)
    if rng.random() < 0.07:
        body["war_id"] = 600_000 + int(rng.random() * 150_000)
    return body


def _system(rng: Random, seed: int, killmail: Killmail, players: bool) -> int:
    if not players and rng.random() < 0.3:
        return _pick(rng, _ABYSS)
    either = (killmail.victim_id, killmail.final_blow_id)
    known = [character_id for character_id in either if character_id]
    # strangers come to where the owner lives
    owners = [character_id for character_id in known if not names.is_stranger(character_id)]
    return habits_of(seed, (owners or known or [0])[0]).system(rng)


def _attackers(rng: Random, seed: int, killmail: Killmail) -> list[dict[str, Any]]:
    count = min(MAX_ATTACKERS, max(1, round(math.exp(rng.gauss(1.2, 1.5)))))
    final_blow = killmail.final_blow_id
    # what rats have killed, rats alone have fought, more often than not
    if final_blow is None and rng.random() < 0.6:
        band = _pick_band(rng)
        attackers = [_npc(rng, band) for _ in range(min(count, 12) - 1)]
        last = _npc(rng, band)
    else:
        pilots = _fleet(rng, killmail, count - 1)
        attackers = [_attacker(rng, seed, pilot) for pilot in pilots]
        last = (
            _fighter(rng, seed, final_blow, killmail.final_blow_corporation_id)
            if final_blow
            else _npc(rng, _pick_band(rng))
        )
    attackers += [_fighter(rng, seed, *other) for other in killmail.others]
    # Without a final blow the hash is computed from the first attacker.
    has_final_blow = rng.random() >= 0.01
    # others may have done no damage at all, as in the game
    last |= {
        "damage_done": last["damage_done"] + _LEAST_OF_FINAL_BLOW,
        "final_blow": has_final_blow,
    }
    attackers.insert(int(rng.random() ** 3 * (len(attackers) + 1)) if has_final_blow else 0, last)
    return attackers


def _fleet(rng: Random, killmail: Killmail, count: int) -> list[int]:
    """Choose pilots, none of them twice, most of them of one corporation."""
    leader = killmail.final_blow_id or _pilot(rng)
    fleet: dict[int, None] = {}
    taken = {killmail.victim_id, killmail.final_blow_id}
    for _ in range(count):
        pilot = _comrade(rng, leader) if rng.random() < 0.6 else _pilot(rng)
        while pilot in taken:
            pilot = _pilot(rng)
        taken.add(pilot)
        fleet[pilot] = None
    return list(fleet)


def _attacker(rng: Random, seed: int, pilot: int) -> dict[str, Any]:
    chance = rng.random()
    if chance > 0.98:
        return _npc(rng, _pick_band(rng))
    return _structure(rng) if chance > 0.97 else _fighter(rng, seed, pilot)


def _fighter(rng: Random, seed: int, pilot: int, corporation: int | None = None) -> dict[str, Any]:
    """Make a player among the attackers."""
    attacker = _affiliation(pilot, corporation) | {"damage_done": _damage(rng)}
    if rng.random() < 0.05:
        attacker["faction_id"] = _pick(rng, _MILITIAS)
    attacker |= {"final_blow": False, "security_status": _security_status(rng)}
    type_id = habits_of(seed, pilot).hull(rng)
    if rng.random() < 0.9:
        attacker["ship_type_id"] = type_id
    if rng.random() < 0.97:
        # ESI names the ship where it knows of no weapon
        attacker["weapon_type_id"] = _pick(rng, WEAPONS[type_id] or [type_id])
    return attacker


def _affiliation(character_id: int, corporation: int | None = None) -> dict[str, Any]:
    if corporation is None:
        corporation = names.corporation_of(character_id)
    alliance = names.alliance_of(corporation)
    ids = {"character_id": character_id, "corporation_id": corporation}
    return ids if alliance is None else {"alliance_id": alliance} | ids


def _damage(rng: Random) -> int:
    return int(rng.random() ** 4 * 50_000)


def _security_status(rng: Random) -> int | float:
    chance = rng.random()
    return (5, 0, -10)[int(chance * 6)] if chance < 0.5 else round(rng.uniform(-10, 5), 1)


def _pick_band(rng: Random) -> names.Band:
    return names.BANDS[int(rng.random() * len(names.BANDS))]


def _npc(rng: Random, band: names.Band) -> dict[str, Any]:
    npc: dict[str, Any] = {}
    if rng.random() < 0.7:
        npc["corporation_id"] = band.corporation_id
    npc |= {"damage_done": _damage(rng), "faction_id": band.faction_id, "final_blow": False}
    return npc | {"security_status": 0, "ship_type_id": _pick(rng, band.ships)}


def _structure(rng: Random) -> dict[str, Any]:
    owner = {key: value for key, value in _affiliation(_pilot(rng)).items() if key[0] != "c"}
    owner["corporation_id"] = names.CORPORATION_BASE + int(rng.random() * names.CORPORATIONS)
    owner |= {"damage_done": _damage(rng), "final_blow": False, "security_status": 0}
    return owner | {"ship_type_id": _structure_type(rng)}


def _victim(rng: Random, killmail: Killmail, damage: int) -> dict[str, Any]:
    victim = _affiliation(killmail.victim_id or _pilot(rng), killmail.victim_corporation_id)
    structure = killmail.ship_type_id in catalogue.STRUCTURES
    if killmail.victim_id is None:
        del victim["character_id"]
    victim["damage_taken"] = damage
    if rng.random() < 0.1:
        victim["faction_id"] = _pick(rng, _MILITIAS)
    if rng.random() >= 0.05:
        victim["items"] = make_items(rng, killmail.ship_type_id)
    if rng.random() < (0.5 if structure else 0.97):
        victim["position"] = _position(rng)
    victim["ship_type_id"] = killmail.ship_type_id
    return victim


def _position(rng: Random) -> dict[str, int | float]:
    if rng.random() < 0.1:
        return {axis: rng.randrange(-(10**13), 10**13) for axis in "xyz"}
    return {axis: rng.uniform(-3e12, 3e12) for axis in "xyz"}
