"""A database where nothing may be written: it can be read all the same, without its tokens too."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from world import TIMEOUT, Killsync

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]
Done = subprocess.CompletedProcess[str]

READING = [("status",), ("status", "--json"), ("users",), ("kills",), ("export",), ("check",)]
NEEDS_MOUNTS = pytest.mark.skipif(
    shutil.which("unshare") is None, reason="no unshare to mount a read-only disk"
)


@pytest.fixture
def copied(killsync: Start) -> Killsync:
    """Make a killsync, and a copy of its database without tokens and lock, to be laid out."""
    program = killsync(characters=2, killmails=3)
    program.run("scan")
    copy = program.directory / "copy"
    copy.mkdir()
    with (
        closing(sqlite3.connect(program.database)) as conn,
        closing(sqlite3.connect(copy / "killsync.db")) as target,
    ):
        conn.backup(target)
    return program


def on_a_read_only_disk(program: Killsync, *arguments: str) -> Done:
    """Run killsync on the copy, on a file system that is mounted read-only."""
    script = """
        mount -t tmpfs tmpfs "$1" && cp -a "$2/." "$1" && mount -o remount,ro "$1" || exit 99
        shift 2; exec "$@"
    """
    disk = program.directory / "disk"
    disk.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "killsync", "--db", str(disk / "killsync.db"), *arguments]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", disk, program.directory / "copy", *command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=program.environment,
        check=False,
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"this machine may not mount a read-only disk: {done.stderr.strip()}")
    assert "Traceback" not in done.stderr, done.stderr
    return done


def left_by_a_killed_run(program: Killsync, *endings: str) -> None:
    """Lay out a copy with what a killed run leaves beside it."""
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        conn.execute("UPDATE users SET name = 'Only In The WAL'")
        for ending in ("", *endings):
            name = f"killsync.db{ending}"
            shutil.copy(program.directory / name, program.directory / "copy" / name)


@NEEDS_MOUNTS
@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_copy_on_a_read_only_disk_is_read(copied: Killsync, arguments: tuple[str, ...]) -> None:
    done = on_a_read_only_disk(copied, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    name = copied.simulator.logins[0]["name"]
    assert name in done.stdout or len(done.stdout.splitlines()) == len(copied.export())


@NEEDS_MOUNTS
def test_a_read_only_copy_is_found_whole(copied: Killsync) -> None:
    done = on_a_read_only_disk(copied, "check")
    assert "no problems found" in done.stdout
    assert "killsync.db.tokens is not there, as beside a copy" in done.stdout


@NEEDS_MOUNTS
def test_a_read_only_installation_is_read_with_its_tokens_and_lock(copied: Killsync) -> None:
    for ending in (".tokens", ".lock"):
        shutil.copy(f"{copied.database}{ending}", copied.directory / "copy")
    for arguments in READING:
        done = on_a_read_only_disk(copied, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


@NEEDS_MOUNTS
def test_commits_of_a_killed_run_are_read_on_a_read_only_disk(copied: Killsync) -> None:
    left_by_a_killed_run(copied, "-wal", "-shm")
    assert "Only In The WAL" in on_a_read_only_disk(copied, "users").stdout


@NEEDS_MOUNTS
@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_commits_that_cannot_be_read_are_not_passed_over(
    copied: Killsync, arguments: tuple[str, ...]
) -> None:
    left_by_a_killed_run(copied, "-wal")
    done = on_a_read_only_disk(copied, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "killsync.db-wal beside it holds commits too; copy both" in done.stderr


@NEEDS_MOUNTS
@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_half_a_change_that_cannot_be_undone_is_not_read(
    copied: Killsync, arguments: tuple[str, ...]
) -> None:
    copy = copied.directory / "copy"
    with closing(sqlite3.connect(copy / "killsync.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE")
        conn.execute("PRAGMA cache_size = 1")
        conn.execute("BEGIN")
        for table in ("users", "killmails", "attackers", "items"):
            conn.execute(f"DELETE FROM {table}")
        (copied.directory / "broken-off").mkdir()
        for file in copy.iterdir():
            shutil.copy(file, copied.directory / "broken-off")
        conn.execute("ROLLBACK")
    for file in (copied.directory / "broken-off").iterdir():
        shutil.copy(file, copy)
    done = on_a_read_only_disk(copied, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "killsync.db-journal beside it may be needed to undo a change" in done.stderr


@NEEDS_MOUNTS
def test_a_scan_on_a_read_only_disk_says_that_nothing_may_be_written(copied: Killsync) -> None:
    done = on_a_read_only_disk(copied, "scan")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "is on a read-only file system" in done.stderr


@pytest.fixture
def unwritable(copied: Killsync) -> Iterator[Path]:
    """A directory with the copy, which nobody but root may write."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        shutil.copy(copied.directory / "copy" / "killsync.db", directory)
        (directory / "killsync.db.lock").touch()
        for file in directory.iterdir():
            file.chmod(0o444)
        directory.chmod(0o555)
        yield directory
        directory.chmod(0o755)


def as_somebody(program: Killsync, *arguments: str) -> Done:
    """Run Python as a user whom permissions bind."""
    as_another = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if os.geteuid() != 0:
        as_another = []
    elif shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become somebody who is not root")

    def run(*words: str) -> Done:
        return subprocess.run(
            [*as_another, sys.executable, *words],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=program.environment | {"HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )

    if as_another and run("-c", "import killsync").returncode != 0:
        pytest.skip("this Python is for root only")
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_copy_in_a_directory_that_may_not_be_written_is_read(
    copied: Killsync, unwritable: Path, arguments: tuple[str, ...]
) -> None:
    database = str(unwritable / "killsync.db")
    assert as_somebody(copied, "-m", "killsync", "--db", database, *arguments).stdout


def test_a_run_of_another_user_is_seen_where_nothing_may_be_written(
    copied: Killsync, unwritable: Path
) -> None:
    file = unwritable / "killsync.db.lock"
    look = f"""
from pathlib import Path
from killsync.store import lock
print(lock.is_held(Path({str(file.with_suffix(""))!r})))
"""
    assert as_somebody(copied, "-c", look).stdout == "False\n"
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        assert as_somebody(copied, "-c", look).stdout == "True\n"
