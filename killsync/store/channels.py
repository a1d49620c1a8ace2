"""How each channel fares: when it told last, since when it fails, until when it rests."""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from killsync.store.outbox import OutboxState, waiting_channels
from killsync.times import DAY, is_within, iso, iso_after, unix_or_none

_COLUMNS = "name, told_at, failures, failing_since, not_before, error, warned_at"
_ENDED = "channel = ? AND ended_at IS NOT NULL"
_ENDS = (OutboxState.TOLD, OutboxState.EXPIRED, OutboxState.UNCERTAIN)


class ChannelState(msgspec.Struct, frozen=True):
    """A row of `channels`; times are unix seconds, `failures` are those in a row."""

    name: str
    told_at: float | None = None
    failures: int = 0
    failing_since: float | None = None
    not_before: float | None = None
    error: str | None = None
    warned_at: float | None = None


class Counts(msgspec.Struct, frozen=True):
    """How much of a channel is in each state; `next_at` is when the next is due, ISO text.

    `uncertain_ids` are the newest killmails of which nobody knows whether they were told.
    """

    told: int = 0
    waiting: int = 0
    sending: int = 0
    expired: int = 0
    uncertain: int = 0
    next_at: str | None = None
    uncertain_ids: list[int] = []


def get(conn: sqlite3.Connection, name: str) -> ChannelState:
    """Return how a channel fares; of one that was never used, that all is well."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM channels WHERE name = ?", [name]).fetchone()
    if row is None:
        return ChannelState(name)
    _, told_at, failures, since, not_before, error, warned_at = row
    return ChannelState(
        name,
        told_at=unix_or_none(told_at),
        failures=failures,
        failing_since=unix_or_none(since),
        not_before=unix_or_none(not_before),
        error=error,
        warned_at=unix_or_none(warned_at),
    )


def save(conn: sqlite3.Connection, state: ChannelState) -> None:
    """Record how a channel fares; the caller holds the transaction."""
    conn.execute(
        f"""INSERT INTO channels ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (name) DO UPDATE SET told_at = excluded.told_at,
            failures = excluded.failures, failing_since = excluded.failing_since,
            not_before = excluded.not_before, error = excluded.error,
            warned_at = excluded.warned_at""",
        [
            state.name,
            None if state.told_at is None else iso(state.told_at),
            state.failures,
            None if state.failing_since is None else iso(state.failing_since),
            None if state.not_before is None else iso_after(state.not_before),
            state.error,
            None if state.warned_at is None else iso(state.warned_at),
        ],
    )


def note_warned(conn: sqlite3.Connection, state: ChannelState, now: float) -> bool:
    """Note that a failing channel is warned of; return False if another process has used it since.

    The caller holds the transaction.
    """
    told_at, since, warned_at = (
        None if time is None else iso(time)
        for time in (state.told_at, state.failing_since, state.warned_at)
    )
    return bool(
        conn.execute(
            """UPDATE channels SET warned_at = ?
            WHERE name = ? AND told_at IS ? AND failing_since IS ? AND warned_at IS ?""",
            [iso(now), state.name, told_at, since, warned_at],
        ).rowcount
    )


def is_unclear_news(conn: sqlite3.Connection, name: str, now: float) -> bool:
    """Return whether it was not said for a day that a channel's users are unclear."""
    row = conn.execute("SELECT unclear_at FROM channels WHERE name = ?", [name]).fetchone()
    return row is None or not is_within(unix_or_none(row[0]), now, DAY)


def note_unclear(conn: sqlite3.Connection, name: str, now: float) -> None:
    """Note that it is said that a channel's users are unclear; the caller holds the transaction."""
    conn.execute(
        """INSERT INTO channels (name, unclear_at) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET unclear_at = excluded.unclear_at""",
        [name, iso(now)],
    )


def known(conn: sqlite3.Connection) -> list[str]:
    """Return the channels of which something is known, by name."""
    rows = conn.execute("SELECT name FROM channels").fetchall()
    return sorted({name for (name,) in rows} | set(waiting_channels(conn)))


def forget_unused(conn: sqlite3.Connection, names: Sequence[str]) -> None:
    """Forget channels that are not among these, and of which no row is left.

    The caller holds the transaction.
    """
    conn.execute(
        """DELETE FROM channels WHERE name NOT IN (SELECT value FROM json_each(?))
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE channel = name AND ended_at IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE channel = name AND state = 'waiting')""",
        [json.dumps(list(names))],
    )


def counts(conn: sqlite3.Connection, name: str, newest: int) -> Counts:
    """Return how much of a channel is in each state, and the `newest` killmails left uncertain."""
    # a question for each, which its own index answers
    waiting, next_at = conn.execute(
        "SELECT count(*), min(not_before) FROM outbox WHERE channel = ? AND state = 'waiting'",
        [name],
    ).fetchone()
    (sending,) = conn.execute(
        "SELECT count(*) FROM outbox WHERE channel = ? AND state = 'sending'", [name]
    ).fetchone()
    ended = conn.execute(
        f"SELECT state, count(*) FROM outbox WHERE {_ENDED} GROUP BY state", [name]
    )
    numbers = {state: number for state, number in ended if state in _ENDS}
    ids = conn.execute(
        f"""SELECT killmail_id FROM outbox WHERE {_ENDED} AND state = 'uncertain'
            AND killmail_id IS NOT NULL ORDER BY ended_at DESC LIMIT ?""",
        [name, newest],
    )
    return Counts(
        waiting=waiting,
        sending=sending,
        next_at=next_at,
        uncertain_ids=[i for (i,) in ids],
        **numbers,
    )
