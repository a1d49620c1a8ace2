"""When a scan asks for prices, and whether it has values to fill in: by indexes, and lightly."""

import sqlite3

from killsync.esi.ratelimit import LONGEST_REST
from killsync.store import facts, prices, values
from killsync.times import has_passed, iso


def is_due(conn: sqlite3.Connection, now: float, *, asks: bool) -> bool:
    """Return whether a scan has values to fill in though no user is due.

    `asks` says whether prices may be asked for at all.
    """
    if values.any_to_fill(conn, now):
        return True
    return asks and values.any_waiting(conn) and may_ask_now(conn, now)


def may_ask_now(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether the prices of this day may be asked for, as far as the time goes."""
    is_fetched = prices.is_fetched(conn, day_of(now))
    return may_ask(now, is_fetched=is_fetched, not_before=facts.prices_not_before(conn))


def may_ask(now: float, *, is_fetched: bool, not_before: float | None) -> bool:
    """Return whether prices may be asked for again.

    A time to wait for that is further ahead than any rest was written by a wrong clock.
    """
    return not is_fetched and has_passed(not_before, now, LONGEST_REST)


def day_of(now: float) -> str:
    """Return the UTC day of a time, as ISO text."""
    return iso(now).partition("T")[0]
