"""Valuing all stored killmails again on request, by steps.

The caller holds the transaction of a step; one that is lost is done again.
"""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from killsync.store import values
from killsync.store.values import Row

_THESE = "killmail_id IN (SELECT value FROM json_each(?))"
_ROWS = f"SELECT {values.COLUMNS} FROM killmail_values WHERE {_THESE}"


class Step(msgspec.Struct, frozen=True):
    """What one step of valuing everything again has done; the next goes on below `lowest`.

    `lowest` is None once all are done. `before` and `after` are the sums of the totals, in ISK.
    """

    lowest: int | None
    killmails: int
    changed: int
    before: float
    after: float


def reprice(
    conn: sqlite3.Connection, now: float, below: int | None = None, limit: int = values.AT_ONCE
) -> Step:
    """Value the next killmails below an id again, as if they were stored now; None: the newest."""
    ids = values.next_below(conn, below, limit)
    old: dict[int, Row] = {row[0]: row for row in conn.execute(_ROWS, (json.dumps(ids),))}
    new = values.rows(conn, values.losses_of(conn, ids), now)
    changed = [row for row in new if old.get(row[0]) != row]
    values.write_rows(conn, changed)
    return Step(
        lowest=ids[-1] if ids else None,
        killmails=len(new),
        changed=len(changed),
        before=_total(list(old.values())),
        after=_total(new),
    )


def _total(made: Sequence[Row]) -> float:
    return sum(row[values.TOTAL] or 0.0 for row in made)
