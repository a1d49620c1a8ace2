"""Sums over stored killmails: each counts once, on one side, whoever of ours is on it."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from killsync.store import views

_NAMES_AT_ONCE = 10_000


class Key(StrEnum):
    """What killmails are summed by.

    `SHIP` is the victim's, `FLOWN` the one that ours was in; `OPPONENT` and `CORPORATION` are the
    final blow's of a loss, the victim's of a kill. Who is no pilot, such as an NPC or the owner of
    a structure, is the corporation, or else the faction, as an opponent too. `SLOT` is
    an hour of a day, `2026-11-24T03`.
    """

    SHIP = "ship"
    FLOWN = "flown"
    SYSTEM = "system"
    OPPONENT = "opponent"
    CORPORATION = "corporation"
    SLOT = "slot"


class Scope(Struct, frozen=True):
    """Whose killmails are summed, and of which time; None is any.

    `since` and `until` are ISO text, both inclusive.
    """

    user_ids: tuple[int, ...] | None = None
    since: str | None = None
    until: str | None = None


class Sum(Struct, frozen=True, gc=False):
    """What was done and lost, in killmails and in ISK, of those with the same key.

    `destroyed` and `lost` are None if there are such killmails and none of them has a value;
    `unvalued` is how many killmails have none.
    """

    key: int | str | None
    kills: int
    losses: int
    destroyed: float | None
    lost: float | None
    unvalued: int


_OURS = {
    False: "SELECT user_id FROM users",
    True: "SELECT value FROM json_each(:user_ids)",
}
_BOUNDS = {"since": "killmail_time >= :since", "until": "killmail_time <= :until"}
# in place of the view `sides`, whose definition this is for some users or some time
_SIDES = """
SELECT killmail_id, max(role = 'victim') AS is_loss FROM user_killmails
WHERE role IS NOT NULL AND user_id IN ({ours}){bounds} GROUP BY killmail_id
"""

# a query within the sum, and not a join: only losses need it
_FINAL_BLOW = """(SELECT {} FROM attackers AS a
    WHERE a.killmail_id = k.killmail_id AND a.final_blow = 1 ORDER BY a.ordinal LIMIT 1)"""
_FINAL_PARTY = _FINAL_BLOW.format(
    f"coalesce({views.PILOT.format('a')}, a.corporation_id, a.faction_id)"
)
_FINAL_CORPORATION = _FINAL_BLOW.format("coalesce(a.corporation_id, a.faction_id)")
_VICTIM = "coalesce(k.victim_character_id, k.victim_corporation_id)"
_OUR_SHIP = """(SELECT a.ship_type_id FROM attackers AS a
    WHERE a.killmail_id = k.killmail_id
        AND (a.character_id IN ({ours}) OR a.corporation_id IN ({ours}))
    ORDER BY a.final_blow DESC, a.damage_done DESC, a.ordinal LIMIT 1)"""

_KEYS = {
    Key.SHIP: "k.victim_ship_type_id",
    Key.FLOWN: f"iif(sides.is_loss, k.victim_ship_type_id, {_OUR_SHIP})",
    Key.SYSTEM: "k.solar_system_id",
    Key.OPPONENT: f"iif(sides.is_loss, {_FINAL_PARTY}, {_VICTIM})",
    Key.CORPORATION: f"iif(sides.is_loss, {_FINAL_CORPORATION}, k.victim_corporation_id)",
    Key.SLOT: "substr(k.killmail_time, 1, 13)",
}

_IDS = "SELECT value FROM json_each(?)"
_TYPE_NAMES = f"SELECT type_id, name FROM types WHERE type_id IN ({_IDS})"
_PARTY_NAMES = """SELECT value, coalesce(names.name, factions.name) FROM json_each(?)
    LEFT JOIN names ON names.id = value LEFT JOIN factions ON faction_id = value"""
_NAMES = {
    Key.SHIP: _TYPE_NAMES,
    Key.FLOWN: _TYPE_NAMES,
    Key.SYSTEM: f"SELECT system_id, name FROM systems WHERE system_id IN ({_IDS})",
    Key.OPPONENT: _PARTY_NAMES,
    Key.CORPORATION: _PARTY_NAMES,
}


def sums(conn: sqlite3.Connection, key: Key, scope: Scope) -> Iterator[Sum]:
    """Yield the sums for each key that occurs, in its order."""
    ours = _OURS[scope.user_ids is not None]
    query = f"""
        WITH sides AS ({_sides(scope, ours)})
        SELECT {_KEYS[key].format(ours=ours)} AS key, {views.FIGURES},
            count(*) - count(v.total) AS unvalued
        FROM {views.FIGURES_TABLES} GROUP BY key ORDER BY key"""
    for row in conn.execute(query, _parameters(scope)):
        yield Sum(*row)


def names(
    conn: sqlite3.Connection, key: Key, ids: Sequence[int | str | None]
) -> dict[int | str | None, str | None]:
    """Return the names of the keys that have one."""
    found: dict[int | str | None, str | None] = {}
    for start in range(0, len(ids), _NAMES_AT_ONCE):
        wanted = json.dumps(ids[start : start + _NAMES_AT_ONCE])
        found.update(conn.execute(_NAMES[key], [wanted]).fetchall())
    return found


def _sides(scope: Scope, ours: str) -> str:
    if scope == Scope():
        return "SELECT killmail_id, is_loss FROM main.sides"
    bounds = [text for name, text in _BOUNDS.items() if getattr(scope, name) is not None]
    return _SIDES.format(ours=ours, bounds="".join(f" AND {text}" for text in bounds))


def _parameters(scope: Scope) -> dict[str, str | None]:
    user_ids = None if scope.user_ids is None else json.dumps(scope.user_ids)
    return {"user_ids": user_ids, "since": scope.since, "until": scope.until}
