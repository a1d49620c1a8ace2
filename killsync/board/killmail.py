"""One killmail as a person reads it: who, where, with what, and what it was worth. Pure.

Everything has a name or, where none is known, its number. ISK is None where there is no price.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct

from killsync.board.carried import Cents, Section, sections
from killsync.killmail.body import Attacker, Victim
from killsync.killmail.elsewhere import ZKILLBOARD
from killsync.killmail.game_ids import is_player
from killsync.killmail.ids import unnamed
from killsync.killmail.sides import Role
from killsync.killmail.value import BLUEPRINT_COPY, TOKEN_CENTS, unit_price
from killsync.model import HashSource, Origin
from killsync.store.one_killmail import KnownKillmail, StoredValue

FIRST = 20
"""So many attackers are shown each by itself; then there is a summary of the others."""

_MOST_SHOWN = 2 * FIRST
_NO_COPY = 0

Side = Literal["kill", "loss"]

_ORIGINS = {
    Origin.EVEREF: "imported from EVE Ref's archives",
    Origin.ZKB: "found by zKillboard's list",
    Origin.JSON: "imported from exported JSON",
}
_HASHES = {
    HashSource.ESI: "; ESI has confirmed its hash",
    HashSource.ARCHIVE: "; its hash came with it, and fits",
    HashSource.COMPUTED: "; its hash is computed, as none came with it",
}


class Shooter(Struct, frozen=True):
    """An attacker; `share` is of all damage, 0 to 1. `pilot` is None for an NPC or a structure."""

    pilot: str | None
    corporation: str | None
    alliance: str | None
    ship: str | None
    weapon: str | None
    damage: int
    share: float
    final_blow: bool
    ours: bool


class Summary(Struct, frozen=True):
    """How many attackers had one ship or corporation in common, and what damage they did."""

    name: str
    attackers: int
    damage: int
    share: float


class OneKillmail(Struct, frozen=True):
    """All that `kills ID` shows. `side` is None if none of ours is on it.

    `source` says where it came from, None if that is ESI.
    """

    killmail_id: int
    time: str
    side: Side | None
    system: str
    security: float | None
    region: str | None
    victim: str | None
    corporation: str | None
    alliance: str | None
    ship: str
    ship_group: str | None
    hull_isk: float | None
    damage_taken: int
    ours: list[tuple[str, Role]]
    sections: list[Section]
    attackers: int
    shooters: list[Shooter]
    by_ship: list[Summary]
    by_corporation: list[Summary]
    value: StoredValue | None
    url: str
    source: str | None = None


def compose(known: KnownKillmail) -> OneKillmail:
    """Return what a person reads of a killmail."""
    killmail, victim = known.killmail, known.killmail.victim
    ranked = sorted(killmail.attackers, key=lambda a: (-a.damage_done, not a.final_blow))
    total = sum(max(0, attacker.damage_done) for attacker in ranked)
    ours = {user.user_id for user in known.users}
    shown, others = _first_of(ranked, ours)
    ship, cents = known.types.get(victim.ship_type_id), _cents(known)
    hull = cents(victim.ship_type_id, _NO_COPY)
    return OneKillmail(
        killmail_id=killmail.killmail_id,
        time=killmail.killmail_time,
        side=_side(known),
        system=known.system.name if known.system else unnamed(killmail.solar_system_id),
        security=known.system.security if known.system else None,
        region=known.system.region if known.system else None,
        victim=_name(known, victim.character_id),
        corporation=_corporation(known, victim),
        alliance=_name(known, victim.alliance_id),
        ship=_type(known, victim.ship_type_id),
        ship_group=ship.group if ship else None,
        hull_isk=None if hull is None else hull / 100,
        damage_taken=victim.damage_taken,
        ours=[(user.name, user.role) for user in known.users],
        sections=sections(victim.items or [], known.types, cents),
        attackers=len(ranked),
        shooters=[_shooter(known, attacker, total, ours) for attacker in shown],
        by_ship=_summed(others, lambda a: _ship(known, a), total),
        by_corporation=_summed(others, lambda a: _corporation(known, a) or "none", total),
        value=known.value,
        url=ZKILLBOARD % killmail.killmail_id,
        source=_source(known.origin, known.hash_source),
    )


def _side(known: KnownKillmail) -> Side | None:
    if not known.users:
        return None
    return "loss" if any(user.role is Role.VICTIM for user in known.users) else "kill"


def _source(origin: Origin, hash_source: HashSource) -> str | None:
    """Return where a killmail that did not come from ESI came from, and its hash."""
    if origin is Origin.ESI:
        return None
    return _ORIGINS[origin] + _HASHES[hash_source]


def _name(known: KnownKillmail, id_: int | None) -> str | None:
    return None if id_ is None else known.names.get(id_) or unnamed(id_)


def _corporation(known: KnownKillmail, party: Victim | Attacker) -> str | None:
    """Return the name of somebody's corporation, or else of the faction."""
    return _name(known, party.corporation_id) or _name(known, party.faction_id)


def _type(known: KnownKillmail, type_id: int) -> str:
    found = known.types.get(type_id)
    return unnamed(type_id) if found is None else found.name


def _ship(known: KnownKillmail, attacker: Attacker) -> str:
    return "unknown" if attacker.ship_type_id is None else _type(known, attacker.ship_type_id)


def _cents(known: KnownKillmail) -> Cents:
    """Return what things were worth when the killmail was valued; nothing is, before that."""
    is_valued = known.value is not None and known.value.priced_on is not None

    def cents(type_id: int, singleton: int) -> int | None:
        if not is_valued:
            return None
        if singleton == BLUEPRINT_COPY:
            return TOKEN_CENTS
        return unit_price(known.prices.get(type_id), known.types.get(type_id))

    return cents


def _first_of(ranked: list[Attacker], ours: set[int]) -> tuple[list[Attacker], list[Attacker]]:
    """Return whom to show, and the others.

    Those are the first, whoever had the final blow, and our own.
    """
    shown = ranked[:FIRST]
    others: list[Attacker] = []
    for attacker in ranked[FIRST:]:
        is_shown_too = _is_ours(attacker, ours) and len(shown) < _MOST_SHOWN
        (shown if attacker.final_blow or is_shown_too else others).append(attacker)
    return shown, others


def _is_ours(attacker: Attacker, ours: set[int]) -> bool:
    return not ours.isdisjoint((attacker.character_id, attacker.corporation_id))


def _shooter(known: KnownKillmail, attacker: Attacker, total: int, ours: set[int]) -> Shooter:
    weapon = attacker.weapon_type_id
    return Shooter(
        pilot=_name(known, attacker.character_id) if is_player(attacker.character_id) else None,
        corporation=_corporation(known, attacker),
        alliance=_name(known, attacker.alliance_id),
        ship=None if attacker.ship_type_id is None else _type(known, attacker.ship_type_id),
        weapon=None if weapon is None else _type(known, weapon),
        damage=attacker.damage_done,
        share=_share(attacker.damage_done, total),
        final_blow=attacker.final_blow,
        ours=_is_ours(attacker, ours),
    )


def _share(damage: int, total: int) -> float:
    return max(0, damage) / total if total else 0.0


def _summed(
    attackers: Iterable[Attacker], name: Callable[[Attacker], str], total: int
) -> list[Summary]:
    numbers: Counter[str] = Counter()
    damage: Counter[str] = Counter()
    for attacker in attackers:
        numbers[name(attacker)] += 1
        damage[name(attacker)] += attacker.damage_done
    return [
        Summary(one, numbers[one], done, _share(done, total)) for one, done in damage.most_common()
    ]
