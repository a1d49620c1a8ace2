"""A lost, moved or damaged database is reported, and nothing is made worse."""

import hashlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import pytest
from here import run_here
from world import TIMEOUT, Killsync, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

PAGE = 4096
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("scan", "--force"),
    ("sync", "90000001"),
    ("status",),
    ("users",),
    ("kills",),
    ("export",),
)


def contents(program: Killsync) -> dict[str, str]:
    """Return a digest of each file of the database and its tokens."""
    files = (program.database, Path(f"{program.database}.tokens"))
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.exists()}


def at_rest(program: Killsync) -> None:
    """Bring everything committed into the database file itself."""
    for suffix in ("", ".tokens"):
        with closing(sqlite3.connect(f"{program.database}{suffix}")) as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def refusal(program: Killsync, *arguments: str) -> str:
    """Run a command in this process; return what it prints when it refuses the database."""
    done = run_here(*arguments, environment=program.environment)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr, done
    return done.stderr


def stored(path: Path) -> set[int]:
    with closing(sqlite3.connect(path)) as conn:
        return {row[0] for row in conn.execute("SELECT killmail_id FROM killmails")}


def scan_in_the_middle(killsync: Make, background: Background) -> tuple[Killsync, Popen[str]]:
    """Return a scan that has stored some bodies and waits for more."""
    program = killsync(characters=1, killmails=80, latency_body=0.2)
    process = background(program, "scan", KILLSYNC_CONNECTIONS="2")
    wait_until(lambda: program.rows("SELECT 1 FROM killmails"))
    return program, process


def assert_ends_with_a_message(program: Killsync, process: Popen[str]) -> None:
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert str(program.database) in said
    # it ended because it noticed, not because it had done everything
    assert len(program.simulator.log("body")) < 80


def test_a_database_moved_during_a_run_ends_it_and_keeps_what_was_committed(
    killsync: Make, background: Background
) -> None:
    program, process = scan_in_the_middle(killsync, background)
    before = stored(program.database)
    moved = program.database.with_name("moved.db")
    program.database.rename(moved)
    assert_ends_with_a_message(program, process)
    assert not program.database.exists(), "no new one is created"
    for suffix in ("-wal", "-shm"):
        beside = Path(f"{program.database}{suffix}")
        if beside.exists():
            beside.rename(f"{moved}{suffix}")
    assert before <= stored(moved)
    moved.rename(program.database)
    program.simulator.options(latency_body=0)
    program.run("scan")
    program.assert_equals_truth()


def test_a_database_deleted_during_a_run_ends_it_and_is_not_created_again(
    killsync: Make, background: Background
) -> None:
    program, process = scan_in_the_middle(killsync, background)
    program.database.unlink()
    assert_ends_with_a_message(program, process)
    assert not program.database.exists()
    said = program.run("scan", exit_code=2).stderr
    assert str(program.database) in said
    assert f"{program.database.name}.tokens" in said
    assert not program.database.exists()


@pytest.mark.sample
def test_a_database_replaced_during_a_run_ends_it_and_the_new_one_is_left_alone(
    killsync: Make, background: Background, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as conn:
        conn.execute("CREATE TABLE bookmarks (url TEXT)")
        conn.commit()
    before = other.read_bytes()
    program, process = scan_in_the_middle(killsync, background)
    other.replace(program.database)
    assert_ends_with_a_message(program, process)
    assert program.database.read_bytes() == before
    assert "another program" in program.run("scan", exit_code=2).stderr
    assert program.database.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["to nothing", "to half"])
