"""What was spent of ESI's rate limits, kept from run to run."""

import json
import sqlite3
from collections.abc import Iterable

from killsync.esi.ratelimit import Bucket

_COLUMNS = '"group", "key", "limit", window_s, spent, retry_at, long_rests'


def load(conn: sqlite3.Connection, group: str, key: str) -> list[Bucket]:
    """Return the bucket as an earlier run left it, or an empty list."""
    rows = conn.execute(
        f'SELECT {_COLUMNS} FROM rate_limits WHERE "group" = ? AND "key" = ?', [group, key]
    )
    return [_bucket(row) for row in rows]


def load_shared(conn: sqlite3.Connection) -> list[Bucket]:
    """Return the buckets that belong to no single character."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM rate_limits"
        " WHERE \"group\" IN ('killmail', 'error-limit', 'sso', 'status', 'public')"
    )
    return [_bucket(row) for row in rows]


def everything(conn: sqlite3.Connection) -> list[Bucket]:
    """Return all buckets."""
    rows = conn.execute(f'SELECT {_COLUMNS} FROM rate_limits ORDER BY "group", "key"')
    return [_bucket(row) for row in rows]


def save(conn: sqlite3.Connection, buckets: Iterable[Bucket]) -> None:
    """Keep buckets for later runs."""
    conn.executemany(
        f"INSERT OR REPLACE INTO rate_limits ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            [b.group, b.key, b.limit, b.window, json.dumps(b.spent), b.retry_at, b.long_rests]
            for b in buckets
        ],
    )


def _bucket(row: tuple[str, str, int, float, str, float | None, int]) -> Bucket:
    group, key, limit, window, spent, retry_at, long_rests = row
    entries = [(float(then), int(tokens)) for then, tokens in json.loads(spent)]
    return Bucket(group, key, limit, window, entries, retry_at, long_rests)
