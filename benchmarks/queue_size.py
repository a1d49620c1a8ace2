"""Long queues: finding and queueing due users, taking a job, and a year of ticks."""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from figures import Figure, Pairs, Scale, at_most, format_seconds, measure_pairs
from made import make_database

from killsync.model import Caller
from killsync.settings.config import Settings
from killsync.settings.values import Duration
from killsync.store import jobs, pending, retries, runs, users
from killsync.store.connection import Store
from killsync.store.runs import Answered
from killsync.sync import selection
from killsync.times import MINUTE

_SETTINGS = Settings()
TICK = 10 * MINUTE
TICKS_A_DAY = 144
NOW = 1_790_000_000.0
_ONE_FAILS_IN = 97
_TAKEN = 200
_TICKS_AN_HOUR = 6
_HOURLY = Settings(min_age=Duration(55 * MINUTE))
_CALLER = Caller("killsync", "/c.toml", "/k.db", [], terminal=False)


def measure(scale: Scale) -> list[Figure]:
    """Measure a long queue, and what a year of ticks leaves behind."""
    many = scale.of(100_000, 2_000)
    with _due_users(many) as long, _due_users(100) as short:
        queueing = _queueing(long, many, scale)
        for store in (long, short):
            _queue(store)
        taking = measure_pairs(scale.runs, lambda: _take(long), lambda: _take(short))
    return [
        queueing,
        at_most(
            f"taking a job, {many:,} queued", taking, 1.5, format_seconds, note="peer: 100 queued"
        ),
        *_year(scale),
    ]


@contextmanager
def _due_users(count: int) -> Iterator[Store]:
    with (
        tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory,
        make_database(Path(directory) / "killsync.db", NOW - 20 * MINUTE, count) as store,
    ):
        yield store


def _queue(store: Store) -> int:
    work = selection.find(store.conn, NOW, _SETTINGS)
    with store.transaction() as conn:
        return selection.queue(conn, work.due, NOW)


def _queueing(store: Store, count: int, scale: Scale) -> Figure:
    walls = []
    for _ in range(scale.runs):
        started = time.perf_counter()
        queued = _queue(store)
        walls.append(time.perf_counter() - started)
        if queued != count:
            raise RuntimeError(f"{queued} were queued, {count} are due")
        store.conn.execute("DELETE FROM jobs")
    scans = _scans(store.conn)
    return Figure(
        what=f"finding and queueing {count:,} due users",
        measured=format_seconds(median(walls)),
        peer="",
        goal="at most 1 s, through indexes",
        met=median(walls) <= 1 and not scans,
        note="; ".join(scans),
    )


def _scans(conn: sqlite3.Connection) -> list[str]:
    """Return the query-plan steps of a scan's queries that read a whole table."""
    asked: list[str] = []
    conn.set_trace_callback(asked.append)
    selection.find(conn, NOW, _SETTINGS)
    jobs.next_job(conn, NOW)
    conn.set_trace_callback(None)
    steps = [row[3] for sql in asked for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    whole = ("SCAN users", "SCAN jobs", "SCAN pending_killmails")
    return [step for step in steps if step.startswith(whole) and "INDEX" not in step]


def _take(store: Store) -> float:
    """Return the CPU seconds of taking one job, without the commit."""
    spent = 0.0
    for _ in range(_TAKEN):
        with store.transaction() as conn:
            started = time.process_time()
            job = jobs.next_job(conn, NOW)
            if job is None:
                raise RuntimeError("the queue is empty")
            jobs.start(conn, [job.id], NOW)
            spent += time.process_time() - started
            jobs.give_back(conn, job.id)
    return spent / _TAKEN


def _year(scale: Scale) -> list[Figure]:
    ticks, user_count = scale.of(365, 8) * TICKS_A_DAY, scale.of(200, 20)
    with _due_users(user_count) as store:
        # only CPU is measured, and nothing here has to survive a power cut
        store.conn.execute("PRAGMA synchronous = OFF")
        spent = [_tick(store, n) for n in range(ticks)]
        left = {table: store.db[table].count for table in ("jobs", "runs")}
        file_size = store.path.stat().st_size
    hours = [sum(spent[n : n + _TICKS_AN_HOUR]) for n in range(0, ticks, _TICKS_AN_HOUR)]
    failures = 30 * 24 * user_count // _ONE_FAILS_IN
    most = {"jobs": 3 * user_count + failures, "runs": 400 * TICKS_A_DAY}
    what = f"a year of ticks, {user_count} users" if not scale.quick else "8 days of ticks"
    return [
        Figure(
            what=f"{what}: rows kept",
            measured=" and ".join(f"{count:,} {table}" for table, count in left.items()),
            peer=" and ".join(f"{count:,}" for count in most.values()),
            goal="bounded",
            met=all(left[table] <= count for table, count in most.items()),
            note="peer: one job each, 30 days of failures and 400 days of runs; "
            f"{file_size / 1e6:.0f} MB",
        ),
        at_most(
            f"{what}: an hour of its last day",
            Pairs(hours[-24:], hours[:24]),
            1.2,
            format_seconds,
            note="CPU of six ticks' reads and writes, with each user polled once and one in "
            f"{_ONE_FAILS_IN} failing; peer: an hour of the first day",
        ),
    ]


def _tick(store: Store, number: int) -> float:
    """Play the reads and writes of a scan when ESI has nothing new; return the CPU seconds."""
    now = NOW + number * TICK
    started = time.process_time()
    work = selection.find(store.conn, now, _HOURLY)
    if not work:
        runs.record_idle(store.conn, "scan", now, _CALLER)
        return time.process_time() - started
    with store.transaction() as conn:
        selection.queue(conn, work.due, now)
    with store.transaction() as conn:
        run_id = runs.begin(conn, "scan", now, _CALLER, 540.0)
        jobs.give_back_all(conn)
        retries.wake(conn, now)
        pending.make_history(conn, 20)
        jobs.prune(conn, now)
    done = 0
    # idle polls share a commit
    with store.transaction() as conn:
        while job := jobs.next_job(conn, now):
            jobs.start(conn, [job.id], now)
            users.set_head(conn, job.user_id, now, etag="x", cached_until=now + 300, pages=1)
            failed = job.id % _ONE_FAILS_IN == 0
            jobs.finish(conn, job, now, error="ESI said 500" if failed else None)
            done += 1
    with store.transaction() as conn:
        runs.end(
            conn,
            run_id,
            now,
            users=done,
            pages=done,
            requests=done,
            new_killmails=0,
            errors=0,
            exit_code=0,
            answered=Answered(),
        )
    return time.process_time() - started
