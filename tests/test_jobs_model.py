"""The job table against a model of it: whatever happens, in whatever order."""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from new_store import new_store

from killsync.model import JobCounts, UserKind
from killsync.store import jobs, users
from killsync.store.connection import Store

pytestmark = pytest.mark.long

START = 1_800_000_000
MINUTE, DAY = 60, 86400
USERS = (1, 2, 3, 4)
KINDS = (UserKind.CHARACTER, UserKind.CORPORATION)
OPEN = ("queued", "running")

some_users = st.sets(st.sampled_from(USERS), min_size=1).map(sorted)
priorities = st.sampled_from([2, 3, 5])


@dataclass
class Row:
    """What must be in `jobs` for one job."""

    id: int
    user_id: int
    priority: int
    full: bool = False
    state: str = "queued"
    not_before: int | None = None
    attempts: int = 0
    pages: int = 0
    finished_at: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def may_run(self, now: int) -> bool:
        waits = self.not_before is not None and now < self.not_before <= now + DAY
        return self.state == "queued" and not waits


class JobTable(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.rows: dict[int, Row] = {}
        self.last_id = 0

    @initialize()
    def a_database_with_users(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.store = new_store(self.directory / "killsync.db")
        self.store.conn.execute("PRAGMA synchronous = OFF")
        for user_id in USERS:
            users.add(self.store.conn, user_id, f"user {user_id}", self.now, KINDS[user_id % 2])

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    # scans and syncs queue

    @rule(who=some_users, priority=priorities, full=st.booleans(), at_once=st.booleans())
    def queue(self, who: list[int], priority: int, full: bool, at_once: bool) -> None:
        with self.store.transaction() as conn:
            new = jobs.queue(conn, who, priority, self.now, full=full, at_once=at_once)
        assert new == sum(self._queue(user_id, priority, full, at_once) for user_id in who)

    def _queue(self, user_id: int, priority: int, full: bool, at_once: bool) -> bool:
        for row in self._open():
            if row.user_id == user_id:
                row.priority = max(row.priority, priority)
                row.full = row.full or full
                row.not_before = None if at_once else row.not_before
                return False
        job = jobs.open_job(self.store.conn, user_id)
        assert job is not None
        assert job.id > self.last_id
        self.last_id = job.id
        self.rows[job.id] = Row(job.id, user_id, priority, full)
        return True

    # the worker takes

    @rule(above=st.sampled_from([0, 0, 2, 3, 5]), only=st.none() | some_users, how_many=st.just(1))
    def take(self, above: int, only: list[int] | None, how_many: int) -> None:
        conn = self.store.conn
        wanted = [
            row
            for row in self.rows.values()
            if row.may_run(self.now)
            and row.priority > above
            and (only is None or row.user_id in only)
        ]
        wanted.sort(key=lambda row: (-row.priority, row.attempts > 0, row.id))
        taken: list[int] = []
        while job := jobs.next_job(conn, self.now, taken=taken, above=above, only_users=only):
            taken.append(job.id)
        assert taken == [row.id for row in wanted]
        jobs.start(conn, taken[:how_many], self.now)
        for row in wanted[:how_many]:
            row.state = "running"

    @rule(data=st.data())
    @precondition(lambda self: self._open())
    def list_a_page(self, data: st.DataObject) -> None:
        row = self._draw(data, OPEN)
        jobs.progress(self.store.conn, row.id, 3)
        jobs.clear_full(self.store.conn, row.id)
        row.pages += 1
        row.full = False

    # how it ends

    @rule(data=st.data(), error=st.none() | st.just("403"))
    @precondition(lambda self: self._open())
    def finish(self, data: st.DataObject, error: str | None) -> None:
        row = self._draw(data, OPEN)
        job = jobs.get(self.store.conn, row.id)
        assert job is not None
        with self.store.transaction() as conn:
            jobs.finish(conn, job, self.now, error=error)
        for other in list(self.rows.values()):
            if other.user_id == row.user_id and other.state == "done":
                del self.rows[other.id]
        row.state = "done" if error is None else "failed"
        row.not_before, row.finished_at = None, self.now

    @rule(data=st.data(), wait=st.none() | st.integers(0, 60), counts=st.booleans())
    @precondition(lambda self: self._open())
    def give_back(self, data: st.DataObject, wait: int | None, counts: bool) -> None:
        row = self._draw(data, OPEN)
        row.not_before = None if wait is None else self.now + wait * MINUTE
        row.attempts += counts
        row.state = "queued"
        jobs.give_back(self.store.conn, row.id, not_before=row.not_before, counts=counts)

    @rule()
    def crash(self) -> None:
        running = [row for row in self.rows.values() if row.state == "running"]
        assert jobs.give_back_all(self.store.conn) == len(running)
        for row in running:
            row.state = "queued"

    @rule(who=st.sampled_from(USERS))
    def drop(self, who: int) -> None:
        jobs.drop_open(self.store.conn, who)
        self.rows = {i: r for i, r in self.rows.items() if not (r.is_open and r.user_id == who)}

    # time

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule()
    def the_clock_was_two_days_fast(self) -> None:
        self.now -= 2 * DAY

    @rule()
    def a_month_later_old_failures_are_forgotten(self) -> None:
        self.now += 31 * DAY
        jobs.prune(self.store.conn, self.now)
        newest = {row.user_id: row.id for row in sorted(self._finished(), key=_by_id)}
        oldest_kept = self.now - 30 * DAY
        for row in self._finished():
            old = row.state == "failed" and row.finished_at < oldest_kept
            if old and newest[row.user_id] != row.id:
                del self.rows[row.id]

    # what must hold after every step

    @invariant()
    def the_table_holds_what_the_model_says(self) -> None:
        found = self.store.conn.execute(
            'SELECT id, user_id, priority, "full", state, unixepoch(not_before), attempts, pages,'
            " coalesce(unixepoch(finished_at), 0) FROM jobs ORDER BY id"
        ).fetchall()
        assert found == [astuple(row) for _, row in sorted(self.rows.items())]

    @invariant()
    def no_user_has_two_open_jobs(self) -> None:
        owners = [row[0] for row in self._select("SELECT user_id FROM jobs WHERE state IN (?, ?)")]
        assert len(owners) == len(set(owners))
        for user_id in USERS:
            job = jobs.open_job(self.store.conn, user_id)
            assert (job is not None) == (user_id in owners)

    @invariant()
    def open_work_is_seen(self) -> None:
        running = any(row.state == "running" for row in self.rows.values())
        runnable = any(row.may_run(self.now) for row in self.rows.values())
        assert jobs.any_open(self.store.conn, self.now) == (running or runnable)

    @invariant()
    def the_counts_are_right(self) -> None:
        states = [row.state for row in self.rows.values()]
        expected = JobCounts(*map(states.count, ("queued", "running", "failed")))
        assert jobs.counts(self.store.conn) == expected

    @invariant()
    def the_next_that_was_put_off_is_known(self) -> None:
        times = [r.not_before for r in self._open() if r.state == "queued" and r.not_before]
        later = min((t for t in times if t > self.now), default=None)
        assert jobs.next_not_before(self.store.conn, self.now) == later

    def _open(self) -> list[Row]:
        return [row for row in self.rows.values() if row.is_open]

    def _finished(self) -> list[Row]:
        return [row for row in self.rows.values() if not row.is_open]

    def _draw(self, data: st.DataObject, states: Iterable[str]) -> Row:
        return data.draw(st.sampled_from([r for r in self.rows.values() if r.state in states]))

    def _select(self, sql: str) -> list[tuple[int]]:
        return self.store.conn.execute(sql, OPEN).fetchall()


def _by_id(row: Row) -> int:
    return row.id


TestJobTable = JobTable.TestCase
TestJobTable.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


# the same table, by example


@pytest.fixture
def store(tmp_path: Path) -> Iterable[Store]:
    store = new_store(tmp_path / "killsync.db")
    for user_id in USERS:
        users.add(store.conn, user_id, f"user {user_id}", START)
    yield store
    store.close()


def order(store: Store) -> list[int]:
    """Return the users in the order in which their jobs would be taken."""
    taken: list[int] = []
    owners: list[int] = []
    while job := jobs.next_job(store.conn, START, taken=taken):
        taken.append(job.id)
        owners.append(job.user_id)
    return owners


def test_a_manual_job_overtakes_background_jobs(store: Store) -> None:
    jobs.queue(store.conn, [1, 2, 3], 3, START)
    jobs.queue(store.conn, [4], 5, START + 9)
    assert order(store) == [4, 1, 2, 3]


def test_queueing_again_raises_the_priority_and_keeps_the_age(store: Store) -> None:
    jobs.queue(store.conn, [1, 2, 3], 3, START)
    assert jobs.queue(store.conn, [3, 2], 5, START + 9) == 0
    assert order(store) == [2, 3, 1]


def test_queueing_again_in_the_background_does_not_lower_the_priority(store: Store) -> None:
    jobs.queue(store.conn, [2], 5, START)
    jobs.queue(store.conn, [1, 2], 3, START)
    assert order(store) == [2, 1]


def test_queueing_over_a_running_job_makes_it_full(store: Store) -> None:
    jobs.queue(store.conn, [1], 3, START)
    jobs.start(store.conn, [1], START)
    jobs.queue(store.conn, [1], 5, START, full=True)
    job = jobs.open_job(store.conn, 1)
    assert job is not None
    assert (job.state, job.priority, job.full) == ("running", 5, True)


def test_a_user_may_be_queued_again_when_the_job_has_ended(store: Store) -> None:
    jobs.queue(store.conn, [1], 3, START)
    job = jobs.open_job(store.conn, 1)
    assert job is not None
    jobs.finish(store.conn, job, START)
    assert jobs.queue(store.conn, [1], 3, START) == 1


def test_the_jobs_of_a_removed_user_go_with_him(store: Store) -> None:
    jobs.queue(store.conn, [1, 2], 3, START)
    users.remove(store.conn, 1)
    assert order(store) == [2]
