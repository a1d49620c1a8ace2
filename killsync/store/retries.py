"""When bodies that could not be had, or were refused, are asked for again."""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from killsync.model import Pending, Priority
from killsync.store.pending import LONGEST_WAIT, PUT_OFF, listed_by
from killsync.times import iso, iso_after, unix_or_none

_MOST_PROBES = 10


def wake(conn: sqlite3.Connection, now: float) -> int:
    """Make ready what was put off and whose time has come (or lies illegally far ahead)."""
    changed = 0
    for condition, moment in (
        ("not_before <= ?", iso(now)),
        ("not_before > ?", iso_after(now + LONGEST_WAIT)),
    ):
        changed += conn.execute(
            f"UPDATE pending_killmails SET not_before = NULL WHERE {condition}", [moment]
        ).rowcount
    return changed


def wake_probes(conn: sqlite3.Connection) -> None:
    """Make one body of each error ready that was put off: when it can be had again, others can."""
    conn.execute(
        f"""UPDATE pending_killmails SET not_before = NULL WHERE killmail_id IN (
            SELECT killmail_id FROM (
                SELECT killmail_id, min(not_before) AS soonest FROM pending_killmails
                WHERE not_before IS NOT NULL AND refusals = 0
                GROUP BY error ORDER BY soonest LIMIT {_MOST_PROBES}))"""
    )


def lift(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Make ready what was put off with the errors of these, which can be had now."""
    conn.execute(
        """UPDATE pending_killmails SET not_before = NULL
        WHERE not_before IS NOT NULL AND refusals = 0 AND error IN (
            SELECT error FROM pending_killmails
            WHERE killmail_id IN (SELECT value FROM json_each(?)))""",
        [json.dumps(list(killmail_ids))],
    )


def any_put_off_ready(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether the time of some body that was put off has come."""
    return bool(
        conn.execute(
            """SELECT EXISTS (SELECT 1 FROM pending_killmails WHERE not_before <= :now)
            OR EXISTS (SELECT 1 FROM pending_killmails WHERE not_before > :illegal)""",
            {"now": iso(now), "illegal": iso_after(now + LONGEST_WAIT)},
        ).fetchone()[0]
    )


def next_not_before(conn: sqlite3.Connection) -> float | None:
    """Return when the next body that was put off may be fetched, None if none was."""
    row = conn.execute(
        "SELECT min(not_before) FROM pending_killmails WHERE not_before IS NOT NULL"
    ).fetchone()
    return unix_or_none(row[0])


def make_manual(conn: sqlite3.Connection, user_id: int, *, set_aside: bool = False) -> int:
    """Make everything pending that ESI lists of a user manual, and what was put off ready at once.

    Of what was set aside only if `set_aside`. What only zKillboard lists stays in the background:
    it may be the history of many years.
    """
    return conn.execute(
        f"""UPDATE pending_killmails SET priority = {int(Priority.MANUAL)}, not_before = NULL
        WHERE (set_aside_at IS NULL OR ?) AND origin = 'esi'
            AND (priority < {int(Priority.MANUAL)} OR not_before IS NOT NULL)
            AND EXISTS (SELECT 1 FROM user_killmails WHERE user_id = ?
                AND user_killmails.killmail_id = pending_killmails.killmail_id)""",
        [set_aside, user_id],
    ).rowcount


def forget_put_off(conn: sqlite3.Connection, user_ids: Iterable[int] | None = None) -> int:
    """Let what was put off or set aside be fetched at once, of all users or of these.

    Returns how many killmails those are.
    """
    return conn.execute(
        "UPDATE pending_killmails SET not_before = NULL"
        f" WHERE not_before IS NOT NULL{listed_by(user_ids)}"
    ).rowcount


def put_off(conn: sqlite3.Connection, body: Pending, error: str, not_before: float) -> None:
    """Count a failed attempt and try again at `not_before`, unless the hash is another by now."""
    conn.execute(
        "UPDATE pending_killmails SET attempts = attempts + 1, error = ?, not_before = ?"
        " WHERE killmail_id = ? AND killmail_hash = ?",
        [error, iso_after(not_before), body.killmail_id, body.killmail_hash],
    )


def refuse(
    conn: sqlite3.Connection,
    body: Pending,
    error: str,
    now: float,
    *,
    not_before: float,
    set_aside: bool,
) -> None:
    """Count that a body was refused, and ask again at `not_before`; it may be set aside now.

    Nothing is counted if a list has shown another hash meanwhile.
    """
    conn.execute(
        """UPDATE pending_killmails SET attempts = attempts + 1, refusals = refusals + 1,
            refused_at = iif(refused_at <= :now, refused_at, :now),
            error = :error, not_before = :until,
            set_aside_at = coalesce(set_aside_at, iif(:aside, :now, NULL))
        WHERE killmail_id = :id AND killmail_hash = :hash""",
        {
            "now": iso(now),
            "error": error,
            "until": iso_after(not_before),
            "aside": set_aside,
            "id": body.killmail_id,
            "hash": body.killmail_hash,
        },
    )


def any_error(conn: sqlite3.Connection) -> str | None:
    """Return why a body was put off that is tried again before all others, if any was."""
    row = conn.execute(
        f"SELECT error, min(not_before) FROM pending_killmails WHERE {PUT_OFF}"
    ).fetchone()
    return None if row is None else row[0]
