"""What the database holds, read for `check`, in snapshots, and never changed."""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from killsync.model import LARGEST_ID, Priority
from killsync.store.connection import snapshot
from killsync.store.verify_bodies import IMPOSSIBLE_SEQ

_STEPS_BETWEEN_LOOKS = 20_000
_MOST_LINES = 50

# what integrity_check says of a value that SQLite can read, but that the schema does not allow
_CONTENT = re.compile(r"(CHECK constraint failed in|NULL value in|non-|(TEXT|NUMERIC) value in)")

BAD_HASH = "length(killmail_hash) <> 40 OR killmail_hash GLOB '*[^0-9a-fA-F]*'"
UNLISTED = f"""priority <> {int(Priority.KEPT)} AND NOT EXISTS (SELECT 1 FROM user_killmails
    WHERE user_killmails.killmail_id = pending_killmails.killmail_id)"""
STORED = """EXISTS (SELECT 1 FROM killmails
    WHERE killmails.killmail_id = pending_killmails.killmail_id)"""
# of the change feed, by the killmails that have them and those that had them
NUMBERS = "SELECT stored_seq FROM killmails UNION ALL SELECT stored_seq FROM removed_killmails"

_LISTED = """
SELECT count(*), count(killmails.killmail_id), count(pending_killmails.killmail_id),
    count(pending_killmails.set_aside_at),
    count(iif(coalesce(killmails.killmail_id, pending_killmails.killmail_id) IS NULL, 1, NULL)),
    min(iif(coalesce(killmails.killmail_id, pending_killmails.killmail_id) IS NULL,
        user_killmails.killmail_id, NULL)),
    min(iif(killmails.killmail_id IS NULL AND user_killmails.killmail_id <= :top,
        user_killmails.killmail_id, NULL)),
    max(iif(killmails.killmail_id IS NULL AND user_killmails.killmail_id <= :top,
        user_killmails.killmail_id, NULL))
FROM user_killmails
LEFT JOIN killmails ON killmails.killmail_id = user_killmails.killmail_id
LEFT JOIN pending_killmails ON pending_killmails.killmail_id = user_killmails.killmail_id
WHERE user_id = :user AND listed
"""
_IS_RECORDED = "SELECT 1 FROM user_killmails WHERE user_id = ? AND killmail_id = ? AND listed"
_OLDEST = """
SELECT killmails.killmail_time FROM user_killmails
CROSS JOIN killmails ON killmails.killmail_id = user_killmails.killmail_id
WHERE user_id = ? AND listed ORDER BY user_killmails.killmail_id LIMIT 1
"""
_TIME_BELOW = """
SELECT killmails.killmail_time FROM user_killmails
CROSS JOIN killmails ON killmails.killmail_id = user_killmails.killmail_id
WHERE user_id = ? AND listed AND user_killmails.killmail_id < ?
ORDER BY user_killmails.killmail_id DESC LIMIT 1
"""
_TIME_ABOVE = """
SELECT killmails.killmail_time FROM user_killmails
CROSS JOIN killmails ON killmails.killmail_id = user_killmails.killmail_id
WHERE user_id = ? AND listed AND user_killmails.killmail_id BETWEEN ? + 1 AND ?
ORDER BY user_killmails.killmail_id LIMIT 1
"""


class Recorded(msgspec.Struct, frozen=True):
    """A user's row, and what the tables hold of the list, all of one moment.

    `lost` counts what is neither stored nor pending, and `first_lost` is the lowest of it;
    `oldest` and `until_time` are times of killmails. If something listed is not stored, at or
    below the end of an open gap if that has one, `below_missing` and `above_missing` are the
    times of the stored killmails next to all of that, None where there is none.
    """

    row: dict[str, Any]
    listed: int
    stored: int
    pending: int
    set_aside: int
    lost: int
    first_lost: int | None
    has_stored_id: bool
    has_until_id: bool
    oldest: str | None
    until_time: str | None
    lowest_missing: int | None
    below_missing: str | None
    above_missing: str | None


class Feed(msgspec.Struct, frozen=True):
    """The counter of the change feed as it is stored, and the numbers that killmails have.

    `highest` is the highest number that one has or, if it was deleted, had.
    """

    counter: Any
    highest: int
    used: int


class SchemaChange(msgspec.Struct, frozen=True):
    """A table, index or view that is not as it was made, and what bears its name `instead`.

    That is of the same kind if it was altered; None: nothing bears the name.
    """

    kind: str
    name: str
    instead: str | None


def prepare(conn: sqlite3.Connection, stopped: Callable[[], bool]) -> None:
    """Make long queries end when `stopped` says so, and text readable that is not UTF-8."""
    conn.set_progress_handler(stopped, _STEPS_BETWEEN_LOOKS)
    conn.text_factory = lambda raw: raw.decode(errors="surrogateescape")


