"""Stored tokens that are encrypted: what works, what is refused, and that none is ever lost."""

import base64
import secrets
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from world import TIMEOUT, Killsync, run_in_progress, wait_until

from killsync.errors import UsageError
from killsync.tokens.sealing import Keyring
from killsync.tokens.tokens import Tokens

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

USED = "SELECT user_id, state, failures, error FROM users ORDER BY user_id"


def new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def key_file(program: Killsync) -> Path:
    return program.directory / "token.key"


def use_keys(program: Killsync, *keys: str) -> None:
    """Let the program find these keys in a file, the first for what is stored from now on."""
    key_file(program).write_text("".join(f"{key}\n" for key in keys))
    key_file(program).chmod(0o600)
    program.environment["KILLSYNC_TOKEN_KEY_FILE"] = str(key_file(program))


@pytest.fixture
def sealed(killsync: Start) -> Start:
    """Make a killsync whose tokens are encrypted from the start."""

    def make(**options: Any) -> Killsync:
        options = {"characters": 1, "killmails": 1, "shared": 0} | options
        program = killsync(users=False, **options)
        use_keys(program, new_key())
        program.add_users()
        program.simulator.clear_log()
        return program

    return make


def user_ids(program: Killsync) -> list[int]:
    return [login["character_id"] for login in program.simulator.logins]


def rows(program: Killsync) -> list[tuple[Any, ...]]:
    """Return user, refresh token, access token and the name of their key, as they are stored."""
    with closing(sqlite3.connect(f"{program.database}.tokens", timeout=60)) as conn:
        return conn.execute(
            "SELECT user_id, refresh_token, access_token, sealed_by FROM tokens ORDER BY user_id"
        ).fetchall()


def sealers(program: Killsync) -> set[str | None]:
    return {row[3] for row in rows(program)}


def opened(program: Killsync, *keys: str) -> dict[int, str]:
    """Return every refresh token as these keys open it."""
    with closing(Tokens(program.database, Keyring(lambda: list(keys)))) as tokens:
        found = {row[0]: tokens.get(row[0]) for row in rows(program)}
    return {user: token.refresh_token for user, token in found.items() if token is not None}


def valid_tokens(program: Killsync) -> dict[int, str]:
    characters = program.simulator.truth()["characters"]
    return {user: characters[str(user)]["refresh_token"] for user in user_ids(program)}


def plain_in_files(program: Killsync, tokens: list[str]) -> set[str]:
    """Return the names of the files in which one of these tokens can be read."""
    return {
        file.name
        for file in program.directory.rglob("*")
        if file.is_file() and any(token.encode() in file.read_bytes() for token in tokens)
    }


def assert_all_can_be_synced(program: Killsync) -> None:
    program.simulator.options(latency_sso=0, access_lifetime=1200)
    program.expire_access()
    program.execute("UPDATE jobs SET not_before = NULL")
    program.execute("UPDATE users SET not_before = NULL")
    program.make_due()
    program.run("scan")
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    program.assert_equals_truth()


# with the key


@pytest.mark.sample
def test_encrypted_tokens_are_used_and_renewed_and_nowhere_plain(sealed: Start) -> None:
    program = sealed(characters=2, access_lifetime=30, rotate=True)
    for _ in range(2):
        assert_all_can_be_synced(program)
    issued = program.simulator.control("secrets")
    assert len(issued) >= 4
    assert plain_in_files(program, issued) == set()
    assert opened(program, *key_file(program).read_text().split()) == valid_tokens(program)


def test_an_access_token_that_esi_rejects_is_forgotten_though_it_is_encrypted(
    sealed: Start,
) -> None:
    program = sealed()
    program.simulator.control("expire_access", "POST")
    program.run("scan")
    assert [e["status"] for e in program.simulator.log("list")] == [401, 200]
    program.assert_equals_truth()


def test_with_a_new_key_plain_tokens_work_and_are_encrypted_when_they_are_renewed(
    killsync: Start,
) -> None:
    program = killsync(characters=2, killmails=1, shared=0)
    renewed, other = user_ids(program)
    use_keys(program, new_key())
    program.expire_access(renewed)
    program.run("scan")
    program.assert_equals_truth()
    names = {row[0]: row[3] for row in rows(program)}
    assert names[renewed] is not None
    assert names[other] is None


