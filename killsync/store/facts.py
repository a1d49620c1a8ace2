"""Single facts that runs remember, each under its name in the table `facts`."""

import sqlite3
from typing import Any

from killsync.times import iso, unix

_REFUSED_SINCE = "refused_since"
_BODIES_FAIL_SINCE = "bodies_fail_since"
_ALERTED_AT = "alerted_at"
_ALERTED_OF = "alerted_of"


def refused_since(conn: sqlite3.Connection) -> float | None:
    """Return since when every refresh of a token is refused, in unix seconds, if that is so."""
    return _time(_get(conn, _REFUSED_SINCE))


def set_refused_since(conn: sqlite3.Connection, since: float | None) -> None:
    """Remember since when every refresh is refused; None: one has succeeded."""
    _set(conn, _REFUSED_SINCE, None if since is None else iso(since))


def bodies_fail_since(conn: sqlite3.Connection) -> float | None:
    """Return since when no body could be had, in unix seconds, if that is so."""
    return _time(_get(conn, _BODIES_FAIL_SINCE))


def set_bodies_fail_since(conn: sqlite3.Connection, since: float | None) -> None:
    """Remember since when no body could be had; None: one could."""
    _set(conn, _BODIES_FAIL_SINCE, None if since is None else iso(since))


def last_alert(conn: sqlite3.Connection) -> tuple[str, float] | None:
    """Return what was last alerted and when, in unix seconds; None if all has been well since."""
    about, at = _get(conn, _ALERTED_OF), _time(_get(conn, _ALERTED_AT))
    return None if at is None else (str(about), at)


def set_last_alert(conn: sqlite3.Connection, about: str | None, now: float) -> None:
    """Remember what was alerted now; None: all is well."""
    _set(conn, _ALERTED_OF, about)
    _set(conn, _ALERTED_AT, None if about is None else iso(now))


def _get(conn: sqlite3.Connection, name: str) -> Any:
    row = conn.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
    return None if row is None else row[0]


def _set(conn: sqlite3.Connection, name: str, value: str | None) -> None:
    if value is None:
        conn.execute("DELETE FROM facts WHERE name = ?", [name])
    else:
        conn.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])


def _time(value: Any) -> float | None:
    try:
        return unix(value) if isinstance(value, str) else None
    except ValueError:
        return None
