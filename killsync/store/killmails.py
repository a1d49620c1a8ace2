"""The bodies of killmails: rows of `killmails`, `attackers` and `items`, and back again."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from killsync.killmail.body import Attacker, Extra, Item, Killmail, Position, Victim
from killsync.killmail.hash import expected_hash
from killsync.model import HashSource, Origin
from killsync.store import facts, roles
from killsync.store.connection import snapshot
from killsync.times import iso, unix

_BATCH = 500

_STORED = "SELECT killmail_id FROM killmails WHERE killmail_id IN (SELECT value FROM json_each(?))"
_REMOVE = "DELETE FROM killmails WHERE killmail_id IN (SELECT value FROM json_each(?))"
_UNCOUNT = """
UPDATE users SET killmails = killmails - gone.number FROM (
    SELECT u.user_id, count(*) AS number FROM json_each(?)
    CROSS JOIN killmails AS k ON k.killmail_id = value
    CROSS JOIN user_killmails AS u ON u.killmail_id = k.killmail_id AND u.listed
    GROUP BY u.user_id) AS gone
WHERE users.user_id = gone.user_id
"""
_ADVANCE_SEQ = "UPDATE facts SET value = value + ? WHERE name = 'stored_seq'"

KILLMAIL_COLUMNS = (
    *("killmail_id", "killmail_hash", "hash_ok", "stored_seq", "stored_at", "killmail_time"),
    *("solar_system_id", "moon_id", "war_id", "victim_damage_taken", "victim_ship_type_id"),
    *("victim_alliance_id", "victim_character_id", "victim_corporation_id", "victim_faction_id"),
    *("victim_x", "victim_y", "victim_z", "attacker_count", "item_count", "origin"),
    *("hash_source", "extra"),
)
"""What `killmail_row` returns."""
ATTACKER_COLUMNS = (
    *("killmail_id", "ordinal", "damage_done", "final_blow", "security_status", "alliance_id"),
    *("character_id", "corporation_id", "faction_id", "ship_type_id", "weapon_type_id", "extra"),
)
"""What `attacker_rows` returns of each."""
ITEM_COLUMNS = (
    *("killmail_id", "ordinal", "parent", "item_type_id", "flag", "singleton"),
    *("quantity_destroyed", "quantity_dropped", "item_count", "extra"),
)
"""What `item_rows` returns of each."""


def _insert_into(table: str, columns: Sequence[str]) -> str:
    # `extra` is bound as UTF-8: as Python's text it may need four times the memory
    values = ", ".join("CAST(? AS TEXT)" if name == "extra" else "?" for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"


_INSERT_KILLMAIL = _insert_into("killmails", KILLMAIL_COLUMNS)
_INSERT_ATTACKER = _insert_into("attackers", ATTACKER_COLUMNS)
_INSERT_ITEM = _insert_into("items", ITEM_COLUMNS)

_TIME = KILLMAIL_COLUMNS.index("killmail_time")

_SELECT_KILLMAILS = """
SELECT killmail_id, killmail_time, solar_system_id, moon_id, war_id, victim_alliance_id,
    victim_character_id, victim_corporation_id, victim_faction_id, victim_damage_taken,
    victim_ship_type_id, victim_x, victim_y, victim_z, item_count, extra
FROM killmails WHERE killmail_id IN (SELECT value FROM json_each(?))
"""
_SELECT_ATTACKERS = """
SELECT killmail_id, damage_done, final_blow, security_status, alliance_id, character_id,
    corporation_id, faction_id, ship_type_id, weapon_type_id, extra
FROM attackers WHERE killmail_id IN (SELECT value FROM json_each(?))
ORDER BY killmail_id, ordinal
"""
_SELECT_ITEMS = """
SELECT killmail_id, ordinal, parent, item_type_id, flag, singleton, quantity_destroyed,
    quantity_dropped, item_count, extra
FROM items WHERE killmail_id IN (SELECT value FROM json_each(?))
ORDER BY killmail_id, ordinal
"""

# about how many rows a killmail takes; the highest ordinal is found without a count
_WEIGHTS = """
SELECT killmail_id, attacker_count + coalesce(length(extra), 0) / 16 + coalesce(
    (SELECT max(ordinal) FROM items WHERE items.killmail_id = killmails.killmail_id), 0)
