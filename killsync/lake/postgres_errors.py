"""PostgreSQL's errors, in words for a person.

What a server says of a row may quote it, and what libpq says of an address may quote a password:
neither is repeated.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import pq
from psycopg.errors import ConnectionTimeout

from killsync.errors import KillsyncError, TryLater, UsageError

START_OVER = "name another schema with --schema, or drop this one and feed it again"
NOTHING_HALF = "what was fed is whole; the next feed goes on"
_NOT_OURS = f"it is not as killsync made it: {START_OVER}"
_TAKEN = (
    "the schema {schema} holds something that is not killsync's: {said}; name another with --schema"
)
_UNFIT = (
    "something in the database is nothing that PostgreSQL can hold: `killsync check` says what; "
    "nothing of that batch was fed"
)
_LONGEST = 300


class Undone(TryLater):
    """A transaction that waited for another too long, or was in its way: it may be tried again."""


class _Case(NamedTuple):
    """Of the errors whose SQLSTATE begins so."""

    state: str
    kind: type[KillsyncError]
    text: str


# the first that fits counts; {schema} and {said}, the server's own words
_CASES = (
    _Case("42501", UsageError, "PostgreSQL does not allow it: {said}; see docs/postgres.md for the "
          "rights that a role needs"),
    _Case("25006", UsageError, "PostgreSQL only lets itself be read: name the primary server, and "
          "a role whose transactions are not read-only"),
    _Case("42P07", UsageError, _TAKEN),
    _Case("42710", UsageError, _TAKEN),
    _Case("42", UsageError, "the schema {schema}: {said}; " + _NOT_OURS),
    _Case("23", UsageError, "the schema {schema}: {said}; somebody else writes into it, or "
          + _NOT_OURS),
    _Case("22", UsageError, _UNFIT),
    _Case("53100", TryLater, "PostgreSQL has no room left on its disk: make some; " + NOTHING_HALF),
    _Case("53300", TryLater, "PostgreSQL allows no more connections: try later, or raise its "
          "max_connections"),
    _Case("55P03", Undone, "another program keeps killsync's tables locked: try later"),
    _Case("57014", TryLater, "PostgreSQL took too long, or somebody ended what it did: "
          + NOTHING_HALF),
    _Case("40", Undone, "PostgreSQL undid the batch: " + NOTHING_HALF),
    _Case("57", TryLater, "PostgreSQL has ended the connection: " + NOTHING_HALF),
    _Case("25P0", TryLater, "PostgreSQL has ended the connection: " + NOTHING_HALF),
    _Case("08", TryLater, "the connection to PostgreSQL was lost: " + NOTHING_HALF),
    _Case("53", TryLater, "PostgreSQL lacks what it needs: {said}; " + NOTHING_HALF),
    _Case("58", TryLater, "PostgreSQL cannot read or write its files: {said}; " + NOTHING_HALF),
)  # fmt: skip
_LOST = _Case("", TryLater, "the connection to PostgreSQL was lost: " + NOTHING_HALF)
_OTHER = _Case("", UsageError, "PostgreSQL says: {said}")


@contextmanager
def readable_errors(schema: str) -> Iterator[None]:
    """Turn the errors of an open connection into UsageError and TryLater."""
    try:
        yield
    except psycopg.Error as error:
        raise explained(error, schema) from error


def explained(error: psycopg.Error, schema: str) -> KillsyncError:
    """Return what a person reads of the error of a connection that was there."""
    case = _case_of(error)
    return case.kind(case.text.format(schema=schema, said=_said(error)))


def _case_of(error: psycopg.Error) -> _Case:
    state = error.sqlstate
    if state is None:
        return _LOST if isinstance(error, psycopg.OperationalError) else _OTHER
    return next((case for case in _CASES if state.startswith(case.state)), _OTHER)


def refused(error: psycopg.Error, conninfo: str) -> KillsyncError:
    """Return what a person reads where no connection could be made."""
    where, said = _where(_first_line(str(error)))
    if isinstance(error, ConnectionTimeout):
        # it would be waited for once more
        return TryLater(f"PostgreSQL{where} cannot be reached: {said}")
    answers = pq.PGconn.ping(conninfo.encode())
    if answers == pq.Ping.OK:
        # it lets somebody in, and not this one
        return UsageError(f"PostgreSQL{where} does not let killsync in: {said}")
    kind = UsageError if answers == pq.Ping.NO_ATTEMPT else TryLater
    return kind(f"PostgreSQL{where} cannot be reached: {said}")


def _said(error: psycopg.Error) -> str:
    return _first_line(error.diag.message_primary or str(error))


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:_LONGEST]


def _where(line: str) -> tuple[str, str]:
    """Split what libpq says of a connection that failed into where, and why."""
    line = re.sub(r"^connection (failed|is bad): ", "", line)
    found = re.fullmatch(r"connection to server (.+?) failed: (?:FATAL: +)?(.*)", line)
    return (f" {found[1]}", found[2]) if found else ("", line)