def test_the_first_key_encrypts_and_the_others_open(sealed: Start) -> None:
    program = sealed(characters=2)
    old = key_file(program).read_text().strip()
    before = sealers(program)
    use_keys(program, new_key(), old)
    program.expire_access(user_ids(program)[0])
    program.run("scan")
    program.assert_equals_truth()
    assert len(sealers(program)) == 2
    assert before < sealers(program)


def test_a_key_from_the_environment_may_be_in_either_alphabet(sealed: Start) -> None:
    program = sealed(access_lifetime=30)
    key = key_file(program).read_text().strip()
    del program.environment["KILLSYNC_TOKEN_KEY_FILE"]
    key_file(program).unlink()
    program.environment["KILLSYNC_TOKEN_KEY"] = key.translate(str.maketrans("-_", "+/"))
    assert_all_can_be_synced(program)


def test_encrypted_tokens_are_revoked(sealed: Start) -> None:
    program = sealed()
    assert "is revoked" in program.run("users", "remove", str(user_ids(program)[0])).stdout
    assert valid_tokens(program) == {user_ids(program)[0]: None}


def test_a_damaged_encrypted_token_affects_one_user(sealed: Start) -> None:
    program = sealed(characters=2)
    ill, well = user_ids(program)
    program.execute_on_tokens(
        "UPDATE tokens SET access_token = NULL, refresh_token = 'x' || refresh_token"
        " WHERE user_id = ?",
        ill,
    )
    assert "damaged" in program.run("scan", exit_code=1).stderr
    assert (program.user(ill)["state"], program.user(well)["killmails"]) == ("needs_login", 1)


# without it


def test_without_the_key_nothing_is_sent_changed_or_lost(sealed: Start) -> None:
    program = sealed(characters=2, access_lifetime=30)
    newcomer = program.simulator.add_character()["refresh_token"] + "\n"
    program.simulator.clear_log()
    before = rows(program), program.rows(USED)
    user = str(user_ids(program)[0])
    for wrong, key, *words in (
        ("a key", "", "scan", "-q"),
        ("a key", "", "sync", user),
        ("a key", "", "users", "add"),
        ("another key than is configured", new_key(), "users", "remove", user),
    ):
        environment = {"KILLSYNC_TOKEN_KEY_FILE": "", "KILLSYNC_TOKEN_KEY": key}
        done = program.run(*words, given=newcomer, exit_code=2, **environment)
        tokens = f"{program.database}.tokens: holds tokens that are encrypted with {wrong}: set "
        assert tokens + "token_key_file or KILLSYNC_TOKEN_KEY to the key" in done.stderr
        assert done.stderr.count("\n") == 1
        assert program.simulator.log() == []
        assert (rows(program), program.rows(USED)) == before
    program.run("users", "add", given=newcomer)
    assert_all_can_be_synced(program)


def test_a_user_whose_key_is_lost_can_be_removed_without_revoking(sealed: Start) -> None:
    program = sealed()
    key_file(program).write_text(new_key())
    done = program.run("users", "remove", str(user_ids(program)[0]), exit_code=2)
    assert "--no-revoke" in done.stderr
    program.run("users", "remove", "--no-revoke", str(user_ids(program)[0]))
    assert (rows(program), program.simulator.log()) == ([], [])


def test_when_the_key_is_lost_new_logins_after_deleting_the_token_file_work(
    sealed: Start,
) -> None:
    program = sealed()
    key_file(program).write_text(new_key())
    Path(f"{program.database}.tokens").unlink()
    program.add_users()
    assert_all_can_be_synced(program)


@pytest.mark.parametrize(
    "key", ["hunter2-hunter2", "a" * 42, "A" * 48, "A" * 43 + "=" + "B" * 43 + "=", "\x1b[31m"]
)
def test_a_text_that_is_not_a_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="key 2 is not 32 random bytes in base64") as refusal:
        Keyring(lambda: [new_key(), key])
    assert "head -c 32 /dev/urandom | base64" in str(refusal.value)
    assert key not in str(refusal.value)


def test_with_a_wrong_key_in_the_key_file_nothing_is_sent_or_changed(sealed: Start) -> None:
    program = sealed()
    before = rows(program)
    use_keys(program, key_file(program).read_text().strip(), "hunter2-hunter2")
    done = program.run("scan", exit_code=2)
    assert "key 2 is not 32 random bytes in base64" in done.stderr
    assert "hunter2" not in done.stderr
    assert (rows(program), program.simulator.log()) == (before, [])


