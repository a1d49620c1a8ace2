"""The change feed: which killmails were stored and deleted since a place in it.

`killmails.stored_seq` rises by one with each killmail that is stored, and is never reused;
`removed_killmails.removed_seq` does with each that is deleted. Whoever reads both in order and
remembers how far it came has each exactly once, late arrivals included. What is written again of
a stored killmail, values or a hash that ESI has confirmed, is in `rewritten_killmails`.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

_BATCH = 1_000
_LAST_STORED = """
SELECT stored_seq, killmail_id, stored_at FROM killmails ORDER BY stored_seq DESC LIMIT 1
"""
_REMOVED_THEN = "SELECT 1 FROM removed_killmails WHERE removed_seq = ?"
_LAST_REMOVED = "SELECT max(removed_seq) FROM removed_killmails"
_STILL_STORED = "SELECT 1 FROM killmails WHERE stored_seq = ? AND killmail_id = ? AND stored_at = ?"
_ONCE_STORED = """
SELECT 1 FROM removed_killmails WHERE stored_seq = ? AND killmail_id = ? AND stored_at = ?
"""
_REMOVED = """
SELECT removed_seq, killmail_id, stored_seq, stored_at, removed_at FROM removed_killmails
WHERE removed_seq > ? AND removed_seq <= ? ORDER BY removed_seq LIMIT ?
"""
_NOTE = "INSERT OR REPLACE INTO rewritten_killmails (killmail_id) VALUES (?)"
# the highest that was given, also if that killmail is deleted
_LAST_REWRITTEN = "SELECT seq FROM sqlite_sequence WHERE name = 'rewritten_killmails'"
_REWRITTEN = """
SELECT rewritten_seq, killmail_id FROM rewritten_killmails
WHERE rewritten_seq > ? ORDER BY rewritten_seq LIMIT ?
"""

QUERIES = (
    _LAST_STORED,
    _LAST_REMOVED,
    _REMOVED_THEN,
    _STILL_STORED,
    _ONCE_STORED,
    _REMOVED,
    _REWRITTEN,
)
"""All that is asked here, so that a test can see that each uses an index."""


class Place(msgspec.Struct, frozen=True):
    """How far somebody has read: up to this `stored_seq`, and up to this `removed_seq`.

    `killmail_id` and `stored_at`, ISO text, are those of the killmail of that `stored_seq`; they
    tell whether a database is the one that was read. Of a place at the beginning all are 0 and "".
    """

    stored_seq: int = 0
    removed_seq: int = 0
    killmail_id: int = 0
    stored_at: str = ""


class Removed(msgspec.Struct, frozen=True):
    """A killmail that was deleted; times are ISO text."""

    removed_seq: int
    killmail_id: int
    stored_seq: int
    stored_at: str
    removed_at: str


def last_place(conn: sqlite3.Connection) -> Place:
    """Return the place behind everything that is stored now; the caller holds a snapshot."""
    seq, killmail_id, stored_at = conn.execute(_LAST_STORED).fetchone() or (0, 0, "")
    removed = conn.execute(_LAST_REMOVED).fetchone()[0] or 0
    return Place(seq, removed, killmail_id, stored_at)


def goes_on_from(conn: sqlite3.Connection, place: Place) -> bool:
    """Return whether a place is one of this database's, and not of another's or a lost future.

    A database that was restored from before the place was reached has no killmail of its number,
    or another one, or no deletion of its number: a restore never gives a number again.
    """
    if place.removed_seq and not conn.execute(_REMOVED_THEN, [place.removed_seq]).fetchone():
        return False
    known = (place.stored_seq, place.killmail_id, place.stored_at)
    return place.stored_seq == 0 or any(
        conn.execute(sql, known).fetchone() for sql in (_STILL_STORED, _ONCE_STORED)
    )


def removed(conn: sqlite3.Connection, after: int, until: int) -> Iterator[list[Removed]]:
    """Yield batches of what was deleted, by `removed_seq` above `after` up to `until`."""
    while True:
        batch = [Removed(*row) for row in conn.execute(_REMOVED, (after, until, _BATCH))]
        if not batch:
            return
        yield batch
        after = batch[-1].removed_seq


def note_rewritten(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Record that stored killmails were written again; the caller holds that transaction."""
    conn.executemany(_NOTE, [(killmail_id,) for killmail_id in killmail_ids])


def last_rewritten(conn: sqlite3.Connection) -> int:
    """Return the highest `rewritten_seq` that was ever given."""
    row = conn.execute(_LAST_REWRITTEN).fetchone()
    return 0 if row is None else int(row[0])


def rewritten(conn: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, int]]:
    """Return the next `rewritten_seq` above `after`, each with the id of its killmail."""
    return conn.execute(_REWRITTEN, (after, limit)).fetchall()
