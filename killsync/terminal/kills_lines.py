"""Killmails as words: who is on them, and a line of text for a pipe."""

import sys

from killsync.board.kills import Tally
from killsync.killmail.ids import unnamed
from killsync.killmail.sides import Side
from killsync.store.kills import Kill
from killsync.terminal.isk import isk
from killsync.terminal.text import count, safe

# of a corporation; a player's has 37 characters at most
_LONGEST_NAME = 50
_WHOLE = sys.maxsize


def tab_separated(kill: Kill) -> str:
    """Return a killmail as one line of fields between tabs, nothing cut; `-` for what is not known.

    The fields: time, side, victim, ship, system, security, region, final blow, its ship, number of
    attackers, ISK, id.
    """
    fields = (
        kill.time,
        kill.side,
        victim(kill, _WHOLE),
        named(kill.ship, kill.ship_id, _WHOLE),
        named(kill.system, kill.system_id, _WHOLE),
        kill.security,
        named(kill.region, kill.region_id, _WHOLE),
        final_blow(kill, _WHOLE),
        named(kill.final_blow_ship, kill.final_blow_ship_id, _WHOLE),
        kill.attackers,
        None if kill.value is None else f"{kill.value:.2f}",
        kill.killmail_id,
    )
    return "\t".join("-" if field is None else safe(field, _WHOLE) for field in fields)


def describe_tally(tally: Tally) -> str:
    """Return how many kills and losses there are, and their ISK."""
    parts = []
    if tally.kills:
        parts.append(f"{count(tally.kills, 'kill')}, {isk(tally.destroyed)} ISK destroyed")
    if tally.losses:
        parts.append(f"{count(tally.losses, 'loss')}, {isk(tally.lost)} ISK lost")
    if others := tally.killmails - tally.kills - tally.losses:
        parts.append(f"{others:,} of others")
    return "; ".join(parts)


def victim(kill: Kill, limit: int = _LONGEST_NAME) -> str:
    """Return whom a killmail names as its victim: the pilot, or the owner of a structure."""
    return _first_known(
        limit,
        (kill.victim, kill.victim_id),
        (kill.victim_corporation, kill.victim_corporation_id),
    )


def final_blow(kill: Kill, limit: int = _LONGEST_NAME) -> str:
    """Return whose the final blow was: a pilot's, or that of an NPC's corporation or faction."""
    return _first_known(
        limit,
        (kill.final_blow, kill.final_blow_id),
        (kill.final_blow_corporation, kill.final_blow_corporation_id),
        (kill.final_blow_ship, kill.final_blow_ship_id),
    )


def opponent(kill: Kill) -> str:
    """Return who was on the other side: whose the final blow of a loss was, else the victim."""
    return final_blow(kill) if kill.side is Side.LOSS else victim(kill)


def named(name: str | None, id_: int | None, limit: int = _LONGEST_NAME) -> str:
    """Return a name, harmless; `#2112000001` for one that is not known or blank; `-` for none."""
    if name and not name.isspace():
        return safe(name, limit)
    return "-" if id_ is None else unnamed(id_)


def _first_known(limit: int, *candidates: tuple[str | None, int | None]) -> str:
    given = [(name, id_) for name, id_ in candidates if name is not None or id_ is not None]
    return named(*given[0], limit) if given else "-"
