"""Tokens in use: how scans refresh them, whom trouble with SSO blames, and who can read them."""

import json
import os
import socket
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
import requests
from world import TIMEOUT, Killsync, wait_until

from killsync.tokens.tokens import Token, Tokens

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

ABOUT_TO_EXPIRE = 30
LASTING = 1200
UNFINISHED = "SELECT state, count(*) FROM jobs WHERE state != 'done' GROUP BY 1"
TOKEN_PRAGMAS = {"synchronous": 2, "secure_delete": 1}


@pytest.fixture
def stale(killsync: Start) -> Start:
    """Make a killsync whose users have access tokens that last half a minute more."""

    def make(**options: Any) -> Killsync:
        program = killsync(**({"access_lifetime": ABOUT_TO_EXPIRE, "shared": 0} | options))
        program.simulator.options(access_lifetime=LASTING)
        program.simulator.clear_log()
        return program

    return make


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let new files be for everybody: any other umask takes away more."""
    before = os.umask(0)
    yield
    os.umask(before)


def user_ids(program: Killsync) -> list[int]:
    return [login["character_id"] for login in program.simulator.logins]


def asked(program: Killsync, route: str) -> int:
    return len(program.simulator.log(route))


def stored_tokens(program: Killsync) -> list[tuple[str, str | None]]:
    """Return (refresh token, access token) of each user."""
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        return conn.execute(
            "SELECT refresh_token, access_token FROM tokens ORDER BY user_id"
        ).fetchall()


def valid_refresh_tokens(program: Killsync) -> list[str]:
    characters = program.simulator.truth()["characters"]
    return [characters[str(user)]["refresh_token"] for user in user_ids(program)]


def assert_works_again(program: Killsync) -> None:
    """Check that no user's token is lost."""
    program.simulator.clear_faults()
    program.execute("UPDATE users SET not_before = NULL")
    program.execute("UPDATE jobs SET not_before = NULL")
    program.make_due()
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.parametrize(("left", "refreshes"), [(ABOUT_TO_EXPIRE, 1), (LASTING, 0)])
def test_a_token_is_refreshed_when_it_has_less_than_a_minute_left(
    killsync: Start, left: int, refreshes: int
) -> None:
    program = killsync(characters=1, killmails=2, access_lifetime=left)
    program.simulator.options(access_lifetime=LASTING)
    program.simulator.clear_log()
    program.run("scan")
    assert asked(program, "token") == refreshes
    assert [e["status"] for e in program.simulator.log("list")] == [200]


def test_tokens_that_never_last_a_minute_are_used_all_the_same(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2, access_lifetime=ABOUT_TO_EXPIRE)
    program.simulator.clear_log()
    program.run("scan", "--max-runtime", "5s")
    assert asked(program, "token") == 1
    program.assert_equals_truth()


@pytest.mark.sample
@pytest.mark.parametrize("rotate", [False, True], ids=["kept", "rotated"])
def test_scan_after_scan_has_a_refresh_token_that_works(stale: Start, rotate: bool) -> None:
    program = stale(characters=2, killmails=1, rotate=rotate)
    first = valid_refresh_tokens(program)
    for _ in range(2):
        for user in user_ids(program):
            program.simulator.add_killmails(user, 1)
        program.simulator.thaw()
        program.simulator.control("expire_access", "POST")
        program.make_due()
        program.run("scan")
        assert [refresh for refresh, _ in stored_tokens(program)] == valid_refresh_tokens(program)
    program.assert_equals_truth()
    assert (valid_refresh_tokens(program) != first) == rotate


def test_a_rotated_token_is_stored_before_the_new_access_token_is_used(
    stale: Start, background: Background
) -> None:
    program = stale(characters=1, killmails=2, rotate=True)
    program.simulator.fault("list", hang=60, times=1)
    scan = background(program, "scan")
    wait_until(lambda: asked(program, "list"))
    scan.kill()
    scan.wait(timeout=TIMEOUT)
    assert [refresh for refresh, _ in stored_tokens(program)] == valid_refresh_tokens(program)
    assert_works_again(program)


def test_a_revoked_token_needs_a_new_login_and_costs_no_further_request(stale: Start) -> None:
    program = stale(characters=2, killmails=2)
    revoked, good = user_ids(program)
    program.simulator.control("revoke", "POST", character_id=revoked)
    program.make_login_needed()
    user = program.user(revoked)
    assert user["state"] == "needs_login"
    assert "killsync login" in user["error"]
    assert program.user(good)["killmails"] == 2
    program.simulator.clear_log()
    program.make_due()
    program.run("scan")
    assert {e["character_id"] for e in program.simulator.log()} == {good}


