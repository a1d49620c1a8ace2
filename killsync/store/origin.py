"""Which ESI and SSO a database belongs to, so that no token is sent to another."""

import sqlite3
from urllib.parse import urlsplit

from killsync.errors import DatabaseError
from killsync.settings.config import ENVIRONMENT_PREFIX, CheckedSettings, Source

_KEYS = ("sso_url", "esi_url")


def check(conn: sqlite3.Connection, found: CheckedSettings) -> None:
    """Raise DatabaseError if the database has been used with another ESI or SSO.

    Its text ends with what to do, after a colon.
    """
    for key in _KEYS:
        row = conn.execute("SELECT value FROM facts WHERE name = ?", [key]).fetchone()
        host = _host(getattr(found.settings, key))
        if row is not None and row[0] != host:
            raise DatabaseError(
                f"this database belongs to {row[0]}; {_where(key, host, found)}, "
                "or name another database with --db"
            )


def bind(conn: sqlite3.Connection, sso_url: str, esi_url: str) -> None:
    """Bind the database to the ESI and SSO of its first use.

    Raises DatabaseError if another process has bound it to others since `check`.
    """
    for key, url in zip(_KEYS, (sso_url, esi_url), strict=True):
        host = _host(url)
        conn.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", [key, host])
        (known,) = conn.execute("SELECT value FROM facts WHERE name = ?", [key]).fetchone()
        if known != host:
            raise DatabaseError(
                f"this database has just been bound to {known}, and {host} was asked: "
                "name another database with --db"
            )


def _where(key: str, host: str, found: CheckedSettings) -> str:
    """Return where another host comes from, and what to do there."""
    variable = ENVIRONMENT_PREFIX + key.upper()
    match found.origins.get(key):
        case Source.ENVIRONMENT:
            return f"{variable} says {host}: unset it"
        case Source.FILE:
            return f"{key} in {found.file} says {host}: correct it there"
        case Source.COMMAND_LINE:
            return f"the command line says {host}: leave that away"
    return f"{key} is not set, so that {host} is asked: set it in {found.file} or as {variable}"


def _host(url: str) -> str:
    # a simulator's port differs from start to start
    return urlsplit(url).hostname or url
