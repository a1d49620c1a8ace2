"""Single facts that runs remember, each under its name in the table `facts`."""

import math
import sqlite3
from typing import Any, Literal

import msgspec

from killsync.errors import DatabaseError
from killsync.times import iso, iso_after, unix

_STORED_SEQ = "stored_seq"
_BODIES_FAIL_SINCE = "bodies_fail_since"
_ALERTED_AT = "alerted_at"
_ALERT_GREW_AT = "alert_grew_at"
_PRICES_NOT_BEFORE = "prices_not_before"
_NAMES_NOT_BEFORE = "names_not_before"
_ZKB_NOT_BEFORE = "zkb_not_before_ms"
_VALUES_BELOW = "values_below"
_FAILURE, _FAILING_SINCE = "{}_failure", "{}_failing_since"
_ALERTED_OF = "alerted_of"
_LINEAGE = "lineage"
_GAME_DATA = "game_data"
_GAME_DATA_RELEASED_AT = "game_data_released_at"
_GAME_DATA_ROWS = "game_data_rows"


Fetched = Literal["names", "prices"]


class Failure(msgspec.Struct, frozen=True):
    """Why something cannot be had, and since when, as ISO text."""

    reason: str
    since: str


def last_stored_seq(conn: sqlite3.Connection) -> int:
    """Return the number of the killmail that was stored last: how many ever were.

    Raises DatabaseError if it is not there: to begin with 1 again would repeat numbers.
    """
    number = _get(conn, _STORED_SEQ)
    if not isinstance(number, int):
        raise DatabaseError(
            "the number of the last killmail is missing from the database: `killsync check "
            "--repair` restores it"
        )
    return number


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
    if about is None:
        _set(conn, _ALERT_GREW_AT, None)


def alert_grew_at(conn: sqlite3.Connection) -> float | None:
    """Return when what is alerted was last about many more users than before, in unix seconds."""
    return _time(_get(conn, _ALERT_GREW_AT))


def set_alert_grew_at(conn: sqlite3.Connection, now: float) -> None:
    """Remember that what is alerted is about many more users than before."""
    _set(conn, _ALERT_GREW_AT, iso(now))


def game_data(conn: sqlite3.Connection) -> tuple[int, str] | None:
    """Return which build of the game data is loaded and when it was released; None: none is."""
    build = _get(conn, _GAME_DATA)
    if not isinstance(build, int):
        return None
    return build, str(_get(conn, _GAME_DATA_RELEASED_AT) or "")


def game_data_rows(conn: sqlite3.Connection) -> int | None:
    """Return how many rows of game data there were once they were loaded; None: none are."""
    rows = _get(conn, _GAME_DATA_ROWS)
    return rows if isinstance(rows, int) else None


def set_game_data(conn: sqlite3.Connection, build: int, released_at: str, rows: int) -> None:
    """Remember which build is loaded, when it was released, and how many rows there are then."""
    _set(conn, _GAME_DATA, build)
    _set(conn, _GAME_DATA_RELEASED_AT, released_at)
    _set(conn, _GAME_DATA_ROWS, rows)


def forget_game_data(conn: sqlite3.Connection) -> None:
    """Forget that game data are loaded."""
    for name in (_GAME_DATA, _GAME_DATA_RELEASED_AT, _GAME_DATA_ROWS):
        _set(conn, name, None)


def prices_not_before(conn: sqlite3.Connection) -> float | None:
    """Return when prices may be asked for again, in unix seconds; None: at once."""
    return _time(_get(conn, _PRICES_NOT_BEFORE))


def set_prices_not_before(conn: sqlite3.Connection, until: float | None) -> None:
    """Remember when prices may be asked for again; None: at once."""
    _set(conn, _PRICES_NOT_BEFORE, None if until is None else iso_after(until))


def names_not_before(conn: sqlite3.Connection) -> float | None:
    """Return until when no scan starts for names alone, in unix seconds; None: one may."""
    return _time(_get(conn, _NAMES_NOT_BEFORE))


def set_names_not_before(conn: sqlite3.Connection, until: float | None) -> None:
    """Remember until when no scan starts for names alone; None: one may."""
    _set(conn, _NAMES_NOT_BEFORE, None if until is None else iso_after(until))


def zkb_not_before(conn: sqlite3.Connection) -> float | None:
    """Return when zKillboard may be asked again, in unix seconds; None: at once."""
    thousandths = _get(conn, _ZKB_NOT_BEFORE)
    return thousandths / 1000 if isinstance(thousandths, int) else None


def set_zkb_not_before(conn: sqlite3.Connection, until: float) -> None:
    """Remember when zKillboard may be asked again, to the next thousandth of a second."""
    _set(conn, _ZKB_NOT_BEFORE, math.ceil(until * 1000))


def failure(conn: sqlite3.Connection, of: Fetched) -> Failure | None:
    """Return why names or prices could not be had the last time; None: they could."""
    reason, since = _get(conn, _FAILURE.format(of)), _get(conn, _FAILING_SINCE.format(of))
    known = isinstance(reason, str) and _time(since) is not None
    return Failure(reason, since) if known else None


def set_failure(
    conn: sqlite3.Connection, of: Fetched, reason: str | None, now: float = 0.0
) -> None:
    """Remember why they could not be had, and since when; None: they could."""
    known = failure(conn, of)
    if reason is None and known is None:
        return
    since = None if reason is None else known.since if known else iso(now)
    _set(conn, _FAILURE.format(of), reason)
    _set(conn, _FAILING_SINCE.format(of), since)


def values_below(conn: sqlite3.Connection) -> int | None:
    """Return below which id stored killmails are still to be valued, after an upgrade."""
    below = _get(conn, _VALUES_BELOW)
    return below if isinstance(below, int) else None


def set_values_below(conn: sqlite3.Connection, below: int | None) -> None:
    """Remember below which id stored killmails are still to be valued; None: all are."""
    _set(conn, _VALUES_BELOW, below)


def lineage(conn: sqlite3.Connection) -> int:
    """Return a number that differs once a database was put back to what it was before."""
    number = _get(conn, _LINEAGE)
    return number if isinstance(number, int) else 0


def begin_lineage(conn: sqlite3.Connection) -> None:
    """Tell a copy that is put back from the database that it replaces; of any version.

    What was written again in that one since is not noted in the copy.
    """
    conn.execute("INSERT OR REPLACE INTO facts VALUES (?, random())", [_LINEAGE])


def _get(conn: sqlite3.Connection, name: str) -> Any:
    row = conn.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
    return None if row is None else row[0]


def _set(conn: sqlite3.Connection, name: str, value: str | int | None) -> None:
    if value is None:
        conn.execute("DELETE FROM facts WHERE name = ?", [name])
    else:
        conn.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])


def _time(value: Any) -> float | None:
    try:
        return unix(value) if isinstance(value, str) else None
    except ValueError:
        return None
