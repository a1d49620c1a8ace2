"""`killsync backup` and `killsync restore`: whole copies, and nothing lost by putting one back."""

import base64
import os
import shutil
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import pytest
from few_game_data import leave_few
from here import run_here
from in_process import InProcess
from world import TIMEOUT, Killsync, run_in_progress, simulator, wait_until

from killsync import files
from killsync.store import wal
from killsync.store.paths import is_reserved, token_files

Start = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

# before each of these a process may be killed; what SQLite does within is one transaction
STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "sqlite3.connect", "open"}
MOST_STEPS = 200
OTHER_USER = 65534
KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A synced database, to be copied."""
    with simulator(characters=2, killmails=8, list_tokens=0, body_tokens=0) as esi:
        program = InProcess(tmp_path_factory.mktemp("template"), esi)
        program.add_users()
        program.run("scan")
        leave_few(program.database)
        yield program


@pytest.fixture
def program(template: InProcess, tmp_path: Path) -> InProcess:
    return template.copy_to(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a backup goes."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "copy.db"


def ids_in(file: Path) -> set[int]:
    """Return the killmails of a database that is whole, and needs nothing beside it."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {killmail_id for (killmail_id,) in conn.execute("SELECT killmail_id FROM killmails")}


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def lose_killmails(program: Killsync) -> None:
    """Make the database differ from its backups."""
    program.execute("DELETE FROM attackers")
    program.execute("DELETE FROM items")
    program.execute("DELETE FROM killmails")


