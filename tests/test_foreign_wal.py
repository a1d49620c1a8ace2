"""An older copy put over the database while a killed run's WAL lies beside it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from world import Killsync

from killsync.store import wal

Start = Callable[..., Killsync]


def kill_a_run(program: Killsync, *changes: str) -> None:
    """Leave the database and its WAL as a killed run does."""
    kept = program.directory / "kept"
    kept.mkdir()
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        for change in changes:
            conn.execute(change)
        for ending in ("", "-wal"):
            shutil.copy(f"{program.database}{ending}", kept)
    for ending in ("", "-wal"):
        shutil.move(kept / f"killsync.db{ending}", f"{program.database}{ending}")


def copied_before(killsync: Start) -> tuple[Killsync, Path]:
    """Make a killsync and a copy of its database from before most of its killmails."""
    program = killsync(characters=1, killmails=10)
    program.run("scan")
    copy = program.directory / "older"
    with (
        closing(sqlite3.connect(program.database)) as conn,
        closing(sqlite3.connect(copy)) as target,
    ):
        conn.backup(target)
    program.simulator.add_killmails(program.simulator.logins[0]["character_id"], 60)
    program.simulator.thaw()
    program.make_due()
    program.run("scan")
    return program, copy


@pytest.mark.parametrize("command", ["scan", "status", "export", "check"])
def test_an_older_copy_is_not_mixed_with_the_wal_that_lies_beside_it(
    killsync: Start, command: str
) -> None:
    program, copy = copied_before(killsync)
    kill_a_run(program, "UPDATE killmails SET stored_at = stored_at", "CREATE TABLE t (x)")
    shutil.copy(copy, program.database)
    before = program.database.read_bytes()
    done = program.run(command, exit_code=2)
    said = "killsync.db-wal beside it belongs to another copy of the database"
    assert said in done.stderr
    assert "killsync restore" in done.stderr
    assert program.database.read_bytes() == before
    Path(f"{program.database}-wal").unlink()
    program.run("check")


def test_a_copy_of_the_same_size_that_turns_out_malformed_names_the_wal(killsync: Start) -> None:
    program = killsync(characters=1, killmails=60)
    program.run("scan")
    copy = program.directory / "older"
    shutil.copy(program.database, copy)
    kill_a_run(
        program,
        "DELETE FROM items",
        "DELETE FROM attackers",
        "CREATE TABLE more AS SELECT * FROM killmails",
        "DROP INDEX killmails_time",
    )
    with closing(sqlite3.connect(copy, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE another AS SELECT * FROM items")
        conn.execute("DROP TABLE another")
        conn.execute("VACUUM")
    shutil.copy(copy, program.database)
    assert not wal.is_foreign(program.database)
    assert "killsync.db-wal beside it belongs" in program.run("export", exit_code=2).stderr


@pytest.mark.parametrize("changes", [(), ("CREATE TABLE t (x)",), ("DELETE FROM items", "VACUUM")])
def test_the_wal_of_a_killed_run_is_read(killsync: Start, changes: tuple[str, ...]) -> None:
    program = killsync(characters=1, killmails=20)
    program.run("scan")
    kill_a_run(program, *changes, "UPDATE users SET error = 'in the WAL'")
    assert wal.has_commits(program.database)
    assert not wal.is_foreign(program.database)
    assert program.status()["users"][0]["error"] == "in the WAL"


@pytest.mark.parametrize("content", [b"", bytes(8192), b"x" * 8192, b"\x37\x7f\x06\x82" * 2048])
def test_what_is_no_wal_is_not_taken_for_a_foreign_one(killsync: Start, content: bytes) -> None:
    program = killsync(characters=1, killmails=2)
    program.run("scan")
    Path(f"{program.database}-wal").write_bytes(content)
    assert not wal.is_foreign(program.database)
    program.run("status")
