"""The databases as files: whose they are, how they are upgraded, what is kept, what is fast."""

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from new_store import new_store
from sqlite_utils import Database, Migrations

from killsync import files
from killsync.errors import DatabaseError
from killsync.esi.ratelimit import Bucket
from killsync.killmail.body import decode
from killsync.model import Caller, Cursor, Director, KillmailRef, Pending, UserKind, UserState
from killsync.settings import config
from killsync.settings.channels import Channel
from killsync.settings.config import Settings
from killsync.settings.values import Duration
from killsync.store import (
    channels,
    confirming,
    connection,
    directors,
    facts,
    figures,
    jobs,
    killmails,
    limits,
    lock,
    news,
    origin,
    outbox,
    pending,
    queueing,
    recent,
    removing,
    retries,
    roles,
    runs,
    schema,
    storing,
    troubles,
    urgency,
    users,
    waiting_users,
    zkb_lists,
)
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.store.outbox import OutboxState
from killsync.store.paths import lock_file
from killsync.store.runs import Answered
from killsync.store.verify_columns import TIMES
from killsync.store.waiting_users import Listed
from killsync.sync import selection

NOW = 1_800_000_000.0
NOW_ISO = "2027-01-15T08:00:00Z"
DAY = 86400.0
AGE = 900.0
BODY = Pending(7, "a" * 40, 3)
SETTINGS = Settings(min_age=Duration(AGE))

CALLER = Caller("killsync", "/c.toml", "/k.db", [], terminal=False)
COUNTS = ("users", "pages", "requests", "new_killmails", "errors", "exit_code")
NOTHING_DONE: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"answered": Answered()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "killsync.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(new_store(path)) as store:
        yield store


@pytest.fixture
def current(path: Path) -> Path:
    """A database of this version that no process has open, with one user."""
    with closing(new_store(path)) as store:
        users.add(store.conn, 1, "Hakon", NOW)
    return path


def refs(*ids: int) -> list[KillmailRef]:
    return [KillmailRef(killmail_id, f"{killmail_id:040x}") for killmail_id in ids]


def arrival(killmail_id: int) -> FetchedKillmail:
    attacker = {"damage_done": 1, "final_blow": True, "security_status": 0.5}
    body = {
        "killmail_id": killmail_id,
        "killmail_time": "2026-11-08T09:10:07Z",
        "solar_system_id": 30000142,
        "victim": {"damage_taken": 1, "ship_type_id": 670},
        "attackers": [attacker],
    }
    return FetchedKillmail.compared(
        decode(json.dumps(body).encode(), killmail_id), f"{killmail_id:040x}"
    )


def store_bodies(conn: sqlite3.Connection, *ids: int) -> None:
    arrivals = [arrival(killmail_id) for killmail_id in ids]
    pending.done(conn, ids, storing.store(conn, arrivals, NOW_ISO))


def values(store: Store, sql: str, *parameters: object) -> list[object]:
    """Return the first column of a query."""
    return [row[0] for row in store.conn.execute(sql, parameters)]


# what a fresh database is


def test_a_new_database_and_its_wal_are_for_their_owner_only(store: Store) -> None:
    users.add(store.conn, 1, "Hakon", NOW)
    files = list(store.path.parent.glob("killsync.db*"))
    assert len(files) >= 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_new_database_is_in_wal_mode(store: Store) -> None:
    assert values(store, "PRAGMA journal_mode") == ["wal"]


@pytest.mark.parametrize("read_only", [True, False])
def test_foreign_keys_are_enforced(current: Path, read_only: bool) -> None:
    with closing(connection.connect(current, read_only=read_only)) as store:
        assert values(store, "PRAGMA foreign_keys") == [1]


def test_every_table_is_strict(store: Store) -> None:
    ours = r"schema = 'main' AND type = 'table' AND name NOT LIKE '\_%' ESCAPE '\'"
    ours += " AND name NOT LIKE 'sqlite%'"
    tables = store.conn.execute(f"SELECT name, strict FROM pragma_table_list WHERE {ours}")
    strict: dict[str, int] = dict(tables.fetchall())
    assert {"users", "jobs", "killmails", "attackers", "items", "rate_limits"} < strict.keys()
    assert set(strict.values()) == {1}


def test_the_children_of_a_killmail_have_no_rowid(store: Store) -> None:
    without = values(store, "SELECT name FROM pragma_table_list WHERE wr = 1")
    assert {"attackers", "items", "user_killmails"} <= set(without)


