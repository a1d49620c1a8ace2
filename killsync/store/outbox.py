"""What waits to be told, and what became of it: rows of `outbox`.

A row is claimed before it is sent and never waits again unless the channel has surely not had it:
so whatever is killed, each killmail is told at most once by a channel.
"""

import json
import sqlite3
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from killsync.settings.channels import LONGEST_DELAY
from killsync.times import DAY, HOUR, MINUTE, iso, iso_after

SENDING_AT_MOST = 5 * MINUTE
"""A delivery takes half a minute at most: who is at it for longer is not alive any more."""

LOST = "the run that sent it was killed before there was an answer"

KEPT_FOR = 90 * DAY
_PRUNED_AT_ONCE = 500
# a time further ahead was written by a wrong clock
_LONGEST_WAIT = LONGEST_DELAY + HOUR

_CLAIM = """
UPDATE outbox SET state = 'sending', sending_at = :now WHERE id IN (
    SELECT id FROM outbox
    WHERE channel = :channel AND state = 'waiting' AND (killmail_id IS NOT NULL) = :killmails
        AND not_before <= :now
    ORDER BY not_before, id LIMIT :limit)
RETURNING not_before, id, killmail_id, trouble
"""
_LOST = """
UPDATE outbox SET state = 'uncertain', ended_at = :now,
    reason = :reason
WHERE state = 'sending' AND (sending_at <= :long_ago OR sending_at > :ahead)
RETURNING channel, killmail_id
"""
_PRUNE = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE ended_at IS NOT NULL AND ended_at < ?
        AND id NOT IN (SELECT outbox_id FROM troubles)
    LIMIT ?)
"""
# one step of the index for each channel, however much waits
_WAITING_CHANNELS = """
WITH RECURSIVE found (channel) AS (
    SELECT min(channel) FROM outbox WHERE state = 'waiting'
    UNION ALL
    SELECT (SELECT min(o.channel) FROM outbox AS o
            WHERE o.state = 'waiting' AND o.channel > found.channel)
    FROM found WHERE found.channel IS NOT NULL)