def write_with_wal(backup: Path, copy: Path) -> None:
    """Copy a backup, with a change that stands in a WAL of its own."""
    with closing(sqlite3.connect(backup, isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        conn.execute("UPDATE users SET error = 'in the WAL'")
        for ending in ("", "-wal"):
            Path(f"{copy}{ending}").write_bytes(Path(f"{backup}{ending}").read_bytes())


def drafts_in(directory: Path) -> list[str]:
    return [name for name in names_in(directory) if ".draft-" in name]


def damage(program: Killsync, start: int = 4096) -> None:
    size = program.database.stat().st_size
    with program.database.open("r+b") as stream:
        stream.seek(start)
        stream.write(b"\xff" * (size - start))


# backup


def test_a_backup_is_a_whole_private_copy_in_one_file(program: InProcess, file: Path) -> None:
    done = program.run("backup", str(file))
    assert f"{file}: 16 killmails of 2 users" in done.stdout
    assert ids_in(file) == {body["killmail_id"] for body in program.export()}
    assert names_in(file.parent) == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_quiet_backup_prints_nothing(program: InProcess, file: Path) -> None:
    done = program.run("backup", "--quiet", str(file))
    assert done.stdout + done.stderr == ""


@pytest.mark.long
def test_a_backup_can_be_made_while_a_run_goes_on(
    killsync: Start, background: Background, file: Path
) -> None:
    program = killsync(characters=1, killmails=60, latency_body=0.3)
    scan = background(program, "scan")
    wait_until(lambda: program.rows("SELECT count(*) FROM user_killmails") == [(60,)])
    program.run("backup", str(file))
    assert scan.poll() is None
    ids_in(file)
    assert scan.wait(timeout=TIMEOUT) == 0
    program.assert_equals_truth()


def test_a_backup_holds_no_token_unless_asked_for(program: InProcess, file: Path) -> None:
    token = program.simulator.logins[0]["refresh_token"].encode()
    program.run("backup", str(file))
    assert token not in file.read_bytes()
    done = program.run("backup", "--force", "--with-tokens", str(file))
    tokens = Path(f"{file}.tokens")
    assert str(tokens) in done.stdout
    assert token in tokens.read_bytes()
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert names_in(file.parent) == [file.name, tokens.name]


def test_an_existing_file_is_replaced_only_by_force(program: InProcess, file: Path) -> None:
    file.write_text("something else")
    done = program.run("backup", str(file), exit_code=2)
    assert f"{file}: is there already; use --force to replace it" in done.stderr
    assert file.read_text() == "something else"
    program.run("backup", "--force", str(file))
    assert len(ids_in(file)) == 16


@pytest.mark.parametrize("ending", ["-wal", "-journal", ".tokens"])
def test_what_lies_beside_the_file_is_replaced_only_by_force(
    program: InProcess, file: Path, ending: str
) -> None:
    beside = Path(f"{file}{ending}")
    beside.write_bytes(b"of another database")
    arguments = ["--with-tokens", str(file)]
    assert str(beside) in program.run("backup", *arguments, exit_code=2).stderr
    assert names_in(file.parent) == [beside.name]
    program.run("backup", "--force", *arguments)
    assert names_in(file.parent) == [file.name, f"{file.name}.tokens"]


@pytest.mark.parametrize(
    "name",
    [
        "killsync.db",
        "killsync.db-wal",
        "killsync.db-journal",
        "killsync.db.tokens",
        "killsync.db.tokens-wal",
        "killsync.db.lock",
        "killsync.db.before-4",
        "killsync.db.before-restore-2",
        "killsync.db.draft-abcdefgh",
        "link",
        "hard",
        "elsewhere/../killsync.db",
    ],
)
def test_what_belongs_to_the_database_is_never_overwritten(program: InProcess, name: str) -> None:
    (program.directory / "link").symlink_to(program.database)
    (program.directory / "hard").hardlink_to(f"{program.database}.tokens")
    (program.directory / "elsewhere").mkdir()
    target = program.directory / name
    before = names_in(program.directory)
    done = program.run("backup", "--force", str(target), exit_code=2)
    assert "belongs to the database; name another file" in done.stderr
    assert names_in(program.directory) == before
    program.run("status")


def test_a_backup_beside_the_database_is_a_name_like_any_other(tmp_path: Path) -> None:
    assert not is_reserved(tmp_path / "killsync.db", tmp_path / "killsync.db.backup")
    assert not is_reserved(tmp_path / "killsync.db", tmp_path / "backups" / "killsync.db")


@pytest.mark.parametrize("name", ["missing/copy.db", "backups"])
def test_a_place_that_cannot_be_written_is_named(program: InProcess, file: Path, name: str) -> None:
    target = program.directory / name
    done = program.run("backup", "--force", str(target), exit_code=2)
    assert len(done.stderr.splitlines()) == 1
    assert str(target) in done.stderr
    assert ("mkdir -p" in done.stderr) == (not target.parent.exists())


def test_a_database_that_a_run_uses_is_not_overwritten_by_a_backup(
    program: InProcess, file: Path
) -> None:
    with closing(sqlite3.connect(f"{file}.lock", isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        done = program.run("backup", "--force", str(file), exit_code=2)
    assert "is a database that a run is using" in done.stderr


def test_a_database_with_an_older_schema_is_copied_as_it_is(program: InProcess, file: Path) -> None:
    program.execute("PRAGMA user_version = 1")
    program.run("backup", str(file))
    with closing(sqlite3.connect(file)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_damaged_database_does_not_replace_a_good_backup(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    ((root,),) = program.rows("SELECT rootpage FROM sqlite_master WHERE name = 'attackers'")
    with program.database.open("r+b") as stream:
        stream.seek((root - 1) * 4096)
        stream.write(b"\xff" * 4096)
    done = program.run("backup", "--force", str(file), exit_code=2)
    assert f"{file}: was not written, as what it would be a copy of is damaged" in done.stderr
    assert len(ids_in(file)) == 16
    assert names_in(file.parent) == [file.name]


def test_a_backup_without_a_token_file_to_copy_says_so(program: InProcess, file: Path) -> None:
    Path(f"{program.database}.tokens").unlink()
    done = program.run("backup", "--with-tokens", str(file), exit_code=2)
    assert "killsync.db.tokens: there is no such file" in done.stderr
    assert names_in(file.parent) == []


# restore


def restored(program: Killsync, file: Path, *arguments: str) -> str:
    return program.run("restore", "--yes", *arguments, str(file)).stdout


def test_a_restored_database_is_the_backup_and_the_other_is_kept(
    program: InProcess, file: Path
) -> None:
    program.run("backup", str(file))
    lose_killmails(program)
    kept = Path(f"{program.database}.before-restore")
    assert f"what it replaced is kept in {kept}" in restored(program, file)
    assert len(ids_in(program.database)) == 16
    assert ids_in(kept) == set()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not Path(f"{program.database}-wal").exists()
    assert not Path(f"{program.database}-shm").exists()
    assert names_in(file.parent) == [file.name]
    restored(program, file)
    assert len(ids_in(Path(f"{kept}-2"))) == 16


@pytest.mark.long
def test_the_next_scan_finds_what_a_backup_lacks(killsync: Start, file: Path) -> None:
    program = killsync(characters=2, killmails=10, page_size=5)
    program.run("scan")
    program.run("backup", str(file))
    for login in program.simulator.logins:
        program.simulator.add_killmails(login["character_id"], 12)
    program.simulator.thaw()
    program.make_due()
    program.run("scan")
    ((before,),) = program.rows("SELECT max(stored_seq) FROM killmails")
    restored(program, file)
    program.make_due()
    program.run("scan")
    program.assert_equals_truth()
    # a program that has read the feed to its end misses nothing
    numbers = program.rows(
        "SELECT min(stored_seq), count(*) FROM killmails WHERE stored_seq > ?", before
    )
    assert numbers == [(before + 1, 24)]
    program.run("check")


DELETE_ONE = """DELETE FROM killmails WHERE killmail_id IN (
    SELECT killmail_id FROM killmails ORDER BY stored_seq LIMIT 1)"""
SCHEMA_7 = """DROP TRIGGER killmails_removed; DROP TABLE removed_killmails;
    DROP TABLE rewritten_killmails;
    DELETE FROM _sqlite_migrations WHERE name = 'm008_removed'; PRAGMA user_version = 7"""


@pytest.mark.parametrize("deleted_before", [0, 1])
@pytest.mark.parametrize("older", [False, True])
def test_what_is_deleted_after_a_restore_has_a_number_that_nobody_has_seen(
    program: InProcess, file: Path, deleted_before: int, older: bool
) -> None:
    for _ in range(deleted_before):
        program.execute(DELETE_ONE)
    program.run("backup", str(file))
    if older:
        with closing(sqlite3.connect(file)) as copy:
            copy.executescript(SCHEMA_7)
    for _ in range(2):
        program.execute(DELETE_ONE)
    restored(program, file)
    program.run("scan")
    program.execute(DELETE_ONE)
    last = "SELECT max(removed_seq) FROM removed_killmails"
    assert program.rows(last) == [(deleted_before + 3,)]


@pytest.mark.long
def test_a_backup_of_a_run_in_progress_is_gone_on_with(
    killsync: Start, background: Background, file: Path
) -> None:
    program = killsync(characters=2, killmails=30, page_size=5, latency_body=0.05)
    scan = background(program, "scan")
    wait_until(lambda: program.rows("SELECT count(*) FROM killmails") != [(0,)])
    program.run("backup", str(file))
    assert scan.wait(timeout=TIMEOUT) == 0
    restored(program, file)
    program.make_due()
    program.run("scan")
    program.assert_equals_truth()


def test_a_restore_asks_first(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    lose_killmails(program)
    done = program.run("restore", str(file), given="n\n", exit_code=2)
    assert "16 killmails of 2 users" in done.stderr
    assert ids_in(program.database) == set()
    program.run("restore", str(file), given="y\n")
    assert len(ids_in(program.database)) == 16


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        (b"", "is not a killsync database"),
        (b"x" * 8192, "is not an SQLite database"),
    ],
    ids=["missing", "empty", "something else"],
)
def test_what_is_no_database_is_not_restored(
    program: InProcess, file: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        file.write_bytes(content)
    assert said in program.run("restore", "--yes", str(file), exit_code=2).stderr
    assert len(ids_in(program.database)) == 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("PRAGMA application_id = 1", "is the database of another program"),
        ("PRAGMA user_version = 99", "was made by a newer killsync"),
    ],
    ids=["another program's", "newer"],
)
def test_a_database_that_is_not_ours_is_not_restored(
    program: InProcess, file: Path, change: str, said: str
) -> None:
    program.run("backup", str(file))
    with closing(sqlite3.connect(file)) as conn:
        conn.execute(change)
    assert said in program.run("restore", "--yes", str(file), exit_code=2).stderr
    assert ".before-restore" not in "".join(names_in(program.directory))


def test_a_backup_that_is_damaged_is_not_restored(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    with file.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xff" * 20_000)
    done = program.run("restore", "--yes", str(file), exit_code=2)
    assert str(file) in done.stderr
    assert "damaged" in done.stderr
    assert len(ids_in(program.database)) == 16


def test_the_database_itself_is_no_backup_of_itself(program: InProcess) -> None:
    done = program.run("restore", "--yes", str(program.database), exit_code=2)
    assert "is the database itself" in done.stderr


def test_a_backup_with_a_wal_of_its_own_is_restored_with_it(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    copy = file.with_name("killed.db")
    write_with_wal(file, copy)
    restored(program, copy)
    assert program.status()["users"][0]["error"] == "in the WAL"


@pytest.mark.parametrize("start", [0, 50, 4096], ids=["all of it", "its header", "its pages"])
def test_a_damaged_database_is_replaced_and_kept(
    program: InProcess, file: Path, start: int
) -> None:
    program.run("backup", str(file))
    damage(program, start)
    Path(f"{program.database}-wal").write_bytes(b"of a killed run")
    before = program.database.read_bytes()
    kept = Path(f"{program.database}.before-restore")
    assert str(kept) in restored(program, file)
    assert (kept.read_bytes(), Path(f"{kept}-wal").read_bytes()) == (before, b"of a killed run")
    assert len(ids_in(program.database)) == 16
    program.run("check")


@pytest.mark.long
def test_an_older_copy_that_lies_beside_a_foreign_wal_is_replaced(
    killsync: Start, file: Path
) -> None:
    program = killsync(characters=1, killmails=10)
    program.run("scan")
    program.run("backup", str(file))
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE more (x)")
        conn.executemany("INSERT INTO more VALUES (?)", [("x" * 3000,) for _ in range(50)])
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("UPDATE users SET error = 'killed'")
        wal = Path(f"{program.database}-wal").read_bytes()
    program.database.write_bytes(file.read_bytes())
    Path(f"{program.database}-wal").write_bytes(wal)
    assert "belongs to another copy" in program.run("status", exit_code=2).stderr
    restored(program, file)
    program.run("check")
    program.run("scan")


def test_a_lost_database_is_restored(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    program.database.unlink()
    assert "killsync restore" in program.run("status", exit_code=2).stderr
    assert "kept" not in restored(program, file)
    assert len(ids_in(program.database)) == 16
    program.run("scan")


def test_a_wal_that_is_left_of_a_lost_database_is_kept_through_every_restore(
    program: InProcess, file: Path
) -> None:
    program.run("backup", str(file))
    program.database.unlink()
    Path(f"{program.database}-wal").write_bytes(b"all that is left")
    kept = Path(f"{program.database}.before-restore-wal")
    assert f"kept in {kept}" in restored(program, file)
    assert f"kept in {program.database}.before-restore-2" in restored(program, file)
    assert kept.read_bytes() == b"all that is left"


def test_a_database_of_which_not_even_the_damage_can_be_named_is_replaced(
    program: InProcess, file: Path
) -> None:
    program.run("backup", str(file))
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE nameless (x, y)")
        conn.execute("INSERT INTO nameless VALUES (NULL, 1)")
        conn.execute("PRAGMA writable_schema = ON")
        sql = "CREATE TABLE nameless (x NOT NULL, y)"
        conn.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'nameless'", [sql])
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = program.database.read_bytes()
    program.database.write_bytes(content.replace(b"nameless", b"\xff\xfemeless"))
    assert "before-restore" in restored(program, file)
    program.run("check")


def test_a_database_of_another_page_size_is_replaced(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    program.execute("PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("PRAGMA page_size = 8192")
        conn.execute("VACUUM")
        conn.execute("PRAGMA journal_mode = WAL")
    restored(program, file)
    assert program.rows("PRAGMA page_size") == [(4096,)]
    assert len(ids_in(Path(f"{program.database}.before-restore"))) == 16


def test_the_database_of_another_program_is_not_replaced(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    program.execute("PRAGMA application_id = 1")
    done = program.run("restore", "--yes", str(file), exit_code=2)
    assert f"{program.database}: is the database of another program" in done.stderr


def test_the_database_of_another_program_is_not_replaced_whatever_lies_beside_it(
    program: InProcess, file: Path
) -> None:
    program.run("backup", str(file))
    program.execute("PRAGMA application_id = 1")
    older = program.database.read_bytes()
    program.execute("CREATE TABLE more AS SELECT * FROM killmails")
    with closing(sqlite3.connect(program.database, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE even_more AS SELECT * FROM attackers")
        left = Path(f"{program.database}-wal").read_bytes()
    program.database.write_bytes(older)
    Path(f"{program.database}-wal").write_bytes(left)
    assert wal.is_foreign(program.database)
    done = program.run("restore", "--yes", str(file), exit_code=2)
    assert f"{program.database}: is the database of another program" in done.stderr


def test_a_link_to_the_database_stays_one(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    link = program.directory / "link.db"
    link.symlink_to(program.database)
    damage(program)
    program.run("--db", str(link), "restore", "--yes", str(file))
    assert link.is_symlink()
    assert len(ids_in(program.database)) == 16


def test_a_restore_waits_for_the_run_in_progress(
    program: InProcess, file: Path, background: Background
) -> None:
    program.run("backup", str(file))
    lose_killmails(program)
    with run_in_progress(program):
        restore = background(program, "restore", "--yes", str(file))
        with pytest.raises(Exception, match="timed out"):
            restore.wait(timeout=2)
        assert ids_in(program.database) == set()
    assert restore.wait(timeout=TIMEOUT) == 0
    assert len(ids_in(program.database)) == 16


def test_who_has_the_database_open_sees_what_was_restored(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    lose_killmails(program)
    with closing(sqlite3.connect(program.database)) as reader:
        reader.execute("SELECT count(*) FROM killmails").fetchone()
        restored(program, file)
        assert reader.execute("SELECT count(*) FROM killmails").fetchone() == (16,)


def test_tokens_are_restored_only_if_asked_for(program: InProcess, file: Path) -> None:
    program.run("backup", "--with-tokens", str(file))
    program.execute_on_tokens("UPDATE tokens SET refresh_token = 'another'")
    restored(program, file)
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        assert conn.execute("SELECT DISTINCT refresh_token FROM tokens").fetchall() == [
            ("another",)
        ]
    said = restored(program, file, "--with-tokens")
    kept = Path(f"{program.database}.tokens.before-restore")
    assert str(kept) in said
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    program.expire_access()
    program.make_due()
    program.run("scan")
    assert {user["state"] for user in program.status()["users"]} == {"active"}


def test_without_tokens_to_restore_nothing_is_changed(program: InProcess, file: Path) -> None:
    program.run("backup", str(file))
    lose_killmails(program)
    done = program.run("restore", "--yes", "--with-tokens", str(file), exit_code=2)
    assert f"{file}.tokens: there is no such file" in done.stderr
    assert ids_in(program.database) == set()


def make_foreign(tokens: Path) -> None:
    tokens.unlink()
    with closing(sqlite3.connect(tokens)) as conn:
        conn.execute("CREATE TABLE notes (text)")


def make_newer(tokens: Path) -> None:
    with closing(sqlite3.connect(tokens)) as conn:
        conn.execute("PRAGMA user_version = 99")


def give_away(tokens: Path) -> None:
    os.chown(tokens, OTHER_USER, -1)


@pytest.mark.parametrize(
    "change",
    [
        make_foreign,
        make_newer,
        pytest.param(
            give_away,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away"),
        ),
    ],
)
@pytest.mark.parametrize("whose", ["in place", "in the backup"])
def test_a_restore_whose_tokens_are_refused_changes_nothing(
    program: InProcess, file: Path, change: Callable[[Path], None], whose: str
) -> None:
    program.run("backup", "--with-tokens", str(file))
    lose_killmails(program)
    refused = Path(f"{program.database if whose == 'in place' else file}.tokens")
    change(refused)
    done = program.run("restore", "--yes", "--with-tokens", str(file), exit_code=2)
    assert str(refused) in done.stderr
    assert done.stdout == ""
    assert ids_in(program.database) == set()
    assert ".before-restore" not in "".join(names_in(program.directory))
    assert not drafts_in(program.directory)


def test_a_backup_whose_tokens_cannot_be_written_writes_nothing(
    program: InProcess, file: Path
) -> None:
    # with `.tokens` it is too long for a draft of its own
    target = file.with_name("x" * 240)
    done = program.run("backup", "--with-tokens", str(target), exit_code=2)
    assert f"{target}.tokens: cannot be written: File name too long" in done.stderr
    assert names_in(file.parent) == []


# killed at every step


def killed_at(step: int, program: Killsync, *arguments: str) -> bool:
    """Run a command in a fork that is killed at its n-th step; return whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            left = [step]

            def count_down(event: str, given: object) -> None:
                if event in STEPS and str(program.directory) in str(given):
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(count_down)
            run_here(*arguments, environment=program.environment)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def lose_the_database(program: Killsync) -> None:
    program.database.unlink()


@pytest.mark.long
@pytest.mark.parametrize(
    "before", [lose_killmails, damage, lose_the_database], ids=lambda f: f.__name__
)
def test_a_restore_that_is_killed_leaves_the_old_or_the_new_database(
    template: InProcess, tmp_path: Path, before: Callable[[Killsync], None]
) -> None:
    ends = set()
    # each second step: a neighbour writes the same
    for step in range(1, MOST_STEPS, 2):
        directory = tmp_path / str(step)
        directory.mkdir()
        program = template.copy_to(directory)
        file = directory / "copy.db"
        program.run("backup", str(file))
        before(program)
        old = program.database.read_bytes() if program.database.exists() else None
        killed = killed_at(step, program, "restore", "--yes", str(file))
        now = program.database.read_bytes() if program.database.exists() else None
        if now != old or before is lose_killmails:
            ((count,),) = program.rows("SELECT count(*) FROM killmails")
            assert count in (0, 16)
            assert program.rows("PRAGMA integrity_check") == [("ok",)]
            ends.add(count)
        program.run("restore", "--yes", str(file))
        assert len(ids_in(program.database)) == 16
        if not killed:
            break
    assert not killed
    assert 16 in ends
    assert step > 10


@pytest.mark.long
def test_a_backup_that_is_killed_leaves_the_old_file_or_the_new(
    template: InProcess, tmp_path: Path
) -> None:
    found = set()
    program = template.copy_to(tmp_path)
    file = tmp_path / "copy.db"
    program.run("backup", str(file))
    lose_killmails(program)
    for step in range(1, MOST_STEPS):
        killed = killed_at(step, program, "backup", "--force", str(file))
        found.add(len(ids_in(file)))
        if not killed:
            break
    assert found == {0, 16}
    assert not drafts_in(tmp_path)


@pytest.mark.long
def test_a_backup_that_is_killed_loses_nothing_of_the_wal_of_an_earlier_one(
    template: InProcess, tmp_path: Path
) -> None:
    found = set()
    program = template.copy_to(tmp_path)
    earlier, file = tmp_path / "earlier.db", tmp_path / "copy.db"
    program.run("backup", str(file))
    write_with_wal(file, earlier)
    lose_killmails(program)
    for step in range(1, MOST_STEPS):
        for ending in ("", "-wal"):
            shutil.copyfile(f"{earlier}{ending}", f"{file}{ending}")
        killed = killed_at(step, program, "backup", "--force", str(file))
        with closing(sqlite3.connect(file)) as conn:
            (row,) = conn.execute("SELECT (SELECT count(*) FROM killmails), max(error) FROM users")
        found.add(row)
        if not killed:
            break
    assert found == {(16, "in the WAL"), (0, None)}


def test_a_restore_that_is_killed_hides_no_token_and_the_next_leaves_no_draft(
    template: InProcess, tmp_path: Path
) -> None:
    secrets = [login["refresh_token"].encode() for login in template.simulator.logins]
    backups = tmp_path / "backups"
    backups.mkdir()
    file = backups / "copy.db"
    template.run("backup", "--with-tokens", str(file))
    left = set()
    # each second step: a neighbour writes the same
    for step in range(1, MOST_STEPS, 2):
        directory = tmp_path / str(step)
        directory.mkdir()
        program = template.copy_to(directory)
        killed = killed_at(step, program, "restore", "--yes", "--with-tokens", str(file))
        holding = {
            found
            for found in directory.rglob("*")
            if found.is_file() and any(secret in found.read_bytes() for secret in secrets)
        }
        assert holding <= set(token_files(program.database))
        drafts = {found for found in holding if ".draft-" in found.parent.name}
        said = program.run("users", "rekey", KILLSYNC_TOKEN_KEY=KEY).stderr
        assert all(f"{draft}: may hold earlier tokens" in said for draft in drafts)
        left |= {draft.parent.name.rpartition("-")[0] for draft in drafts}
        program.run("restore", "--yes", str(file))
        assert not drafts_in(directory)
        if not killed:
            break
    assert not killed
    assert left == {"killsync.db.tokens.draft", "killsync.db.tokens.before-restore.draft"}


def test_a_draft_that_another_program_writes_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    with files.draft_beside(file) as mine:
        with files.draft_of(file) as other:
            other.write_text("whole")
        assert mine.exists()
        assert files.is_being_written(mine)
    assert names_in(tmp_path) == [file.name]


def test_a_directory_of_a_persons_own_is_not_taken_for_a_draft(tmp_path: Path) -> None:
    own = tmp_path / "copy.db.draft-holidays"
    own.mkdir()
    (own / "photo.jpg").touch()
    with files.draft_of(tmp_path / "copy.db"):
        pass
    assert (own / "photo.jpg").exists()


# copies that hold plain tokens


def named_by(program: Killsync, file: Path) -> list[bool]:
    """Return whether `users rekey`, `check` and `doctor` name a file as one with plain tokens."""
    text = f"{file}: may hold earlier tokens that are not encrypted"
    said = [
        program.run("users", "rekey", KILLSYNC_TOKEN_KEY=KEY).stderr,
        program.run("check", KILLSYNC_TOKEN_KEY=KEY).stdout,
        program.run("doctor", exit_code=None, KILLSYNC_TOKEN_KEY=KEY).stdout,
    ]
    return [text in words for words in said]


def test_what_a_restore_has_kept_is_named_while_it_holds_plain_tokens(
    program: InProcess, file: Path
) -> None:
    program.run("backup", "--with-tokens", str(file))
    restored(program, file, "--with-tokens")
    kept = Path(f"{program.database}.tokens.before-restore")
    assert named_by(program, kept) == [True, True, True]
    restored(program, file, "--with-tokens")
    # what is kept now is encrypted
    assert named_by(program, Path(f"{kept}-2")) == [False, False, False]
    kept.unlink()
    assert named_by(program, kept) == [False, False, False]


def test_what_a_restore_has_kept_of_linked_tokens_is_named(program: InProcess, file: Path) -> None:
    tokens = Path(f"{program.database}.tokens")
    elsewhere = program.directory / "elsewhere"
    elsewhere.mkdir()
    tokens.rename(elsewhere / "real")
    tokens.symlink_to(elsewhere / "real")
    program.run("backup", "--with-tokens", str(file))
    restored(program, file, "--with-tokens")
    assert named_by(program, elsewhere / "real.before-restore") == [True, True, True]