def test_last_killmail_id_and_last_sync_are_indexed(store: Store) -> None:
    columns = values(
        store,
        "SELECT c.name FROM pragma_index_list('users') AS i"
        " JOIN pragma_index_info(i.name) AS c ON c.seqno = 0",
    )
    assert {"last_killmail_id", "last_killmail_sync_at"} <= set(columns)


def test_the_version_is_the_number_of_migrations(store: Store) -> None:
    fresh = Database(memory=True)
    assert len(schema.migrations.pending(fresh)) == connection.VERSION
    fresh.close()
    assert store.version() == connection.VERSION


def test_what_a_reader_sees_it_cannot_change(current: Path) -> None:
    with closing(connection.connect(current, read_only=True)) as store:
        assert values(store, "SELECT name FROM users") == ["Hakon"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.conn.execute("DELETE FROM users")


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    def half() -> None:
        with store.transaction() as conn:
            users.add(conn, 1, "Hakon", NOW)
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert values(store, "SELECT name FROM users") == []
    users.add(store.conn, 2, "Maru", NOW)
    assert not store.conn.in_transaction


# which files are refused


def refusal(path: Path, *, read_only: bool, create: bool = False) -> str:
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(DatabaseError) as error:
        connection.connect(path, read_only=read_only, create=create)
    assert error.value.exit_code == 2
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert str(path) in str(error.value)
    return str(error.value)


either = pytest.mark.parametrize("read_only", [True, False])


@either
def test_a_newer_database_is_refused(current: Path, read_only: bool) -> None:
    with closing(sqlite3.connect(current)) as conn:
        conn.execute(f"PRAGMA user_version = {connection.VERSION + 1}")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "newer killsync" in refusal(current, read_only=read_only)


@either
def test_the_database_of_another_program_is_refused(path: Path, read_only: bool) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "another program" in refusal(path, read_only=read_only)


@either
def test_what_is_no_database_is_refused(path: Path, read_only: bool) -> None:
    path.write_text("kills:\n" + "  - one\n" * 100)
    assert "not an SQLite database" in refusal(path, read_only=read_only)


@either
def test_a_missing_database_is_refused_and_not_made(path: Path, read_only: bool) -> None:
    assert "no database yet" in refusal(path, read_only=read_only)
    assert not path.exists()


def test_an_older_database_is_not_upgraded_by_a_reader(current: Path) -> None:
    with closing(sqlite3.connect(current)) as conn:
        conn.execute("PRAGMA user_version = 0")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "upgrades it" in refusal(current, read_only=True)


@pytest.mark.parametrize(("version", "refused"), [((3, 36, 0), True), ((3, 37, 0), False)])
def test_sqlite_is_3_37_or_later(
    current: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], refused: bool
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    if refused:
        with pytest.raises(DatabaseError, match=re.escape("killsync needs 3.37")):
            connection.connect(current)
    else:
        connection.connect(current).close()


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(tmp_path, read_only=False)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "killsync.db"
    with pytest.raises(DatabaseError, match=re.escape(str(path))):
        connection.connect(path, create=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be opened" in refusal(tmp_path / "killsync.db", read_only=False, create=True)
    tmp_path.chmod(0o700)


def examined(**env: str) -> config.CheckedSettings:
    return config.examine(None, {}, env)


def test_a_database_used_with_another_sso_is_refused(store: Store) -> None:
    real = examined()
    origin.bind(store.conn, real.settings.sso_url, real.settings.esi_url)
    origin.check(store.conn, real)
    message = "this database belongs to login.eveonline.com; KILLSYNC_SSO_URL says 127.0.0.1"
    with pytest.raises(DatabaseError, match=message):
        origin.check(store.conn, examined(KILLSYNC_SSO_URL="http://127.0.0.1:8080"))


def test_where_the_address_of_another_sso_stands_is_said(store: Store, tmp_path: Path) -> None:
    origin.bind(store.conn, "http://127.0.0.1:1", "http://127.0.0.1:1")
    file = tmp_path / "killsync.toml"
    file.write_text('sso_url = "https://sso.example.test"\n')
    said = {
        f"sso_url in {file} says sso.example.test: correct it there": {
            "KILLSYNC_CONFIG": str(file)
        },
        "sso_url is not set, so that login.eveonline.com is asked: set it in": {},
        "KILLSYNC_SSO_URL says localhost: unset it": {"KILLSYNC_SSO_URL": "http://localhost:2"},
    }
    for words, env in said.items():
        with pytest.raises(DatabaseError, match=re.escape(words)):
            origin.check(store.conn, examined(**env))


def test_a_simulator_may_come_back_on_another_port(store: Store) -> None:
    origin.bind(store.conn, "http://127.0.0.1:1", "http://127.0.0.1:1")
    again = "http://127.0.0.1:2"
    origin.check(store.conn, examined(KILLSYNC_SSO_URL=again, KILLSYNC_ESI_URL=again))


# upgrades


def next_version(change: Callable[[Database], object]) -> Migrations:
    """Return killsync's migrations and one more."""
    migrations = Migrations(schema.migrations.name)
    with closing(Database(memory=True)) as fresh:
        for migration in schema.migrations.pending(fresh):
            migrations(name=migration.name)(migration.fn)

    @migrations()
    def m999_next(db: Database) -> None:
        change(db)
        db.execute(f"PRAGMA user_version = {connection.VERSION + 1}")

    return migrations


def add_column(db: Database) -> None:
    db.execute("ALTER TABLE users ADD COLUMN corporation_id INTEGER")


def columns(store: Store) -> set[object]:
    return set(values(store, "SELECT name FROM pragma_table_info('users')"))


def backup_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.before-{connection.VERSION + 1}")


def test_an_upgrade_keeps_the_rows_and_raises_the_version(current: Path) -> None:
    with closing(connection.connect(current)) as store:
        connection.upgrade(store, next_version(add_column))
        assert store.version() == connection.VERSION + 1
        assert "corporation_id" in columns(store)
        assert values(store, "SELECT name FROM users") == ["Hakon"]


def test_an_upgrade_backs_the_old_database_up(current: Path) -> None:
    with closing(connection.connect(current)) as store:
        connection.upgrade(store, next_version(add_column))
    backup = backup_of(current)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(connection.connect(backup, read_only=True)) as old:
        assert old.version() == connection.VERSION
        assert values(old, "SELECT name FROM users") == ["Hakon"]
        assert "corporation_id" not in columns(old)


def test_a_new_or_current_database_needs_no_backup(current: Path) -> None:
    with closing(connection.connect(current)) as store:
        connection.upgrade(store)
    assert list(current.parent.glob("*before*")) == []


def test_an_upgrade_goes_without_a_backup_where_there_is_no_space_for_one(
    current: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.statvfs_result([4096, 4096, 1000, 0, 0, 0, 0, 0, 0, 255])
    with closing(connection.connect(current)) as store:
        monkeypatch.setattr(os, "statvfs", lambda _: full)
        connection.upgrade(store, next_version(add_column))
        assert store.version() == connection.VERSION + 1
    assert not backup_of(current).exists()


def test_a_migration_that_fails_leaves_the_old_version(current: Path) -> None:
    def fail(db: Database) -> None:
        add_column(db)
        db.executescript("CREATE TABLE half (id INTEGER) STRICT; DELETE FROM users;")
        raise KeyError

    with closing(connection.connect(current)) as store:
        with pytest.raises(KeyError):
            connection.upgrade(store, next_version(fail))
        assert store.version() == connection.VERSION
        assert "corporation_id" not in columns(store)
        assert values(store, "SELECT name FROM users") == ["Hakon"]
        connection.upgrade(store, next_version(add_column))
        assert store.version() == connection.VERSION + 1


KILLED = """
import os, sys
from pathlib import Path
from typing import Any
from test_store import add_column, next_version
from killsync.store import connection

def die(db):
    add_column(db)
    os.kill(os.getpid(), 9)

connection.upgrade(connection.connect(Path(sys.argv[1])), next_version(die))
"""


def test_a_migration_that_is_killed_leaves_the_old_version(current: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(current)], cwd=Path(__file__).parent, check=False
    )
    assert done.returncode == -signal.SIGKILL
    with closing(connection.connect(current)) as store:
        assert store.version() == connection.VERSION
        assert "corporation_id" not in columns(store)
        connection.upgrade(store, next_version(add_column))
        assert store.version() == connection.VERSION + 1


def test_a_first_migration_that_fails_leaves_a_database_that_can_be_made(path: Path) -> None:
    def fail(db: Database) -> None:
        raise KeyError

    with closing(connection.connect(path, create=True)) as store, pytest.raises(KeyError):
        connection.upgrade(store, next_version(fail))
    with closing(connection.connect(path)) as store:
        connection.upgrade(store)
        assert store.version() == connection.VERSION


# what is counted


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["list", "store"]),
            st.sampled_from([1, 2, 3]),
            st.lists(st.integers(1, 12), max_size=6),
        ),
        max_size=12,
    )
)
def test_per_user_counts_are_those_of_the_rows(steps: list[tuple[str, int, list[int]]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        schema.migrations.apply(Database(conn))
        for user_id in (1, 2, 3):
            users.add(conn, user_id, f"user {user_id}", NOW)
        for step, user_id, ids in steps:
            if step == "list":
                before = users.get(conn, user_id)
                new = pending.record(conn, user_id, refs(*ids), 3, NOW)
                after = users.get(conn, user_id)
                assert before is not None
                assert after is not None
                assert new == after.listed - before.listed
            else:
                store_bodies(conn, *ids)
        found = conn.execute("SELECT user_id, listed, killmails FROM users ORDER BY 1").fetchall()
        counted = conn.execute(
            """SELECT user_id, count(u.killmail_id), count(k.killmail_id) FROM users
            LEFT JOIN user_killmails AS u USING (user_id)
            LEFT JOIN killmails AS k ON k.killmail_id = u.killmail_id
            GROUP BY user_id ORDER BY 1"""
        ).fetchall()
        assert found == counted


def test_a_killmail_that_is_stored_already_is_not_pending_for_a_second_user(store: Store) -> None:
    users.add(store.conn, 1, "Hakon", NOW)
    users.add(store.conn, 2, "Maru", NOW)
    pending.record(store.conn, 1, refs(5), 3, NOW)
    store_bodies(store.conn, 5)
    pending.record(store.conn, 2, refs(5), 3, NOW)
    assert values(store, "SELECT killmail_id FROM pending_killmails") == []
    assert values(store, "SELECT killmails FROM users") == [1, 1]


def test_a_killmail_that_two_users_list_is_pending_once_at_the_higher_priority(
    store: Store,
) -> None:
    users.add(store.conn, 1, "Hakon", NOW)
    users.add(store.conn, 2, "Maru", NOW)
    pending.record(store.conn, 1, refs(5, 6), 2, NOW)
    pending.record(store.conn, 2, refs(5), 5, NOW)
    assert [p.killmail_id for p in pending.ready(store.conn, 9)] == [5, 6]
    assert [p.priority for p in pending.ready(store.conn, 9)] == [5, 2]


# what is forgotten


def end_job(store: Store, user_id: int, moment: float, error: str | None = None) -> None:
    jobs.queue(store.conn, [user_id], 3, moment)
    job = jobs.open_job(store.conn, user_id)
    assert job is not None
    jobs.finish(store.conn, job, moment, error=error)


def test_of_the_jobs_that_are_done_the_newest_of_each_user_stays(store: Store) -> None:
    for user_id in (1, 2):
        users.add(store.conn, user_id, f"user {user_id}", NOW)
        for minute in range(3):
            end_job(store, user_id, NOW + 60 * minute)
    ends = store.conn.execute("SELECT user_id, finished_at FROM jobs ORDER BY 1").fetchall()
    assert ends == [(1, "2027-01-15T08:02:00Z"), (2, "2027-01-15T08:02:00Z")]


def test_failures_stay_for_30_days(store: Store) -> None:
    users.add(store.conn, 1, "Hakon", NOW)
    for day in (0, 2, 20):
        end_job(store, 1, NOW + day * DAY, "403")
    end_job(store, 1, NOW + 21 * DAY)
    jobs.prune(store.conn, NOW + 31 * DAY)
    ends = values(store, "SELECT substr(finished_at, 6, 5) FROM jobs ORDER BY id")
    assert ends == ["01-17", "02-04", "02-05"]


def test_the_newest_finished_job_of_a_user_stays_even_if_it_is_an_old_failure(
    store: Store,
) -> None:
    users.add(store.conn, 1, "Hakon", NOW)
    end_job(store, 1, NOW, "403")
    end_job(store, 1, NOW + DAY, "the token works no more")
    jobs.prune(store.conn, NOW + 60 * DAY)
    assert values(store, "SELECT error FROM jobs") == ["the token works no more"]


def test_open_jobs_are_never_forgotten(store: Store) -> None:
    users.add(store.conn, 1, "Hakon", NOW)
    jobs.queue(store.conn, [1], 3, NOW)
    jobs.prune(store.conn, NOW + 400 * DAY)
    assert values(store, "SELECT state FROM jobs") == ["queued"]


def test_runs_stay_for_400_days(store: Store) -> None:
    for day in (0, 2, 401):
        run_id = runs.begin(store.conn, "scan", NOW + day * DAY, CALLER, 540.0)
        runs.end(store.conn, run_id, NOW + day * DAY, **NOTHING_DONE)
    assert values(store, "SELECT id FROM runs") == [2, 3]


def test_old_failures_and_runs_are_deleted_in_small_batches(store: Store) -> None:
    conn = store.conn
    users.add(conn, 1, "Hakon", NOW)
    old = "2001-01-01T00:00:00Z"
    for _ in range(1200):
        conn.execute(
            "INSERT INTO jobs (user_id, priority, state, queued_at, finished_at)"
            " VALUES (1, 3, 'failed', ?, ?)",
            [old, old],
        )
        conn.execute(
            "INSERT INTO runs (command, pid, host, started_at) VALUES ('scan', 1, 'h', ?)",
            [old],
        )
    left = []
    for _ in range(3):
        run_id = runs.begin(conn, "scan", NOW, CALLER, 540.0)
        jobs.prune(conn, NOW)
        runs.end(conn, run_id, NOW + DAY, **NOTHING_DONE)
        left.append(
            conn.execute(
                "SELECT (SELECT count(*) FROM jobs WHERE finished_at = ?),"
                " (SELECT count(*) FROM runs WHERE started_at = ?)",
                [old, old],
            ).fetchone()
        )
    # the newest failure of a user stays
    assert left == [(700, 700), (200, 200), (1, 0)]


# the plans of what runs at every tick

BIG = {"users", "jobs", "killmails", "user_killmails", "pending_killmails", "attackers", "items"}
BIG |= {"outbox"}
TICK: dict[str, Callable[[sqlite3.Connection], object]] = {
    "selection.find": lambda conn: selection.find(conn, NOW, SETTINGS),
    "selection.find forced": lambda conn: selection.find(conn, NOW, SETTINGS, force=True),
    "selection.queue": lambda conn: selection.queue(
        conn, selection.find(conn, NOW, SETTINGS).due, NOW
    ),
    "jobs.next_job": lambda conn: jobs.next_job(conn, NOW, taken=[1], above=2),
    "jobs.youngest_untried": lambda conn: jobs.youngest_untried(conn, 3, NOW, [1]),
    "jobs.any_open": lambda conn: jobs.any_open(conn, NOW),
    "jobs.running": jobs.running,
    "jobs.newest_ended": lambda conn: jobs.newest_ended(conn, 1),
    "recent.stored_between": lambda conn: recent.stored_between(
        conn, ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    ),
    "jobs.open_job": lambda conn: jobs.open_job(conn, 1),
    "jobs.get": lambda conn: jobs.get(conn, 1),
    "jobs.next_not_before": lambda conn: jobs.next_not_before(conn, NOW),
    "jobs.start": lambda conn: jobs.start(conn, [1], NOW),
    "jobs.progress": lambda conn: jobs.progress(conn, 1, 3),
    "jobs.clear_full": lambda conn: jobs.clear_full(conn, 1),
    "jobs.finish": lambda conn: end_any_job(conn),
    "jobs.give_back": lambda conn: jobs.give_back(conn, 1, not_before=NOW),
    "jobs.give_back_all": lambda conn: jobs.give_back_all(conn),
    "jobs.drop_open": lambda conn: jobs.drop_open(conn, 2),
    "jobs.counts": lambda conn: jobs.counts(conn),
    "jobs.first_in_line": lambda conn: jobs.first_in_line(conn, 400),
    "jobs.prune": lambda conn: jobs.prune(conn, NOW),
    "pending.record": lambda conn: pending.record(conn, 1, refs(7, 8), 3, NOW),
    "confirming.compare": lambda conn: confirming.compare(conn, refs(7, 8)),
    "killmails.remove": lambda conn: killmails.remove(conn, [7, 8]),
    "removing.only_of": lambda conn: removing.only_of(conn, 1),
    "retries.wake": lambda conn: retries.wake(conn, NOW),
    "pending.make_history": lambda conn: pending.make_history(conn, 20),
    "retries.any_put_off_ready": lambda conn: retries.any_put_off_ready(conn, NOW),
    "pending.any_ready": lambda conn: pending.any_ready(conn),
    "retries.next_not_before": lambda conn: retries.next_not_before(conn),
    "pending.ready": lambda conn: pending.ready(conn, 100),
    "pending.ready of users": lambda conn: pending.ready(conn, 100, only_users=[1, 2]),
    "pending.ready of ESI's": lambda conn: pending.ready(conn, 100, only_esi=True),
    "zkb_lists.record": lambda conn: zkb_lists.record(conn, 1, refs(7, 8)),
    "zkb_lists.set_position": lambda conn: zkb_lists.set_position(
        conn, 1, "kills", zkb_lists.Position(), 0, NOW
    ),
    "zkb_lists.count_pending": lambda conn: zkb_lists.count_pending(conn, [1, 2]),
    "zkb_lists.position": lambda conn: zkb_lists.position(conn, 1, "kills"),
    "zkb_lists.only_by_zkb": lambda conn: zkb_lists.only_by_zkb(conn, [7, 8]),
    "zkb_lists.forget_claims": lambda conn: zkb_lists.forget_claims(conn, [7, 8]),
    "roles.of_nobody": lambda conn: roles.of_nobody(conn, [arrival(7).killmail]),
    "pending.waiting_for": lambda conn: pending.waiting_for(conn, [1]),
    "retries.put_off": lambda conn: retries.put_off(conn, BODY, "502", NOW),
    "retries.refuse": lambda conn: retries.refuse(
        conn, BODY, "422", NOW, not_before=NOW, set_aside=True
    ),
    "retries.wake_probes": lambda conn: retries.wake_probes(conn),
    "retries.lift": lambda conn: retries.lift(conn, [7]),
    "retries.any_error": lambda conn: retries.any_error(conn),
    "pending.count_by_state": lambda conn: pending.count_by_state(conn),
    "urgency.ready_by_urgency": lambda conn: urgency.ready_by_urgency(conn),
    "urgency.ready_before": lambda conn: urgency.ready_before(conn, [1, 2]),
    "urgency.put_off_until": lambda conn: urgency.put_off_until(conn, NOW),
    "a body is stored": lambda conn: store_bodies(conn, 7, 8),
    "users.get": lambda conn: users.get(conn, 1),
    "users.named": lambda conn: users.named(conn, "hakon"),
    "users.set_failed": lambda conn: users.set_failed(conn, 1, "403", NOW, NOW),
    "waiting_users.failing": lambda conn: waiting_users.failing(conn, NOW, 10),
    "waiting_users.lift_backoff": lambda conn: waiting_users.lift_backoff(conn, NOW),
    "waiting_users.is_alone": lambda conn: waiting_users.is_alone(conn, 1),
    "waiting_users.others_refreshed_since": lambda conn: waiting_users.others_refreshed_since(
        conn, 1, "2026-01-01T00:00:00Z"
    ),
    "waiting_users.unsynced": lambda conn: waiting_users.unsynced(
        conn, added_before=NOW, synced_before=NOW
    ),
    "waiting_users.open_gaps": lambda conn: waiting_users.open_gaps(conn),
    "waiting_users.never_read": lambda conn: waiting_users.never_read(conn),
    "waiting_users.listed_for_waiting": lambda conn: waiting_users.listed_for_waiting(conn, [1, 2]),
    "users.note_error": lambda conn: users.note_error(conn, 1, "403", NOW),
    "users.set_accepted": lambda conn: users.set_accepted(conn, 1, NOW),
    "users.rest": lambda conn: users.rest(conn, 1, NOW),
    "users.set_state": lambda conn: users.set_state(conn, 1, UserState.ACTIVE),
    "users.set_head": lambda conn: users.set_head(
        conn, 1, NOW, etag=None, cached_until=NOW, pages=1
    ),
    "users.set_cursor": lambda conn: users.set_cursor(
        conn, 1, Cursor(9, 2), full_from=None, last_full_at=None, gap_cached_until=None, floor_id=8
    ),
    "limits.load": lambda conn: limits.load(conn, "char-killmail", "1"),
    "limits.load_shared": lambda conn: limits.load_shared(conn),
    "limits.save": lambda conn: limits.save(conn, [Bucket("killmail", "", 3600, 900.0)]),
    "runs.begin": lambda conn: runs.begin(conn, "scan", NOW, CALLER, 540.0),
    "runs.end": lambda conn: runs.end(conn, 1, NOW, **NOTHING_DONE),
    "runs.record_idle": lambda conn: runs.record_idle(conn, "scan", NOW, CALLER),
    "runs.background_scans": lambda conn: runs.background_scans(conn, 12),
    "runs.last_answered": lambda conn: runs.last_answered(conn),
    "runs.newest_unended": lambda conn: runs.newest_unended(conn, connection.VERSION),
    "figures.last_success": lambda conn: figures.last_success(conn),
    "figures.oldest_sync": lambda conn: figures.oldest_sync(conn),
    "facts.last_stored_seq": lambda conn: facts.last_stored_seq(conn),
    "facts": lambda conn: (facts.bodies_fail_since(conn), facts.last_alert(conn)),
    "runs.started_before": lambda conn: runs.started_before(conn, NOW),
    "directors.of_corporation": lambda conn: directors.of_corporation(conn, 9),
    "directors.set_asked": lambda conn: directors.set_asked(conn, 9, 1, NOW),
    "directors.set_accepted": lambda conn: directors.set_accepted(conn, 9, 1),
    "directors.set_refused": lambda conn: directors.set_refused(conn, Director(9, 1, "Boss")),
    "directors.token_renewed": lambda conn: directors.token_renewed(conn, 1, NOW),
    "directors.only_director_of": lambda conn: directors.only_director_of(conn, 1),
    "directors.last_readers": lambda conn: list(directors.last_readers(conn, [1, 2, 9])),
    "directors.is_only_corporation": lambda conn: directors.is_only_corporation(conn, 9),
    "directors.others_read_since": lambda conn: directors.others_read_since(
        conn, 9, "2026-01-01T00:00:00Z"
    ),
    "waiting_users.others_listed_since": lambda conn: waiting_users.others_listed_since(
        conn, 9, "2026-01-01T00:00:00Z"
    ),
    "users.set_readable": lambda conn: users.set_readable(conn, 9),
    "news.note_complete": lambda conn: news.note_complete(conn, 1, NOW),
    "news.is_complete": lambda conn: news.is_complete(conn, 1),
    "news.mark": lambda conn: news.mark(conn, [7, 8]),
    "news.among": lambda conn: news.among(conn, [7, 8]),
    "queueing.queue": lambda conn: queueing.queue(conn, [7, 8], [Channel("corp")], NOW),
    "outbox.any_unfinished": lambda conn: outbox.any_unfinished(conn),
    "outbox.any_sending": lambda conn: outbox.any_sending(conn),
    "outbox.any_to_prune": lambda conn: outbox.any_to_prune(conn, NOW),
    "outbox.waiting_channels": lambda conn: outbox.waiting_channels(conn),
    "outbox.due": lambda conn: outbox.due(conn, "corp", NOW, killmails=True),
    "outbox.next_due": lambda conn: outbox.next_due(conn, "corp", NOW, 10),
    "outbox.troubles_due": lambda conn: outbox.troubles_due(conn, "corp", NOW),
    "outbox.claim": lambda conn: outbox.claim(conn, "corp", NOW, 10, killmails=True),
    "outbox.settle": lambda conn: outbox.settle(conn, [1, 2], OutboxState.TOLD, NOW),
    "outbox.find_lost": lambda conn: outbox.find_lost(conn, NOW),
    "outbox.expire": lambda conn: outbox.expire(conn, "corp", NOW, NOW, "gone"),
    "outbox.bring_forward": lambda conn: outbox.bring_forward(conn, "corp", NOW),
    "outbox.prune": lambda conn: outbox.prune(conn, NOW),
    "channels.known": lambda conn: channels.known(conn),
    "channels.forget_unused": lambda conn: channels.forget_unused(conn, ["corp"]),
    "channels.get": lambda conn: channels.get(conn, "corp"),
    "channels.counts": lambda conn: channels.counts(conn, "corp", 10),
    "troubles.still_open": lambda conn: troubles.still_open(conn, "corp"),
    "troubles.without_login": lambda conn: troubles.without_login(conn),
}


def end_any_job(conn: sqlite3.Connection) -> None:
    job = jobs.open_job(conn, 1)
    assert job is not None
    jobs.finish(conn, job, NOW)


def statements(conn: sqlite3.Connection, call: Callable[[sqlite3.Connection], object]) -> set[str]:
    """Return what SQLite is asked by a call, with the parameters filled in."""
    seen: set[str] = set()
    conn.set_trace_callback(seen.add)
    try:
        call(conn)
    finally:
        conn.set_trace_callback(None)
    return {sql for sql in seen if not sql.startswith("--")}


def scans(conn: sqlite3.Connection, sql: str) -> list[str]:
    """Return the steps of a plan that read a whole big table, or a whole index of one.

    A partial index is as short as the work that waits, so that one may be read whole.
    """
    partial = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE sql LIKE ?",
        ["CREATE%INDEX%WHERE%"])}  # fmt: skip
    found = []
    for *_, detail in conn.execute(f"EXPLAIN QUERY PLAN {sql}"):
        scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", detail)
        if scan and scan[1] in BIG and scan[2] not in partial:
            found.append(detail)
    return found


