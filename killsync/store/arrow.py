"""The database read by Arrow's own driver: whole columns, several times as fast as row by row.

The driver has an SQLite of its own, and two of them in one process know nothing of each other's
locks on a file: where one closes it, the operating system takes those of the other, too. So all
connections of this process to the database must be closed while one of these is open.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import adbc_driver_manager as driver
import adbc_driver_sqlite
import pyarrow as pa

# more rows than any query of ours has: the driver decides by the first batch what a column holds
_ALL_AT_ONCE = {"adbc.sqlite.query.batch_rows": str(1 << 30)}
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
    """A connection that only reads; its errors are those of Python's own SQLite.

    It uses the driver below its form of Python's database interface, which imports what it can find
    of other libraries.
    """

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def read(self, sql: str, parameters: Sequence[int | str], schema: Any) -> Any:
        """Return the rows of a query as a `pyarrow.Table` of a schema, in one piece.

        Text is looked at, since no engine reads what is not UTF-8. Raises sqlite3.Error.
        """
        with _sqlite_errors():
            found = self._execute(sql, parameters)
            columns = [_cast(column, f) for column, f in zip(found.columns, schema, strict=True)]
            return pa.table(columns, schema=schema)

    def do(self, sql: str, *parameters: int | str) -> None:
        """Execute what gives no rows, such as a change of a temporary table."""
        with _sqlite_errors():
            self._execute(sql, parameters)

    def one(self, sql: str, *parameters: int | str) -> Any:
        """Return the only value of the only row of a query."""
        with _sqlite_errors():
            return self._execute(sql, parameters).column(0)[0].as_py()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Make several queries see one state, whatever others commit meanwhile."""
        try:
            yield
        finally:
            with _sqlite_errors():
                # the next query begins another
                self._conn.rollback()

    def _execute(self, sql: str, parameters: Sequence[int | str]) -> Any:
        with driver.AdbcStatement(self._conn) as statement:
            statement.set_options(**_ALL_AT_ONCE)
            statement.set_sql_query(sql)
            if parameters:
                columns = [pa.array([value]) for value in parameters]
                names = [str(number) for number in range(len(columns))]
                statement.prepare()
                statement.bind(pa.record_batch(columns, names=names))
            stream, _ = statement.execute_query()
            return pa.RecordBatchReader.from_stream(stream).read_all()


@contextmanager
def connect(uri: str, setup: Sequence[str] = ()) -> Iterator[ArrowConnection]:
    """Yield a connection to a database by a URI as SQLite takes it. Raises sqlite3.Error.

    `setup` is what it executes first: temporary tables of its own.
    """
    with ExitStack() as opened:
        with _sqlite_errors():
            database = opened.enter_context(adbc_driver_sqlite.connect(uri))
            conn = opened.enter_context(driver.AdbcConnection(database))
            arrow = ArrowConnection(conn)
            for sql in (f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}", *setup):
                arrow.do(sql)
            conn.set_autocommit(False)
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
    except driver.Error as error:
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