def test_a_database_cut_short_during_a_run_ends_it_and_is_reported_as_damaged(
    killsync: Make, background: Background, share: float
) -> None:
    program, process = scan_in_the_middle(killsync, background)
    at_rest(program)
    with program.database.open("r+b") as file:
        file.truncate(int(program.database.stat().st_size * share) // PAGE * PAGE)
    assert_ends_with_a_message(program, process)
    for words in COMMANDS:
        after = contents(program)
        assert str(program.database) in refusal(program, *words)
        assert contents(program) == after, words


def damage_header(file: bytearray) -> None:
    file[:100] = b"\xa5" * 100


def damage_schema(file: bytearray) -> None:
    file[100:PAGE] = random.Random(1).randbytes(PAGE - 100)


def damage_all_tables(file: bytearray) -> None:
    file[PAGE:] = random.Random(2).randbytes(len(file) - PAGE)


def cut_to_half(file: bytearray) -> None:
    del file[len(file) // 2 // PAGE * PAGE :]


def cut_within_a_page(file: bytearray) -> None:
    del file[PAGE + 1000 :]


DAMAGES = (damage_header, damage_schema, damage_all_tables, cut_to_half, cut_within_a_page)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_database_is_reported_and_never_overwritten(
    killsync: Make, damage: Callable[[bytearray], None]
) -> None:
    program = killsync(characters=1, killmails=30)
    program.run("scan")
    at_rest(program)
    file = bytearray(program.database.read_bytes())
    damage(file)
    program.database.write_bytes(file)
    before = contents(program)
    program.simulator.clear_log()
    for words in COMMANDS:
        said = refusal(program, *words)
        assert str(program.database) in said, words
        assert "damaged" in said or "not an SQLite database" in said, (words, said)
        assert contents(program) == before, words
    assert str(program.database) in program.run("scan", exit_code=2).stderr
    assert contents(program) == before
    assert program.simulator.log() == [], "no token is used up for a database that is lost"


@pytest.mark.sample
def test_a_damaged_page_of_a_table_ends_the_run_and_is_not_overwritten(
    killsync: Make,
) -> None:
    program = killsync(characters=1, killmails=60)
    program.run("scan")
    program.simulator.add_killmails(90000001, 1)
    program.simulator.thaw()
    program.make_due()
    at_rest(program)
    for table in ("users", "jobs", "pending_killmails", "user_killmails", "runs"):
        ((root,),) = program.rows("SELECT rootpage FROM sqlite_schema WHERE name = ?", table)
        whole = program.database.read_bytes()
        file = bytearray(whole)
        file[(root - 1) * PAGE : root * PAGE] = random.Random(root).randbytes(PAGE)
        program.database.write_bytes(file)
        done = program.run("scan", "--force", exit_code=2)
        assert "damaged" in done.stderr, (table, done.stderr)
        page = slice((root - 1) * PAGE, root * PAGE)
        assert program.database.read_bytes()[page] == file[page], table
        for suffix in ("-wal", "-shm"):
            Path(f"{program.database}{suffix}").unlink(missing_ok=True)
        program.database.write_bytes(whole)
    program.run("scan")
    program.assert_equals_truth()


def test_garbage_in_the_place_of_the_wal_harms_nothing(killsync: Make) -> None:
    program = killsync(characters=1, killmails=20)
    program.run("scan")
    at_rest(program)
    for garbage in (b"", b"\0" * 5000, random.Random(3).randbytes(20_000)):
        Path(f"{program.database}-wal").write_bytes(garbage)
        program.make_due()
        program.run("scan")
        program.assert_equals_truth()


def test_a_damaged_token_file_is_named_and_never_overwritten(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    at_rest(program)
    tokens = Path(f"{program.database}.tokens")
    tokens.write_bytes(b"\xa5" * 100 + tokens.read_bytes()[100:])
    before = contents(program)[tokens.name]
    done = program.run("scan", exit_code=2)
    assert str(tokens) in done.stderr
    assert contents(program)[tokens.name] == before
    assert program.rows("SELECT state, failures FROM users") == [("active", 0)]
    assert program.status()["jobs"]["running"] == 0


def test_a_missing_token_file_invalidates_no_login(killsync: Make) -> None:
    program = killsync(characters=2, killmails=2)
    tokens = program.database.with_name("killsync.db.tokens")
    elsewhere = program.directory / "elsewhere"
    tokens.rename(elsewhere)
    done = program.run("scan", exit_code=2)
    assert str(tokens) in done.stderr
    elsewhere.rename(tokens)
    program.run("scan")
    program.assert_equals_truth()


def test_a_link_to_the_database_leads_to_the_files_beside_it(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2)
    link = program.directory / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(program.database)
    program.run("scan", "--db", str(link))
    assert list(link.parent.iterdir()) == [link]
    program.assert_equals_truth()