@pytest.mark.parametrize("name", TICK)
def test_nothing_reads_a_whole_table_at_every_tick(store: Store, name: str) -> None:
    conn = store.conn
    for user_id in (1, 2):
        users.add(conn, user_id, f"user {user_id}", NOW)
    users.add(conn, 9, "a corporation", NOW, UserKind.CORPORATION)
    directors.add(conn, 9, 1)
    jobs.queue(conn, [1, 2], 3, NOW)
    runs.begin(conn, "scan", NOW, CALLER, 540.0)
    asked = statements(conn, TICK[name])
    assert asked, "the call asks the database nothing"
    assert {sql: found for sql in asked if (found := scans(conn, sql))} == {}


def test_of_those_who_wait_each_killmail_counts_once(store: Store) -> None:
    conn = store.conn
    lists = {1: [11, 12], 2: [12, 13], 3: [14]}
    for user_id, ids in lists.items():
        users.add(conn, user_id, f"user {user_id}", NOW)
        pending.record(conn, user_id, refs(*ids), 3, NOW)
    assert waiting_users.listed_for_waiting(conn) == Listed(distinct=4, in_all=5, stored=0)
    # what is set aside is waited for by nobody
    conn.execute("UPDATE pending_killmails SET set_aside_at = '2026-11-24' WHERE killmail_id = 14")
    assert waiting_users.listed_for_waiting(conn) == Listed(distinct=3, in_all=4, stored=0)
    assert waiting_users.listed_for_waiting(conn, [3]) == Listed(distinct=1, in_all=1, stored=0)
    assert waiting_users.listed_for_waiting(conn, []) == Listed(distinct=0, in_all=0, stored=0)


