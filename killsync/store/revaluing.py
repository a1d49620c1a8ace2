"""Values of killmails that are stored already: what is missing, and all of them again on request.

Each function does one step, whose transaction the caller holds; a step that is lost is done again.
"""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from killsync.store import facts, killmails, names, prices, values
from killsync.store.values import DAY_LENGTH, Loss, Row

# killmails that one step looks at, fewer if they are large: some 50 ms
AT_ONCE = 500

_THESE = "killmail_id IN (SELECT value FROM json_each(?))"
_LOSSES = f"SELECT killmail_id, killmail_time, victim_ship_type_id FROM killmails WHERE {_THESE}"
_ROWS = f"SELECT {values.COLUMNS} FROM killmail_values WHERE {_THESE}"
_MISSING = """
SELECT killmail_id FROM killmail_values WHERE priced_on IS NULL ORDER BY killmail_id DESC LIMIT ?
"""
_BELOW = "SELECT killmail_id FROM killmails WHERE killmail_id < ? ORDER BY killmail_id DESC LIMIT ?"
_NEWEST = "SELECT killmail_id FROM killmails ORDER BY killmail_id DESC LIMIT ?"
_HAVE_ROWS = f"SELECT killmail_id FROM killmail_values WHERE {_THESE}"
_FORGET = f"DELETE FROM killmail_values WHERE {_THESE}"


class Step(msgspec.Struct, frozen=True):
    """What one step of valuing everything again has done; the next goes on below `lowest`.

    `lowest` is None once all are done. `before` and `after` are the sums of the totals, in ISK.
    """

    lowest: int | None
    killmails: int
    changed: int
    before: float
    after: float


def fill_next(conn: sqlite3.Connection, now: float) -> None:
    """Do the next step of what is to be filled in."""
    if not fill_below(conn, now):
        fill_missing(conn, now)


def fill_missing(conn: sqlite3.Connection, now: float, limit: int = AT_ONCE) -> bool:
    """Value the newest killmails that were stored when there were no prices at all.

    Returns whether there may be more; False too if there are still no prices.
    """
    if not prices.any_fetched(conn, now):
        return False
    ids = _few(conn, conn.execute(_MISSING, (limit,)))
    losses = _losses(conn, ids)
    values.write_rows(conn, values.rows(conn, losses, now))
    # rows that have lost their killmail would be looked at for ever
    lost = set(ids) - {killmail_id for killmail_id, *_ in losses}
    conn.execute(_FORGET, (json.dumps(list(lost)),))
    return bool(ids)


def fill_below(conn: sqlite3.Connection, now: float, limit: int = AT_ONCE) -> bool:
    """Value the next killmails of a database that was made before there were values.

    It walks from the newest to the oldest, and passes over what has been valued since. Ids without
    a name are put in line on the way. Returns whether there may be more.
    """
    below = facts.values_below(conn)
    if below is None:
        return False
    ids = _few(conn, conn.execute(_BELOW, (below, limit)))
    valued = {i for (i,) in conn.execute(_HAVE_ROWS, (json.dumps(ids),))}
    losses = _losses(conn, [i for i in ids if i not in valued])
    values.write_rows(conn, values.rows(conn, losses, now))
    names.ask_later_about(conn, ids)
    facts.set_values_below(conn, ids[-1] if ids else None)
    return bool(ids)


def stored(conn: sqlite3.Connection) -> int:
    """Return how many killmails are stored."""
    return int(conn.execute("SELECT count(*) FROM killmails").fetchone()[0])


def reprice(
    conn: sqlite3.Connection, now: float, below: int | None = None, limit: int = AT_ONCE
) -> Step:
    """Value the next killmails below an id again, as if they were stored now; None: the newest."""
    found = (
        conn.execute(_NEWEST, (limit,)) if below is None else conn.execute(_BELOW, (below, limit))
    )
    ids = _few(conn, found)
    old: dict[int, Row] = {row[0]: row for row in conn.execute(_ROWS, (json.dumps(ids),))}
    new = values.rows(conn, _losses(conn, ids), now)
    changed = [row for row in new if old.get(row[0]) != row]
    values.write_rows(conn, changed)
    return Step(
        lowest=ids[-1] if ids else None,
        killmails=len(new),
        changed=len(changed),
        before=_total(list(old.values())),
        after=_total(new),
    )


def _few(conn: sqlite3.Connection, found: sqlite3.Cursor) -> list[int]:
    """Return as many of the ids found as may be in memory together."""
    ids = [killmail_id for (killmail_id,) in found]
    return ids[: killmails.few_enough(conn, ids)]


def _losses(conn: sqlite3.Connection, ids: Sequence[int]) -> list[Loss]:
    items = killmails.carried(conn, ids)
    return [
        (killmail_id, time[:DAY_LENGTH], hull, items.get(killmail_id, []))
        for killmail_id, time, hull in conn.execute(_LOSSES, (json.dumps(ids),))
    ]


def _total(made: Sequence[Row]) -> float:
    return sum(row[values.TOTAL] or 0.0 for row in made)
