"""The database read by Arrow's own driver: whole columns, several times as fast as row by row.

The driver has an SQLite of its own, and two of them in one process know nothing of each other's
locks on a file: where one closes it, the operating system takes those of the other, too. So all
connections of this process to the database must be closed while one of these is open.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import pyarrow as pa

# more rows than any query of ours has: the driver decides by the first batch what a column holds
_ALL_AT_ONCE = 1 << 30
_BUSY_TIMEOUT_MS = 60_000
# source: SQLite's sqlite3ErrStr; the driver gives its words, and no number
_CODES = {
    "database is locked": sqlite3.SQLITE_BUSY,
    "database disk image is malformed": sqlite3.SQLITE_CORRUPT,
    "file is not a database": sqlite3.SQLITE_NOTADB,
    "disk I/O error": sqlite3.SQLITE_IOERR,
    "database or disk is full": sqlite3.SQLITE_FULL,
    "unable to open database file": sqlite3.SQLITE_CANTOPEN,
    "failed to open": sqlite3.SQLITE_CANTOPEN,
}


class ArrowConnection:
    """A connection that only reads; its errors are those of Python's own SQLite."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _ALL_AT_ONCE})

    def read(self, sql: str, parameters: Sequence[Any], schema: Any) -> Any:
        """Return the rows of a query as a `pyarrow.Table` of a schema, in one piece.

        Text is looked at, since no engine reads what is not UTF-8. Raises sqlite3.Error.
        """
        with _sqlite_errors():
            self._cursor.execute(sql, parameters or None)
            found = self._cursor.fetch_arrow_table()
            return pa.table(
                [_cast(column, field) for column, field in zip(found.columns, schema, strict=True)],
                schema=schema,
            )

    def do(self, sql: str, *parameters: Any) -> None:
        """Execute what gives no rows, such as a change of a temporary table."""
        with _sqlite_errors():
            self._cursor.execute(sql, parameters or None)
            self._cursor.fetchall()

    def one(self, sql: str, *parameters: Any) -> Any:
        """Return the only value of the first row of a query; None if there is no row."""
        with _sqlite_errors():
            self._cursor.execute(sql, parameters or None)
            row = self._cursor.fetchone()
            return row and row[0]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Make several queries see one state, whatever others commit meanwhile."""
        try:
            yield
        finally:
            with _sqlite_errors():
                # the next query begins another
                self._cursor.connection.rollback()


@contextmanager
def connect(uri: str, setup: Sequence[str] = ()) -> Iterator[ArrowConnection]:
    """Yield a connection to a database by a URI as SQLite takes it. Raises sqlite3.Error.

    `setup` is what it executes first: temporary tables of its own.
    """
    with _sqlite_errors():
        opened = adbc_driver_sqlite.dbapi.connect(uri)
    with closing(opened) as conn, closing(conn.cursor()) as cursor:
        arrow = ArrowConnection(cursor)
        for sql in (f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}", *setup):
            arrow.do(sql)
        with _sqlite_errors():
            conn.commit()
        yield arrow


def _cast(column: Any, field: Any) -> Any:
    """Return a column as what it should hold, one of no rows or of NULL alone too."""
    if column.null_count == len(column):
        return pa.nulls(len(column), field.type)
    if pa.types.is_string(field.type):
        # checks it
        return column.cast(pa.binary()).cast(field.type)
    if pa.types.is_date32(field.type) or pa.types.is_timestamp(field.type):
        return column.cast(pa.string()).cast(field.type)
    # an integer beyond 2**53 has a nearest double
    return column.cast(field.type, safe=not pa.types.is_floating(field.type))


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        text = str(error)
        code = next((code for words, code in _CODES.items() if words in text), None)
        raised = sqlite3.OperationalError(text.replace("\n", " "))
        if code is not None:
            raised.sqlite_errorcode = code
        raise raised from error
    except pa.ArrowInvalid as error:
        # what no version of killsync has written
        if "UTF8" in str(error):
            raise sqlite3.OperationalError("Could not decode to UTF-8") from error
        raise sqlite3.DataError(
            "a value is not what its column holds; `killsync check` may say where"
        ) from error
