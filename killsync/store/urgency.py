"""In which order what is pending is fetched, and when what was put off is tried again."""

import sqlite3
from collections.abc import Sequence

import msgspec

from killsync.store.pending import PUT_OFF, listed_by
from killsync.times import iso, unix_or_none


class Urgency(msgspec.Struct, frozen=True):
    """How many bodies may be fetched that are equally urgent; they are the most urgent first.

    Those that `failed` before go last, whatever their priority.
    """

    failed: bool
    priority: int
    bodies: int


def ready_by_urgency(
    conn: sqlite3.Connection, user_ids: Sequence[int] | None = None
) -> list[Urgency]:
    """Return how many bodies may be fetched, the most urgent first: all, or these users'."""
    rows = conn.execute(
        f"""SELECT attempts > 0, priority, count(*) FROM pending_killmails
        WHERE not_before IS NULL{_own(user_ids)}
        GROUP BY attempts > 0, priority ORDER BY attempts > 0, priority DESC"""
    )
    return [Urgency(bool(failed), priority, number) for failed, priority, number in rows]


def ready_before(conn: sqlite3.Connection, user_ids: Sequence[int]) -> list[Urgency]:
    """Return how many bodies are fetched until the last of these users' is, theirs among them."""
    last = conn.execute(
        f"""SELECT attempts > 0, priority, killmail_id FROM pending_killmails
        WHERE not_before IS NULL{_own(user_ids)}
        ORDER BY attempts > 0 DESC, priority, killmail_id LIMIT 1"""
    ).fetchone()
    if last is None:
        return []
    rows = conn.execute(
        """SELECT attempts > 0, priority, count(*) FROM pending_killmails
        WHERE not_before IS NULL AND (attempts > 0, -priority, -killmail_id) <= (?, ?, ?)
        GROUP BY attempts > 0, priority ORDER BY attempts > 0, priority DESC""",
        [last[0], -last[1], -last[2]],
    )
    return [Urgency(bool(failed), priority, number) for failed, priority, number in rows]


def put_off_until(
    conn: sqlite3.Connection, moment: float, user_ids: Sequence[int] | None = None
) -> tuple[int, float | None]:
    """Return how many bodies were put off until a moment at most, and when the last is tried."""
    number, last = conn.execute(
        f"""SELECT count(*), max(not_before) FROM pending_killmails
        WHERE {PUT_OFF} AND not_before <= ?{_own(user_ids)}""",
        [iso(moment)],
    ).fetchone()
    return int(number), unix_or_none(last)


def _own(user_ids: Sequence[int] | None) -> str:
    """Return a condition for what ESI lists of these users; None: no condition."""
    return "" if user_ids is None else f" AND origin = 'esi'{listed_by(user_ids)}"
