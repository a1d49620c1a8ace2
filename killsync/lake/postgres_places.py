"""How far each source is fed: rows of `places`, which only whoever holds the schema changes."""

from typing import LiteralString

import msgspec

from killsync.errors import UsageError
from killsync.lake.postgres import Conn
from killsync.store.changes import Place

_HOLD: LiteralString = "SELECT version FROM killsync_schema FOR UPDATE"
_NEW: LiteralString = """
INSERT INTO places (source, with_hash, rewritten) VALUES (%s, %s, %s)
ON CONFLICT (source) DO NOTHING
"""
_READ: LiteralString = """
SELECT stored_seq, removed_seq, killmail_id, stored_at, with_hash, rewritten, rewriting,
    rewriting_after
FROM places WHERE source = %s
"""
_ADVANCE: LiteralString = """
UPDATE places SET stored_seq = %s, removed_seq = %s, killmail_id = %s, stored_at = %s
WHERE source = %s
"""
_WITH_HASH: LiteralString = """
UPDATE places SET with_hash = %s, rewritten = NULL, rewriting = NULL WHERE source = %s
"""
_REWRITING: LiteralString = """
UPDATE places SET rewriting = %s, rewriting_after = %s WHERE source = %s
"""
_REWRITTEN: LiteralString = """
UPDATE places SET rewritten = %s, rewriting = NULL WHERE source = %s
"""
_FED: LiteralString = "UPDATE places SET fed_at = now() WHERE source = %s"


class Fed(msgspec.Struct, frozen=True):
    """The place of a source, and how far its columns that change later are brought.

    Those are as in the state `rewritten`; up to the `stored_seq` `rewriting_after` they are as in
    the state `rewriting`. None: of no state that is known.
    """

    place: Place
    with_hash: bool
    rewritten: int | None
    rewriting: int | None
    rewriting_after: int


def hold(conn: Conn) -> None:
    """Hold the schema to the end of the transaction: one changes it at a time."""
    conn.execute(_HOLD)


def begin(conn: Conn, source: str, state: int, *, with_hash: bool) -> None:
    """Make the place of a source that is new; `state` is that of the columns that change."""
    conn.execute(_NEW, [source, with_hash, state])


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


def set_rewriting(conn: Conn, source: str, state: int, after: int) -> None:
    """Record up to which `stored_seq` the columns that change are as in a state."""
    conn.execute(_REWRITING, [state, after, source])


def end_rewriting(conn: Conn, source: str, state: int) -> None:
    """Record that all of the columns that change are as in a state."""
    conn.execute(_REWRITTEN, [state, source])


def end(conn: Conn, source: str) -> None:
    """Record that a source is fed with everything, now."""
    conn.execute(_FED, [source])
