"""Killmails made by hand, stored as a sync stores them, for tests of what is read from them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from world import copy_new_database

from killsync.killmail.body import decode
from killsync.store import connection, roles, storing, users
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail

STORED_AT = "2026-11-24T12:00:00Z"

# of the game
RIFTER, TRISTAN, CAPSULE, SHUTTLE, IBIS, ASTRAHUS = 587, 593, 670, 672, 601, 35832
JITA, THERA = 30000142, 31000005
CONCORD, GURISTAS = 1000125, 500010


@contextmanager
def database(path: Path, ours: dict[int, str]) -> Iterator[Store]:
    """Yield a new database with game data and these users, by id."""
    copy_new_database(path)
    with closing(connection.connect(path)) as store:
        for user_id, name in ours.items():
            users.add(store.conn, user_id, name, 1_700_000_000.0)
        yield store


def pilot(character: int | None, corporation: int | None = None, **more: Any) -> dict[str, Any]:
    """Return an attacker, or the ids of a victim; a pilot's corporation has the same number."""
    ids = {"character_id": character, "corporation_id": corporation} | more
    return {name: value for name, value in ids.items() if value is not None}


def attacker(*who: int | None, final_blow: bool = False, **more: Any) -> dict[str, Any]:
    """Return one attacker."""
    known = {"damage_done": 1, "final_blow": final_blow, "security_status": 0.0}
    return known | pilot(*who, **more)


def body(
    killmail_id: int,
    victim: dict[str, Any],
    attackers: list[dict[str, Any]],
    *,
    ship: int = RIFTER,
    time: str = "2026-11-23T20:15:00Z",
    system: int = JITA,
    items: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return a killmail as ESI would send it."""
    return {
        "killmail_id": killmail_id,
        "killmail_time": time,
        "solar_system_id": system,
        "victim": {"damage_taken": 1, "ship_type_id": ship, "items": items or []} | victim,
        "attackers": attackers,
    }


def put(store: Store, bodies: Iterable[dict[str, Any]]) -> None:
    """Store killmails."""
    fetched = [
        FetchedKillmail.compared(decode(json.dumps(one).encode(), one["killmail_id"]), "a" * 40)
        for one in bodies
    ]
    with store.transaction() as conn:
        storing.store(conn, fetched, STORED_AT)


def set_value(store: Store, killmail_id: int, total: float | None) -> None:
    """Give a killmail a value, or none."""
    with store.transaction() as conn:
        conn.execute(
            """INSERT OR REPLACE INTO killmail_values
            (killmail_id, hull, fitted, cargo, dropped, destroyed, total, unpriced, priced_on)
            VALUES (:id, :isk, 0, 0, 0, :isk, :isk, 0, iif(:isk IS NULL, NULL, '2026-11-20'))""",
            {"id": killmail_id, "isk": total},
        )


def set_name(store: Store, id_: int, name: str) -> None:
    """Name a player or a player's corporation."""
    with store.transaction() as conn:
        conn.execute("INSERT OR REPLACE INTO names VALUES (?, 'character', ?, NULL)", [id_, name])


def empty(store: Store) -> None:
    """Delete every killmail and every price."""
    with store.transaction() as conn:
        ids = [killmail_id for (killmail_id,) in conn.execute("SELECT killmail_id FROM killmails")]
        conn.execute("DELETE FROM killmails")
        roles.forget(conn, ids)
        conn.execute("DELETE FROM user_killmails")
        conn.execute("DELETE FROM prices")


def rows(store: Store, sql: str, *parameters: Any) -> list[Any]:
    """Return the rows of a query."""
    return store.conn.execute(sql, parameters).fetchall()


def row(store: Store, sql: str, *parameters: Any) -> dict[str, Any]:
    """Return the only row of a query, by column."""
    cursor = store.conn.execute(sql, parameters)
    (found,) = cursor.fetchall()
    return dict(zip([column[0] for column in cursor.description], found, strict=True))
