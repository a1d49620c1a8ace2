"""Stored killmails as a person asks for them: newest first, with names, ISK and flags."""

import itertools
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from killsync.killmail.game_ids import Group
from killsync.killmail.sides import Side
from killsync.model import LARGEST_ID
from killsync.store import views
from killsync.store.connection import snapshot
from killsync.store.patience import first_row

BATCH = 500
INSTRUCTIONS = 20_000
"""SQLite's own, between two looks whether counting takes too long."""

LOOKS_WHILE_COUNTING = 400
"""After so many it does: a fifth of a second or so, and the same on each machine."""

_LATEST = "9999-12-31T23:59:59Z"


class Filters(Struct, frozen=True):
    """Which killmails are asked for; None is any.

    `since` and `until` are ISO text, both inclusive; `ships`, `systems` and `opponents` are ids,
    the last of characters, corporations, alliances or factions on the other side. `everyone` adds
    the killmails that none of ours is on.
    """

    user_id: int | None = None
    side: Side | None = None
    since: str | None = None
    until: str | None = None
    ships: tuple[int, ...] | None = None
    systems: tuple[int, ...] | None = None
    opponents: tuple[int, ...] | None = None
    min_value: float | None = None
    solo: bool = False
    npc: bool = False
    awox: bool = False
    no_pods: bool = False
    everyone: bool = False


class Kill(Struct, frozen=True):
    """One killmail, as `kills --json` shows it; the order of the fields is that of its keys.

    `users` are those of ours who are on it; a name that is not known is None beside its id.
    """

    killmail_id: int
    time: str
    side: Side | None
    users: list[str]
    user_ids: list[int]
    victim: str | None
    victim_id: int | None
    victim_corporation: str | None
    victim_corporation_id: int | None
    victim_alliance: str | None
    victim_alliance_id: int | None
    ship: str | None
    ship_id: int
    ship_group: str | None
    ship_group_id: int | None
    system: str | None
    system_id: int
    security: float | None
    region: str | None
    region_id: int | None
    final_blow: str | None
    final_blow_id: int | None
    final_blow_corporation: str | None
    final_blow_corporation_id: int | None
    final_blow_ship: str | None
    final_blow_ship_id: int | None
    attackers: int
    value: float | None
    dropped: float | None
    destroyed: float | None
    unpriced: int | None
    solo: bool
    npc: bool
    awox: bool
    url: str
    origin: str


_TRUTHS = {"solo", "npc", "awox"}
_READ = [name for name in Kill.__struct_fields__ if name not in ("side", "users", "user_ids")]
_KILLS = f"""
SELECT k.killmail_id, k.killmail_time AS time,{views.KILL_COLUMNS}
FROM killmails AS k{views.KILL_TABLES}
WHERE k.killmail_id IN (SELECT value FROM json_each(?))
"""
_OURS = """
SELECT u.killmail_id, u.user_id, users.name, u.role
FROM user_killmails AS u JOIN users ON users.user_id = u.user_id
WHERE u.killmail_id IN (SELECT value FROM json_each(?)) AND u.role IS NOT NULL
ORDER BY u.user_id
"""

_MINE = "u.user_id = :user_id AND u.role IS NOT NULL"
_ON_IT = "FROM user_killmails AS o WHERE o.killmail_id = k.killmail_id AND o.role"
_OURS_ON_IT = f"EXISTS (SELECT 1 {_ON_IT} IS NOT NULL)"
_OURS_LOST = f"EXISTS (SELECT 1 {_ON_IT} = 'victim')"
_I_LOST = "u.role = 'victim'"

_SHIP_TABLE = "LEFT JOIN types AS ship ON ship.type_id = k.victim_ship_type_id"
_VALUE_TABLE = "LEFT JOIN killmail_values AS v ON v.killmail_id = k.killmail_id"
_PARTIES = ("character_id", "corporation_id", "alliance_id", "faction_id")


def read(
    conn: sqlite3.Connection, wanted: Filters, limit: int | None, batch: int = BATCH
) -> Iterator[list[Kill]]:
    """Yield killmails newest first, `limit` at most, in lists of at most `batch`.

    No read lasts longer than one batch, as in `exporting`. Only what is shown is read with
    its names: first the ids are found, then the rest.
    """
    before, left = first(wanted), limit
    while left is None or left > 0:
        at_once = batch if left is None else min(left, batch)
        with snapshot(conn):
            found = page(conn, wanted, at_once, before)
        if found:
            yield found
        if len(found) < at_once:
            return
        before = (found[-1].time, found[-1].killmail_id)
        left = None if left is None else left - len(found)


def page(
    conn: sqlite3.Connection, wanted: Filters, limit: int, before: tuple[str, int] | None = None
) -> list[Kill]:
    """Return the newest killmails that come before a time and id; None: the newest of all."""
    places = conn.execute(*keys(wanted, before or first(wanted), limit)).fetchall()
    return _kills(conn, [killmail_id for _, killmail_id in places], wanted.user_id)


