"""`killsync feed postgres` where PostgreSQL says no: one line says what to do, nothing is half."""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from commands import TIMEOUT
from commands import start as start_command
from fed import ask, assert_equal
from here import Done, run_here
from new_store import new_store
from postgres_server import Server, own_server, skip_without
from psycopg import sql
from stored import attacker, body, pilot, put
from world import wait_until

from killsync.errors import DatabaseBusy
from killsync.lake.postgres import connected
from killsync.lake.postgres_feed import Feed
from killsync.store import connection, reading, users
from killsync.store.connection import Store

ANNA = 90000001
PASSWORD = "sesame"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with a few killmails."""
    with closing(new_store(tmp_path / "killsync.db")) as opened:
        users.add(opened.conn, ANNA, "Anna", 1_800_000_000.0)
        keep(opened, 1, 2, 3)
        yield opened


def keep(store: Store, *killmail_ids: int, items: int = 1) -> None:
    item = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 2}
    many = [item] * items
    put(store, [body(i, pilot(ANNA), [attacker(90000009)], items=many) for i in killmail_ids])


def environment(store: Store, **more: str) -> dict[str, str]:
    return {"HOME": str(store.path.parent), "PATH": os.environ["PATH"]} | more


def words(store: Store, url: str, *options: str) -> tuple[str, ...]:
    return ("--db", str(store.path), "feed", "postgres", url, *options)


def feed(store: Store, url: str, *options: str, **variables: str) -> Done:
    return run_here(*words(store, url, *options), environment=environment(store, **variables))


def refused(store: Store, url: str, *options: str, code: int = 2) -> str:
    """Feed in vain; return the line that says why."""
    done = feed(store, url, *options)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("killsync: ")
    assert PASSWORD not in line
    return line


def role(url: str, *statements: LiteralString) -> str:
    """Make a role, and do what is said of it, `{role}`; return the address for it."""
    name = sql.Identifier(f"role_{uuid.uuid4().hex}")
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        for statement in statements:
            conn.execute(sql.SQL(statement).format(role=name))
    return url.replace("postgres@", f"{name.as_string()[1:-1]}@")


# nobody there, or not for us


def test_a_server_that_is_down_is_tried_later(store: Store) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        line = refused(store, f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/x", code=75)
    assert f'at "127.0.0.1", port {port} cannot be reached: Connection refused' in line


def test_a_host_that_nobody_knows_is_named(store: Store) -> None:
    line = refused(store, f"postgresql://me:{PASSWORD}@nowhere.invalid/x", code=75)
    assert "cannot be reached: failed to resolve host 'nowhere.invalid'" in line


def test_a_wrong_password_is_said_to_be_wrong(store: Store, database: str) -> None:
    line = refused(store, database.replace("postgres@", "guarded:false@"))
    assert "does not let killsync in: password authentication failed for user" in line
    assert "false" not in line


def test_a_password_may_stand_in_a_file(store: Store, database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute("CREATE SCHEMA killsync AUTHORIZATION guarded")
    passwords = store.path.with_name(".pgpass")
    passwords.write_text(f"*:*:*:guarded:{PASSWORD}\n")
    passwords.chmod(0o600)
    url = database.replace("postgres@", "guarded@")
    done = feed(store, url, PGPASSFILE=str(passwords))
    assert done.returncode == 0, done.stderr
    assert_equal(database, store.path)


def test_a_database_that_does_not_exist_is_named(store: Store, postgres: Server) -> None:
    line = refused(store, postgres.url("nothing"))
    assert 'does not let killsync in: database "nothing" does not exist' in line


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:a@{PASSWORD}@127.0.0.1/x",
        f"postgresql://me:a/{PASSWORD}@127.0.0.1/x",
        f"postgresql://me:{PASSWORD}/a@127.0.0.1/x",
        f"postgresql://me:{PASSWORD}%zz@127.0.0.1/x",
        f"host=127.0.0.1 password={PASSWORD} is this",
        f"{PASSWORD}",
    ],
)
def test_an_address_that_is_none_is_not_repeated(store: Store, url: str) -> None:
    assert "this is no address of a PostgreSQL database" in refused(store, url)


def test_no_address_at_all_is_asked_for(store: Store) -> None:
    done = run_here(*words(store, "")[:-1], environment=environment(store))
    assert done.returncode == 2
    assert "killsync: name a PostgreSQL database" in done.stderr


def test_an_unknown_service_is_named(store: Store) -> None:
    assert 'service "nothing" not found' in refused(store, "service=nothing")


def test_an_address_that_is_no_text_is_refused(store: Store) -> None:
    line = refused(store, "postgresql://127.0.0.1/\udcff")
    assert "this is no address of a PostgreSQL database" in line


@pytest.mark.parametrize(
    "options",
    [("--source", "a b"), ("--schema", "pg_x"), ("--schema", ""), ("--schema", "a\udcff")],
)
def test_a_name_that_cannot_be_is_refused(store: Store, options: tuple[str, str]) -> None:
    done = feed(store, "service=nothing", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for '{options[0]}'" in done.stderr


@contextmanager
def old_server() -> Iterator[int]:
    """Let everybody in as PostgreSQL 12 would, and answer nothing more; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def welcome() -> None:
            conn, _ = server.accept()
            with conn:
                conn.recv(4096)
                version = b"server_version\0" + b"12.22\0"
                conn.sendall(b"R" + struct.pack("!ii", 8, 0))
                conn.sendall(b"S" + struct.pack("!i", 4 + len(version)) + version)
                conn.sendall(b"Z" + struct.pack("!i", 5) + b"I")
                conn.recv(4096)

        thread = threading.Thread(target=welcome)
        thread.start()
        yield server.getsockname()[1]
        thread.join(TIMEOUT)


