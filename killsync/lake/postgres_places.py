"""How far each source is fed: rows of `places`, which only whoever holds the schema changes."""

from typing import LiteralString

import msgspec

from killsync.errors import UsageError
from killsync.lake.postgres import Conn
from killsync.store.changes import Place

_HOLD: LiteralString = "SELECT version FROM killsync_schema FOR UPDATE"
_NEW: LiteralString = """
INSERT INTO places (source, with_hash, lineage, rewritten_seq) VALUES (%s, %s, %s, %s)
ON CONFLICT (source) DO NOTHING
"""
_READ: LiteralString = """
SELECT stored_seq, removed_seq, killmail_id, stored_at, with_hash, rewritten_seq,
    lineage, next_lineage, rewriting_after
FROM places WHERE source = %s
"""
_ADVANCE: LiteralString = """
UPDATE places SET stored_seq = %s, removed_seq = %s, killmail_id = %s, stored_at = %s
WHERE source = %s
"""
_WITH_HASH: LiteralString = """
UPDATE places SET with_hash = %s, lineage = NULL, next_lineage = NULL WHERE source = %s
"""
_BEGIN_WHOLE: LiteralString = """
UPDATE places SET lineage = NULL, next_lineage = %s, rewriting_after = 0, rewritten_seq = %s
WHERE source = %s
"""
_WHOLE_UP_TO: LiteralString = "UPDATE places SET rewriting_after = %s WHERE source = %s"
_END_WHOLE: LiteralString = """
UPDATE places SET lineage = next_lineage, next_lineage = NULL WHERE source = %s
"""
_REWRITTEN: LiteralString = "UPDATE places SET rewritten_seq = %s WHERE source = %s"
_FED: LiteralString = "UPDATE places SET fed_at = now() WHERE source = %s"


class Fed(msgspec.Struct, frozen=True):
    """The place of a source, and how far its columns that change later are brought.

    They are as they were up to `rewritten_seq`, in this `lineage` of the database. While all of
    them are brought again, as those of `next_lineage`, that is so up to the `stored_seq`
    `rewriting_after`.
    """

    place: Place
    with_hash: bool
    rewritten_seq: int
    lineage: int | None
    next_lineage: int | None
    rewriting_after: int


def hold(conn: Conn) -> None:
    """Hold the schema to the end of the transaction: one changes it at a time."""
    conn.execute(_HOLD)


def begin(conn: Conn, source: str, lineage: int, rewritten_seq: int, *, with_hash: bool) -> None:
    """Make the place of a source that is new, whose columns are fed as they are by now."""
    conn.execute(_NEW, [source, with_hash, lineage, rewritten_seq])


def read(conn: Conn, source: str) -> Fed:
    """Return the place of a source."""
    row = conn.execute(_READ, [source]).fetchone()
    if row is None:
        raise UsageError(f"the place of the source {source} was deleted while it was fed")
    stored_seq, removed_seq, killmail_id, stored_at, *rest = row
    return Fed(Place(stored_seq, removed_seq, killmail_id, stored_at), *rest)


def advance(conn: Conn, source: str, place: Place) -> None:
    """Record how far a source is fed."""
    conn.execute(_ADVANCE, [*msgspec.structs.astuple(place), source])


def set_with_hash(conn: Conn, source: str, *, with_hash: bool) -> None:
    """Record that hashes are fed from now on, or not; those of before are to be rewritten."""
    conn.execute(_WITH_HASH, [with_hash, source])


def begin_whole(conn: Conn, source: str, lineage: int, rewritten_seq: int) -> None:
    """Record that all of the columns that change are brought again, as they are by now."""
    conn.execute(_BEGIN_WHOLE, [lineage, rewritten_seq, source])


def set_whole(conn: Conn, source: str, after: int) -> None:
    """Record up to which `stored_seq` they are."""
    conn.execute(_WHOLE_UP_TO, [after, source])


def end_whole(conn: Conn, source: str) -> None:
    """Record that all of them are."""
    conn.execute(_END_WHOLE, [source])


def set_rewritten(conn: Conn, source: str, rewritten_seq: int) -> None:
    """Record up to where what was written again is brought."""
    conn.execute(_REWRITTEN, [rewritten_seq, source])


def end(conn: Conn, source: str) -> None:
    """Record that a source is fed with everything, now."""
    conn.execute(_FED, [source])
