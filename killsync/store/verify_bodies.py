"""Stored bodies against themselves: each is put together, taken apart again, and its hash made.

What comes out must be the very rows that went in, and a body that ESI could have sent.
"""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from killsync.killmail.body import Killmail, decode, encode
from killsync.killmail.hash import expected_hash
from killsync.model import HashSource, Origin
from killsync.store import killmails
from killsync.store.connection import snapshot
from killsync.store.killmails import FetchedKillmail
from killsync.times import is_iso

# far above what one number a killmail can reach: such a one is damage, and must not drag the
# counter of the feed up with it
IMPOSSIBLE_SEQ = 2**53

_BATCH = 500
_LOWEST_ID = -(2**63)
_HASH = re.compile("[0-9a-fA-F]{40}")
_DIGITS_THAT_AGREE = 20

# the columns in the order in which they are inserted
_HEADS = """
SELECT killmail_id, killmail_hash, hash_ok, stored_seq, stored_at, killmail_time, solar_system_id,
    moon_id, war_id, victim_damage_taken, victim_ship_type_id, victim_alliance_id,
    victim_character_id, victim_corporation_id, victim_faction_id, victim_x, victim_y, victim_z,
    attacker_count, item_count, origin, hash_source
FROM killmails WHERE killmail_id > ? ORDER BY killmail_id LIMIT ?
"""
_ATTACKERS = """
SELECT killmail_id, ordinal, damage_done, final_blow, security_status, alliance_id, character_id,
    corporation_id, faction_id, ship_type_id, weapon_type_id
FROM attackers WHERE killmail_id IN (SELECT value FROM json_each(?))
ORDER BY killmail_id, ordinal
"""
_ITEMS = """
SELECT killmail_id, ordinal, parent, item_type_id, flag, singleton, quantity_destroyed,
    quantity_dropped, item_count
FROM items WHERE killmail_id IN (SELECT value FROM json_each(?))
ORDER BY killmail_id, ordinal
"""

_Row = tuple[Any, ...]


class StoredBody(msgspec.Struct, frozen=True):
    """The rows of one body as they stand, without `extra`, and what they were put together to.

    `killmail` is None if they cannot be.
    """

    head: _Row
    attackers: list[_Row]
    items: list[_Row]
    killmail: Killmail | None

    @property
    def killmail_id(self) -> int:
        """The killmail's id."""
        return int(self.head[0])

    @property
    def hash_fits(self) -> bool:
        """Whether the hash was recorded as the one that follows from the body."""
        return bool(self.head[2])

    @property
    def must_fit(self) -> bool:
        """Whether it was imported with a hash that ESI has not confirmed: one that fits."""
        return self.head[-1] in (HashSource.ARCHIVE, HashSource.COMPUTED)


def in_batches(conn: sqlite3.Connection) -> Iterator[list[StoredBody]]:
    """Yield every stored body, a batch at a time; no read lasts longer than one batch."""
    after = _LOWEST_ID
    while True:
        with snapshot(conn):
            heads = conn.execute(_HEADS, (after, _BATCH)).fetchall()
            heads = heads[: killmails.few_enough(conn, [head[0] for head in heads])]
            bodies = _bodies(conn, heads)
        if not heads:
            return
        after = heads[-1][0]
        yield bodies


def flaw(body: StoredBody) -> str | None:
    """Return what is wrong with a body, None if nothing is."""
    if body.killmail is None:
        return "its rows cannot be put together"
    source = _source_of(body)
    if source is None:
        return "where it and its hash came from is lost"
    try:
        same = decode(encode(body.killmail), body.killmail_id) == body.killmail
        fetched = FetchedKillmail.compared(body.killmail, body.head[1], *source)
        again = killmails.killmail_row(fetched, *body.head[3:5])
    except Exception:
        # whatever a damaged value makes these raise, the body is not one that ESI has sent
        return "holds a value that ESI cannot have sent"
    if not same:
        return "holds fields that contradict each other"
    if not again[2] and (body.hash_fits or body.must_fit):
        return "its hash is not the one that follows from it"
    if again[2] and not body.hash_fits:
        return "fits its hash, but is marked as if it did not"
    return _flaw_of_rows(body, body.killmail, again)


def hash_to_ask_with(body: StoredBody) -> str | None:
    """Return the hash with which ESI can be asked for a failing body, None if none is left.

    Two different hashes have two or three of their 40 digits in common by chance: where the
    recorded one is nearly the one that follows from the body, it is the recorded one that was
    damaged.
    """
    recorded = str(body.head[1])
    made = _hash_of(body)
    if made is None or not (body.hash_fits or body.must_fit):
        return recorded if _HASH.fullmatch(recorded) else made
    agreeing = sum(a == b for a, b in zip(recorded, made, strict=False))
    if _HASH.fullmatch(recorded) and agreeing < _DIGITS_THAT_AGREE:
        return recorded
    return made


def _source_of(body: StoredBody) -> tuple[Origin, HashSource] | None:
    """Return where a body and its hash came from, None if that cannot be.

    A body of ESI's is one that was asked for with ESI's own hash, or confirmed.
    """
    try:
        origin, hash_source = Origin(body.head[-2]), HashSource(body.head[-1])
    except ValueError:
        return None
    if hash_source is HashSource.ESI:
        return origin, hash_source
    return None if origin is Origin.ESI else (origin, hash_source)


def _flaw_of_rows(body: StoredBody, killmail: Killmail, again: _Row) -> str | None:
    if again[:-1] != body.head:
        return "its columns are not those that its content gives"
    if [row[:-1] for row in killmails.attacker_rows(killmail)] != body.attackers:
        return "its attackers are not as they were stored"
    if [row[:-1] for row in killmails.item_rows(killmail)] != body.items:
        return "its items are not as they were stored"
    if not is_iso(body.head[4]):
        return f"was stored at {body.head[4]!r}, which is not a valid time"
    possible = 0 < body.head[3] < IMPOSSIBLE_SEQ
    return None if possible else f"has the impossible stored_seq {body.head[3]}"


def _hash_of(body: StoredBody) -> str | None:
    try:
        return None if body.killmail is None else expected_hash(body.killmail)
    except Exception:
        return None


def _bodies(conn: sqlite3.Connection, heads: list[_Row]) -> list[StoredBody]:
    ids = [head[0] for head in heads]
    wanted = (json.dumps(ids),)
    attackers, items = _by_killmail(conn, _ATTACKERS, wanted), _by_killmail(conn, _ITEMS, wanted)
    found = _put_together(conn, ids)
    return [StoredBody(h, attackers[h[0]], items[h[0]], found.get(h[0])) for h in heads]


def _by_killmail(
    conn: sqlite3.Connection, sql: str, wanted: tuple[str]
) -> defaultdict[int, list[_Row]]:
    rows: defaultdict[int, list[_Row]] = defaultdict(list)
    for row in conn.execute(sql, wanted):
        rows[row[0]].append(row)
    return rows


def _put_together(conn: sqlite3.Connection, ids: list[int]) -> dict[int, Killmail]:
    """Return the killmails that can be read; one that cannot be must not hide the others."""
    try:
        return {killmail.killmail_id: killmail for killmail in killmails.read(conn, ids)}
    except sqlite3.Error:
        raise
    except Exception:
        if len(ids) == 1:
            return {}
    half = len(ids) // 2
    return _put_together(conn, ids[:half]) | _put_together(conn, ids[half:])
