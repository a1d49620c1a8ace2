"""Reading stored killmails out in bulk: as bodies, or as the rows of their three tables.

No read lasts longer than one batch, so that a slow reader of an export never keeps the WAL from
being checkpointed; of large killmails a batch has few.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from killsync.killmail.body import Extra, Killmail
from killsync.killmail.sides import Side
from killsync.store import killmails
from killsync.store.connection import snapshot

HASH = "killmail_hash"
TABLES = ("killmails", "attackers", "items")
BATCH = 500
_LOWEST_ID = -(2**63)

_OURS = "SELECT 1 FROM user_killmails AS u WHERE u.killmail_id = killmails.killmail_id"
_HASHES = f"""
SELECT killmail_id, {HASH} FROM killmails WHERE killmail_id IN (SELECT value FROM json_each(?))
"""

Rows = dict[str, list[tuple[Any, ...]]]
"""Rows of each of `TABLES`, in its own columns' order."""
# the time or `stored_seq` of a killmail, and its id
_Place = tuple[str | int, int]
_T = TypeVar("_T")


class Selection(Struct, frozen=True):
    """Which killmails are exported; None is any.

    A user's are those that the user takes part in, or that ESI's list of the user shows. `side` is
    that of the user, else of all users together. `since` and `until` are ISO text, both inclusive.
    With `after_seq` come those that were stored after that `stored_seq`, in that order; without,
    the oldest come first.
    """

    user_id: int | None = None
    side: Side | None = None
    since: str | None = None
    until: str | None = None
    after_seq: int | None = None


def bodies(
    conn: sqlite3.Connection, wanted: Selection, *, with_hash: bool = False, batch: int = BATCH
) -> Iterator[Killmail]:
    """Yield killmails as ESI sent them; `with_hash` each has a field `killmail_hash` more."""

    def read(ids: Sequence[int]) -> list[Killmail]:
        found = killmails.read(conn, ids)
        return _hashed(conn, found, ids) if with_hash else found

    for found in _batches(conn, wanted, batch, read):
        # what is given away is let go: the next batch is read before this list is gone
        found.reverse()
        while found:
            yield found.pop()


def rows(
    conn: sqlite3.Connection, wanted: Selection, *, with_hash: bool = False, batch: int = BATCH
) -> Iterator[Rows]:
    """Yield the rows of killmails with their attackers and items, in the columns of `columns`."""
    queries = {
        table: _rows_query(table, names)
        for table, names in columns(conn, with_hash=with_hash).items()
    }

    def read(ids: Sequence[int]) -> Rows:
        listed = [json.dumps(ids)]
        return {table: conn.execute(sql, listed).fetchall() for table, sql in queries.items()}

    return _batches(conn, wanted, batch, read)


def columns(conn: sqlite3.Connection, *, with_hash: bool = False) -> dict[str, list[str]]:
    """Return the names of the columns of each of `TABLES`, that of the hash only `with_hash`."""
    return {
        table: [
            name
            for name, *_ in conn.execute(f"SELECT * FROM {table} LIMIT 0").description
            if with_hash or name != HASH
        ]
        for table in TABLES
    }


def _batches(
    conn: sqlite3.Connection, wanted: Selection, batch: int, read: Callable[[Sequence[int]], _T]
) -> Iterator[_T]:
    sql, place = _next(wanted), _start(wanted)
    while True:
        with snapshot(conn):
            places = conn.execute(sql, _parameters(wanted, place, batch)).fetchall()
            ids = [killmail_id for _, killmail_id in places]
            ids = ids[: killmails.few_enough(conn, ids)]
            found = read(ids)
        if not ids:
            return
        place = places[len(ids) - 1]
        yield found
        del found  # before the next are read


def _start(wanted: Selection) -> _Place:
    first: str | int = (wanted.since or "") if wanted.after_seq is None else wanted.after_seq
    return (first, _LOWEST_ID)


def _parameters(wanted: Selection, place: _Place, batch: int) -> dict[str, object]:
    return {
        "after": place[0],
        "after_id": place[1],
        "user_id": wanted.user_id,
        "since": wanted.since,
        "until": wanted.until,
        "limit": batch,
    }


def _next(wanted: Selection) -> str:
    """Return the query for the places of the next killmails, which walks the index of the order."""
    if wanted.after_seq is None:
        order = "killmails.killmail_time"
        beyond = f"({order}, killmails.killmail_id) > (:after, :after_id)"
    else:
        order = "killmails.stored_seq"
        beyond = f"{order} > :after"
    conditions = [beyond, *(text for asked, text in _conditions(wanted) if asked)]
    return f"""SELECT {order}, killmails.killmail_id FROM killmails
        WHERE {" AND ".join(conditions)} ORDER BY {order}, killmails.killmail_id LIMIT :limit"""


def _conditions(wanted: Selection) -> list[tuple[bool, str]]:
    mine = _OURS if wanted.user_id is None else f"{_OURS} AND u.user_id = :user_id"
    lost = f"EXISTS ({mine} AND u.role = 'victim')"
    takes_part = f"EXISTS ({mine} AND u.role IS NOT NULL)"
    return [
        (wanted.until is not None, "killmails.killmail_time <= :until"),
        # the walk by time begins there
        (wanted.since is not None and wanted.after_seq is not None, "killmail_time >= :since"),
        (wanted.user_id is not None and wanted.side is None, f"EXISTS ({mine})"),
        (wanted.side is Side.LOSS, lost),
        (wanted.side is Side.KILL, f"{takes_part} AND NOT {lost}"),
    ]


def _rows_query(table: str, names: Sequence[str]) -> str:
    chosen = ", ".join(f't."{name}"' for name in names)
    # the killmails in the order of their ids
    order = "wanted.key" if table == "killmails" else "wanted.key, t.ordinal"
    return f"""SELECT {chosen} FROM json_each(?) AS wanted
        CROSS JOIN {table} AS t ON t.killmail_id = wanted.value ORDER BY {order}"""


def _hashed(conn: sqlite3.Connection, found: list[Killmail], ids: Sequence[int]) -> list[Killmail]:
    hashes = dict(conn.execute(_HASHES, [json.dumps(ids)]).fetchall())
    return [
        msgspec.structs.replace(
            killmail, extra=Extra(_others(killmail) | {HASH: hashes[killmail.killmail_id]})
        )
        for killmail in found
    ]


def _others(killmail: Killmail) -> dict[str, Any]:
    """Return a body's unknown fields, but for one that is called as the hash is."""
    return {name: value for name, value in (killmail.extra or {}).items() if name != HASH}