def integrity(conn: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """Return what SQLite finds wrong: with the file's structure, and with single values.

    The only check that must see the whole file at one moment: what a run writes meanwhile
    stays in the WAL.
    """
    lines = [text for (text,) in conn.execute(f"PRAGMA integrity_check({_MOST_LINES})")]
    found = [line for text in lines if text != "ok" for line in text.splitlines()]
    content = [line for line in found if _CONTENT.match(line)]
    return [line for line in found if line not in content], content


def schema_changes(conn: sqlite3.Connection) -> list[SchemaChange]:
    """Return what is missing of killsync's tables, indexes and views, or is not as it was made."""
    there = _made(conn)
    # SQLite's names are the same in any case
    kinds = {name.lower(): kind for name, (kind, _) in there.items()}
    return [
        SchemaChange(kind, name, kinds.get(name))
        for name, (kind, sql) in expected_schema().items()
        if there.get(name) != (kind, sql)
    ]


@cache
def expected_schema() -> Mapping[str, tuple[str, str]]:
    """Return killsync's own tables, indexes and views by name: which of them, and the SQL.

    Made once: what the migrations make depends on nothing but the program.
    """
    from sqlite_utils import Database

    from killsync.store.schema import migrations

    fresh = Database(memory=True)
    try:
        migrations.apply(fresh)
        return {n: v for n, v in _made(fresh.conn).items() if not n.startswith("_")}
    finally:
        fresh.conn.close()


def _made(conn: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    rows = conn.execute("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: (kind, sql) for name, kind, sql in rows}


def orphans(conn: sqlite3.Connection) -> dict[str, int]:
    """Return how many rows of which table have lost the row that they belong to."""
    lost: dict[str, int] = {}
    for table, *_ in conn.execute("PRAGMA foreign_key_check"):
        lost[table] = lost.get(table, 0) + 1
    return lost


def size(conn: sqlite3.Connection) -> int:
    """Return how many killmails are stored."""
    return int(conn.execute("SELECT count(*) FROM killmails").fetchone()[0])


def unlisted(conn: sqlite3.Connection) -> int:
    """Return how many stored killmails belong to no user: no list shows them, nobody takes part."""
    return int(
        conn.execute(
            """SELECT count(*) FROM killmails WHERE NOT EXISTS (SELECT 1 FROM user_killmails
            WHERE user_killmails.killmail_id = killmails.killmail_id)"""
        ).fetchone()[0]
    )


def feed(conn: sqlite3.Connection) -> Feed:
    """Return the change feed's counter and what of it is used, of one moment."""
    row = conn.execute(
        f"""SELECT (SELECT value FROM facts WHERE name = 'stored_seq'),
        (SELECT coalesce(max(stored_seq), 0) FROM ({NUMBERS}) WHERE stored_seq < {IMPOSSIBLE_SEQ}),
        (SELECT count(*) FROM killmails WHERE stored_seq < {IMPOSSIBLE_SEQ})"""
    ).fetchone()
    return Feed(*row)


def user_ids(conn: sqlite3.Connection) -> list[int]:
    """Return all users."""
    rows = conn.execute("SELECT user_id FROM users ORDER BY name COLLATE NOCASE, user_id")
    return [user_id for (user_id,) in rows]


def recorded(conn: sqlite3.Connection, user_id: int) -> Recorded | None:
    """Return what is recorded for a user, None if it has been removed meanwhile."""
    with snapshot(conn):
        cursor = conn.execute("SELECT * FROM users WHERE user_id = ?", [user_id])
        names = [column[0] for column in cursor.description]
        found = cursor.fetchone()
        if found is None:
            return None
        row = dict(zip(names, found, strict=True))
        until = row["backfill_until_id"]
        top = LARGEST_ID if until is None else until
        listed, stored, pending, aside, lost, first, lowest, highest = conn.execute(
            _LISTED, {"user": user_id, "top": top}
        ).fetchone()
        return Recorded(
            row,
            *(listed, stored, pending, aside, lost, first),
            has_stored_id=_one(conn, _IS_RECORDED, user_id, row["last_killmail_id"]) is not None,
            has_until_id=_one(conn, _IS_RECORDED, user_id, until) is not None,
            oldest=_one(conn, _OLDEST, user_id),
            until_time=_one(
                conn, "SELECT killmail_time FROM killmails WHERE killmail_id = ?", until
            ),
            lowest_missing=lowest,
            below_missing=_one(conn, _TIME_BELOW, user_id, lowest),
            above_missing=_one(conn, _TIME_ABOVE, user_id, highest, top),
        )


def _one(conn: sqlite3.Connection, sql: str, *parameters: Any) -> Any:
    row = conn.execute(sql, parameters).fetchone()
    return None if row is None else row[0]


def pending_where(conn: sqlite3.Connection, condition: str) -> tuple[int, int | None]:
    """Return how many pending rows meet a condition, and the lowest id among them."""
    count, first = conn.execute(
        f"SELECT count(*), min(killmail_id) FROM pending_killmails WHERE {condition}"
    ).fetchone()
    return int(count), first


def running_jobs(conn: sqlite3.Connection) -> list[int]:
    """Return the users whose jobs are marked as running."""
    rows = conn.execute("SELECT user_id FROM jobs WHERE state = 'running' ORDER BY id")
    return [user_id for (user_id,) in rows]


def users_with_several_jobs(conn: sqlite3.Connection) -> list[int]:
    """Return the users who have more than one open job."""
    rows = conn.execute(
        """SELECT user_id FROM jobs WHERE state IN ('queued', 'running')
        GROUP BY user_id HAVING count(*) > 1"""
    )
    return [user_id for (user_id,) in rows]


def bad_limits(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return group and key of the rate limits whose spending cannot be read."""
    rows = conn.execute('SELECT "group", "key", spent FROM rate_limits')
    return [(group, key) for group, key, spent in rows if not _is_spending(spent)]


def _is_spending(text: str) -> bool:
    try:
        entries = json.loads(text)
        return all(isinstance(part, int | float) for then, n in entries for part in (then, n))
    except (ValueError, TypeError):
        return False
