"""Runs: what each did, who holds the lock, when something last succeeded."""

import os
import socket
import sqlite3

import msgspec

from killsync.times import DAY, iso, unix, unix_or_none

_KEEP = 400 * DAY
_PRUNED_AT_ONCE = 500


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


def begin(conn: sqlite3.Connection, command: str, now: float) -> int:
    """Record a run that has just taken the lock; return its id."""
    cursor = conn.execute(
        "INSERT INTO runs (command, pid, host, started_at) VALUES (?, ?, ?, ?)",
        [command, os.getpid(), socket.gethostname(), iso(now)],
    )
    return int(cursor.lastrowid or 0)


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
) -> None:
    """Record what a run did, and forget runs older than 400 days, a small batch at a time."""
    conn.execute(
        """UPDATE runs SET finished_at = ?, users = ?, pages = ?, requests = ?,
            new_killmails = ?, errors = ?, exit_code = ? WHERE id = ?""",
        [iso(now), users, pages, requests, new_killmails, errors, exit_code, run_id],
    )
    # ids rise with time: the oldest run decides whether there is anything to delete
    conn.execute(
        """DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY id LIMIT ?)
            AND started_at < ?""",
        [_PRUNED_AT_ONCE, iso(now - _KEEP)],
    )


def record_idle(conn: sqlite3.Connection, command: str, now: float) -> None:
    """Record a run that found nothing to do, in one statement."""
    conn.execute(
        "INSERT INTO runs (command, pid, host, started_at, finished_at, exit_code)"
        " VALUES (?, ?, ?, ?, ?, 0)",
        [command, os.getpid(), socket.gethostname(), iso(now), iso(now)],
    )


def last_crashed(conn: sqlite3.Connection) -> bool:
    """Tell whether the newest run never ended; the caller holds the lock."""
    row = conn.execute("SELECT finished_at FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return row is not None and row[0] is None


def last_broke_off(conn: sqlite3.Connection) -> bool:
    """Tell whether the newest run may have left jobs as running: it was killed, or failed.

    The next run takes them up; one that ended well or was stopped leaves none.
    """
    row = conn.execute(
        """SELECT finished_at IS NULL OR exit_code NOT IN (0, 130, 143)
        FROM runs ORDER BY id DESC LIMIT 1"""
    ).fetchone()
    return row is not None and bool(row[0])


def last_success(conn: sqlite3.Connection, now: float) -> float | None:
    """Return when a run that asked for something last ended with 0 or 1.

    If none ever did, when the first began. A time ahead of `now` is a wrong clock's, and not
    believed.
    """
    row = conn.execute(
        """SELECT coalesce(
            (SELECT max(finished_at) FROM runs
                WHERE exit_code IN (0, 1) AND requests > 0 AND finished_at <= :now),
            (SELECT started_at FROM runs WHERE started_at <= :now ORDER BY id LIMIT 1))""",
        {"now": iso(now)},
    ).fetchone()
    return unix_or_none(row[0])


def last_scan(conn: sqlite3.Connection, now: float) -> float | None:
    """Return when the newest scan began, None if there was none.

    A time ahead of `now` is a wrong clock's, and not believed.
    """
    row = conn.execute(
        "SELECT started_at FROM runs WHERE command = 'scan' AND started_at <= ?"
        " ORDER BY id DESC LIMIT 1",
        [iso(now)],
    ).fetchone()
    return None if row is None else unix(row[0])


def latest(conn: sqlite3.Connection, limit: int) -> list[Run]:
    """Return the newest runs, newest first."""
    columns = ", ".join(Run.__struct_fields__)
    rows = conn.execute(f"SELECT {columns} FROM runs ORDER BY id DESC LIMIT ?", [limit])
    return [Run(*row) for row in rows]
