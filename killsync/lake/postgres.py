"""A PostgreSQL database that killmails are fed to: the connection, and transactions in a schema."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from killsync.errors import UsageError
from killsync.lake.postgres_errors import readable_errors, refused

Conn = Connection[TupleRow]

OLDEST = 13
"""The first version of PostgreSQL that is supported."""
LOCK_WAIT = 2
"""Seconds that a statement waits for a lock; whoever waits longer tries again."""
_LONGEST_STATEMENT = 600
# of a feed that has stopped in the middle: the others wait for it
_LONGEST_PAUSE = 300
# seconds; a server that has vanished is noticed, instead of waited for until TCP gives up
_BOUNDS: dict[str, str | int] = {
    "fallback_application_name": "killsync",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# what names a server, in the environment that libpq reads
_VARIABLES = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGDATABASE")
_BEGIN = """
SELECT set_config('search_path', quote_ident(%s), true),
    set_config('lock_timeout', %s, true),
    set_config('statement_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', %s, true),
    -- what is asked is small: to compile it would take longer than to do it
    set_config('jit', 'off', true),
    -- whatever a database or a role has been given: how days are read, and NULL in what is sent
    set_config('datestyle', 'ISO, YMD', true),
    set_config('array_nulls', 'on', true)
"""
# what it would log of a connection that is lost, the error says
logging.getLogger("psycopg").addHandler(logging.NullHandler())
_PORTS = re.compile(r"[0-9,]*")


class Target:
    """A schema in a PostgreSQL database, over one connection."""

    def __init__(self, conn: Conn, schema: str) -> None:
        self.conn = conn
        self.schema = schema

    @contextmanager
    def transaction(self) -> Iterator[Conn]:
        """Hold a transaction in which names without a schema are this one's.

        All of it is committed, or nothing. Every wait has an end.
        """
        seconds = (LOCK_WAIT, _LONGEST_STATEMENT, _LONGEST_PAUSE)
        with readable_errors(self.schema), self.conn.transaction():
            self.conn.execute(_BEGIN, [self.schema, *(f"{n}s" for n in seconds)])
            yield self.conn


@contextmanager
def connected(url: str | None, schema: str) -> Iterator[Target]:
    """Yield a database by its URL or libpq's words for it; None: what libpq's environment names.

    Raises UsageError and TryLater, in which no password is repeated.
    """
    if not url and not any(os.environ.get(name) for name in _VARIABLES):
        raise UsageError(
            "name a PostgreSQL database: `killsync feed postgres postgresql://USER@HOST/NAME`, or "
            "service=NAME of ~/.pg_service.conf"
        )
    conn = _connect(url or "")
    try:
        _check(conn)
        yield Target(conn, schema)
    finally:
        with suppress(psycopg.Error):
            conn.close()


def _connect(url: str) -> Conn:
    given = _parsed(url)
    bounds = {name: value for name, value in _BOUNDS.items() if name not in given}
    if "PGCONNECT_TIMEOUT" in os.environ:
        bounds.pop("connect_timeout", None)
    bounds["client_encoding"] = "UTF8"
    conninfo = make_conninfo(url, **bounds)
    try:
        # a pooler may give each transaction another session, which knows nothing of the last
        conn = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise refused(error, conninfo) from None
    # what is read once a lock is held has to be what its last holder left
    conn.isolation_level = IsolationLevel.READ_COMMITTED
    return conn


def _parsed(url: str) -> dict[str, Any]:
    """Return the parts of an address.

    One that libpq misreads, since its password has an @ or a / in it, would be quoted in errors.
    """
    with suppress(psycopg.Error, UnicodeEncodeError):
        url.encode()
        given = conninfo_to_dict(url)
        suspect = "".join(str(given.get(part, "")) for part in ("host", "hostaddr", "dbname"))
        if "@" not in suspect and _PORTS.fullmatch(str(given.get("port", ""))):
            return given
    raise UsageError(
        "this is no address of a PostgreSQL database: give postgresql://USER@HOST:PORT/NAME, with "
        "%40 for an @ in a password and %2F for a /, or words such as `host=... dbname=...`"
    )


def _check(conn: Conn) -> None:
    said = conn.info.parameter_status
    if conn.info.server_version < OLDEST * 10_000:
        version = said("server_version")
        raise UsageError(f"PostgreSQL {version} is too old: killsync needs {OLDEST} or later")
    if (encoding := said("server_encoding")) != "UTF8":
        raise UsageError(
            f"the database {conn.info.dbname} has the encoding {encoding}, which cannot hold every "
            "name: make one with `createdb --encoding UTF8 --template template0 NAME`"
        )
