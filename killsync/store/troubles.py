"""Troubles that are not over, by channel, and what became of the row that tells of each."""

import sqlite3

import msgspec

from killsync.store.outbox import OutboxState

NOBODY = 0
"""Stands for the user of a trouble that is of no single one."""


class OpenTrouble(msgspec.Struct, frozen=True):
    """A row of `troubles`; `state` is what became of what tells of it, queued at `queued_at`.

    Times are ISO text.
    """

    what: str
    user_id: int
    name: str | None
    since: str
    outbox_id: int
    state: OutboxState
    queued_at: str

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the other troubles of its channel."""
        return self.what, self.user_id


def still_open(conn: sqlite3.Connection, channel: str) -> list[OpenTrouble]:
    """Return the troubles of a channel that were not over when it was last looked."""
    rows = conn.execute(
        """SELECT t.what, t.user_id, t.name, t.since, t.outbox_id, coalesce(o.state, 'told'),
            coalesce(o.queued_at, t.since)
        FROM troubles AS t LEFT JOIN outbox AS o ON o.id = t.outbox_id
        WHERE t.channel = ?""",
        [channel],
    )
    return [
        OpenTrouble(what, user_id, name, since, outbox_id, OutboxState(state), queued_at)
        for what, user_id, name, since, outbox_id, state, queued_at in rows
    ]


def add(
    conn: sqlite3.Connection,
    channel: str,
    what: str,
    user_id: int,
    name: str | None,
    since: str,
    outbox_id: int,
) -> None:
    """Remember a trouble that is told of by a row of `outbox`; the caller holds the transaction."""
    conn.execute(
        "INSERT OR REPLACE INTO troubles VALUES (?, ?, ?, ?, ?, ?)",
        [channel, what, user_id, name, since, outbox_id],
    )


def remove(conn: sqlite3.Connection, channel: str, what: str, user_id: int) -> None:
    """Forget a trouble that is over; the caller holds the transaction."""
    conn.execute(
        "DELETE FROM troubles WHERE channel = ? AND what = ? AND user_id = ?",
        [channel, what, user_id],
    )


def without_login(conn: sqlite3.Connection) -> list[tuple[int, str, str | None, str | None]]:
    """Return who needs a new login: id, name, why, and since when a refusal was seen."""
    return conn.execute(
        """SELECT user_id, name, error, refused_at FROM users WHERE state = 'needs_login'
        ORDER BY user_id"""
    ).fetchall()