def test_a_key_file_that_is_gone_while_a_token_is_renewed_costs_no_token(
    sealed: Start, background: Background
) -> None:
    program = sealed(rotate=True)
    key = key_file(program).read_text()
    program.expire_access()
    program.simulator.fault("token", delay=1.5, times=1)
    scan = background(program, "scan")
    wait_until(lambda: program.simulator.log("token"))
    key_file(program).unlink()
    _, said = scan.communicate(timeout=TIMEOUT)
    assert scan.returncode == 0, said
    assert "cannot be read" in program.run("sync", str(user_ids(program)[0]), exit_code=2).stderr
    use_keys(program, key.strip())
    assert_all_can_be_synced(program)


def test_a_run_whose_tokens_get_another_key_ends_and_blames_no_user(
    sealed: Start, background: Background
) -> None:
    program = sealed(characters=3, access_lifetime=30)
    old, new = key_file(program).read_text().strip(), new_key()
    program.simulator.options(latency_sso=0.7)
    scan = background(program, "scan", KILLSYNC_TOKEN_KEY_FILE="", KILLSYNC_TOKEN_KEY=old)
    wait_until(lambda: program.simulator.log("token"))
    use_keys(program, new, old)
    assert "a run is in progress" in program.run("users", "rekey").stderr
    _, said = scan.communicate(timeout=TIMEOUT)
    assert scan.returncode == 2, said
    assert "encrypted with another key" in said
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert program.status()["jobs"]["running"] == 0
    program.run("users", "rekey")
    use_keys(program, new)
    assert_all_can_be_synced(program)


# rekey


def plant(program: Killsync, number: int) -> dict[int, str]:
    """Put many plain tokens of all lengths into the token file; return them."""
    planted = {
        10_000_000 + n: secrets.token_urlsafe(24 + n * 7 % 900).replace("-", "A")
        for n in range(number)
    }
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn, conn:
        conn.executemany(
            "INSERT INTO tokens (user_id, refresh_token) VALUES (?, ?)", planted.items()
        )
    return planted


