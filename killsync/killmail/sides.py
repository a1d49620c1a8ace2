"""Who takes part in a killmail, and on which side."""

from collections.abc import Container, Iterable
from enum import StrEnum

from killsync.killmail.body import Killmail

# the ids of somebody on a killmail: its character and its corporation, either of which may lack
Party = tuple[int | None, int | None]
# the same of an attacker, and whether the final blow was theirs
Attack = tuple[int | None, int | None, bool]


class Role(StrEnum):
    """What a user is on a killmail; the words stand in `user_killmails.role`."""

    VICTIM = "victim"
    FINAL_BLOW = "final_blow"
    ATTACKER = "attacker"


class Side(StrEnum):
    """What a killmail is to us."""

    KILL = "kill"
    LOSS = "loss"


def parties(killmail: Killmail) -> tuple[Party, list[Attack]]:
    """Return the victim of a killmail, and its attackers."""
    victim = killmail.victim
    attacks = [(a.character_id, a.corporation_id, a.final_blow) for a in killmail.attackers]
    return (victim.character_id, victim.corporation_id), attacks


def roles(victim: Party, attacks: Iterable[Attack], ours: Container[int | None]) -> dict[int, Role]:
    """Return the role of each of `ours` that takes part, characters and corporations alike.

    Whoever is the victim has no other role: a corporation that shot its own member has lost a
    ship.
    """
    found: dict[int, Role] = {}
    for character, corporation, final_blow in attacks:
        # of a battle's thousands hardly any is one of ours
        if character in ours or corporation in ours:
            role = Role.FINAL_BLOW if final_blow else Role.ATTACKER
            for id_ in (character, corporation):
                if id_ is not None and id_ in ours and found.get(id_) is not Role.FINAL_BLOW:
                    found[id_] = role
    return found | {id_: Role.VICTIM for id_ in victim if id_ is not None and id_ in ours}
