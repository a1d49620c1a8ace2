"""The database of an older killsync is upgraded by commands that write, and by no others."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from here import run_here
from sqlite_utils import Database
from tellers import Teller, configure
from world import Killsync, run_in_progress

from killsync.store import connection, schema

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]


def make_old(program: Killsync, schema_version: int) -> None:
    """Turn a database that is not open anywhere into one of an earlier schema."""
    rows = program.rows("SELECT user_id, name, added_at FROM users")
    facts = program.rows(
        "SELECT name, value FROM facts WHERE name NOT IN ('stored_seq', 'users_added')"
    )
    for file in program.directory.glob(f"{program.database.name}*"):
        if ".tokens" not in file.name:
            file.unlink()
    with closing(sqlite3.connect(program.database)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute(f"PRAGMA application_id = {0x4B534E43}")
        db = Database(conn)
        later = [m.name for m in schema.migrations.pending(db)][schema_version]
        schema.migrations.apply(db, stop_before=later)
        with conn:
            conn.executemany("INSERT INTO users (user_id, name, added_at) VALUES (?, ?, ?)", rows)
            conn.executemany("INSERT INTO facts VALUES (?, ?)", facts)
    program.database.chmod(0o600)


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        return int(conn.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture(params=range(1, connection.VERSION))
def old(killsync: Make, request: pytest.FixtureRequest) -> Killsync:
    program = killsync(characters=1, killmails=3)
    make_old(program, request.param)
    assert version(program.database) == request.param
    return program


def backup_of(program: Killsync) -> Path:
    return Path(f"{program.database}.before-{connection.VERSION}")


def user_id(program: Killsync) -> str:
    return str(program.simulator.logins[0]["character_id"])


def assert_upgrades(program: Killsync, command: str, *arguments: str) -> None:
    before = version(program.database)
    program.run(command, *arguments)
    assert version(program.database) == connection.VERSION
    assert version(backup_of(program)) == before
    with closing(sqlite3.connect(backup_of(program))) as conn:
        users = conn.execute("SELECT user_id FROM users").fetchall()
    assert users == [(int(user_id(program)),)]
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.sample
def test_a_scan_upgrades_an_old_database_and_keeps_a_backup(old: Killsync) -> None:
    assert_upgrades(old, "scan")


@pytest.mark.parametrize("command", ["sync", "users enable"])
def test_every_command_that_writes_upgrades_and_keeps_a_backup(
    killsync: Make, command: str
) -> None:
    program = killsync(characters=1, killmails=3)
    make_old(program, 1)
    assert_upgrades(program, *command.split(), user_id(program))


def test_a_command_that_reads_refuses_an_old_database_and_names_what_upgrades_it(
    old: Killsync,
) -> None:
    before = version(old.database)
    for command in ("status", "kills", "export"):
        done = run_here(command, environment=old.environment)
        assert done.returncode == 2
        assert "`killsync scan` upgrades it" in done.stderr
        assert version(old.database) == before
        assert not backup_of(old).exists()


@pytest.mark.parametrize(
    ("made", "what"),
    [
        ("TABLE Names (mine)", "table Names"),
        ("TABLE prices (mine)", "table prices"),
        ("TABLE kills (mine)", "table kills"),
        ("VIEW sides AS SELECT 1 AS mine", "view sides"),
        ("INDEX types_name ON runs (pid)", "index types_name"),
    ],
)
def test_what_stands_in_the_way_of_an_upgrade_is_named_and_nothing_is_changed(
    killsync: Make, made: str, what: str
) -> None:
    program = killsync(characters=1, killmails=3)
    make_old(program, 4)
    program.execute(f"CREATE {made}")
    before = program.rows("SELECT * FROM sqlite_master")
    said = program.run("scan", exit_code=2).stderr
    assert f"killsync needs the name of the {what}: rename or drop that" in said
    assert said.count("\n") == 1
    assert version(program.database) == 4
    assert program.rows("SELECT * FROM sqlite_master") == before
    assert not backup_of(program).exists()
    kind, name = what.split()
    program.execute(f"DROP {kind} {name}")
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_kills_says_that_roles_are_still_being_looked_up_after_an_upgrade(
    killsync: Make, form: list[str]
) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    program.execute("UPDATE user_killmails SET role = NULL, killmail_time = NULL")
    program.execute("UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails)")
    said = program.run("kills", *form).stderr
    assert "no killmail of your users is found yet" in said
    assert "parts in stored killmails are still being looked up; `killsync scan` continues" in said


def test_an_old_database_is_not_upgraded_while_another_run_holds_the_lock(old: Killsync) -> None:
    before = version(old.database)
    with run_in_progress(old):
        old.run("scan")
        old.run("sync", user_id(old), "--timeout", "1s", exit_code=75)
        assert version(old.database) == before


def test_marks_that_were_made_on_a_single_answer_are_lifted_by_the_upgrade(killsync: Make) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    first, second = (login["character_id"] for login in program.simulator.logins)
    lost, later = program.simulator.listed(first)[:2]
    make_old(program, 3)
    program.execute("UPDATE users SET state = 'needs_login' WHERE user_id = ?", first)
    program.execute(
        "UPDATE users SET failures = 9, not_before = '2999-01-01T00:00:00Z' WHERE user_id = ?",
        second,
    )
    for killmail_id, aside, until in (
        (lost, "2026-01-01T00:00:00Z", None),
        (later, None, "2026-01-01T00:00:00Z"),
    ):
        program.execute(
            "INSERT INTO user_killmails (user_id, killmail_id) VALUES (?, ?)", first, killmail_id
        )
        program.execute(
            """INSERT INTO pending_killmails (killmail_id, killmail_hash, priority, attempts,
                set_aside_at, not_before) VALUES (?, ?, 2, 1, ?, ?)""",
            *(killmail_id, "0" * 40, aside, until),
        )
    program.execute("UPDATE users SET listed = 2 WHERE user_id = ?", first)
    program.run("scan", exit_code=None)
    program.run("scan", exit_code=None)
    assert {user["state"] for user in program.status()["users"]} == {"active"}
    program.assert_equals_truth()


KEPT = ("killmails", "attackers", "items", "killmail_values", "user_killmails")


def test_killmails_of_before_there_were_imports_are_esis(killsync: Make) -> None:
    program = killsync(characters=2, killmails=5, shared=0.5)
    program.run("scan")
    synced = program.directory / "synced.db"
    with closing(sqlite3.connect(program.database)) as conn:
        conn.execute("VACUUM INTO ?", [str(synced)])
    make_old(program, 5)
    with closing(sqlite3.connect(program.database)) as conn, conn:
        conn.execute("ATTACH ? AS synced", [str(synced)])
        for table in KEPT:
            # a computed column takes no value
            names = [name for _, name, *_ in conn.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(names)
            conn.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM synced.{table}")
        conn.execute("UPDATE facts SET value = 5 * 2 WHERE name = 'stored_seq'")
        conn.execute(
            """UPDATE users SET (listed, killmails, last_killmail_id) = (
                SELECT listed, killmails, last_killmail_id FROM synced.users AS u
                WHERE u.user_id = users.user_id)"""
        )
        conn.execute("DELETE FROM facts WHERE name LIKE 'game_data%'")
        conn.execute("DROP VIEW kills")
        conn.execute("CREATE VIEW kills AS SELECT killmail_id FROM killmails")
    program.simulator.clear_log()
    program.run("scan")
    assert program.simulator.log("body") == []
    program.assert_equals_truth()
    assert set(program.rows("SELECT origin, hash_source FROM killmails")) == {("esi", "esi")}
    assert set(program.rows("SELECT origin FROM kills")) == {("esi",)}
    assert run_here("check", environment=program.environment).returncode == 0


def test_only_what_a_complete_list_shows_later_is_news_after_the_upgrade() -> None:
    synced = "2026-11-01T00:00:00Z"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        db = Database(conn)
        later = [m.name for m in schema.migrations.pending(db)][6]
        schema.migrations.apply(db, stop_before=later)
        conn.executemany(
            "INSERT INTO users (user_id, name, added_at, last_killmail_sync_at, backfill_page)"
            " VALUES (?, 'Zo', '2026-10-01T00:00:00Z', ?, ?)",
            [(1, synced, None), (2, synced, 3), (3, None, None)],
        )
        schema.migrations.apply(db)
        found = conn.execute("SELECT user_id, complete_since FROM users").fetchall()
    assert found == [(1, synced), (2, None), (3, None)]


@pytest.mark.parametrize("old", [1, 6], indirect=True)
def test_a_restored_backup_of_before_there_was_telling_tells_nothing_that_its_lists_show(
    old: Killsync,
) -> None:
    teller = Teller(old)
    configure(old, teller.table())
    old.execute("UPDATE users SET last_killmail_sync_at = '2026-11-01T00:00:00Z'")
    backup = old.directory / "copy.db"
    old.run("backup", str(backup))
    old.run("restore", "--yes", str(backup))
    old.run("scan")
    assert old.rows("SELECT count(*) FROM killmails") == [(3,)]
    assert old.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert old.rows("SELECT name FROM facts WHERE name = 'restored'") == []
    old.simulator.add_killmails(int(user_id(old)), 1)
    old.simulator.thaw()
    old.make_due()
    old.run("scan")
    assert len(teller.killmails) == 1
