"""What was stored lately: the order of storing is indexed, the times are not."""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise

from killsync.store import facts

_NEXT = """
SELECT stored_seq, stored_at FROM killmails WHERE stored_seq >= ? ORDER BY stored_seq LIMIT 1
"""


def stored_since(conn: sqlite3.Connection, moment: str) -> int:
    """Return how many killmails were stored since a time, ISO text, those deleted since too."""
    (number,) = stored_between(conn, [moment])
    return number


def stored_between(conn: sqlite3.Connection, moments: Sequence[str]) -> list[int]:
    """Return how many killmails were stored from each of these times to the next, or to now.

    Times are ISO text, the oldest first. Those that were deleted since are counted too.
    """
    last = facts.last_stored_seq(conn)
    first, places = 1, []
    for moment in moments:
        first = _first_since(conn, moment, first, last)
        places.append(first)
    return [later - earlier for earlier, later in pairwise([*places, last + 1])]


def _first_since(conn: sqlite3.Connection, moment: str, low: int, last: int) -> int:
    """Return where in the order of storing a time begins, by halving what is left of the order."""
    high = last + 1
    while low < high:
        middle = (low + high) // 2
        row = conn.execute(_NEXT, [middle]).fetchone()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = int(row[0]) + 1
    return low
