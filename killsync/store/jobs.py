"""The job table: at most one open job per user, highest priority first, then oldest."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from killsync.model import Job, JobCounts, JobState, Priority
from killsync.times import DAY, iso, iso_after, unix_or_none

_COLUMNS = """id, user_id, priority, state, "full", attempts, not_before, pages, new_killmails,
    error"""
_KEEP_FAILURES = 30 * DAY
_PRUNED_AT_ONCE = 500


class EndedJob(msgspec.Struct, frozen=True):
    """How a job ended, and when (ISO text); `new` killmails stood on the pages that it read."""

    state: JobState
    finished_at: str
    pages: int
    new: int
    error: str | None


def queue(
    conn: sqlite3.Connection,
    user_ids: Iterable[int],
    priority: int,
    now: float,
    *,
    full: bool = False,
    at_once: bool = False,
) -> int:
    """Queue a job for each user; return how many are new.

    A user who has an open job keeps it: its priority is raised, `full` makes it full, and
    `at_once` forgets that it was put off. What the user has failed before, or that it needs a
    login, counts as attempts.
    """
    before = _highest_id(conn)
    conn.execute(
        """INSERT INTO jobs (user_id, priority, "full", queued_at, attempts)
        SELECT value, :priority, :full, :now, users.failures + (users.state = 'needs_login')
        FROM json_each(:users) CROSS JOIN users ON users.user_id = value WHERE true
        ON CONFLICT (user_id) WHERE state IN ('queued', 'running') DO UPDATE SET
            priority = max(priority, :priority), "full" = max("full", :full),
            not_before = iif(:at_once, NULL, not_before)
        WHERE priority < :priority OR "full" < :full OR :at_once""",
        {
            "users": json.dumps(list(user_ids)),
            "priority": priority,
            "full": full,
            "now": iso(now),
            "at_once": at_once,
        },
    )
    return int(conn.execute("SELECT count(*) FROM jobs WHERE id > ?", [before]).fetchone()[0])


def next_job(
    conn: sqlite3.Connection,
    now: float,
    *,
    taken: Iterable[int] = (),
    above: int = 0,
    only_users: Sequence[int] | None = None,
) -> Job | None:
    """Return the most urgent queued job whose time has come, of a priority higher than `above`.

    What has failed goes last at equal priority; of the others the oldest goes first. `taken` are
    the ids of jobs that this run works on already.
    """
    cursor = conn.execute(
        """SELECT id, user_id FROM jobs
        WHERE state = 'queued' AND priority > :above
            AND (not_before IS NULL OR not_before <= :now OR not_before > :illegal)
        ORDER BY priority DESC, attempts > 0, id""",
        {"above": above, "now": iso(now), "illegal": iso_after(now + DAY)},
    )
    busy = set(taken)
    for job_id, user_id in cursor:
        if job_id not in busy and (only_users is None or user_id in only_users):
            return get(conn, job_id)
    return None


def youngest_untried(
    conn: sqlite3.Connection, priority: int, now: float, taken: Iterable[int]
) -> Job | None:
    """Return the newest queued job of a priority that has never failed: its user synced last."""
    cursor = conn.execute(
        """SELECT id FROM jobs
        WHERE state = 'queued' AND priority = ? AND (attempts > 0) = 0
            AND (not_before IS NULL OR not_before <= ?)
        ORDER BY id DESC""",
        [priority, iso(now)],
    )
    busy = set(taken)
    return next((get(conn, job_id) for (job_id,) in cursor if job_id not in busy), None)


def get(conn: sqlite3.Connection, job_id: int) -> Job | None:
    """Return a job, None if there is none."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", [job_id]).fetchone()
    return None if row is None else _job(row)


def open_job(conn: sqlite3.Connection, user_id: int) -> Job | None:
    """Return a user's queued or running job, None if there is none."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM jobs WHERE user_id = ? AND state IN ('queued', 'running')",
        [user_id],
    ).fetchone()
    return None if row is None else _job(row)


def manual_before(conn: sqlite3.Connection, job_id: int) -> int:
    """Return how many jobs that a person asked for are queued before this one."""
    return int(
        conn.execute(
            f"""SELECT count(*) FROM jobs
            WHERE state = 'queued' AND priority >= {int(Priority.MANUAL)} AND id < ?""",
            [job_id],
        ).fetchone()[0]
    )


def running(conn: sqlite3.Connection) -> list[Job]:
    """Return the jobs that are being worked on, or that a killed run has left so."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM jobs WHERE state = 'running' ORDER BY id")
    return [_job(row) for row in rows]


def newest_ended(conn: sqlite3.Connection, user_id: int) -> EndedJob | None:
    """Return the job of a user that ended last, None if none has."""
    row = conn.execute(
        """SELECT state, finished_at, pages, new_killmails, error FROM jobs
        WHERE user_id = ? AND state IN ('done', 'failed') ORDER BY finished_at DESC LIMIT 1""",
        [user_id],
    ).fetchone()
    return None if row is None else EndedJob(JobState(row[0]), *row[1:])


def start(conn: sqlite3.Connection, job_ids: Iterable[int], now: float) -> None:
    """Mark jobs as running."""
    conn.executemany(
        "UPDATE jobs SET state = 'running', started_at = ? WHERE id = ? AND state = 'queued'",
        [[iso(now), job_id] for job_id in job_ids],
    )


