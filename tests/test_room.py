"""A refresh is sent only when its answer can be kept: with a full disk, no login is lost."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from test_machine import on_a_small_disk, run_under
from world import Killsync

from killsync.errors import DatabaseError
from killsync.store import room

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

ABOUT_TO_EXPIRE = 30
FRAME = 4096 + 24


def rotating(killsync: Make) -> tuple[Killsync, int]:
    """Make a killsync with one user whose refresh token is replaced at each refresh."""
    program = killsync(characters=1, killmails=2, rotate=True, access_lifetime=ABOUT_TO_EXPIRE)
    program.run("scan")
    return program, program.simulator.logins[0]["character_id"]


def make_due(program: Killsync, user: int) -> None:
    program.simulator.add_killmails(user, 1)
    program.simulator.thaw()
    program.make_due()
    program.expire_access()
    program.simulator.clear_log()


def assert_kept(program: Killsync, user: int) -> None:
    """Check that the stored refresh token is the one that SSO accepts."""
    truth = program.simulator.control("truth?bodies=0")["characters"]
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        stored = conn.execute("SELECT refresh_token FROM tokens").fetchall()
    assert stored == [(truth[str(user)]["refresh_token"],)]


@contextmanager
def grown_wal(program: Killsync, frames: int) -> Iterator[int]:
    """Let the token file's WAL grow, and stay; yield its size in the half kB of `ulimit -f`."""
    file = f"{program.database}.tokens"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as reader,
        closing(sqlite3.connect(file, isolation_level=None)) as writer,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM tokens").fetchall()
        for number in range(frames):
            writer.execute("UPDATE tokens SET claimed_until = ?", [number])
        yield Path(f"{file}-wal").stat().st_size // 512


def test_where_files_may_not_grow_a_refresh_is_not_sent_and_no_login_is_lost(
    killsync: Make,
) -> None:
    program, user = rotating(killsync)
    for frames_left in range(7):
        make_due(program, user)
        with grown_wal(program, frames=100) as used:
            limit = used + frames_left * FRAME // 512 + 1
            done = run_under(program, f"ulimit -f {limit}", "scan")
        assert program.simulator.log("token") == []
        assert (done.returncode, "disk is full" in done.stderr) == (2, True), done.stderr
        assert program.rows("SELECT count(*) FROM jobs WHERE state = 'queued'") == [(1,)]
        assert_kept(program, user)
    program.run("scan")
    program.assert_equals_truth()
    assert_kept(program, user)


def test_where_files_may_grow_a_little_a_refresh_is_sent_and_its_answer_kept(
    killsync: Make,
) -> None:
    program, user = rotating(killsync)
    make_due(program, user)
    with grown_wal(program, frames=100) as used:
        run_under(program, f"ulimit -f {used + 1000}", "scan")
    assert len(program.simulator.log("token")) == 1
    assert_kept(program, user)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to mount a small disk")
@pytest.mark.parametrize("free", [96, 102, 104, 106, 108, 120, 340, 350])
def test_on_a_nearly_full_disk_no_login_is_lost(killsync: Make, free: int) -> None:
    program, user = rotating(killsync)
    make_due(program, user)
    kept = program.directory / "kept"
    kept.mkdir()
    for file in program.directory.glob("killsync.db*"):
        file.rename(kept / file.name)
    program.database = kept / program.database.name
    program.environment["KILLSYNC_DB"] = str(program.database)
    used = sum(file.stat().st_size for file in kept.iterdir()) // 1024
    code, said = on_a_small_disk(program, used + free, "scan")
    assert code == 2, said
    assert said.count("disk is full") == 1
    assert_kept(program, user)
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("older", [0, 80], ids=["a new WAL", "a WAL begun again"])
def test_room_is_kept_behind_the_frames_that_count(tmp_path: Path, frames: int, older: int) -> None:
    database = tmp_path / "killsync.db"
    size = 100_000
    with closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("CREATE TABLE t (x)")
        conn.execute("INSERT INTO t VALUES (0)")
        for _ in range(older):
            conn.execute("UPDATE t SET x = x + 1")
        conn.execute("PRAGMA wal_checkpoint(RESTART)")
        for _ in range(frames):
            conn.execute("UPDATE t SET x = x + 1")
        conn.execute("BEGIN IMMEDIATE")
        room.reserve(database, size)
        conn.execute("COMMIT")
        # what RESTART leaves is overwritten from the start
        begun = 32 + frames * FRAME if frames else 0
        behind = Path(f"{database}-wal").stat().st_size
        assert behind >= begun + size
        assert behind <= max(32 + (older + 3) * FRAME, 32 + frames * FRAME) + size
        assert conn.execute("SELECT x FROM t").fetchall() == [(older + frames,)]
    with closing(sqlite3.connect(database)) as conn:
        assert conn.execute("SELECT x FROM t").fetchall() == [(older + frames,)]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc, which has no space")
def test_the_free_space_that_counts_is_where_a_link_leads(tmp_path: Path) -> None:
    link = tmp_path / "killsync.db"
    link.symlink_to("/proc/killsync.db")
    with pytest.raises(DatabaseError, match="disk is full"):
        room.reserve(link, 1)


def test_a_database_without_a_wal_needs_so_much_free_space(tmp_path: Path) -> None:
    room.reserve(tmp_path / "killsync.db", 1)
    with pytest.raises(DatabaseError, match="disk is full"):
        room.reserve(tmp_path / "killsync.db", 1 << 60)
