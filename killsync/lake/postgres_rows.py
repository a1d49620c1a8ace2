"""What PostgreSQL is fed, read from the database: as COPY's text, which SQLite itself writes.

To make each row a row of Python's would take longer than PostgreSQL takes to store it.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from killsync.lake import tables
from killsync.lake.tables import HASH, KILLMAILS, VALUES, Column, Kind
from killsync.store import changes, killmails
from killsync.store.changes import Place, Removed
from killsync.store.connection import snapshot
from killsync.store.views import BY_PLAYERS, PLAYERS

SOURCE = "source"
SUMMARY = "killmail_attackers"
"""The table of what the views need of the attackers of each killmail."""
TABLES: dict[str, tuple[str, ...]] = {
    table: tuple(column.name for column in columns) + (SOURCE,) * (table == "killmails")
    for table, columns in tables.TABLES.items()
} | {SUMMARY: ("killmail_id", "players", "npc", "final_blow_ordinal", "ship_type_ids")}
"""The columns of each table, in the order of the text; the first is the killmail's id."""
_OF_A_SOURCE = (HASH, "hash_ok", "origin", "hash_source")
REWRITTEN = (
    *(column for column in KILLMAILS if column.name in _OF_A_SOURCE),
    *VALUES,
)
"""What may change of a killmail that is stored, or differ from what another source has of it."""

_AT_ONCE = 5_000
_NEXT = """
SELECT stored_seq, killmail_id, stored_at FROM killmails
WHERE stored_seq > ? ORDER BY stored_seq LIMIT ?
"""
_PLACES = {
    "killmails": "LEFT JOIN killmail_values AS v ON v.killmail_id = k.killmail_id",
    "attackers": "CROSS JOIN attackers AS t ON t.killmail_id = k.killmail_id",
    "items": "CROSS JOIN items AS t ON t.killmail_id = k.killmail_id",
}
_WHERE = "k.stored_seq > :after AND k.stored_seq <= :until"
_SUM_UP = f"""SELECT group_concat(row, '') FROM (
    SELECT printf('%s\t%s\t%s\t%s\t{{%s}}\n', k.killmail_id,
        count(*) FILTER (WHERE {PLAYERS}), NOT coalesce(max({BY_PLAYERS}), 0),
        min(a.ordinal) FILTER (WHERE a.final_blow), group_concat(DISTINCT a.ship_type_id)) AS row
    FROM killmails AS k LEFT JOIN attackers AS a ON a.killmail_id = k.killmail_id
    WHERE {_WHERE} GROUP BY k.stored_seq)"""
_KEYS = ("killmail_id", "stored_seq")


class Batch(msgspec.Struct, frozen=True):
    """What comes next: what was deleted, then what was stored; the latter by `stored_seq`.

    `place` is the one behind it. `texts` are the rows of each table of what was stored.
    """

    removed: Sequence[Removed]
    stored: Sequence[tuple[int, int, str]]
    place: Place
    texts: Mapping[str, bytes]

    @property
    def ids(self) -> list[int]:
        """The ids of what was stored."""
        return [killmail_id for _, killmail_id, _ in self.stored]

    def rows(self, table: str, known: Collection[int]) -> bytes:
        """Return the rows of a table, as the text of COPY, but for the killmails that are known."""
        text = self.texts[table]
        if not known:
            return text
        left_out = {str(killmail_id).encode() for killmail_id in known}
        lines = text.splitlines(keepends=True)
        return b"".join(line for line in lines if line.partition(b"\t")[0] not in left_out)

    def __bool__(self) -> bool:
        return bool(self.removed or self.stored)


class Reader:
    """Reads what a source feeds, as the text of COPY with nothing for NULL."""

    def __init__(self, conn: sqlite3.Connection, source: str, *, with_hash: bool) -> None:
        conn.create_function("exact", 1, repr, deterministic=True)
        self._conn = conn
        self._source = source
        self._queries = {
            table: _query(table, columns, with_hash=with_hash)
            for table, columns in tables.TABLES.items()
        } | {SUMMARY: _SUM_UP}

    def next_batch(self, place: Place) -> Batch:
        """Return what comes after a place, read in one snapshot.

        Everything that was deleted comes before what was stored: a killmail that was deleted and
        came back has both.
        """
        with snapshot(self._conn):
            until = changes.last_place(self._conn).removed_seq
            removed = next(changes.removed(self._conn, place.removed_seq, until), [])
            removed_seq = removed[-1].removed_seq if removed else place.removed_seq
            stored = self._stored(place.stored_seq) if removed_seq == until else []
            last = stored[-1] if stored else (place.stored_seq, place.killmail_id, place.stored_at)
            texts = self._texts(place.stored_seq, last[0]) if stored else {}
        return Batch(removed, stored, Place(last[0], removed_seq, last[1], last[2]), texts)

    def _stored(self, after: int) -> list[tuple[int, int, str]]:
        stored = self._conn.execute(_NEXT, (after, _AT_ONCE)).fetchall()
        ids = [killmail_id for _, killmail_id, _ in stored]
        return stored[: killmails.few_enough(self._conn, ids)]

    def _texts(self, after: int, until: int) -> dict[str, bytes]:
        asked = {"after": after, "until": until, SOURCE: self._source}
        texts = {}
        for table, query in self._queries.items():
            text: str | None = self._conn.execute(query, asked).fetchone()[0]
            texts[table] = (text or "").encode()
        return texts