FROM killmails WHERE killmail_id IN (SELECT value FROM json_each(?))
"""
_MOST_WEIGHT = 50_000

_Row = tuple[Any, ...]

# most of what is bound is NULL or a number: without these sqlite3 looks for a way to adapt each
# None and bool again and again, which costs more than storing it
sqlite3.register_adapter(type(None), dict[None, None]().get)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(Extra, lambda extra: msgspec.json.encode(extra.data))


class FetchedKillmail(Struct, frozen=True, gc=False):
    """A body, its hash with whoever gave it, and whether that follows from the body."""

    killmail: Killmail
    killmail_hash: str
    hash_ok: bool
    origin: Origin = Origin.ESI
    hash_source: HashSource = HashSource.ESI

    @classmethod
    def compared(
        cls,
        killmail: Killmail,
        killmail_hash: str,
        origin: Origin = Origin.ESI,
        hash_source: HashSource = HashSource.ESI,
    ) -> "FetchedKillmail":
        """Return a body whose hash has been compared with what follows from it."""
        hash_ok = expected_hash(killmail) == killmail_hash
        return cls(killmail, killmail_hash, hash_ok, origin, hash_source)

    @classmethod
    def computed(cls, killmail: Killmail, origin: Origin) -> "FetchedKillmail":
        """Return a body that came without a hash, which is computed."""
        return cls(killmail, expected_hash(killmail), True, origin, HashSource.COMPUTED)


def insert(
    conn: sqlite3.Connection, batch: Sequence[FetchedKillmail], now_iso: str
) -> list[tuple[Killmail, str]]:
    """Store what is not stored yet, the oldest id first; return it, each with its time as stored.

    The caller holds the transaction. `stored_seq` rises by one with each. Rising keys fill
    SQLite's pages; falling ones, as ESI lists them, leave them half empty.
    """
    new = _not_stored(conn, batch)
    if not new:
        return []
    first_seq = facts.last_stored_seq(conn) + 1
    rows = [killmail_row(fetched, seq, now_iso) for seq, fetched in enumerate(new, first_seq)]
    conn.executemany(_INSERT_KILLMAIL, rows)
    killmails = [fetched.killmail for fetched in new]
    # the rows of one killmail at a time
    conn.executemany(_INSERT_ATTACKER, chain.from_iterable(map(attacker_rows, killmails)))
    conn.executemany(_INSERT_ITEM, chain.from_iterable(map(item_rows, killmails)))
    conn.execute(_ADVANCE_SEQ, (len(new),))
    return [(killmail, row[_TIME]) for killmail, row in zip(killmails, rows, strict=True)]


def read(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> list[Killmail]:
    """Return the stored ones of these killmails, in the given order."""
    found: dict[int, Killmail] = {}
    for start in range(0, len(killmail_ids), _BATCH):
        with snapshot(conn):
            found |= _read_batch(conn, killmail_ids[start : start + _BATCH])
    return [found[killmail_id] for killmail_id in killmail_ids if killmail_id in found]


def few_enough(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> int:
    """Return how many of the first of these may be in memory together: one at least."""
    weights: dict[int, int] = dict(conn.execute(_WEIGHTS, (_json(killmail_ids),)).fetchall())
    totals = accumulate(weights.get(killmail_id, 0) for killmail_id in killmail_ids)
    return max(1, sum(total <= _MOST_WEIGHT for total in totals))


def carried(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> dict[int, list[Item]]:
    """Return what the victims of these killmails carried; of those not stored, nothing."""
    return _read_items(conn.execute(_SELECT_ITEMS, (_json(killmail_ids),)))


def stored_among(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> list[int]:
    """Return which of these killmails are stored."""
    return [killmail_id for (killmail_id,) in conn.execute(_STORED, (_json(killmail_ids),))]


def remove(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Delete bodies with all that follows from them; the caller holds the transaction.

    Whoever's lists show them has so many killmails fewer.
    """
    gone = (_json(killmail_ids),)
    conn.execute(_UNCOUNT, gone)
    conn.execute(_REMOVE, gone)
    roles.forget(conn, killmail_ids)


def _not_stored(
    conn: sqlite3.Connection, batch: Sequence[FetchedKillmail]
) -> list[FetchedKillmail]:
    by_id: dict[int, FetchedKillmail] = {}
    for fetched in batch:
        by_id.setdefault(fetched.killmail.killmail_id, fetched)
    for killmail_id in stored_among(conn, list(by_id)):
        del by_id[killmail_id]
    return [by_id[killmail_id] for killmail_id in sorted(by_id)]