def some(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> list[Kill]:
    """Return those of these killmails that are stored, in the given order."""
    with snapshot(conn):
        return _kills(conn, killmail_ids, None)


def count(conn: sqlite3.Connection, wanted: Filters, most: int) -> int | None:
    """Return how many killmails match, counted up to `most`; None if that takes too long.

    Among many of which few match, counting would read everything.
    """
    sql, parameters = keys(wanted, first(wanted), most)
    looks = itertools.count()
    found = first_row(
        conn,
        f"SELECT count(*) FROM ({sql})",
        parameters,
        gives_up=lambda: next(looks) > LOOKS_WHILE_COUNTING,
        instructions=INSTRUCTIONS,
    )
    return None if found is None else int(found[0])


def any_stored(conn: sqlite3.Connection) -> bool:
    """Return whether a killmail is stored at all."""
    return bool(conn.execute("SELECT EXISTS (SELECT 1 FROM killmails)").fetchone()[0])


def any_valued(conn: sqlite3.Connection) -> bool:
    """Return whether a killmail has a value."""
    row = conn.execute("SELECT EXISTS (SELECT 1 FROM killmail_values WHERE total IS NOT NULL)")
    return bool(row.fetchone()[0])


def first(wanted: Filters) -> tuple[str, int]:
    """Return the time and id that all killmails asked for come before."""
    # the one upper bound that the index is entered at: `until` is no other condition
    return (wanted.until or _LATEST, LARGEST_ID)


def keys(wanted: Filters, before: tuple[str, int], limit: int) -> tuple[str, dict[str, object]]:
    """Return the query for the times and ids of the next killmails, and its parameters."""
    of = "k" if wanted.user_id is None else "u"
    sql = f"""SELECT {of}.killmail_time, {of}.killmail_id {_walk(wanted, of)}
        AND ({of}.killmail_time, {of}.killmail_id) < (:time, :id)
        ORDER BY {of}.killmail_time DESC, {of}.killmail_id DESC LIMIT :limit"""
    return sql, _parameters(wanted) | {"time": before[0], "id": before[1], "limit": limit}


def _walk(wanted: Filters, of: str) -> str:
    """Return where to look and what must hold, without the order.

    An index gives the order by time, so that the walk ends as soon as enough is found; CROSS JOIN
    keeps SQLite from sorting what it found by another one.
    """
    mine = wanted.user_id is not None
    lost = _I_LOST if mine else _OURS_LOST
    conditions = [_MINE] if mine else [] if wanted.everyone else [_OURS_ON_IT]
    if wanted.side is not None:
        conditions.append(lost if wanted.side is Side.LOSS else f"NOT {lost}")
    if wanted.opponents is not None:
        conditions.append(_against(lost, everyone=wanted.everyone))
    conditions += [text for asked, text in _conditions(wanted, of) if asked]
    source = (
        "user_killmails AS u CROSS JOIN killmails AS k ON k.killmail_id = u.killmail_id"
        if mine
        else "killmails AS k"
    )
    return f"FROM {source} {_joins(wanted)} WHERE {' AND '.join(conditions or ['1'])}"


def _conditions(wanted: Filters, of: str) -> list[tuple[bool, str]]:
    return [
        (wanted.since is not None, f"{of}.killmail_time >= :since"),
        (wanted.ships is not None, f"k.victim_ship_type_id IN {_listed('ships')}"),
        (wanted.systems is not None, f"k.solar_system_id IN {_listed('systems')}"),
        (wanted.min_value is not None, "v.total >= :min_value"),
        (wanted.no_pods, f"ship.group_id IS NOT {Group.CAPSULE}"),
        (wanted.solo, views.SOLO),
        (wanted.npc, views.NPC),
        (wanted.awox, views.AWOX),
    ]


def _joins(wanted: Filters) -> str:
    needed = [
        (wanted.min_value is not None, _VALUE_TABLE),
        (wanted.no_pods or wanted.solo or wanted.awox, _SHIP_TABLE),
        (wanted.awox, views.FINAL_BLOW),
    ]
    return " ".join(text for asked, text in needed if asked)


def _against(lost: str, *, everyone: bool) -> str:
    """Return the condition that an opponent is on the other side; without ours, on either."""
    attacker = f"EXISTS (SELECT 1 {views.ATTACKERS} AND ({_any_of('a.')}))"
    victim = f"({_any_of('k.victim_')})"
    neither = f" OR (NOT {_OURS_ON_IT} AND {attacker})" if everyone else ""
    return f"CASE WHEN {lost} THEN {attacker} ELSE {victim}{neither} END"


def _any_of(prefix: str) -> str:
    return " OR ".join(f"{prefix}{column} IN {_listed('opponents')}" for column in _PARTIES)


def _listed(name: str) -> str:
    return f"(SELECT value FROM json_each(:{name}))"


def _parameters(wanted: Filters) -> dict[str, object]:
    return {
        "user_id": wanted.user_id,
        "since": wanted.since,
        "min_value": wanted.min_value,
        "ships": json.dumps(wanted.ships),
        "systems": json.dumps(wanted.systems),
        "opponents": json.dumps(wanted.opponents),
    }


def _kills(conn: sqlite3.Connection, ids: Sequence[int], user_id: int | None) -> list[Kill]:
    listed = [json.dumps(list(ids))]
    ours: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for killmail_id, *user in conn.execute(_OURS, listed):
        ours[killmail_id].append(tuple(user))
    cursor = conn.execute(_KILLS, listed)
    names = [column[0] for column in cursor.description]
    found = {row[0]: dict(zip(names, row, strict=True)) for row in cursor}
    there = [killmail_id for killmail_id in ids if killmail_id in found]
    return [_kill(found[killmail_id], ours[killmail_id], user_id) for killmail_id in there]


def _kill(values: dict[str, object], ours: list[tuple[int, str, str]], user_id: int | None) -> Kill:
    roles = [role for user, _, role in ours if user_id in (None, user)]
    side = (Side.LOSS if "victim" in roles else Side.KILL) if roles else None
    read = {name: bool(values[name]) if name in _TRUTHS else values[name] for name in _READ}
    return Kill(
        side=side,
        users=[name for _, name, _ in ours],
        user_ids=[user for user, _, _ in ours],
        **read,  # type: ignore[arg-type]
    )