def test_check_looks_at_every_time_of_the_schema(store: Store) -> None:
    for table in (
        "users",
        "jobs",
        "pending_killmails",
        "runs",
        "directors",
        "imports",
        "zkb_lists",
        "outbox",
        "channels",
        "troubles",
    ):
        columns = {row[1] for row in store.conn.execute(f"PRAGMA table_info({table})")}
        words = "_at$|_until$|_since$|^since$|^not_before$|_from$"
        times = {c for c in columns if re.search(words, c)}
        assert times == set(TIMES[table].split())


# one run at a time


@pytest.fixture
def locked(path: Path) -> Path:
    lock_file(path).touch()
    return path


def test_a_second_run_does_not_get_the_lock(locked: Path) -> None:
    with lock.hold(locked):
        assert lock.is_held(locked)
        with pytest.raises(lock.RunInProgress), lock.hold(locked, patience=0):
            pass
    assert not lock.is_held(locked)


def test_a_run_that_fails_frees_the_lock(locked: Path) -> None:
    with pytest.raises(KeyError), lock.hold(locked):
        raise KeyError
    with lock.hold(locked, patience=0):
        pass


def test_looking_at_the_lock_neither_takes_nor_makes_it(path: Path) -> None:
    assert not lock.is_held(path)
    assert not lock_file(path).exists()


def test_the_lock_does_not_hinder_readers_and_writers_of_the_database(store: Store) -> None:
    lock_file(store.path).touch()
    with lock.hold(store.path):
        users.add(store.conn, 1, "Hakon", NOW)
        with closing(connection.connect(store.path, read_only=True)) as reader:
            assert values(reader, "SELECT name FROM users") == ["Hakon"]


HOLDER = """
import sys, time
from pathlib import Path
from typing import Any
from killsync.store import lock

with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_run_is_free(locked: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(locked)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock.is_held(locked)
        holder.kill()
    assert not lock.is_held(locked)
    with lock.hold(locked, patience=0):
        pass


def test_making_sure_that_a_file_exists_drops_no_lock_on_it(tmp_path: Path) -> None:
    database = tmp_path / "killsync.db"
    files.create_private(lock_file(database))
    ask = "import sys; from pathlib import Path; from killsync.store import lock;"
    ask += " sys.exit(lock.is_held(Path(sys.argv[1])))"
    with lock.hold(database):
        files.create_private(lock_file(database))
        held = subprocess.run([sys.executable, "-c", ask, str(database)], check=False)
    assert held.returncode == 1
