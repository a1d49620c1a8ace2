"""Directors: the characters whose tokens read the lists of corporations."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from killsync.model import Director, Reader, UserKind, own_reader
from killsync.times import iso, iso_after, unix_or_none

_SELECT = """
SELECT corporation_id, character_id, name, asked_at, directors.refused_at, confirmed,
    directors.not_before, directors.error
FROM directors JOIN users ON users.user_id = directors.character_id
"""


def of_corporation(conn: sqlite3.Connection, corporation_id: int) -> list[Director]:
    """Return a corporation's directors, whoever was asked least recently first."""
    rows = conn.execute(
        f"{_SELECT} WHERE corporation_id = ? ORDER BY asked_at, character_id", [corporation_id]
    )
    return [_director(row) for row in rows]


def of_character(conn: sqlite3.Connection, character_id: int) -> list[Director]:
    """Return of which corporations a character is registered as a director."""
    rows = conn.execute(f"{_SELECT} WHERE character_id = ? ORDER BY corporation_id", [character_id])
    return [_director(row) for row in rows]


def add(conn: sqlite3.Connection, corporation_id: int, character_id: int) -> bool:
    """Register a director, or forget that a known one was refused; return if it is a new one.

    Both must be users.
    """
    known = conn.execute(
        "SELECT 1 FROM directors WHERE corporation_id = ? AND character_id = ?",
        [corporation_id, character_id],
    ).fetchone()
    conn.execute(
        """INSERT INTO directors (corporation_id, character_id) VALUES (?, ?)
        ON CONFLICT (corporation_id, character_id) DO UPDATE SET refused_at = NULL, confirmed = 0,
            not_before = NULL, error = NULL""",
        [corporation_id, character_id],
    )
    return known is None


def set_asked(conn: sqlite3.Connection, corporation_id: int, character_id: int, now: float) -> None:
    """Note that a director's token is about to be used: the other directors are asked before it."""
    conn.execute(
        "UPDATE directors SET asked_at = ? WHERE corporation_id = ? AND character_id = ?",
        [iso(now), corporation_id, character_id],
    )


def set_accepted(conn: sqlite3.Connection, corporation_id: int, character_id: int) -> None:
    """Record that ESI has given the list to a director."""
    conn.execute(
        """UPDATE directors SET refused_at = NULL, confirmed = 0, not_before = NULL, error = NULL
        WHERE corporation_id = ? AND character_id = ?""",
        [corporation_id, character_id],
    )


def set_refused(conn: sqlite3.Connection, director: Director) -> None:
    """Record what a refusal makes of a director."""
    conn.execute(
        """UPDATE directors SET refused_at = ?, confirmed = ?, not_before = ?, error = ?
        WHERE corporation_id = ? AND character_id = ?""",
        [
            None if director.refused_at is None else iso(director.refused_at),
            director.confirmed,
            None if director.not_before is None else iso_after(director.not_before),
            director.error,
            director.corporation_id,
            director.character_id,
        ],
    )


def ask_again(conn: sqlite3.Connection, corporation_ids: Iterable[int] | None, now: float) -> int:
    """Let directors be asked at once who are asked but once a day; of all corporations, or these.

    Return how many.
    """
    mine = (
        "" if corporation_ids is None else "AND corporation_id IN (SELECT value FROM json_each(?))"
    )
    given = [] if corporation_ids is None else [json.dumps(list(corporation_ids))]
    return conn.execute(
        f"UPDATE directors SET not_before = NULL WHERE not_before > ? {mine}", [iso(now), *given]
    ).rowcount


def token_renewed(conn: sqlite3.Connection, character_id: int, now: float) -> None:
    """Let a director who has logged in again be asked at once, and for whom it may read."""
    conn.execute("UPDATE directors SET not_before = NULL WHERE character_id = ?", [character_id])
    conn.execute(
        """UPDATE users SET not_before = ? WHERE state = 'needs_login' AND user_id IN (
            SELECT corporation_id FROM directors WHERE character_id = ?)""",
        [iso(now), character_id],
    )


def only_director_of(conn: sqlite3.Connection, character_id: int) -> list[str]:
    """Return the names of the corporations that have no director but this one."""
    rows = conn.execute(
        """SELECT users.name FROM directors JOIN users ON users.user_id = directors.corporation_id
        WHERE directors.character_id = :id AND NOT EXISTS (SELECT 1 FROM directors AS other
            WHERE other.corporation_id = directors.corporation_id AND other.character_id <> :id)
        ORDER BY users.user_id""",
        {"id": character_id},
    )
    return [name for (name,) in rows]


def readable(conn: sqlite3.Connection) -> set[int]:
    """Return the corporations of which a director was not refused when it was last asked."""
    rows = conn.execute(
        "SELECT DISTINCT corporation_id FROM directors WHERE refused_at IS NULL AND NOT confirmed"
    )
    return {corporation_id for (corporation_id,) in rows}


def last_readers(conn: sqlite3.Connection, user_ids: Iterable[int]) -> Iterator[Reader]:
    """Yield who has last read the lists of these users, or was about to.

    A character itself; of a corporation's directors whoever was asked last, or in the same second.
    """
    rows = conn.execute(
        """SELECT users.user_id, kind, character_id FROM users
        LEFT JOIN directors ON corporation_id = users.user_id AND asked_at = (
            SELECT max(asked_at) FROM directors WHERE corporation_id = users.user_id)
        WHERE users.user_id IN (SELECT value FROM json_each(?))""",
        [json.dumps(list(user_ids))],
    )
    for user_id, kind, director in rows.fetchall():
        if kind != UserKind.CORPORATION:
            yield own_reader(user_id)
        elif director is not None:
            yield Reader(user_id, UserKind.CORPORATION, director)


# there are few corporations, and each has its directors
_OTHER_CORPORATIONS = """
SELECT EXISTS (SELECT 1 FROM (SELECT DISTINCT corporation_id FROM directors)
    JOIN users ON users.user_id = corporation_id
    WHERE users.state = 'active' AND users.user_id <> ?"""


def is_only_corporation(conn: sqlite3.Connection, corporation_id: int) -> bool:
    """Return whether no other corporation is active that has directors."""
    return not conn.execute(f"{_OTHER_CORPORATIONS})", [corporation_id]).fetchone()[0]


def others_read_since(conn: sqlite3.Connection, corporation_id: int, moment: str) -> bool:
    """Return whether the list of another corporation was read since a time, in ISO text."""
    row = conn.execute(
        f"{_OTHER_CORPORATIONS} AND users.last_killmail_sync_at >= ?)", [corporation_id, moment]
    ).fetchone()
    return bool(row[0])


def _director(row: tuple[Any, ...]) -> Director:
    corporation, character, name, asked, refused, confirmed, not_before, error = row
    return Director(
        *(corporation, character, name, unix_or_none(asked), unix_or_none(refused)),
        confirmed=bool(confirmed),
        not_before=unix_or_none(not_before),
        error=error,
    )