SELECT channel FROM found WHERE channel IS NOT NULL
"""
_WAITING = "state = 'waiting' AND channel = ?"


class OutboxState(StrEnum):
    """What became of something that is to be told; the words stand in `outbox.state`.

    `SENDING` was handed to the channel, and is never sent again; of `UNCERTAIN` nobody knows
    whether it arrived.
    """

    WAITING = "waiting"
    SENDING = "sending"
    TOLD = "told"
    EXPIRED = "expired"
    UNCERTAIN = "uncertain"


class Entry(msgspec.Struct, frozen=True):
    """A claimed row: of one killmail, or of a trouble, as JSON."""

    id: int
    killmail_id: int | None
    trouble: str | None


class Lost(msgspec.Struct, frozen=True):
    """What a process that is gone was sending by a channel; troubles have no id."""

    channel: str
    killmail_ids: list[int]
    troubles: int


def any_unfinished(conn: sqlite3.Connection) -> bool:
    """Return whether something waits to be told, now or later, or is being sent."""
    row = conn.execute(
        """SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'waiting')
            OR EXISTS (SELECT 1 FROM outbox WHERE state = 'sending')"""
    )
    return bool(row.fetchone()[0])


def waiting_channels(conn: sqlite3.Connection) -> list[str]:
    """Return the channels for which something waits, now or later."""
    return [channel for (channel,) in conn.execute(_WAITING_CHANNELS)]


def due(conn: sqlite3.Connection, channel: str, now: float, *, killmails: bool) -> int:
    """Return how many killmails, or troubles, may be sent by a channel now."""
    row = conn.execute(
        f"""SELECT count(*) FROM outbox
        WHERE {_WAITING} AND (killmail_id IS NOT NULL) = ? AND not_before <= ?""",
        [channel, killmails, iso(now)],
    )
    return int(row.fetchone()[0])


def any_due(conn: sqlite3.Connection, channel: str, before: float) -> bool:
    """Return whether something should have been told by a channel before a time."""
    row = conn.execute(
        f"SELECT EXISTS (SELECT 1 FROM outbox WHERE {_WAITING} AND not_before <= ?)",
        [channel, iso(before)],
    )
    return bool(row.fetchone()[0])


def any_out_of_reach(conn: sqlite3.Connection, channel: str, now: float) -> bool:
    """Return whether something waits for longer than any delay."""
    row = conn.execute(
        f"SELECT EXISTS (SELECT 1 FROM outbox WHERE {_WAITING} AND not_before > ?)",
        [channel, iso_after(now + _LONGEST_WAIT)],
    )
    return bool(row.fetchone()[0])


def next_due(conn: sqlite3.Connection, channel: str, now: float, limit: int) -> list[int]:
    """Return the killmails that a channel would tell of now, the oldest first."""
    rows = conn.execute(
        f"""SELECT killmail_id FROM outbox
        WHERE {_WAITING} AND (killmail_id IS NOT NULL) = 1 AND not_before <= ?
        ORDER BY not_before, id LIMIT ?""",
        [channel, iso(now), limit],
    )
    return [killmail_id for (killmail_id,) in rows]


def troubles_due(conn: sqlite3.Connection, channel: str, now: float) -> list[str]:
    """Return the troubles, as JSON, that a channel would tell of now."""
    rows = conn.execute(
        f"""SELECT trouble FROM outbox
        WHERE {_WAITING} AND (killmail_id IS NOT NULL) = 0 AND not_before <= ?
        ORDER BY not_before, id""",
        [channel, iso(now)],
    )
    return [trouble for (trouble,) in rows]


def claim(
    conn: sqlite3.Connection, channel: str, now: float, limit: int, *, killmails: bool
) -> list[Entry]:
    """Mark what is to be sent next, and return it, the oldest first; no other process gets it.

    The caller holds the transaction, and sends nothing before it is committed.
    """
    values = {"channel": channel, "now": iso(now), "limit": limit, "killmails": killmails}
    # SQLite returns changed rows in any order
    return [Entry(*entry) for _, *entry in sorted(conn.execute(_CLAIM, values).fetchall())]


def settle(
    conn: sqlite3.Connection,
    ids: Sequence[int],
    state: OutboxState,
    now: float,
    reason: str | None = None,
) -> None:
    """Record what became of claimed rows; the caller holds the transaction.

    One that was found to be lost meanwhile, such as while the machine slept, keeps that unless it
    is known to have been told.
    """
    waits = state is OutboxState.WAITING
    conn.execute(
        """UPDATE outbox SET state = :state, reason = :reason, ended_at = :ended
        WHERE id IN (SELECT value FROM json_each(:ids))
            AND (state = 'sending' OR (state = 'uncertain' AND :state = 'told'))""",
        {
            "state": state,
            "reason": reason,
            "ended": None if waits else iso(now),
            "ids": json.dumps(list(ids)),
        },
    )


def find_lost(conn: sqlite3.Connection, now: float) -> list[Lost]:
    """Mark what processes were sending that are gone, and return it: it is never sent again.

    The caller holds the transaction.
    """
    moments = {
        "now": iso(now),
        "long_ago": iso(now - SENDING_AT_MOST),
        "ahead": iso_after(now + SENDING_AT_MOST),
        "reason": LOST,
    }
    found: dict[str, list[int | None]] = {}
    for channel, killmail_id in conn.execute(_LOST, moments).fetchall():
        found.setdefault(channel, []).append(killmail_id)
    return [
        Lost(channel, sorted(i for i in ids if i is not None), ids.count(None))
        for channel, ids in found.items()
    ]


def any_sending(conn: sqlite3.Connection) -> bool:
    """Return whether some process sends, or did so when it was killed."""
    row = conn.execute("SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'sending')")
    return bool(row.fetchone()[0])


def expire(conn: sqlite3.Connection, channel: str, before: float, now: float, reason: str) -> int:
    """Give up what a channel should have told before a time; return how much that is."""
    return conn.execute(
        f"""UPDATE outbox SET state = 'expired', ended_at = ?, reason = ?
        WHERE {_WAITING} AND not_before <= ?""",
        [iso(now), reason, channel, iso(before)],
    ).rowcount


def bring_forward(conn: sqlite3.Connection, channel: str, now: float) -> None:
    """Make due what waits longer than any delay: a wrong clock wrote that."""
    conn.execute(
        f"""UPDATE outbox SET not_before = ?
        WHERE {_WAITING} AND not_before > ?""",
        [iso(now), channel, iso_after(now + _LONGEST_WAIT)],
    )


def forget_trouble(conn: sqlite3.Connection, id_: int, now: float) -> None:
    """Give up a trouble that is over before it could be told."""
    conn.execute(
        """UPDATE outbox SET state = 'expired', ended_at = ?, reason = 'it was over before'
        WHERE id = ? AND state = 'waiting'""",
        [iso(now), id_],
    )


def prune(conn: sqlite3.Connection, now: float) -> int:
    """Delete some of what ended long ago; return how many rows."""
    return conn.execute(_PRUNE, [iso(now - KEPT_FOR), _PRUNED_AT_ONCE]).rowcount


def any_to_prune(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether something ended long ago."""
    row = conn.execute(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE ended_at IS NOT NULL AND ended_at < ?)",
        [iso(now - KEPT_FOR)],
    )
    return bool(row.fetchone()[0])


def start_over(conn: sqlite3.Connection, now: float) -> None:
    """Give up what a backup holds as waiting, which may have been told since it was made.

    What lists show until each was read to its end again is no news. The caller holds the
    transaction.
    """
    conn.execute(
        """UPDATE outbox SET state = iif(state = 'sending', 'uncertain', 'expired'),
            ended_at = ?, reason = 'a backup was restored'
        WHERE state IN ('waiting', 'sending')""",
        [iso(now)],
    )
    conn.execute("DELETE FROM troubles")
    conn.execute("UPDATE users SET complete_since = NULL")
    conn.execute("UPDATE pending_killmails SET fresh = 0 WHERE fresh")