@contextmanager
def open_elsewhere(database: str) -> Iterator[None]:
    """Let another process have a database open, so that its WAL stays when a command ends."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('SELECT count(*) FROM tokens').fetchone(); print(flush=True); sys.stdin.read()"
    )
    with Popen([sys.executable, "-c", program, database], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate(timeout=TIMEOUT)


@pytest.mark.sample
def test_rekey_encrypts_all_and_leaves_no_plain_token_in_any_file(killsync: Start) -> None:
    program = killsync(characters=2, killmails=1, shared=0)
    tokens = f"{program.database}.tokens"
    with open_elsewhere(tokens):
        planted = plant(program, 200)
        with closing(sqlite3.connect(tokens)) as conn, conn:
            conn.execute("PRAGMA secure_delete = OFF")
            conn.execute("DELETE FROM tokens WHERE user_id BETWEEN 10000100 AND 10000199")
        plain = [*program.simulator.control("secrets"), *planted.values()]
        assert plain_in_files(program, plain) == {Path(tokens).name, f"{Path(tokens).name}-wal"}
        use_keys(program, new_key())
        done = program.run("users", "rekey")
        assert Path(f"{tokens}-wal").exists()
        assert plain_in_files(program, plain) == set()
    assert "the tokens of 102 users are encrypted with the key" in done.stdout
    assert done.stderr == ""
    left = {user: token for user, token in planted.items() if user < 10_000_100}
    assert opened(program, key_file(program).read_text().strip()).items() >= left.items()
    program.execute_on_tokens("DELETE FROM tokens WHERE user_id < 20000000")
    assert_all_can_be_synced(program)


def test_a_new_key_is_made_and_later_replaced_and_the_old_one_may_go(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1)
    program.environment["KILLSYNC_TOKEN_KEY_FILE"] = str(key_file(program))
    done = program.run("users", "rekey", "--new-key")
    assert stat.S_IMODE(key_file(program).stat().st_mode) == 0o600
    (first,) = key_file(program).read_text().split()
    assert first not in done.stdout + done.stderr
    assert str(key_file(program)) in done.stdout
    assert_all_can_be_synced(program)
    done = program.run("users", "rekey", "--new-key")
    assert "1 older key may be removed" in done.stdout
    second, kept = key_file(program).read_text().split()
    assert (kept, second != first) == (first, True)
    use_keys(program, second)
    assert_all_can_be_synced(program)


def test_no_new_key_is_put_into_the_wrong_file(sealed: Start) -> None:
    program = sealed()
    before = rows(program)
    wrong = program.directory / "wrong"
    for content, said in (
        (None, "encrypted with a key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "is not 32 random bytes"),
        (new_key(), "encrypted with another key"),
    ):
        if content is not None:
            wrong.write_text(content)
            wrong.chmod(0o600)
        words = ("users", "rekey", "--new-key")
        done = program.run(*words, exit_code=2, KILLSYNC_TOKEN_KEY_FILE=str(wrong))
        assert said in done.stderr
        assert rows(program) == before
        assert (wrong.read_text() if wrong.exists() else None) == content


def all_opened(program: Killsync, *keys: str) -> list[tuple[str, ...]]:
    """Return all refresh tokens of each user as these keys open them."""
    with closing(Tokens(program.database, Keyring(lambda: list(keys)))) as tokens:
        found = [tokens.get(user) for user, *_ in rows(program)]
    return [token.refresh_tokens for token in found if token is not None]


def test_rekey_encrypts_the_earlier_tokens_too_and_makes_them_plain_again(killsync: Start) -> None:
    program = killsync(characters=2, killmails=1, shared=0, rotate=True)
    assert_all_can_be_synced(program)
    before = all_opened(program)
    assert [len(kept) for kept in before] == [2, 2]
    issued = program.simulator.control("secrets")
    use_keys(program, new_key())
    for key in (new_key(), new_key()):
        use_keys(program, key, *key_file(program).read_text().split())
        program.run("users", "rekey")
        assert plain_in_files(program, issued) == set()
        assert all_opened(program, key) == before
    program.run(
        *("users", "rekey", "--plain"),
        KILLSYNC_TOKEN_KEY_FILE="",
        KILLSYNC_TOKEN_KEY=key,
    )
    assert all_opened(program) == before


def test_an_earlier_token_stands_in_for_a_damaged_one(sealed: Start) -> None:
    program = sealed()
    key = key_file(program).read_text().strip()
    ((_, good, _, _),) = rows(program)
    program.execute_on_tokens("UPDATE tokens SET earlier_tokens = ?, refresh_token = 'x'", good)
    done = program.run("users", "rekey")
    assert done.stderr == ""
    assert opened(program, key) == valid_tokens(program)
    assert_all_can_be_synced(program)


def test_rekey_without_any_key_says_what_to_set(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    for words in ((), ("--new-key",), ("--plain",)):
        assert "token_key_file" in program.run("users", "rekey", *words, exit_code=2).stderr
    done = program.run("users", "rekey", "--new-key", "--plain", exit_code=2)
    assert "not both" in done.stderr
    assert sealers(program) == {None}


def test_rekey_makes_tokens_plain_again(sealed: Start) -> None:
    program = sealed()
    key = key_file(program).read_text().strip()
    del program.environment["KILLSYNC_TOKEN_KEY_FILE"]
    done = program.run("users", "rekey", "--plain", KILLSYNC_TOKEN_KEY=key)
    assert "the tokens of 1 user are stored plain" in done.stdout
    assert sealers(program) == {None}
    assert_all_can_be_synced(program)


def test_rekey_changes_nothing_if_one_token_cannot_be_opened(sealed: Start) -> None:
    program = sealed(characters=2)
    program.execute_on_tokens(
        "UPDATE tokens SET sealed_by = 'lost' WHERE user_id = ?", user_ids(program)[1]
    )
    before = rows(program)
    assert "encrypted with another key" in program.run("users", "rekey", exit_code=2).stderr
    assert rows(program) == before


def test_rekey_leaves_a_damaged_token_and_names_its_user(sealed: Start) -> None:
    program = sealed(characters=2)
    ill, well = user_ids(program)
    program.execute_on_tokens("UPDATE tokens SET refresh_token = 'damaged' WHERE user_id = ?", ill)
    use_keys(program, new_key(), key_file(program).read_text().strip())
    done = program.run("users", "rekey", exit_code=1)
    assert f"({ill}): the token is damaged" in done.stderr
    assert "the tokens of 1 user are" in done.stdout
    assert [row[1] for row in rows(program) if row[0] == ill] == ["damaged"]
    program.run("users", "remove", "--no-revoke", str(ill))
    assert_all_can_be_synced_but(program, ill, well)


def assert_all_can_be_synced_but(program: Killsync, gone: int, stays: int) -> None:
    program.expire_access()
    program.run("scan")
    assert program.rows("SELECT user_id, killmails FROM users") == [(stays, 1)]


def test_a_kill_in_the_middle_of_rekey_leaves_every_token_readable(
    killsync: Start, background: Background
) -> None:
    program = killsync(characters=1, killmails=1)
    planted = plant(program, 4000)
    before = rows(program)
    use_keys(program, new_key())
    rekey = background(program, "users", "rekey")
    with closing(sqlite3.connect(f"{program.database}.tokens", isolation_level=None)) as conn:
        conn.execute("PRAGMA busy_timeout = 0")
        wait_until(lambda: is_being_written(conn))
        rekey.kill()
        rekey.communicate(timeout=TIMEOUT)
    assert rows(program) == before
    program.run("users", "rekey")
    assert opened(program, key_file(program).read_text().strip()).items() >= planted.items()


def is_being_written(conn: sqlite3.Connection) -> bool:
    try:
        conn.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    conn.execute("ROLLBACK")
    return False


def test_a_kill_between_the_new_key_and_rekey_leaves_every_token_readable(
    sealed: Start, background: Background
) -> None:
    program = sealed()
    plant(program, 4000)
    before = rows(program)
    rekey = background(program, "users", "rekey", "--new-key")
    wait_until(lambda: len(key_file(program).read_text().split()) == 2)
    rekey.kill()
    rekey.communicate(timeout=TIMEOUT)
    assert rows(program) == before
    program.execute_on_tokens("DELETE FROM tokens WHERE sealed_by IS NULL")
    assert_all_can_be_synced(program)


def test_of_two_new_keys_made_at_once_both_are_kept(sealed: Start, background: Background) -> None:
    program = sealed()
    both = [background(program, "users", "rekey", "--new-key") for _ in range(2)]
    for rekey in both:
        assert rekey.wait(TIMEOUT) == 0
    assert len(key_file(program).read_text().split()) == 3
    assert_all_can_be_synced(program)


def test_a_scan_that_rotates_tokens_goes_on_while_they_get_a_new_key(
    sealed: Start, background: Background
) -> None:
    program = sealed(characters=6, access_lifetime=30, rotate=True)
    program.simulator.options(access_lifetime=1200, latency_sso=0.5)
    scan = background(program, "scan")
    wait_until(lambda: program.simulator.log("token"))
    program.run("users", "rekey", "--new-key")
    _, said = scan.communicate(timeout=TIMEOUT)
    assert scan.returncode == 0, said
    assert len(program.simulator.log("token")) == 6
    program.assert_equals_truth()
    newest = key_file(program).read_text().split()[0]
    assert opened(program, newest) == valid_tokens(program)
    use_keys(program, newest)
    assert_all_can_be_synced(program)


# beside the tokens


def test_check_needs_no_key(sealed: Start) -> None:
    program = sealed()
    program.run("scan")
    assert "no problems found" in program.run("check", KILLSYNC_TOKEN_KEY_FILE="").stdout


NEWER_COLUMNS = {1: ["earlier_tokens", "sealed_by"], 2: ["earlier_tokens"]}


def make_token_file_old(program: Killsync, version: int) -> None:
    for column in NEWER_COLUMNS[version]:
        program.execute_on_tokens(f"ALTER TABLE tokens DROP COLUMN {column}")
        program.execute_on_tokens(f"DELETE FROM _sqlite_migrations WHERE name LIKE '%{column}'")
    program.execute_on_tokens(f"PRAGMA user_version = {version}")


def token_file_version(program: Killsync) -> int:
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        return int(conn.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_token_file_is_checked_as_it_is_and_upgraded_by_a_scan(
    killsync: Start, version: int
) -> None:
    program = killsync(characters=1, killmails=1)
    make_token_file_old(program, version)
    assert "no problems found" in program.run("check").stdout
    assert token_file_version(program) == version
    program.run("scan")
    assert token_file_version(program) == 3
    program.assert_equals_truth()
    assert sealers(program) == {None}


def test_encrypted_tokens_of_an_older_token_file_are_renewed_after_its_upgrade(
    sealed: Start,
) -> None:
    program = sealed(characters=2, rotate=True)
    make_token_file_old(program, 2)
    assert_all_can_be_synced(program)
    assert opened(program, key_file(program).read_text().strip()) == valid_tokens(program)


def test_rekey_waits_for_no_run(sealed: Start) -> None:
    program = sealed()
    use_keys(program, new_key(), key_file(program).read_text().strip())
    with run_in_progress(program):
        done = program.run("users", "rekey")
    assert "the tokens of 1 user are encrypted with the first key" in done.stdout
    assert "a run is in progress" in done.stderr
    assert "may be removed" not in done.stdout
