"""Which archives were read to their end, and for whom."""

import sqlite3

import msgspec

from killsync.model import Origin
from killsync.store.connection import snapshot
from killsync.times import iso

FILE = "file:"
"""How the version of an archive begins that was read from a file."""
_FETCHED = f"version NOT GLOB '{FILE}*'"


class Archive(msgspec.Struct, frozen=True):
    """An archive that was read: `name` is its day, `version` its ETag, or `file:` with its state.

    A file and what is fetched may be of one day, and so may several files. The state of a file
    is its size and time of change.

    `killmails` counts all that it holds, of whomever.
    """

    source: Origin
    name: str
    version: str
    everything: bool
    users_added: int
    killmails: int


def users_added(conn: sqlite3.Connection) -> int:
    """Return how many users were ever added, which says whether an archive was read for all."""
    row = conn.execute("SELECT value FROM facts WHERE name = 'users_added'").fetchone()
    return int(row[0])


def is_counter_wrong(conn: sqlite3.Connection) -> bool:
    """Return whether the count of users added is lost, or behind what an archive was read with."""
    row = conn.execute(
        """SELECT 1 FROM facts WHERE name = 'users_added' AND typeof(value) = 'integer'
        AND value >= (SELECT coalesce(max(users_added), 0) FROM imports)"""
    )
    return row.fetchone() is None


def repair_counter(conn: sqlite3.Connection) -> None:
    """Count on above everything in use, so that every archive is read again."""
    conn.execute(
        """INSERT OR REPLACE INTO facts
        SELECT 'users_added', coalesce(max(users_added), 0) + 1 FROM imports"""
    )


def registered(conn: sqlite3.Connection) -> tuple[int, set[int]]:
    """Return how many users were ever added, and who is registered then, disabled ones too."""
    with snapshot(conn):
        ours = {user_id for (user_id,) in conn.execute("SELECT user_id FROM users")}
        return users_added(conn), ours


def look_again(conn: sqlite3.Connection) -> None:
    """Have archives read again that were read only for those who are users already."""
    conn.execute("UPDATE facts SET value = value + 1 WHERE name = 'users_added'")


def forget_for_everybody(conn: sqlite3.Connection) -> None:
    """Have archives read again that were read for everybody: some of it may have been deleted.

    Who is registered again has every archive read that was read for users only.
    """
    conn.execute("DELETE FROM imports WHERE source = 'everef' AND everything")


def is_read(conn: sqlite3.Connection, archive: Archive) -> bool:
    """Return whether this version of an archive was read for all for whom it is wanted now."""
    row = conn.execute(
        """SELECT 1 FROM imports WHERE source = ? AND name = ? AND version = ?
        AND (everything OR (NOT ? AND users_added = ?))""",
        [
            archive.source,
            archive.name,
            archive.version,
            archive.everything,
            archive.users_added,
        ],
    )
    return row.fetchone() is not None


def version_fetched(
    conn: sqlite3.Connection, source: Origin, name: str, *, everything: bool, users_added: int
) -> str | None:
    """Return which version was fetched and read for all for whom it is wanted now, if any was."""
    row = conn.execute(
        f"""SELECT version FROM imports WHERE source = ? AND name = ? AND {_FETCHED}
        AND (everything OR (NOT ? AND users_added = ?))""",
        [source, name, everything, users_added],
    ).fetchone()
    return None if row is None else str(row[0])


def record(conn: sqlite3.Connection, archive: Archive, now: float) -> None:
    """Record that an archive was read to its end, in the transaction of its last killmails.

    What was fetched takes the place of what was fetched of that day before.
    """
    if not archive.version.startswith(FILE):
        conn.execute(
            f"DELETE FROM imports WHERE source = ? AND name = ? AND version <> ? AND {_FETCHED}",
            [archive.source, archive.name, archive.version],
        )
    conn.execute(
        """INSERT INTO imports VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        everything = max(everything, excluded.everything), users_added = excluded.users_added,
        killmails = excluded.killmails, read_at = excluded.read_at""",
        [*msgspec.structs.astuple(archive), iso(now)],
    )