def progress(conn: sqlite3.Connection, job_id: int, new_killmails: int) -> None:
    """Count one more page, with what was new on it."""
    conn.execute(
        "UPDATE jobs SET pages = pages + 1, new_killmails = new_killmails + ? WHERE id = ?",
        [new_killmails, job_id],
    )


def any_open(conn: sqlite3.Connection, now: float) -> bool:
    """Return whether some job may be worked on now, or was left running by a crashed run."""
    running = conn.execute("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'running')")
    return bool(running.fetchone()[0]) or next_job(conn, now) is not None


def clear_full(conn: sqlite3.Connection, job_id: int) -> None:
    """Record that the full pass has started: from here on the open gap carries it."""
    conn.execute('UPDATE jobs SET "full" = 0 WHERE id = ?', [job_id])


def next_not_before(conn: sqlite3.Connection, now: float) -> float | None:
    """Return when the next queued job that was put off may run, None if none was."""
    row = conn.execute(
        "SELECT min(not_before) FROM jobs WHERE state = 'queued' AND not_before > ?", [iso(now)]
    ).fetchone()
    return unix_or_none(row[0])


def finish(conn: sqlite3.Connection, job: Job, now: float, *, error: str | None = None) -> None:
    """End a job as done, or as failed if there is an error; older finished ones go."""
    state = JobState.DONE if error is None else JobState.FAILED
    conn.execute(
        # the second condition lets SQLite use the index of finished jobs
        "DELETE FROM jobs WHERE user_id = ? AND state IN ('done', 'failed') AND state = 'done'",
        [job.user_id],
    )
    conn.execute(
        """UPDATE jobs SET state = ?, finished_at = ?, error = ?, not_before = NULL,
            started_at = coalesce(started_at, ?)
        WHERE id = ?""",
        [state, iso(now), error, iso(now), job.id],
    )


def give_back(
    conn: sqlite3.Connection,
    job_id: int,
    *,
    not_before: float | None = None,
    error: str | None = None,
    counts: bool = False,
) -> None:
    """Put a job back into the queue, until `not_before` if given; `counts` adds an attempt."""
    conn.execute(
        """UPDATE jobs SET state = 'queued', started_at = NULL, not_before = ?, error = ?,
            attempts = attempts + ?
        WHERE id = ? AND state IN ('queued', 'running')""",
        [None if not_before is None else iso_after(not_before), error, counts, job_id],
    )


def give_back_all(conn: sqlite3.Connection) -> int:
    """Put back what earlier runs left running; the caller holds the lock, so none still is."""
    return conn.execute(
        "UPDATE jobs SET state = 'queued', started_at = NULL WHERE state = 'running'"
    ).rowcount


def drop_open(conn: sqlite3.Connection, user_id: int) -> None:
    """Delete the open job of a user who cannot be synced any more."""
    conn.execute("DELETE FROM jobs WHERE user_id = ? AND state IN ('queued', 'running')", [user_id])


def counts(conn: sqlite3.Connection) -> JobCounts:
    """Return how many jobs are queued, running and failed."""
    one = "SELECT count(*) FROM jobs WHERE state = "
    states = ("queued", "running", "failed")
    # the word itself lets SQLite use the index of each
    return JobCounts(*(int(conn.execute(f"{one}'{s}'").fetchone()[0]) for s in states))


def first_in_line(conn: sqlite3.Connection, limit: int) -> list[int]:
    """Return the users of the jobs that a crashed run may have worked on."""
    rows = conn.execute(
        """SELECT user_id FROM jobs WHERE state = 'running'
        UNION ALL SELECT user_id FROM (
            SELECT user_id FROM jobs WHERE state = 'queued'
            ORDER BY priority DESC, attempts > 0, id LIMIT ?)""",
        [limit],
    )
    return [user_id for (user_id,) in rows]


def prune(conn: sqlite3.Connection, now: float) -> None:
    """Delete failures older than 30 days, a small batch at a time; each user's newest stays."""
    conn.execute(
        """DELETE FROM jobs WHERE id IN (
            SELECT id FROM jobs AS old WHERE state = 'failed' AND finished_at < ? AND EXISTS (
                SELECT 1 FROM jobs AS newer WHERE newer.user_id = old.user_id
                AND newer.state IN ('done', 'failed') AND newer.id > old.id)
            LIMIT ?)""",
        [iso(now - _KEEP_FAILURES), _PRUNED_AT_ONCE],
    )


def forget_put_off(conn: sqlite3.Connection, user_ids: Iterable[int] | None) -> None:
    """Let queued jobs run at once that were put off: all, or those of these users."""
    mine = "" if user_ids is None else " AND user_id IN (SELECT value FROM json_each(:users))"
    conn.execute(
        "UPDATE jobs SET not_before = NULL"
        f" WHERE state = 'queued' AND not_before IS NOT NULL{mine}",
        {"users": json.dumps(list(user_ids or []))},
    )


def _highest_id(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT coalesce(max(id), 0) FROM jobs").fetchone()[0])


def _job(row: tuple[Any, ...]) -> Job:
    (id_, user_id, priority, state, full, attempts, not_before, pages, new, error) = row
    return Job(
        id=id_,
        user_id=user_id,
        priority=priority,
        state=JobState(state),
        full=bool(full),
        attempts=attempts,
        not_before=unix_or_none(not_before),
        pages=pages,
        new_killmails=new,
        error=error,
    )