def killmail_row(fetched: FetchedKillmail, stored_seq: int, now_iso: str) -> _Row:
    """Return the row of `killmails` for a body."""
    killmail, victim = fetched.killmail, fetched.killmail.victim
    time = iso(unix(killmail.killmail_time))
    extra = _killmail_extra(killmail, time)
    *victim_columns, items, position, _ = astuple(victim)
    return (
        *(killmail.killmail_id, fetched.killmail_hash, fetched.hash_ok, stored_seq, now_iso, time),
        *(killmail.solar_system_id, killmail.moon_id, killmail.war_id),
        *victim_columns,
        *((None, None, None) if position is None else astuple(position)[:3]),
        len(killmail.attackers),
        None if items is None else len(items),
        *(fetched.origin.value, fetched.hash_source.value),
        msgspec.json.encode(extra) if extra else None,
    )


def attacker_rows(killmail: Killmail) -> list[_Row]:
    """Return the rows of `attackers` in ESI's order."""
    killmail_id = killmail.killmail_id
    return [(killmail_id, n, *astuple(attacker)) for n, attacker in enumerate(killmail.attackers)]


def item_rows(killmail: Killmail) -> list[_Row]:
    """Return the rows of `items` depth first: an item, then what lies in it, then the next one."""
    rows: list[_Row] = []
    _add_item_rows(rows, killmail.killmail_id, killmail.victim.items or [], None)
    return rows


def _add_item_rows(
    rows: list[_Row], killmail_id: int, items: list[Item], parent: int | None
) -> None:
    for item in items:
        ordinal, inside = len(rows), item.items
        if inside is None:
            rows.append((killmail_id, ordinal, parent, *astuple(item)))
            continue
        *columns, _, extra = astuple(item)
        rows.append((killmail_id, ordinal, parent, *columns, len(inside), extra))
        _add_item_rows(rows, killmail_id, inside, ordinal)


def _json(ids: Sequence[int]) -> str:
    return msgspec.json.encode(ids).decode()


def _killmail_extra(killmail: Killmail, time: str) -> dict[str, Any]:
    """Return what has no column, the victim's and its position's nested as in ESI's JSON."""
    extra, victim = dict(killmail.extra or {}), dict(killmail.victim.extra or {})
    position = killmail.victim.position
    if position is not None and position.extra:
        victim["position"] = position.extra.data
    if victim:
        extra["victim"] = victim
    if time != killmail.killmail_time:
        extra["killmail_time"] = killmail.killmail_time
    return extra


def _read_batch(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> dict[int, Killmail]:
    wanted = (_json(killmail_ids),)
    attackers = _read_attackers(conn.execute(_SELECT_ATTACKERS, wanted))
    items = _read_items(conn.execute(_SELECT_ITEMS, wanted))
    return {
        row[0]: _killmail(row, attackers[row[0]], items[row[0]])
        for row in conn.execute(_SELECT_KILLMAILS, wanted)
    }


def _read_attackers(rows: sqlite3.Cursor) -> dict[int, list[Attacker]]:
    attackers: dict[int, list[Attacker]] = defaultdict(list)
    for killmail_id, damage, final_blow, *columns, extra in rows:
        attacker = Attacker(damage, final_blow == 1, *columns, extra=_extra(extra))
        attackers[killmail_id].append(attacker)
    return attackers


def _read_items(rows: sqlite3.Cursor) -> dict[int, list[Item]]:
    """Return the victims' own items; those inside them hang on them."""
    outermost: dict[int, list[Item]] = defaultdict(list)
    inside: dict[tuple[int, int], list[Item]] = {}
    for row in rows:
        killmail_id, ordinal, parent, item_type, flag, singleton, gone, left, count, extra = row
        content = None if count is None else inside.setdefault((killmail_id, ordinal), [])
        siblings = outermost[killmail_id] if parent is None else inside[killmail_id, parent]
        siblings.append(Item(item_type, flag, singleton, gone, left, content, extra=_extra(extra)))
    return outermost


def _killmail(row: _Row, attackers: list[Attacker], items: list[Item]) -> Killmail:
    killmail_id, time, system, moon, war, *who, damage, ship, x, y, z, count, extra_text = row
    extra = msgspec.json.decode(extra_text) if extra_text else {}
    victim_extra = extra.pop("victim", {})
    position = None
    if x is not None:
        position = Position(x, y, z, extra=_kept(victim_extra.pop("position", None)))
    victim = Victim(
        *(damage, ship, *who, None if count is None else items, position),
        extra=_kept(victim_extra),
    )
    time = extra.pop("killmail_time", time)
    return Killmail(killmail_id, time, system, victim, attackers, moon, war, extra=_kept(extra))


def _extra(text: str | None) -> Extra | None:
    return None if text is None else Extra(msgspec.json.decode(text))


def _kept(fields: dict[str, Any] | None) -> Extra | None:
    return Extra(fields) if fields else None