def test_a_postgresql_that_is_too_old_is_refused(store: Store) -> None:
    with old_server() as port:
        line = refused(store, f"postgresql://me@127.0.0.1:{port}/x?sslmode=disable")
    assert "PostgreSQL 12.22 is too old: killsync needs 13 or later" in line


def test_a_database_that_cannot_hold_every_name_is_refused(store: Store, postgres: Server) -> None:
    name = f"latin_{uuid.uuid4().hex}"
    with closing(postgres.connect()) as conn:
        made = sql.SQL("CREATE DATABASE {} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        conn.execute(made.format(sql.Identifier(name)))
    assert "has the encoding LATIN1" in refused(store, postgres.url(name))
    postgres.drop_database(name)


def test_without_psycopg_the_line_that_installs_it_is_named(store: Store, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "psycopg"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError('no', name='psycopg')")
    done = subprocess.run(
        [sys.executable, "-m", "killsync", *words(store, "service=x")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(store, PYTHONPATH=str(missing.parent)),
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "psycopg is not installed: run `" in done.stderr
    assert "-m pip install 'psycopg[binary]>=3.2'`" in done.stderr


# rights


def test_a_role_that_may_make_no_schema_is_told_so(store: Store, database: str) -> None:
    line = refused(store, role(database))
    assert "PostgreSQL does not allow it: permission denied for database" in line
    assert "docs/postgres.md" in line


def test_a_role_that_may_only_read_is_told_so(store: Store, database: str) -> None:
    feed(store, database)
    reader = role(
        database,
        "GRANT USAGE ON SCHEMA killsync TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA killsync TO {role}",
    )
    keep(store, 4)
    assert "permission denied for table" in refused(store, reader)
    assert ask(database, "SELECT count(*) FROM killmails") == [(3,)]


def test_a_server_that_only_lets_itself_be_read_is_refused(store: Store, database: str) -> None:
    reader = role(database, "ALTER ROLE {role} SET default_transaction_read_only = on")
    assert "PostgreSQL only lets itself be read" in refused(store, reader)


def test_a_role_that_owns_the_schema_may_feed_it(store: Store, database: str) -> None:
    owner = role(database, "CREATE SCHEMA killsync AUTHORIZATION {role}")
    assert feed(store, owner).returncode == 0
    assert_equal(database, store.path)


# a schema that is not as it should be


def execute(url: str, statement: bytes) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(statement)


def test_a_newer_schema_is_refused(store: Store, database: str) -> None:
    feed(store, database)
    execute(database, b"UPDATE killsync.killsync_schema SET version = 99")
    line = refused(store, database)
    assert "was made by a newer killsync (version 99" in line
    assert line.endswith("upgrade killsync")


def test_a_schema_that_is_anothers_is_left_alone(store: Store, database: str) -> None:
    execute(database, b"CREATE SCHEMA killsync CREATE TABLE killmails (mine integer)")
    line = refused(store, database)
    assert "holds something that is not killsync's" in line
    assert "--schema" in line
    assert ask(
        database, "SELECT relname FROM pg_class WHERE relnamespace = 'killsync'::regnamespace"
    ) == [("killmails",)]


def test_a_view_that_is_anothers_is_left_alone(store: Store, database: str) -> None:
    execute(database, b"CREATE SCHEMA killsync CREATE VIEW sides AS SELECT 42 AS mine")
    assert "holds something that is not killsync's" in refused(store, database)
    assert ask(database, "SELECT * FROM sides") == [(42,)]


def test_a_view_that_was_dropped_comes_back(store: Store, database: str) -> None:
    feed(store, database)
    execute(database, b"DROP VIEW killsync.kills")
    assert feed(store, database).returncode == 0
    assert ask(database, "SELECT count(*) FROM kills") == [(3,)]


def test_a_table_that_lost_a_column_is_not_fed(store: Store, database: str) -> None:
    feed(store, database)
    execute(database, b"ALTER TABLE killsync.items DROP COLUMN flag CASCADE")
    assert "killsync.items has no column flag any more" in refused(store, database)


def test_a_table_whose_columns_hold_something_else_is_not_fed(store: Store, database: str) -> None:
    feed(store, database)
    execute(database, b"ALTER TABLE killsync.items ADD COLUMN mine integer NOT NULL DEFAULT 7")
    keep(store, 4)
    assert feed(store, database).returncode == 0
    execute(
        database,
        b"ALTER TABLE killsync.items ADD CONSTRAINT mine CHECK (item_type_id <> 34) NOT VALID",
    )
    keep(store, 5)
    assert "somebody else writes into it" in refused(store, database)
    assert ask(database, "SELECT max(killmail_id) FROM killmails") == [(4,)]


def test_a_place_that_was_deleted_is_made_again_from_the_beginning(
    store: Store, database: str
) -> None:
    feed(store, database)
    execute(database, b"DELETE FROM killsync.places")
    assert feed(store, database).returncode == 0
    assert_equal(database, store.path)


# while it works


@contextmanager
def begun(store: Store, url: str) -> Iterator[subprocess.Popen[str]]:
    """Start a feed in a process of its own, and end it."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = start_command(*words(store, url), environment=environment(store), text=True, **pipes)
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def schema_held(url: str) -> Iterator[int]:
    """Hold what every step of a feed waits for; yield the process that does."""
    with closing(psycopg.connect(url)) as conn:
        conn.execute("SELECT version FROM killsync.killsync_schema FOR UPDATE")
        yield conn.info.backend_pid


_WAITING: LiteralString = (
    "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def is_waiting(url: str) -> bool:
    return bool(ask(url, "SELECT pid " + _WAITING))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_feed_that_waits_for_a_lock(
    store: Store, database: str, number: int, code: int
) -> None:
    feed(store, database)
    keep(store, 4)
    with schema_held(database), begun(store, database) as process:
        wait_until(lambda: is_waiting(database))
        process.send_signal(number)
        said, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code
    assert "stopped by" in said
    assert feed(store, database).returncode == 0
    assert_equal(database, store.path)


def test_a_feed_waits_for_another(store: Store, database: str) -> None:
    feed(store, database)
    keep(store, 4)
    with begun(store, database) as first, begun(store, database) as second:
        ends = [one.communicate(timeout=TIMEOUT) and one.returncode for one in (first, second)]
    assert ends == [0, 0]
    assert_equal(database, store.path)


def test_a_connection_that_the_server_ends_loses_nothing(store: Store, database: str) -> None:
    feed(store, database)
    keep(store, 4)
    with schema_held(database), begun(store, database) as process:
        wait_until(lambda: is_waiting(database))
        ask(database, "SELECT pg_terminate_backend(pid) " + _WAITING)
        _, said = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, len(said.splitlines())) == (75, 1)
    assert "PostgreSQL has ended the connection" in said
    assert feed(store, database).returncode == 0
    assert_equal(database, store.path)


@pytest.mark.long
def test_a_server_that_dies_amid_a_copy_is_one_line(store: Store) -> None:
    skip_without()
    copying = "SELECT pid FROM pg_stat_progress_copy WHERE datname = current_database()"
    with own_server() as server:
        url = server.create_database("feed")
        feed(store, url)
        keep(store, 4)
        # more than a socket takes
        put(store, [body(5, pilot(ANNA), []) | {"said": "x" * 20_000_000}])
        slow = """CREATE FUNCTION killsync.wait() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END';
            CREATE TRIGGER slow BEFORE INSERT ON killsync.killmails
            FOR EACH ROW EXECUTE FUNCTION killsync.wait()"""
        with closing(psycopg.connect(url, autocommit=True)) as conn:
            conn.execute(slow)
        with begun(store, url) as process:
            wait_until(lambda: bool(ask(url, copying)))
            server.kill()
            _, said = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, len(said.splitlines())) == (75, 1), said
        server.start()
        with closing(psycopg.connect(url, autocommit=True)) as conn:
            conn.execute("DROP TRIGGER slow ON killsync.killmails")
        assert feed(store, url).returncode == 0
        assert_equal(url, store.path)


def test_a_first_feed_waits_for_the_schema_that_another_makes(store: Store, database: str) -> None:
    with closing(psycopg.connect(database)) as other, begun(store, database) as process:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtext('killsync schema'), hashtext('killsync'))"
        )
        waits = "SELECT xact_start " + _WAITING
        wait_until(lambda: bool(ask(database, waits)))
        first = ask(database, waits)
        # longer than a statement waits for a lock
        wait_until(lambda: ask(database, waits) not in ([], first))
        other.rollback()
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert_equal(database, store.path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_feed_that_waits_for_an_answer(
    store: Store, number: int, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=600"
        with begun(store, url) as process, closing(silent.accept()[0]):
            process.send_signal(number)
            assert process.communicate(timeout=TIMEOUT) == ("", "")
    assert process.returncode == code


def test_what_was_read_while_nobody_could_watch_does_not_stay(store: Store, database: str) -> None:
    store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn = reading.connect_unchanging(store.path)

    def change(stored_seq: int) -> None:
        os.utime(store.path, (stored_seq, stored_seq))

    with (
        closing(Store(store.path, conn, unwatched=True)) as unwatched,
        connected(database, "killsync") as target,
    ):
        feeding = Feed(target, unwatched, "main", with_hash=False, stops=lambda: False, show=change)
        with pytest.raises(DatabaseBusy, match="was changed while it was read"):
            feeding.run()
    assert ask(database, "SELECT killmail_id FROM killmails") == []


def test_no_snapshot_is_held_while_a_feed_waits(store: Store, database: str) -> None:
    waited = 0

    def stops() -> bool:
        nonlocal waited
        # what is read ahead is read soon
        wait_until(lambda: not read.conn.in_transaction)
        waited += 1
        return False

    with (
        closing(connection.connect(store.path, read_only=True)) as read,
        connected(database, "killsync") as target,
    ):
        feeding = Feed(target, read, "main", with_hash=False, stops=stops, show=lambda seq: None)
        feeding.run()
    assert waited > 5


@pytest.mark.long
def test_a_full_disk_keeps_what_was_whole(store: Store) -> None:
    skip_without()
    keep(store, *range(10, 34), items=5_000)
    with own_server(small_disk="34m") as server:
        with closing(server.connect()) as conn:
            place = sql.Literal(str(server.small_disk))
            conn.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))
            conn.execute("CREATE DATABASE feed TABLESPACE small TEMPLATE template0 ENCODING 'UTF8'")
        url = server.url("feed")
        execute(url, b"CREATE TABLE filler (x text); ALTER TABLE filler ALTER x SET STORAGE PLAIN")
        execute(url, b"INSERT INTO filler SELECT repeat('x', 8000) FROM generate_series(1, 2000)")
        assert "PostgreSQL has no room left on its disk" in refused(store, url, code=75)
        # even who only reads may make PostgreSQL write
        execute(url, b"DROP TABLE filler")
        assert 3 <= ask(url, "SELECT count(*) FROM killmails")[0][0] < 27
        of_each = ask(url, "SELECT count(*) FROM items GROUP BY killmail_id")
        assert set(of_each) <= {(1,), (5_000,)}
        assert feed(store, url).returncode == 0
        assert_equal(url, store.path)
