"""Values that stored killmails lack, filled in by steps: after an upgrade, or for want of prices.

The caller holds the transaction of a step; one that is lost is done again.
"""

import json
import sqlite3

from killsync.store import facts, names, prices, values

_THESE = "killmail_id IN (SELECT value FROM json_each(?))"
_MISSING = """
SELECT killmail_id FROM killmail_values WHERE priced_on IS NULL ORDER BY killmail_id DESC LIMIT ?
"""
_HAVE_ROWS = f"SELECT killmail_id FROM killmail_values WHERE {_THESE}"
_FORGET = f"DELETE FROM killmail_values WHERE {_THESE}"


def fill_next(conn: sqlite3.Connection, now: float) -> None:
    """Do the next step of what is to be filled in."""
    if not fill_below(conn, now):
        fill_missing(conn, now)


def fill_missing(conn: sqlite3.Connection, now: float, limit: int = values.AT_ONCE) -> bool:
    """Value the newest killmails that were stored when there were no prices at all.

    Returns whether there may be more; False too if there are still no prices.
    """
    if not prices.any_fetched(conn, now):
        return False
    ids = values.few_of(conn, conn.execute(_MISSING, (limit,)))
    losses = values.losses_of(conn, ids)
    values.write_rows(conn, values.rows(conn, losses, now))
    # rows that have lost their killmail would be looked at for ever
    lost = set(ids) - {killmail_id for killmail_id, *_ in losses}
    conn.execute(_FORGET, (json.dumps(list(lost)),))
    return bool(ids)


def fill_below(conn: sqlite3.Connection, now: float, limit: int = values.AT_ONCE) -> bool:
    """Value the next killmails of a database that was made before there were values.

    It walks from the newest to the oldest, and passes over what has been valued since. Ids without
    a name are put in line on the way. Returns whether there may be more.
    """
    below = facts.values_below(conn)
    if below is None:
        return False
    ids = values.next_below(conn, below, limit)
    valued = {i for (i,) in conn.execute(_HAVE_ROWS, (json.dumps(ids),))}
    losses = values.losses_of(conn, [i for i in ids if i not in valued])
    values.write_rows(conn, values.rows(conn, losses, now))
    names.ask_later_about(conn, ids)
    facts.set_values_below(conn, ids[-1] if ids else None)
    return bool(ids)