def test_a_wrongly_configured_application_fails_the_run_and_loses_no_token(stale: Start) -> None:
    program = stale(characters=2, killmails=2)
    program.simulator.options(client_secret="right-s3cret")
    done = program.run("scan", exit_code=2, KILLSYNC_CLIENT_SECRET="wr0ng-s3cret")
    assert "client_id" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert program.rows("SELECT DISTINCT state FROM jobs") == [("queued",)]
    program.run("scan", KILLSYNC_CLIENT_SECRET="right-s3cret")
    program.assert_equals_truth()


@pytest.mark.parametrize(
    ("route", "fault"), [("token", {"html": True}), ("metadata", {"status": 503})]
)
def test_sso_down_exits_75_after_three_users_and_is_no_users_failure(
    stale: Start, route: str, fault: dict[str, Any]
) -> None:
    program = stale(characters=4, killmails=1)
    if route != "token":
        program.forget_sso_documents()
    program.simulator.fault(route, **fault)
    program.run("scan", exit_code=75)
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert program.rows(UNFINISHED) == [("queued", 4)]
    assert program.simulator.log("list") == []
    assert_works_again(program)


def test_an_answer_of_sso_that_cannot_be_read_is_transient(stale: Start) -> None:
    program = stale(characters=1, killmails=1)
    program.simulator.fault("token", wrong_json="{}", times=3)
    program.run("scan", exit_code=None)
    assert program.rows("SELECT state FROM users") == [("active",)]
    assert asked(program, "list") == 0
    assert_works_again(program)


def test_keys_of_the_wrong_shape_are_not_kept_and_blame_no_user(stale: Start) -> None:
    program = stale(characters=2, killmails=1)
    program.forget_sso_documents()
    program.simulator.fault("jwks", wrong_json="{}")
    program.run("scan", exit_code=75)
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert asked(program, "token") == 0
    assert_works_again(program)


def test_while_sso_is_down_users_with_a_lasting_access_token_are_synced(killsync: Start) -> None:
    program = killsync(characters=5, killmails=2, shared=0)
    program.expire_access(*user_ids(program)[:4])
    program.simulator.clear_log()
    program.simulator.fault("token", status=503)
    program.run("scan", exit_code=75)
    assert len(program.recorded(user_ids(program)[4])) == 2
    assert program.rows(UNFINISHED) == [("queued", 4)]
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert asked(program, "token") == 9


def test_sso_that_asks_for_a_rest_is_left_alone_until_then(stale: Start) -> None:
    program = stale(characters=2, killmails=1)
    program.simulator.fault("token", status=429, headers={"Retry-After": "120"})
    for _ in range(2):
        program.run("scan", exit_code=None)
        assert asked(program, "token") == 1
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]


def test_sso_that_asks_for_a_rest_before_any_refresh_is_left_alone_until_then(
    stale: Start,
) -> None:
    program = stale(characters=2, killmails=1)
    program.forget_sso_documents()
    program.simulator.fault("metadata", status=429, headers={"Retry-After": "600"})
    for _ in range(2):
        program.run("scan")
        program.execute("UPDATE jobs SET not_before = NULL")
        assert asked(program, "metadata") == 1
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    program.execute("DELETE FROM rate_limits")
    assert_works_again(program)


def test_at_most_two_refreshes_are_in_flight(stale: Start) -> None:
    program = stale(characters=8, killmails=1)
    program.simulator.options(latency_sso=0.2)
    program.run("scan", "--workers", "8")
    refreshes = program.simulator.log("token")
    assert len(refreshes) == 8
    assert max(e["in_flight"] for e in refreshes) == 2
    program.assert_equals_truth()


def test_a_token_that_another_process_has_renewed_is_used(
    stale: Start, background: Background
) -> None:
    program = stale(characters=1, killmails=1)
    (user,) = user_ids(program)
    program.simulator.control("revoke", "POST", character_id=user)
    program.simulator.fault("token", delay=4, times=1)
    scan = background(program, "scan")
    wait_until(lambda: asked(program, "token"))
    renewed = program.simulator.control("tokens", "POST", character_id=user)["refresh_token"]
    program.run("users", "add", given=f"{renewed}\n")
    _, said = scan.communicate(timeout=TIMEOUT)
    assert scan.returncode == 0, said
    assert program.user(user)["state"] == "active"
    program.assert_equals_truth()


