"""An older copy put over the database while a killed run's WAL lies beside it."""

import shutil
import sqlite3
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from functools import partial
from operator import itemgetter
from pathlib import Path

import pytest
from world import Killsync

from killsync.store import wal

Start = Callable[..., Killsync]
Change = Callable[[bytes], bytes]
HEADER, FRAME = 32, 4096 + 24


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


@pytest.mark.long
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


@pytest.mark.long
def test_a_copy_that_is_no_shorter_and_turns_out_malformed_names_the_wal(killsync: Start) -> None:
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
        # where the killmails were there are rows of another table now, and the file is no shorter
        early = conn.execute(
            "SELECT name FROM sqlite_master WHERE tbl_name IN ('users', 'jobs') AND type = 'index'"
        )
        for (name,) in early.fetchall():
            conn.execute(f"DROP INDEX {name}")
        conn.execute("CREATE TABLE filler AS SELECT zeroblob(4000) FROM types LIMIT 500")
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


@pytest.mark.long
@pytest.mark.parametrize("content", [b"", bytes(8192), b"x" * 8192, b"\x37\x7f\x06\x82" * 2048])
def test_what_is_no_wal_is_not_taken_for_a_foreign_one(killsync: Start, content: bytes) -> None:
    program = killsync(characters=1, killmails=2)
    program.run("scan")
    Path(f"{program.database}-wal").write_bytes(content)
    assert not wal.is_foreign(program.database)
    program.run("status")


# a WAL that is the database's own, or of another copy, after a power cut


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose commits since it had one page are all in its WAL."""
    directory = tmp_path_factory.mktemp("own")
    with closing(sqlite3.connect(directory / "at-work.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(8):
            conn.execute(f"CREATE TABLE t{number} AS SELECT randomblob(9000) AS x")
        for ending in ("", "-wal"):
            shutil.copy(directory / f"at-work.db{ending}", directory / f"own.db{ending}")
    assert (directory / "own.db").stat().st_size <= FRAME
    return directory / "own.db"


@pytest.fixture(scope="module")
def foreign(own: Path) -> Path:
    """A database beside the WAL of a later copy: pages between them are in neither."""
    later = own.with_name("later.db")
    for ending in ("", "-wal"):
        shutil.copy(f"{own}{ending}", f"{later}{ending}")
    with closing(sqlite3.connect(later, isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(8):
            conn.execute(f"CREATE TABLE later{number} AS SELECT randomblob(9000) AS x")
        foreign = own.with_name("foreign.db")
        shutil.copy(own, foreign)
        shutil.copy(f"{later}-wal", f"{foreign}-wal")
    return foreign


def changed(database: Path, directory: Path, change: Change) -> Path:
    """Copy a database with its WAL changed."""
    copy = directory / "copy.db"
    shutil.copy(database, copy)
    Path(f"{copy}-wal").write_bytes(change(Path(f"{database}-wal").read_bytes()))
    return copy


def pages_that_sqlite_sees(database: Path) -> int | None:
    """Return how many pages a database has with its WAL, None if it is not whole."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as conn:
        try:
            if conn.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                return None
            return int(conn.execute("PRAGMA page_count").fetchone()[0])
        except sqlite3.DatabaseError:
            return None


def zeroed(content: bytes, start: int, size: int) -> bytes:
    return content[:start] + bytes(len(content[start : start + size])) + content[start + size :]


def test_a_wal_of_which_a_block_was_not_written_is_never_foreign(own: Path, tmp_path: Path) -> None:
    seen = set()
    for size in (512, 4096):
        for start in range(0, Path(f"{own}-wal").stat().st_size, size):
            copy = changed(own, tmp_path, partial(zeroed, start=start, size=size))
            assert not wal.is_foreign(copy), (start, size)
            seen.add(pages_that_sqlite_sees(copy))
            Path(f"{copy}-shm").unlink(missing_ok=True)
    # none of the commits, some and nearly all
    assert None not in seen
    assert len(seen) > 5


def test_a_wal_that_ends_anywhere_is_never_foreign(own: Path, tmp_path: Path) -> None:
    size = Path(f"{own}-wal").stat().st_size
    for frame in range((size - HEADER) // FRAME + 1):
        for end in (HEADER + frame * FRAME, HEADER + frame * FRAME + FRAME // 2):
            copy = changed(own, tmp_path, itemgetter(slice(end)))
            assert not wal.is_foreign(copy), end
            assert pages_that_sqlite_sees(copy) is not None
            Path(f"{copy}-shm").unlink(missing_ok=True)


def test_a_wal_whose_first_commit_was_not_written_has_none(own: Path, tmp_path: Path) -> None:
    assert wal.has_commits(changed(own, tmp_path, lambda content: content))
    assert not wal.has_commits(changed(own, tmp_path, lambda content: zeroed(content, 4096, 4096)))


@pytest.mark.parametrize("lost", [0, 1, 4096], ids=["whole", "end cut off", "block not written"])
def test_a_wal_of_another_copy_is_told_by_the_commits_that_are_left(
    foreign: Path, tmp_path: Path, lost: int
) -> None:
    def damage(content: bytes) -> bytes:
        return content[:-1] if lost == 1 else zeroed(content, len(content) - 8192, lost)

    copy = changed(foreign, tmp_path, damage)
    assert wal.is_foreign(copy)
    assert pages_that_sqlite_sees(copy) is None


def sums_of(content: bytes, before: tuple[int, int]) -> tuple[int, int]:
    words = struct.unpack(f">{len(content) // 4}I", content)
    first, second = before
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) % 2**32
        second = (second + other + first) % 2**32
    return first, second


def of_a_big_endian_machine(content: bytes) -> bytes:
    header = (0x377F0683).to_bytes(4, "big") + content[4:24]
    sums = sums_of(header, (0, 0))
    written = header + struct.pack(">II", *sums)
    for start in range(HEADER, len(content), FRAME):
        frame = content[start : start + FRAME]
        sums = sums_of(frame[:8] + frame[24:], sums)
        written += frame[:16] + struct.pack(">II", *sums) + frame[24:]
    return written


def test_the_wal_of_a_machine_of_the_other_byte_order_is_understood(
    own: Path, foreign: Path, tmp_path: Path
) -> None:
    copy = changed(own, tmp_path, of_a_big_endian_machine)
    assert wal.has_commits(copy)
    assert not wal.is_foreign(copy)
    assert (pages_that_sqlite_sees(copy) or 0) > 10
    assert wal.is_foreign(changed(foreign, tmp_path, of_a_big_endian_machine))


@pytest.mark.parametrize("field", [HEADER + 4, 8], ids=["pages of the database", "page size"])
def test_a_number_in_a_damaged_wal_costs_no_memory(own: Path, tmp_path: Path, field: int) -> None:
    def damage(content: bytes) -> bytes:
        last = len(content) - FRAME - HEADER if field != 8 else 0
        return content[: last + field] + b"\x7f\xff\xff\xff" + content[last + field + 4 :]

    copy = changed(own, tmp_path, damage)
    tracemalloc.start()
    try:
        assert not wal.is_foreign(copy)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
