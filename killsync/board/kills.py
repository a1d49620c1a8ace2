"""Which killmails a person asks for: words become ids and values, mistakes become one line."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from msgspec import Struct

from killsync.board import names
from killsync.errors import UsageError
from killsync.killmail.sides import Side
from killsync.settings.values import parse_isk
from killsync.store.kills import Filters, Kill
from killsync.store.named import Named

_OPTIONS = {
    Named.SHIP: "--ship",
    Named.SHIP_GROUP: "--ship",
    Named.SYSTEM: "--system",
    Named.REGION: "--region",
    Named.PARTY: "--with",
}


class Asked(Struct, frozen=True):
    """The filters as a person gives them; `since` and `until` are ISO text, both inclusive."""

    user: str | None = None
    user_id: int | None = None
    since: str | None = None
    until: str | None = None
    kills: bool = False
    losses: bool = False
    ship: str | None = None
    system: str | None = None
    region: str | None = None
    opponent: str | None = None
    min_value: str | None = None
    solo: bool = False
    npc: bool = False
    awox: bool = False
    no_pods: bool = False
    everyone: bool = False


class Tally:
    """What was read so far: how many killmails on each side, and their ISK.

    `destroyed` and `lost` are None while none of those killmails has a value.
    """

    def __init__(self) -> None:
        self.killmails = 0
        self.kills = 0
        self.losses = 0
        self.destroyed: float | None = None
        self.lost: float | None = None

    def counting(self, batches: Iterable[Sequence[Kill]]) -> Iterator[Kill]:
        """Yield the killmails, each of them counted."""
        for kill in chain.from_iterable(batches):
            self.killmails += 1
            if kill.side is Side.KILL:
                self.kills += 1
                self.destroyed = _added(self.destroyed, kill.value)
            elif kill.side is Side.LOSS:
                self.losses += 1
                self.lost = _added(self.lost, kill.value)
            yield kill


def _added(sum_: float | None, value: float | None) -> float | None:
    return sum_ if value is None else (sum_ or 0.0) + value


def filters(conn: sqlite3.Connection, asked: Asked) -> Filters:
    """Return what is asked for in ids and values.

    Raises UsageError for a name that means nothing or several things, for an amount that is not
    one, and for filters that contradict each other.
    """
    _check_for_contradictions(asked)
    min_value = None if asked.min_value is None else _isk(asked.min_value)
    return Filters(
        user_id=asked.user_id,
        side=Side.LOSS if asked.losses else Side.KILL if asked.kills else None,
        since=asked.since,
        until=asked.until,
        ships=None if asked.ship is None else names.ships(conn, asked.ship),
        systems=_systems(conn, asked),
        opponents=None if asked.opponent is None else names.parties(conn, asked.opponent),
        min_value=min_value,
        solo=asked.solo,
        npc=asked.npc,
        awox=asked.awox,
        no_pods=asked.no_pods,
        everyone=asked.everyone,
    )


def describe(asked: Asked) -> str:
    """Return the filters as options, as a person reads what was searched."""
    given = {
        "--user": asked.user,
        "--since": asked.since,
        "--until": asked.until,
        "--kills": asked.kills,
        "--losses": asked.losses,
        "--ship": asked.ship,
        "--system": asked.system,
        "--region": asked.region,
        "--with": asked.opponent,
        "--min-value": asked.min_value,
        "--solo": asked.solo,
        "--npc": asked.npc,
        "--awox": asked.awox,
        "--no-pods": asked.no_pods,
        "--all": asked.everyone,
    }
    said = [
        name if value is True else f"{name} {value[:60]}"
        for name, value in given.items()
        if value is not None and value is not False
    ]
    return " ".join(said)


def meant_by(conn: sqlite3.Connection, word: str) -> list[str]:
    """Return the options that would take a word that stands where an id should, likeliest first."""
    known = names.kinds_of(conn, word)
    return list(dict.fromkeys(_OPTIONS[kind] for kind in known))


def _isk(given: str) -> float:
    try:
        return parse_isk(given)
    except ValueError as error:
        raise UsageError(f"--min-value is {given[:60]!r}: {error}") from error


def _systems(conn: sqlite3.Connection, asked: Asked) -> names.Ids | None:
    if asked.system is not None:
        return names.systems(conn, asked.system)
    return None if asked.region is None else names.systems_of_region(conn, asked.region)


def _check_for_contradictions(asked: Asked) -> None:
    contradictions = [
        (asked.kills and asked.losses, "--kills and --losses: leave out both for all killmails"),
        (asked.solo and asked.npc, "--solo and --npc: a killmail cannot be both"),
        (
            asked.system is not None and asked.region is not None,
            "--system and --region: give one of them",
        ),
        (
            asked.everyone and (asked.kills or asked.losses),
            "--all with --kills or --losses: what none of your users is on is neither",
        ),
        (
            asked.everyone and asked.user is not None,
            "--all and --user: give one of them",
        ),
    ]
    for is_so, said in contradictions:
        if is_so:
            raise UsageError(said)
