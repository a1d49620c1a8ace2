"""One killmail with everything that is known about it, and what is known of one not stored."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from killsync.killmail.body import Attacker, Item, Killmail, Victim
from killsync.killmail.sides import Role
from killsync.model import HashSource, ItemType, Origin
from killsync.store import killmails
from killsync.store.connection import snapshot
from killsync.store.game_data import types_of
from killsync.store.names import names_of
from killsync.store.prices import prices_on
from killsync.store.views import SECURITY

_SYSTEM = f"""
SELECT name, {SECURITY.format("security")}, region FROM systems WHERE system_id = ?
"""
_VALUE = """
SELECT hull, fitted, cargo, dropped, destroyed, total, unpriced, priced_on, source
FROM killmail_values WHERE killmail_id = ?
"""
_USERS = """
SELECT user_id, name, role FROM user_killmails JOIN users USING (user_id)
WHERE killmail_id = ? AND role IS NOT NULL ORDER BY name
"""
_SOURCE = "SELECT origin, hash_source FROM killmails WHERE killmail_id = ?"
_PENDING = """
SELECT set_aside_at IS NOT NULL, not_before, error FROM pending_killmails WHERE killmail_id = ?
"""


class System(msgspec.Struct, frozen=True):
    """A solar system; `security` is what the game shows, to one decimal."""

    name: str
    security: float | None = None
    region: str | None = None


class StoredValue(msgspec.Struct, frozen=True):
    """A row of `killmail_values`, in ISK; the sums are None if nothing has a price."""

    hull: float | None
    fitted: float | None
    cargo: float | None
    dropped: float | None
    destroyed: float | None
    total: float | None
    unpriced: int | None
    priced_on: str | None
    source: str | None


class OurUser(msgspec.Struct, frozen=True):
    """A registered user who takes part in a killmail."""

    user_id: int
    name: str
    role: Role


class KnownKillmail(msgspec.Struct, frozen=True):
    """A stored killmail, and what the database says of whatever occurs in it.

    `names` are of characters, corporations, alliances and factions; `prices` of the day by which
    the killmail was valued. `origin` and `hash_source` say where it and its hash came from.
    """

    killmail: Killmail
    system: System | None
    names: Mapping[int, str]
    types: Mapping[int, ItemType]
    prices: Mapping[int, float]
    value: StoredValue | None
    users: list[OurUser]
    origin: Origin = Origin.ESI
    hash_source: HashSource = HashSource.ESI


class PendingState(msgspec.Struct, frozen=True):
    """A killmail that was listed and is not stored: `not_before` is ISO text, None: due now."""

    is_set_aside: bool
    not_before: str | None
    error: str | None


def read(conn: sqlite3.Connection, killmail_id: int) -> KnownKillmail | None:
    """Return a killmail with all that is known about it; None if it is not stored."""
    with snapshot(conn):
        found = killmails.read(conn, [killmail_id])
        if not found:
            return None
        killmail = found[0]
        type_ids = set(_type_ids(killmail))
        row = conn.execute(_VALUE, (killmail_id,)).fetchone()
        value = None if row is None else StoredValue(*row)
        day = None if value is None else value.priced_on
        origin, hash_source = conn.execute(_SOURCE, (killmail_id,)).fetchone()
        system = conn.execute(_SYSTEM, (killmail.solar_system_id,)).fetchone()
        return KnownKillmail(
            killmail,
            None if system is None else System(*system),
            names_of(conn, set(_party_ids(killmail))),
            types_of(conn, type_ids),
            {} if day is None else prices_on(conn, day, type_ids),
            value,
            [OurUser(user_id, name, Role(role)) for user_id, name, role in _users(conn, killmail)],
            Origin(origin),
            HashSource(hash_source),
        )


def read_types(conn: sqlite3.Connection, killmail: Killmail) -> dict[int, ItemType]:
    """Return what is known of the types of a killmail's hull and items."""
    return types_of(conn, set(_carried_type_ids(killmail)))


def read_victim(conn: sqlite3.Connection, killmail: Killmail) -> str:
    """Return the name of the pilot who lost the ship, or else of the corporation."""
    victim = killmail.victim
    ids = list(_given(victim.character_id, victim.corporation_id))
    names = names_of(conn, ids)
    return next((names[id_] for id_ in ids if id_ in names), "Killmail")


def pending_state(conn: sqlite3.Connection, killmail_id: int) -> PendingState | None:
    """Return how a killmail stands that is still to be fetched; None if no list has shown it."""
    row = conn.execute(_PENDING, (killmail_id,)).fetchone()
    return None if row is None else PendingState(bool(row[0]), row[1], row[2])


def _users(conn: sqlite3.Connection, killmail: Killmail) -> sqlite3.Cursor:
    return conn.execute(_USERS, (killmail.killmail_id,))


def _type_ids(killmail: Killmail) -> Iterator[int]:
    yield from _carried_type_ids(killmail)
    for attacker in killmail.attackers:
        yield from _given(attacker.ship_type_id, attacker.weapon_type_id)


def _carried_type_ids(killmail: Killmail) -> Iterator[int]:
    yield killmail.victim.ship_type_id
    yield from _item_types(killmail.victim.items or [])


def _item_types(items: Iterable[Item]) -> Iterator[int]:
    for item in items:
        yield item.item_type_id
        yield from _item_types(item.items or [])


def _party_ids(killmail: Killmail) -> Iterator[int]:
    parties: list[Victim | Attacker] = [killmail.victim, *killmail.attackers]
    for party in parties:
        yield from _given(
            party.character_id, party.corporation_id, party.alliance_id, party.faction_id
        )


def _given(*ids: int | None) -> Iterator[int]:
    return (id_ for id_ in ids if id_ is not None)
