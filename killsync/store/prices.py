"""Market prices by type and day, kept only where they changed.

A type that ESI's list no longer shows keeps its last price: it may be traded again tomorrow, and
what was worth something yesterday is not worth nothing today.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing

from killsync.killmail.value import DEAREST
from killsync.model import TypePrice
from killsync.times import DAY, iso

# through the primary key: the last row up to the day
_LAST = "FROM prices WHERE type_id = {} AND day <= {} ORDER BY day DESC LIMIT 1"
_LISTED = "SELECT coalesce(nullif(average, 0), adjusted) AS market"
LISTED_PRICE = f"({_LISTED} {_LAST})"
"""What ESI's list said of a type up to a day, each an expression of SQL."""
# a price of zero is given for what is never traded
_TO_THE_CENT = f"iif({{0}} > 0 AND {{0}} <= {DEAREST}, nullif(round({{0}}, 2), 0), NULL)"
PRICE_OF_ROW = f"(SELECT {_TO_THE_CENT.format('market')} FROM ({_LISTED}))"
"""What a row of `prices` says that one is worth, in ISK to the cent; NULL: nothing."""
# rounded here alone, it is the same for all
MARKET_PRICE = f"(SELECT {_TO_THE_CENT.format('market')} FROM {LISTED_PRICE})"
"""The price of a type on a day, each an expression of SQL, in ISK to the cent; NULL: none."""
_PRICES_ON = f"SELECT value, {MARKET_PRICE.format('value', ':day')} FROM json_each(:ids)"
_ROUNDED = f"SELECT {_TO_THE_CENT.format(':price')}"
_LAST_ROW = f"SELECT average, adjusted {_LAST.format('?', '?')}"
# what a row of the day in question must not change; of a type that had no price, there is none
_OLD_ROW = f"""
INSERT OR IGNORE INTO prices
SELECT :type_id, :later, old.average, old.adjusted
FROM (SELECT 1) LEFT JOIN (SELECT average, adjusted {_LAST.format(":type_id", ":day")}) AS old
"""
_NEXT_DAY = "SELECT min(day) FROM price_days WHERE day > ?"
# min and max of a key are looked up, not searched for
_DAY_FOR = """
SELECT coalesce(
    (SELECT min(day) FROM price_days WHERE day BETWEEN :day AND :latest),
    (SELECT max(day) FROM price_days WHERE day <= :latest))
"""


def record(conn: sqlite3.Connection, day: str, prices: Sequence[TypePrice], now: float) -> int:
    """Keep the prices of a UTC day (`2026-11-24`), fetched at a time in unix seconds.

    The caller holds the transaction. Returns how many differ from the last before. A day that is
    there already is not changed, and a later one keeps the prices that it had: killmails have been
    valued by them.
    """
    if is_fetched(conn, day):
        return 0
    changed = [
        (price.type_id, day, price.average, price.adjusted)
        for price in prices
        if conn.execute(_LAST_ROW, (price.type_id, day)).fetchone()
        != (price.average, price.adjusted)
    ]
    # a clock that was ahead has written it
    (later,) = conn.execute(_NEXT_DAY, (day,)).fetchone()
    if later is not None:
        kept = [{"type_id": row[0], "day": day, "later": later} for row in changed]
        conn.executemany(_OLD_ROW, kept)
    conn.executemany("INSERT OR REPLACE INTO prices VALUES (?, ?, ?, ?)", changed)
    conn.execute("INSERT INTO price_days VALUES (?, ?)", (day, iso(now)))
    return len(changed)


def prices_on(conn: sqlite3.Connection, day: str, type_ids: Iterable[int]) -> dict[int, float]:
    """Return the prices that these types had on a day, in ISK to the cent, where there is one.

    That is the average price, or else the adjusted one.
    """
    found = conn.execute(_PRICES_ON, {"day": day, "ids": json.dumps(list(type_ids))})
    return {type_id: price for type_id, price in found if price is not None}


def to_the_cent(listed: Iterable[float]) -> list[float | None]:
    """Return what prices of ESI's list count for, as `prices_on` does; None: for nothing.

    Not every version of SQLite rounds alike: this one decides for those, too, that read by another.
    """
    with closing(sqlite3.connect(":memory:")) as conn:
        return [conn.execute(_ROUNDED, {"price": price}).fetchone()[0] for price in listed]


def day_for(conn: sqlite3.Connection, day: str, now: float) -> str | None:
    """Return the day whose prices count on a day; None if there are no prices at all.

    It is the day itself if its prices were fetched, else the nearest later day, else the nearest
    earlier one. A day after tomorrow was written by a clock that was wrong, and does not count.
    """
    asked = {"day": day, "latest": _latest(now)}
    found: str | None = conn.execute(_DAY_FOR, asked).fetchone()[0]
    return found


def is_fetched(conn: sqlite3.Connection, day: str) -> bool:
    """Return whether the prices of a day were fetched."""
    found = conn.execute("SELECT 1 FROM price_days WHERE day = ?", (day,))
    return found.fetchone() is not None


def any_fetched(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether there are prices of any day that counts."""
    found = conn.execute("SELECT 1 FROM price_days WHERE day <= ? LIMIT 1", (_latest(now),))
    return found.fetchone() is not None


def newest_day(conn: sqlite3.Connection, now: float) -> str | None:
    """Return the newest day that counts whose prices were fetched, None if there is none."""
    found = conn.execute("SELECT max(day) FROM price_days WHERE day <= ?", (_latest(now),))
    day: str | None = found.fetchone()[0]
    return day


def _latest(now: float) -> str:
    return iso(now + DAY).partition("T")[0]
