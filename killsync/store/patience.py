"""Questions to the database that may be given up before they are answered."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any


def first_row(
    conn: sqlite3.Connection,
    sql: str,
    parameters: Mapping[str, object],
    *,
    gives_up: Callable[[], bool],
    instructions: int,
) -> Any | None:
    """Return the first row of the answer; None if that was given up.

    `gives_up` is asked each time that SQLite has carried out so many of its `instructions`.
    """
    conn.set_progress_handler(gives_up, instructions)
    try:
        return conn.execute(sql, parameters).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        conn.set_progress_handler(None, 0)
