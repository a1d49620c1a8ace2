"""What zKillboard's lists have shown: pending as ESI's are, but nobody else vouches for it.

zKillboard may be wrong about a hash, or about who takes part. So what ESI's own lists have shown
is never changed here, and a row of `user_killmails` is a claim until the body is there.
"""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from killsync.model import KillmailRef, Priority
from killsync.store import pending
from killsync.times import iso, unix_or_none

_CLAIM = "INSERT OR IGNORE INTO user_killmails (user_id, killmail_id, listed) VALUES (?, ?, 0)"


class Position(msgspec.Struct, frozen=True):
    """How far one list of zKillboard's is recorded.

    `page` is the last page done of a walk that was broken off, and `top` the highest id on its
    first page: what lies between is recorded. `until` is the highest id on the first page of the
    last walk that was finished: what lies below is recorded. None: there was no such walk.
    `empty_at` is since when, in unix seconds, the page after `page` is empty, which may be the end.
    """

    page: int | None = None
    top: int | None = None
    until: int | None = None
    empty_at: float | None = None


def position(conn: sqlite3.Connection, user_id: int, side: str) -> Position:
    """Return how far a user's list of kills or losses is recorded."""
    row = conn.execute(
        "SELECT page, top, until, empty_at FROM zkb_lists WHERE user_id = ? AND side = ?",
        [user_id, side],
    ).fetchone()
    if row is None or (row[0] is not None and row[0] < 1):
        # one that is damaged counts as none: it is read again
        return Position()
    page, top, until, empty_at = row
    return Position(page, top, until, unix_or_none(empty_at))


def set_position(
    conn: sqlite3.Connection, user_id: int, side: str, done: Position, listed: int, now: float
) -> None:
    """Remember how far a list is recorded, in the transaction that records a page of it.

    `listed` counts the killmails that the walk has seen so far.
    """
    empty_at = None if done.empty_at is None else iso(done.empty_at)
    conn.execute(
        """INSERT OR REPLACE INTO zkb_lists
            (user_id, side, page, top, until, empty_at, listed, read_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        [user_id, side, done.page, done.top, done.until, empty_at, listed, iso(now)],
    )


def record(conn: sqlite3.Connection, user_id: int, refs: Sequence[KillmailRef]) -> int:
    """Record a page: what is neither stored nor pending is pending now; return how many those are.

    Each killmail that is not stored is the user's until its body says otherwise. A hash that only
    zKillboard has given is replaced by its newest, and what was set aside is asked for again where
    it is listed of one more user.
    """
    shown = {ref.killmail_id: ref.killmail_hash for ref in refs}
    bodiless = sorted(pending.without_body(conn, list(shown)))
    new = conn.executemany(
        "INSERT OR IGNORE INTO pending_killmails (killmail_id, killmail_hash, priority, origin)"
        f" VALUES (?, ?, {int(Priority.GAP)}, 'zkb')",
        [[i, shown[i]] for i in bodiless],
    ).rowcount
    conn.executemany(
        f"""UPDATE pending_killmails SET killmail_hash = :hash, {pending.ASKED_AFRESH}
        WHERE killmail_id = :id AND origin = 'zkb' AND killmail_hash <> :hash""",
        [{"id": i, "hash": shown[i]} for i in bodiless],
    )
    claimed = [i for i in bodiless if conn.execute(_CLAIM, [user_id, i]).rowcount]
    conn.executemany(
        """UPDATE pending_killmails SET not_before = NULL
        WHERE killmail_id = ? AND origin = 'zkb' AND set_aside_at IS NOT NULL""",
        [[i] for i in claimed],
    )
    return max(0, new)


def count_pending(conn: sqlite3.Connection, user_ids: Sequence[int]) -> int:
    """Return how many killmails wait to be fetched that only zKillboard lists of these users.

    What was set aside is not among them.
    """
    row = conn.execute(
        """SELECT count(*) FROM pending_killmails
        WHERE origin = 'zkb' AND set_aside_at IS NULL AND EXISTS (
            SELECT 1 FROM user_killmails
            WHERE user_id IN (SELECT value FROM json_each(?))
                AND user_killmails.killmail_id = pending_killmails.killmail_id)""",
        [json.dumps(list(user_ids))],
    ).fetchone()
    return int(row[0])


def only_by_zkb(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> set[int]:
    """Return which of these are pending by zKillboard's word alone.

    What a repair asks for again was stored, so that it is not.
    """
    rows = conn.execute(
        f"""SELECT killmail_id FROM pending_killmails WHERE origin = 'zkb'
            AND priority > {int(Priority.KEPT)}
            AND killmail_id IN (SELECT value FROM json_each(?))""",
        [json.dumps(list(killmail_ids))],
    )
    return {killmail_id for (killmail_id,) in rows}


def forget_claims(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Forget whose killmails these are said to be: their bodies show it, or are kept by nobody."""
    conn.execute(
        """DELETE FROM user_killmails WHERE NOT listed
        AND killmail_id IN (SELECT value FROM json_each(?))""",
        [json.dumps(list(killmail_ids))],
    )
