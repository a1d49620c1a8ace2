"""Whose token reads a corporation's list next, and what a refusal makes of a director.

Pure: a corporation's directors and the time, in unix seconds, go in. They take turns, so that each
brings a bucket of its own; one who is refused costs no poll while another works. A time that only
a wrong clock can have written counts as none.
"""

from collections.abc import Mapping, Sequence, Set

import msgspec

from killsync.model import Director
from killsync.sync.schedule import REFUSALS_APART
from killsync.times import DAY, MINUTE, has_passed

_MOST_NAMED = 3
_LONGEST_NAME = 40
_ANOTHER = "`killsync login --corporation` adds one, or renews a login"


class Ask(msgspec.Struct, frozen=True):
    """Read the list with the token of this director."""

    director: Director


class Wait(msgspec.Struct, frozen=True):
    """Some could be asked, but none has room in its bucket before `until`."""

    until: float


def choose(
    directors: Sequence[Director],
    now: float,
    ready_at: Mapping[int, float],
    *,
    refused: Set[int] = frozenset(),
    everyone: bool = False,
) -> Ask | Wait | None:
    """Return who is asked next, least recently asked first; None if there is nobody left to ask.

    `ready_at` says when each one's bucket has room, by character; `refused` are those who were
    refused in this run already. Of those who are asked but once a day it is only whose day is over;
    with `everyone` the others follow.
    """
    left = [one for one in directors if one.character_id not in refused]
    line = [one for one in left if may_be_asked(one, now)]
    if not line and everyone:
        line = left
    if not line:
        return None
    ready = [one for one in line if ready_at.get(one.character_id, now) <= now]
    if not ready:
        return Wait(min(ready_at[one.character_id] for one in line))
    return Ask(min(ready, key=lambda one: _place(one, now)))


def may_be_asked(director: Director, now: float) -> bool:
    """Return whether a director is not known to be refused, or its day is over."""
    return not director.confirmed or has_passed(director.not_before, now, DAY + MINUTE)


def after_refusal(director: Director, reason: str, at: float, *, counts: bool) -> Director:
    """Return what a refusal makes of a director, with `reason` for a person to read.

    The first is only noted. One that comes ten minutes later or more confirms it, if it `counts`:
    others are not refused, or there is nobody else. If it does not, ESI or SSO is suspected, and
    it counts once that has lasted a day.
    """
    first = director.refused_at
    since = at if first is None or first > at else first
    lasted = at - since
    again = lasted >= REFUSALS_APART and (counts or lasted >= DAY)
    confirmed = director.confirmed or again
    return msgspec.structs.replace(
        director,
        refused_at=since,
        confirmed=confirmed,
        not_before=at + DAY if confirmed else None,
        error=reason,
    )


def are_all_confirmed(directors: Sequence[Director]) -> bool:
    """Return whether none is left who may only have been refused by mistake; also if none is."""
    return all(one.confirmed for one in directors)


def try_again_at(directors: Sequence[Director], now: float) -> float:
    """Return when a corporation that needs a login is tried once more, with all its directors.

    That is when the day of the last one is over, so that they are asked, and it is said, once a
    day; a day from now at the latest.
    """
    days = [one.not_before for one in directors if one.not_before is not None]
    return min(max(days, default=now + DAY), now + DAY)


def describe(directors: Sequence[Director], advice: str = _ANOTHER) -> str:
    """Return in words why a corporation's list cannot be read: who is refused, and for what.

    Text from outside is in it as it came, names but the beginning of long ones.
    """
    if not directors:
        return "has no director left: log one in with `killsync login --corporation`"
    said = [
        f"{one.name[:_LONGEST_NAME]}: {one.error or 'refused'}" for one in directors[:_MOST_NAMED]
    ]
    more = len(directors) - len(said)
    others = f"; and {more} more" if more else ""
    number = len(directors)
    who = "its director cannot" if number == 1 else f"none of its {number} directors can"
    # what a person must do goes first: names and reasons may be long
    return f"{who} read its list; {advice}; {'; '.join(said)}{others}"


def _place(director: Director, now: float) -> tuple[float, bool, int]:
    asked = director.asked_at
    at = 0.0 if asked is None or asked > now else asked
    # of two asked within a second, one who was refused was asked before the other
    return (at, director.refused_at is None, director.character_id)
