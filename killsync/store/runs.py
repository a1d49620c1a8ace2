"""Runs: what each did, who holds the lock, when something last succeeded."""

import json
import os
import socket
import sqlite3
from typing import Any

import msgspec

from killsync.errors import STOPPED
from killsync.model import Caller
from killsync.times import DAY, iso, unix

_KEEP = 400 * DAY
_PRUNED_AT_ONCE = 500
_WITH_MAX_RUNTIME = 4


class Run(msgspec.Struct, frozen=True):
    """A row of `runs`; times are ISO text. One that has not ended is running, or was killed."""

    id: int
    command: str
    pid: int
    host: str
    started_at: str
    finished_at: str | None
    users: int
    pages: int
    requests: int
    new_killmails: int
    errors: int
    exit_code: int | None
    program: str | None
    config: str | None
    database: str | None
    variables: list[str] | None
    terminal: bool | None
    max_runtime_s: float | None


class LockHolder(msgspec.Struct, frozen=True):
    """Who holds the lock, since when (ISO text); all None for a run that has only just started.

    `max_runtime_s` is how long it may run, in seconds.
    """

    pid: int | None = None
    host: str | None = None
    command: str | None = None
    since: str | None = None
    max_runtime_s: float | None = None


class Answered(msgspec.Struct, frozen=True):
    """Users for whom a run had a list, and a refreshed access token: two of each at most.

    Two are enough to know whether there was another one than a given user.
    """

    lists_of: list[int] = []
    refreshes_of: list[int] = []


class BackgroundScan(msgspec.Struct, frozen=True):
    """A scan without a terminal: when it started, in unix seconds, and how it was called."""

    started_at: float
    caller: Caller


_INSERT = """INSERT INTO runs (command, pid, host, started_at, finished_at, exit_code, program,
    config, database, variables, terminal, max_runtime_s)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def begin(
    conn: sqlite3.Connection, command: str, now: float, caller: Caller, max_runtime: float
) -> int:
    """Record a run that has just taken the lock, for `max_runtime` seconds; return its id."""
    row = _row(command, now, None, caller, max_runtime)
    return int(conn.execute(_INSERT, row).lastrowid or 0)


def end(
    conn: sqlite3.Connection,
    run_id: int,
    now: float,
    *,
    users: int,
    pages: int,
    requests: int,
    new_killmails: int,
    errors: int,
    exit_code: int,
    answered: Answered,
) -> None:
    """Record what a run did, and forget runs older than 400 days, a small batch at a time."""
    conn.execute(
        """UPDATE runs SET finished_at = ?, users = ?, pages = ?, requests = ?,
            new_killmails = ?, errors = ?, exit_code = ?, lists_of = ?, refreshes_of = ?
        WHERE id = ?""",
        [
            *(iso(now), users, pages, requests, new_killmails, errors, exit_code),
            *(json.dumps(answered.lists_of), json.dumps(answered.refreshes_of), run_id),
        ],
    )
    # ids rise with time: the oldest run decides whether there is anything to delete
    conn.execute(
        """DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY id LIMIT ?)
            AND started_at < ?""",
        [_PRUNED_AT_ONCE, iso(now - _KEEP)],
    )


def record_idle(conn: sqlite3.Connection, command: str, now: float, caller: Caller) -> None:
    """Record a run that found nothing to do, in one statement."""
    conn.execute(_INSERT, _row(command, now, now, caller, None))


def started_before(conn: sqlite3.Connection, moment: float) -> str | None:
    """Return when the run started that went on at a time, in ISO text; None if there was none."""
    row = conn.execute(
        "SELECT started_at FROM runs WHERE started_at <= ? ORDER BY id DESC LIMIT 1",
        [iso(moment)],
    ).fetchone()
    return None if row is None else str(row[0])


def last_answered(conn: sqlite3.Connection) -> Answered:
    """Return for whom the newest ended run that asked for something was answered."""
    row = conn.execute(
        "SELECT lists_of, refreshes_of FROM runs WHERE requests > 0 ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return Answered() if row is None else Answered(*map(_ids, row))


def last_crashed(conn: sqlite3.Connection) -> bool:
    """Return whether the newest run never ended; the caller holds the lock."""
    row = conn.execute("SELECT finished_at FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return row is not None and row[0] is None


def last_was_interrupted(conn: sqlite3.Connection) -> bool:
    """Return whether the newest run may have left jobs marked as running: it was killed, or failed.

    The next run takes them up; one that ended well or was stopped leaves none.
    """
    row = conn.execute(
        "SELECT finished_at IS NULL, exit_code FROM runs ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return row is not None and (bool(row[0]) or row[1] not in (0, *STOPPED))


def newest_unended(conn: sqlite3.Connection, version: int) -> LockHolder:
    """Return who holds the lock, provided that it is held; `version` is that of the schema."""
    limit = "max_runtime_s" if version >= _WITH_MAX_RUNTIME else "NULL"
    row = conn.execute(
        f"""SELECT pid, host, command, started_at, {limit}, finished_at
        FROM runs ORDER BY id DESC LIMIT 1"""
    ).fetchone()
    # of a lock that is held, a newest run that has ended means that another has just started
    return LockHolder() if row is None or row[5] is not None else LockHolder(*row[:5])


def background_scans(conn: sqlite3.Connection, limit: int) -> list[BackgroundScan]:
    """Return the newest scans that ran without a terminal, newest first."""
    rows = conn.execute(
        """SELECT started_at, program, config, database, variables, terminal FROM runs
        WHERE command = 'scan' AND terminal = 0
            AND program IS NOT NULL AND config IS NOT NULL AND database IS NOT NULL
        ORDER BY id DESC LIMIT ?""",
        [limit],
    )
    return [
        BackgroundScan(
            unix(started),
            Caller(program, config, database, _names(variables), bool(terminal)),
        )
        for started, program, config, database, variables, terminal in rows
    ]


def latest(conn: sqlite3.Connection, limit: int) -> list[Run]:
    """Return the newest runs, newest first."""
    columns = ", ".join(Run.__struct_fields__)
    rows = conn.execute(f"SELECT {columns} FROM runs ORDER BY id DESC LIMIT ?", [limit])
    return [_run(dict(zip(Run.__struct_fields__, row, strict=True))) for row in rows]


def _run(row: dict[str, Any]) -> Run:
    variables, terminal = row.pop("variables"), row.pop("terminal")
    return Run(
        **row,
        variables=None if variables is None else _names(variables),
        terminal=None if terminal is None else bool(terminal),
    )


def _names(text: str | None) -> list[str]:
    # a damaged row must hide neither the others nor the status
    try:
        names = json.loads(text or "[]")
    except ValueError:
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _ids(text: str | None) -> list[int]:
    try:
        ids = json.loads(text or "[]")
    except ValueError:
        return []
    return [i for i in ids if isinstance(i, int)] if isinstance(ids, list) else []


def _row(
    command: str,
    started: float,
    finished: float | None,
    caller: Caller,
    max_runtime: float | None,
) -> list[object]:
    ended = [None, None] if finished is None else [iso(finished), 0]
    names = json.dumps(caller.variables)
    return [
        *(command, os.getpid(), socket.gethostname(), iso(started), *ended),
        *(caller.program, caller.config, caller.database, names, caller.terminal),
        max_runtime,
    ]
