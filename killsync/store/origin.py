"""Which ESI and SSO a database belongs to, so that no token is sent to another."""

import sqlite3
from urllib.parse import urlsplit

from killsync.errors import DatabaseError

_KEYS = ("sso_url", "esi_url")


def check(conn: sqlite3.Connection, sso_url: str, esi_url: str) -> None:
    """Raise DatabaseError if the database has been used with another ESI or SSO."""
    for key, url in zip(_KEYS, (sso_url, esi_url), strict=True):
        row = conn.execute("SELECT value FROM facts WHERE name = ?", [key]).fetchone()
        if row is not None and row[0] != _host(url):
            raise DatabaseError(
                f"this database belongs to {row[0]}; KILLSYNC_{key.upper()} says {_host(url)}: "
                "unset it, or name another database with --db"
            )


def remember(conn: sqlite3.Connection, sso_url: str, esi_url: str) -> None:
    """Bind the database to the ESI and SSO of its first use."""
    conn.executemany(
        "INSERT OR IGNORE INTO facts VALUES (?, ?)",
        list(zip(_KEYS, (_host(sso_url), _host(esi_url)), strict=True)),
    )


def _host(url: str) -> str:
    # a simulator's port differs from start to start
    return urlsplit(url).hostname or url
