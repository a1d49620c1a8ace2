"""What the killmails that are asked for come to, together."""

import sqlite3
import time

from msgspec import Struct

from killsync.store.kills import Filters, first, keys
from killsync.store.patience import first_row

# between two looks at the clock: about a millisecond
_INSTRUCTIONS = 20_000
_ALL = -1
_SUMS = """
SELECT count(*), coalesce(sum(is_loss), 0),
    coalesce(sum(iif(is_loss, 0, total)), 0), coalesce(sum(iif(is_loss, total, 0)), 0)
FROM (SELECT
    EXISTS (SELECT 1 FROM user_killmails AS o WHERE o.killmail_id = chosen.killmail_id
        AND o.role = 'victim' AND o.user_id = coalesce(:user_id, o.user_id)) AS is_loss,
    (SELECT w.total FROM killmail_values AS w WHERE w.killmail_id = chosen.killmail_id) AS total
    FROM ({}) AS chosen)
"""


class Totals(Struct, frozen=True):
    """How many killmails there are on each side, and their ISK."""

    kills: int
    losses: int
    destroyed: float
    lost: float


def totals(conn: sqlite3.Connection, wanted: Filters, within: float) -> Totals | None:
    """Return what the killmails come to; None if adding it up takes longer than some seconds."""
    sql, parameters = keys(wanted, first(wanted), _ALL)
    deadline = time.monotonic() + within
    found = first_row(
        conn,
        _SUMS.format(sql),
        parameters,
        gives_up=lambda: time.monotonic() > deadline,
        instructions=_INSTRUCTIONS,
    )
    if found is None:
        return None
    killmails, losses, destroyed, lost = found
    return Totals(killmails - losses, losses, destroyed, lost)