def _query(table: str, columns: Sequence[Column], *, with_hash: bool) -> str:
    values = [_value(table, column, with_hash=with_hash) for column in columns]
    if table == "killmails":
        values.append(f":{SOURCE}")
    form = "\t".join(["%s"] * len(values)) + "\n"
    return f"""SELECT group_concat(printf('{form}', {", ".join(values)}), '')
        FROM killmails AS k {_PLACES[table]} WHERE {_WHERE}"""


def _value(table: str, column: Column, *, with_hash: bool) -> str:
    value = _plain(table, column, with_hash=with_hash)
    if column.kind is Kind.DOUBLE:
        return _exact(value)
    if column.kind in (Kind.TEXT, Kind.JSON):
        return f"iif({value} IS NULL, NULL, {_escaped(value)})"
    return value


def _plain(table: str, column: Column, *, with_hash: bool) -> str:
    if column.name == HASH and not with_hash:
        return "NULL"
    if table == "killmails":
        whose = "v" if column in VALUES else "k"
    else:
        whose = "k" if column.name in _KEYS else "t"
    return f"{whose}.{column.name}"


def _exact(value: str) -> str:
    """Return SQL for a double in decimals that lead back to it, to the last bit.

    SQLite itself writes 15 digits, which not all doubles have. An amount of ISK or a security
    status is a number of hundredths, at whose quotient both it and the reader of its decimals
    arrive; only others are left to Python, which takes longer, and so is 0, which may be -0.
    """
    hundredths = f"CAST(round({value} * 100) AS INTEGER)"
    is_short = f"{value} BETWEEN -1e13 AND 1e13 AND {value} <> 0 AND {hundredths} / 100.0 = {value}"
    return f"""CASE WHEN {value} IS NULL THEN NULL
        WHEN {is_short} THEN {hundredths} || 'e-2' ELSE exact({value}) END"""


def _escaped(value: str) -> str:
    for raw, written in (("'\\'", "'\\\\'"), ("char(9)", "'\\t'"), ("char(10)", "'\\n'")):
        value = f"replace({value}, {raw}, {written})"
    return f"replace({value}, char(13), '\\r')"


class Rewritten(msgspec.Struct, frozen=True):
    """What stands now in the columns `REWRITTEN` of some killmails; `until` is the last number."""

    ids: list[int]
    columns: list[list[Any]]
    until: int


def rewritten(conn: sqlite3.Connection, after: int, *, with_hash: bool) -> Rewritten | None:
    """Return the next that was written again after a `rewritten_seq`; None: no more."""
    found = changes.rewritten(conn, after, _AT_ONCE)
    if not found:
        return None
    ids = json.dumps([killmail_id for _, killmail_id in found])
    where = "k.killmail_id IN (SELECT value FROM json_each(?))"
    rows = conn.execute(_present(where, with_hash=with_hash), [ids]).fetchall()
    return _rewritten(rows, until=found[-1][0])


def whole(conn: sqlite3.Connection, after: int, until: int, *, with_hash: bool) -> Rewritten | None:
    """Return the columns of the next killmails in a range of `stored_seq`; None: no more."""
    where = "k.stored_seq > ? AND k.stored_seq <= ? ORDER BY k.stored_seq LIMIT ?"
    asked = (after, until, _AT_ONCE)
    rows = conn.execute(_present(where, with_hash=with_hash), asked).fetchall()
    return _rewritten(rows, until=rows[-1][0]) if rows else None


def _present(where: str, *, with_hash: bool) -> str:
    names = ", ".join(_plain("killmails", column, with_hash=with_hash) for column in REWRITTEN)
    return f"""SELECT k.stored_seq, k.killmail_id, {names}
        FROM killmails AS k {_PLACES["killmails"]} WHERE {where}"""


def _rewritten(rows: Sequence[tuple[Any, ...]], until: int) -> Rewritten:
    width = len(REWRITTEN) + 2
    _, ids, *columns = ([row[number] for row in rows] for number in range(width))
    for number, column in enumerate(REWRITTEN):
        if column.kind is Kind.BOOLEAN:
            columns[number] = list(map(bool, columns[number]))
    return Rewritten(ids, columns, until)