def test_a_token_that_another_process_refreshes_is_left_to_it(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2, access_lifetime=30)
    program.simulator.options(access_lifetime=1200)
    program.simulator.clear_log()
    with closing(sqlite3.connect(f"{program.database}.tokens", isolation_level=None)) as conn:
        claim = "UPDATE tokens SET claimed_by = ?, claimed_until = ?"
        conn.execute(claim, [f"{socket.gethostname()}:{os.getpid()}", time.time() + 110])
        program.run("scan", "--max-runtime", "3s")
        assert program.simulator.log("token") == []
        assert program.status()["jobs"]["queued"] == 1
        assert program.rows("SELECT state, failures FROM users") == [("active", 0)]
        conn.execute(claim, [None, None])
    program.execute("UPDATE jobs SET not_before = NULL")
    program.run("scan")
    program.assert_equals_truth()


def test_an_access_token_that_esi_rejects_is_refreshed_once(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.clear_log()
    program.simulator.control("expire_access", "POST")
    program.run("scan")
    assert [e["status"] for e in program.simulator.log("list")] == [401, 200]
    assert asked(program, "token") == 1
    program.assert_equals_truth()


def test_a_fresh_access_token_that_esi_rejects_fails_the_user_for_now(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.clear_log()
    program.simulator.fault("list", status=401, body='{"error":"Unauthorized - Invalid token"}')
    program.run("scan", exit_code=75)
    assert (asked(program, "list"), asked(program, "token")) == (2, 1)
    user = program.user(user_ids(program)[0])
    assert (user["state"], user["failures"]) == ("active", 0)
    assert_works_again(program)


def test_a_scope_that_esi_misses_in_words_needs_no_new_login(killsync: Start) -> None:
    program = killsync(characters=1)
    error = '{"error":"Token is not valid for any required scope"}'
    program.simulator.fault("list", status=403, body=error)
    program.run("scan", exit_code=75)
    user = program.user(user_ids(program)[0])
    assert user["state"] == "active"
    assert "required scope" in user["error"]


def test_a_damaged_token_affects_one_user_and_is_not_shown(killsync: Start) -> None:
    program = killsync(characters=2, killmails=1, shared=0)
    ill, well = user_ids(program)
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn, conn:
        conn.execute(
            """UPDATE tokens SET access_token = NULL, refresh_token = CAST(
                CAST(substr(refresh_token, 1, 10) AS BLOB) || x'ff'
                || CAST(substr(refresh_token, 12) AS BLOB) AS TEXT) WHERE user_id = ?""",
            [ill],
        )
    done = program.run("scan", exit_code=1)
    token = program.simulator.logins[0]["refresh_token"]
    assert token[:10] not in done.stdout + done.stderr
    assert (program.user(ill)["state"], program.user(well)["killmails"]) == ("needs_login", 1)


@pytest.mark.sample
def test_new_signing_keys_of_sso_are_fetched_when_they_are_met(stale: Start) -> None:
    program = stale(characters=1, killmails=1)
    for _ in range(2):
        program.simulator.control("rotate_key", "POST")
    program.run("sync", str(user_ids(program)[0]))
    assert (asked(program, "jwks"), asked(program, "token")) == (1, 1)
    program.assert_equals_truth()


def test_metadata_and_keys_of_sso_are_kept_between_runs(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1)
    for _ in range(2):
        program.simulator.control("expire_access", "POST")
        program.make_due()
        program.simulator.thaw()
        program.run("scan")
    assert asked(program, "token") == 3
    assert (asked(program, "metadata"), asked(program, "jwks")) == (1, 1)


def test_a_rotated_token_that_never_arrived_needs_a_new_login(stale: Start) -> None:
    program = stale(characters=1, killmails=1, rotate=True)
    program.simulator.fault("token", reset=True, after_effect=True, times=1)
    program.make_login_needed()
    ((state, error),) = program.rows("SELECT state, error FROM users")
    assert state == "needs_login"
    assert "no longer accepts the refresh token" in error
    assert asked(program, "list") == 0


def test_refresh_tokens_leave_no_trace_once_their_successors_are_proved(stale: Start) -> None:
    program = stale(characters=1, killmails=1, rotate=True)
    ((before, _),) = stored_tokens(program)
    for _ in range(2):
        program.expire_access()
        program.make_due()
        program.run("scan")
    ((after, _),) = stored_tokens(program)
    assert before != after
    assert len(set(valid_refresh_tokens(program)) & {after}) == 1
    for file in program.directory.iterdir():
        assert not file.is_file() or before.encode() not in file.read_bytes(), file.name


def scan_again(program: Killsync) -> None:
    program.execute("UPDATE users SET not_before = NULL")
    program.execute("UPDATE jobs SET not_before = NULL")
    program.expire_access()
    program.make_due()
    program.simulator.thaw()
    program.run("scan", exit_code=None)


def lists_read(program: Killsync, user: int) -> int:
    entries = program.simulator.log("list")
    return len([e for e in entries if e["character_id"] == user and e["status"] in (200, 304)])


def earlier_tokens(program: Killsync) -> list[str | None]:
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        rows = conn.execute("SELECT earlier_tokens FROM tokens ORDER BY user_id")
        return [earlier for (earlier,) in rows]


GARBAGE = {
    "empty": "",
    "a word": "xyz",
    "not ASCII": "\u00e9\u00e9",
    "with a line": "a\nb",
    "huge": "x" * 100_000,
}


@pytest.mark.parametrize("rotate", [False, True], ids=["kept", "rotated"])
@pytest.mark.parametrize("refresh_token", GARBAGE.values(), ids=GARBAGE.keys())
def test_one_answer_of_garbage_costs_no_login(
    stale: Start, refresh_token: str, rotate: bool
) -> None:
    program = stale(characters=2, killmails=1, shared=0, rotate=rotate)
    user = user_ids(program)[0]
    # where SSO replaces tokens, there is an earlier one already
    scan_again(program)
    answer = {"access_token": "abc", "expires_in": 1199, "refresh_token": refresh_token}
    program.simulator.fault(
        "token", times=1, character_id=user, status=200, body=json.dumps(answer)
    )
    scan_again(program)
    program.simulator.clear_log()
    scan_again(program)
    assert lists_read(program, user) == 1
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert_works_again(program)


@pytest.mark.parametrize("rotate", [False, True], ids=["kept", "rotated"])
def test_one_answer_that_was_another_users_costs_no_login(stale: Start, rotate: bool) -> None:
    program = stale(characters=2, killmails=1, shared=0, rotate=rotate)
    user, other = user_ids(program)
    scan_again(program)
    theirs = granted(program, other)
    program.simulator.fault(
        "token", times=1, character_id=user, status=200, body=json.dumps(theirs)
    )
    scan_again(program)
    assert "another character" in program.rows("SELECT error FROM users")[0][0]
    program.simulator.clear_log()
    scan_again(program)
    assert (lists_read(program, user), lists_read(program, other)) == (1, 1)
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    for refresh, access in stored_tokens(program):
        assert theirs["refresh_token"] != refresh
        assert theirs["access_token"] != access
    assert_works_again(program)


def granted(program: Killsync, user: int) -> dict[str, Any]:
    """Return what SSO answers to another login of a user's."""
    login = program.simulator.control("tokens", "POST", character_id=user)
    form = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"]}
    form["client_id"] = program.simulator.client_id
    answer = requests.post(f"{program.simulator.url}/v2/oauth/token", data=form, timeout=TIMEOUT)
    found: dict[str, Any] = answer.json()
    return found


def test_the_token_before_the_newest_is_kept_until_that_has_been_accepted(stale: Start) -> None:
    program = stale(characters=1, killmails=1, rotate=True)
    ((first, _),) = stored_tokens(program)
    scan_again(program)
    assert earlier_tokens(program) == [first]
    program.simulator.options(rotate=False)
    scan_again(program)
    assert earlier_tokens(program) == [None]
    assert [refresh for refresh, _ in stored_tokens(program)] == valid_refresh_tokens(program)


@pytest.mark.sample
def test_the_token_file_is_written_through_and_what_is_deleted_is_erased(tmp_path: Path) -> None:
    with closing(Tokens(tmp_path / "killsync.db")) as tokens:
        tokens.put(1, Token("one"))
        pragmas = [tokens._db.execute(f"PRAGMA {p}").fetchone()[0] for p in TOKEN_PRAGMAS]
    # 2 is FULL
    assert dict(zip(TOKEN_PRAGMAS, pragmas, strict=True)) == TOKEN_PRAGMAS


@pytest.mark.sample
def test_all_files_are_for_their_owner_only(
    killsync: Start, background: Background, open_umask: None
) -> None:
    program = killsync(characters=1, killmails=1)
    program.simulator.options(latency_list=1)
    program.simulator.clear_log()
    scan = background(program, "scan")
    wait_until(lambda: asked(program, "list"))
    during = modes(program)
    assert scan.wait(timeout=TIMEOUT) == 0
    needed = {"killsync.db", "killsync.db.lock", "killsync.db.tokens"}
    assert during.keys() >= needed | {"killsync.db-wal"}
    assert modes(program).keys() >= needed
    assert {*during.values(), *modes(program).values()} == {0o600}


def modes(program: Killsync) -> dict[str, int]:
    """Return the permissions of the database and of all files beside it."""
    return {
        file.name: stat.S_IMODE(file.stat().st_mode)
        for file in program.directory.glob("killsync.db*")
    }
