"""`killsync users`: adding by refresh token, listing, disabling, removing, hostile names."""

import json
import signal
import sqlite3
import unicodedata
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from world import Killsync, wait_for_exit, wait_until

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]

HOSTILE_NAMES = {
    "rich markup": "[red]Blood[/red] [bold",
    "escape sequence": "\x1b[31mRed\x1b[0m\x07 \x1b]0;title\x07",
    "newlines": "first\nsecond\r\nthird\tfourth",
    "10 kB": "Long" * 2560,
    "quotes": "Robert'); DROP TABLE users;-- \"\\`",
    "RTL override": "Harm\u202eless\u2066\u200b\u2028",
    "only RTL overrides": "\u202e" * 1_000,
    "C1 control": "eight\x9b31mbit\x85",
}


def token_of(program: Killsync, index: int = -1) -> str:
    token: str = program.simulator.logins[index]["refresh_token"]
    return token


def user_ids(program: Killsync) -> list[int]:
    return [user_id for (user_id,) in program.rows("SELECT user_id FROM users ORDER BY user_id")]


def new_token(program: Killsync, character_id: int, **values: Any) -> str:
    values |= {"character_id": character_id}
    token: str = program.simulator.control("tokens", "POST", **values)["refresh_token"]
    return token


def tokens_in(program: Killsync) -> list[tuple[str]]:
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        return conn.execute("SELECT refresh_token FROM tokens").fetchall()


def tokens_kept(program: Killsync) -> int:
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        return int(conn.execute("SELECT count(*) FROM tokens").fetchone()[0])


def assert_harmless(text: str) -> None:
    """Check that nothing in a text moves the cursor, hides or turns around what follows."""
    bad = {"Cc", "Cf", "Zl", "Zp"}
    assert [c for c in text if c != "\n" and unicodedata.category(c) in bad] == []


@pytest.mark.sample
def test_tokens_from_standard_input_are_added_with_a_line_each(killsync: Start) -> None:
    program = killsync(users=False, characters=2, killmails=0)
    given = f"{token_of(program, 0)}\n\n  {token_of(program, 1)}\r\n"
    done = program.run("users", "add", given=given)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line, login in zip(lines, program.simulator.logins, strict=True):
        assert "added" in line
        assert login["name"] in line
        assert str(login["character_id"]) in line
    assert user_ids(program) == [login["character_id"] for login in program.simulator.logins]


def test_adding_no_token_exits_2(killsync: Start) -> None:
    program = killsync(users=False)
    assert "no refresh token" in program.run("users", "add", given="\n \n", exit_code=2).stderr
    missing = str(program.directory / "missing.txt")
    assert "missing.txt" in program.run("users", "add", "--token-file", missing, exit_code=2).stderr


def test_a_garbage_line_fails_alone_and_is_not_repeated(killsync: Start) -> None:
    program = killsync(users=False, characters=2, killmails=0)
    garbage = ["no token at all", "unknowntoken", "\x1b[31mred", "ü" * 30, "x" * 20_000, "--helpme"]
    lines = [token_of(program, 0), *garbage, "\x00", token_of(program, 1)]
    done = program.run("users", "add", given="\n".join(lines), exit_code=1)
    failed = ["failed" in line for line in done.stdout.splitlines()]
    assert failed == [False, *[True] * len(garbage), True, False]
    assert [text for text in [*garbage, "\x00"] if text in done.stdout + done.stderr] == []
    assert_harmless(done.stdout)
    assert len(user_ids(program)) == 2


@pytest.mark.sample
def test_a_line_of_a_file_that_is_not_utf_8_fails_alone_and_no_token_is_shown(
    killsync: Start,
) -> None:
    program = killsync(users=False, characters=2, killmails=0)
    file = program.directory / "tokens.txt"
    tokens = [token_of(program, 0), token_of(program, 1)]
    file.write_bytes(b"\n".join([b"\xff\xfe\x80", *(token.encode() for token in tokens)]))
    done = program.run("users", "add", "--token-file", str(file), exit_code=1)
    assert [token for token in tokens if token in done.stdout + done.stderr] == []
    assert ["failed" in line for line in done.stdout.splitlines()] == [True, False, False]
    assert len(user_ids(program)) == 2


def test_a_token_that_cannot_be_used_is_refused_with_the_reason(killsync: Start) -> None:
    program = killsync(users=False, characters=3, killmails=0)
    bad, gone, good = (login["character_id"] for login in program.simulator.logins)
    program.simulator.control("revoke", "POST", character_id=gone)
    refused = {
        new_token(program, bad, client_id="another-application"): "(invalid_grant)",
        new_token(program, bad, scopes=["publicData"]): "scope esi-killmails.read_killmails.v1",
        token_of(program, 1): "(invalid_grant)",
    }
    given = "\n".join([*refused, token_of(program, 2)])
    done = program.run("users", "add", given=given, exit_code=1)
    *failed, added = done.stdout.splitlines()
    for line, reason in zip(failed, refused.values(), strict=True):
        assert "failed" in line
        assert reason in line
    assert "added" in added
    assert user_ids(program) == [good]


def test_adding_while_sso_is_down_exits_75_and_stores_nothing(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    program.simulator.fault("token", status=503)
    program.run("users", "add", given=f"{token_of(program)}\n", exit_code=75)
    assert user_ids(program) == []
    program.simulator.clear_faults()
    program.add_users()


def test_a_replaced_token_is_kept_though_it_cannot_be_verified_yet(killsync: Start) -> None:
    program = killsync(users=False, characters=1, killmails=2, rotate=True)
    user = program.simulator.logins[0]["character_id"]
    late = {str(user): {"iat": 0, "exp": 1}}
    program.simulator.options(claims=json.dumps(late))
    token = program.simulator.logins[0]["refresh_token"]
    done = program.run("users", "add", given=f"{token}\n", exit_code=75)
    assert "not verified yet" in done.stdout
    assert "clock" in done.stdout
    program.simulator.options(claims="{}")
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.sample
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_adding_that_is_stopped_keeps_the_token_that_sso_has_replaced(
    killsync: Start, number: int, code: int
) -> None:
    program = killsync(users=False, characters=2, killmails=0, rotate=True, latency_sso=0.5)
    file = program.directory / "tokens.txt"
    file.write_text(f"{token_of(program, 0)}\n{token_of(program, 1)}\n")
    process = program.start("users", "add", "--token-file", str(file))
    wait_until(lambda: program.simulator.log("token"))
    assert wait_for_exit(process, number) == code
    assert user_ids(program) == [program.simulator.logins[0]["character_id"]]
    program.simulator.options(latency_sso=0)
    program.simulator.control("expire_access", "POST")
    program.run("scan")
    assert len(program.simulator.log("list")) > 0


def test_a_stored_token_that_sso_replaces_is_kept_though_adding_it_again_fails(
    killsync: Start,
) -> None:
    program = killsync(characters=1, killmails=2, rotate=True)
    (user,) = user_ids(program)
    ((stored,),) = tokens_in(program)
    program.simulator.options(claims=json.dumps({str(user): {"scp": "publicData"}}))
    program.run("users", "add", given=f"{stored}\n", exit_code=1)
    program.simulator.options(claims="{}")
    program.run("scan")
    program.assert_equals_truth()


def test_no_user_is_stored_in_a_database_that_is_bound_to_no_hosts(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    program.run("scan")
    program.execute(
        "CREATE TRIGGER unbound BEFORE INSERT ON facts BEGIN SELECT RAISE(ABORT, 'unbound'); END"
    )
    program.run("users", "add", given=f"{token_of(program)}\n", exit_code=2)
    assert program.rows("SELECT * FROM users") == []


@pytest.mark.parametrize("file", ["", ".tokens"])
def test_a_token_is_not_used_up_where_its_successor_cannot_be_kept(
    killsync: Start, file: str
) -> None:
    program = killsync(characters=1, killmails=0, rotate=True)
    newcomer = program.simulator.add_character()
    with closing(sqlite3.connect(f"{program.database}{file}")) as conn, conn:
        event = "INSERT ON sso_documents" if file else "UPDATE ON facts"
        conn.execute(f"CREATE TRIGGER full BEFORE {event} BEGIN SELECT RAISE(ABORT, 'full'); END")
    program.simulator.clear_log()
    program.run("users", "add", given=newcomer["refresh_token"] + "\n", exit_code=2)
    assert program.simulator.log("token") == []


def test_a_new_login_renews_a_known_user_and_keeps_what_is_stored(killsync: Start) -> None:
    program = killsync(characters=1, killmails=3, access_lifetime=30)
    user = program.simulator.logins[0]["character_id"]
    program.simulator.options(access_lifetime=1200)
    program.run("scan")
    stored = program.user(user)["last_killmail_id"]
    program.simulator.control("expire_access", "POST")
    program.simulator.control("revoke", "POST", character_id=user)
    program.make_due()
    program.make_login_needed()
    assert program.user(user)["state"] == "needs_login"
    done = program.run("users", "add", given=f"{new_token(program, user)}\n")
    assert "renewed" in done.stdout
    assert user_ids(program) == [user]
    renewed = program.user(user)
    assert (renewed["state"], renewed["error"], renewed["failures"]) == ("active", None, 0)
    assert renewed["last_killmail_id"] == stored
    program.simulator.add_killmails(user, 1)
    program.simulator.thaw()
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.sample
def test_users_are_listed(killsync: Start) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    program.run("sync", str(user_ids(program)[0]))
    program.run("users", "disable", str(user_ids(program)[1]))
    shown = program.run("users").stdout
    for login in program.simulator.logins:
        assert login["name"] in shown
        assert str(login["character_id"]) in shown
    assert "disabled" in shown
    listed = json.loads(program.run("users", "--json").stdout)
    found = {user["user_id"]: (user["state"], user["killmails"]) for user in listed}
    assert found == dict(zip(user_ids(program), [("active", 3), ("disabled", 0)], strict=True))


def test_users_may_be_listed_by_the_word_list(killsync: Start) -> None:
    program = killsync(characters=2, killmails=0)
    # from then on the time when each is due stands still
    program.run("scan")
    listed = program.run("users", "--json").stdout
    assert len(json.loads(listed)) == 2
    for words in (("users", "list", "--json"), ("users", "--json", "list")):
        assert program.run(*words).stdout == listed
    assert program.run("users", "list").stdout == program.run("users").stdout


def test_an_unknown_user_exits_2_and_names_the_nearest(killsync: Start) -> None:
    program = killsync(users=False)
    program.simulator.add_character(name="Aino Halla")
    program.add_users()
    for command in ("disable", "enable", "remove"):
        assert "Aino Halla" in program.run("users", command, "Ainoo", exit_code=2).stderr
    assert program.rows("SELECT state FROM users") == [("active",)]


def test_a_disabled_user_is_left_alone_until_enabled(killsync: Start) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    off, on = user_ids(program)
    program.run("users", "disable", str(off))
    program.run("scan")
    assert {e["character_id"] for e in program.simulator.log("list")} == {on}
    program.run("users", "enable", str(off))
    program.run("scan")
    program.assert_equals_truth()


def test_disabling_takes_a_queued_user_out_of_the_queue(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    program.run("sync", str(user_ids(program)[0]), "--no-wait")
    program.run("users", "disable", str(user_ids(program)[0]))
    program.run("scan")
    assert program.status()["jobs"] == {"queued": 0, "running": 0, "failed": 0}
    assert program.simulator.log("list") == []


def test_enabling_a_user_who_needs_a_login_lets_the_token_be_tried_once_more(
    killsync: Start,
) -> None:
    program = killsync(characters=1, killmails=2, access_lifetime=30)
    user = user_ids(program)[0]
    program.simulator.fault("token", status=400, body='{"error":"invalid_grant"}')
    program.make_login_needed()
    program.simulator.clear_faults()
    assert "is active" in program.run("users", "enable", str(user)).stdout
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.sample
def test_removing_revokes_the_token_and_keeps_the_killmails(killsync: Start) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    gone, stays = user_ids(program)
    program.run("scan")
    program.run("users", "remove", str(gone))
    (revoked,) = program.simulator.log("revoke")
    assert (revoked["character_id"], revoked["status"]) == (gone, 200)
    assert user_ids(program) == [stays]
    assert program.recorded(gone) == []
    assert program.rows("SELECT * FROM jobs WHERE user_id = ?", gone) == []
    assert len(program.export()) == 6
    files = [f.read_bytes() for f in program.directory.iterdir() if f.is_file()]
    assert not any(token_of(program, 0).encode() in content for content in files)


def test_a_removed_user_who_comes_back_gets_the_killmails_without_fetching_them(
    killsync: Start,
) -> None:
    program = killsync(characters=1, killmails=3)
    (user,) = user_ids(program)
    program.run("scan")
    program.run("users", "remove", str(user))
    program.simulator.clear_log()
    program.run("users", "add", given=f"{new_token(program, user)}\n")
    program.run("scan")
    assert program.simulator.log("body") == []
    program.assert_equals_truth()


def test_a_token_that_could_not_be_revoked_is_deleted_and_that_is_said(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.simulator.fault("revoke", status=404)
    done = program.run("users", "remove", str(user_ids(program)[0]))
    assert "could not be revoked: SSO says 404" in done.stderr
    assert "https://developers.eveonline.com/authorized-apps" in done.stderr
    assert "is revoked" not in done.stdout
    assert (user_ids(program), tokens_kept(program)) == ([], 0)


def test_a_token_that_was_revoked_already_counts_as_revoked(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    (user,) = user_ids(program)
    program.simulator.control("revoke", "POST", character_id=user)
    program.simulator.fault("revoke", status=400, body='{"error":"invalid_token"}')
    done = program.run("users", "remove", str(user))
    assert ("is revoked" in done.stdout, done.stderr) == (True, "")


def test_a_token_may_be_deleted_without_asking_sso(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.simulator.clear_log()
    done = program.run(
        "users", "remove", "--no-revoke", str(user_ids(program)[0]), KILLSYNC_CLIENT_ID=""
    )
    assert "deleted, not revoked" in done.stderr
    assert program.simulator.log() == []
    assert (user_ids(program), tokens_kept(program)) == ([], 0)


@pytest.mark.parametrize(
    ("words", "given"), [((), "y\n"), (("--yes",), "")], ids=["answered", "--yes"]
)
def test_purging_deletes_what_no_other_user_lists_after_naming_the_number(
    killsync: Start, words: tuple[str, ...], given: str
) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    gone, stays = user_ids(program)
    program.simulator.add_killmails(gone, 1, shared_with=stays)
    program.run("scan")
    done = program.run("users", "remove", str(gone), "--purge", *words, given=given)
    assert "3 stored killmails" in done.stdout
    assert len(program.recorded(stays)) == 4
    program.assert_equals_truth()
    for table in ("attackers", "items"):
        orphans = (
            f"SELECT * FROM {table} WHERE killmail_id NOT IN (SELECT killmail_id FROM killmails)"
        )
        assert program.rows(orphans) == []


def test_purging_keeps_what_another_user_takes_part_in(killsync: Start) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    gone, stays = user_ids(program)
    program.run("scan")
    kept = min(program.recorded(gone))
    program.execute(
        """INSERT INTO user_killmails (user_id, killmail_id, listed, role, killmail_time)
        SELECT ?, killmail_id, 0, 'attacker', killmail_time FROM killmails WHERE killmail_id = ?""",
        *(stays, kept),
    )
    done = program.run("users", "remove", str(gone), "--purge", "--yes")
    assert "2 stored killmails that belong to no other user" in done.stdout
    stored = {killmail_id for (killmail_id,) in program.rows("SELECT killmail_id FROM killmails")}
    assert kept in stored
    assert len(stored) == 4
    assert json.loads(program.run("check", "--json").stdout)["unlisted"] == 0


def test_a_purge_that_is_not_confirmed_removes_nothing(killsync: Start) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    user = str(user_ids(program)[0])
    for answer in ("n\n", ""):
        done = program.run("users", "remove", user, "--purge", given=answer, exit_code=None)
        assert done.returncode != 0
        assert "3 stored killmails" in done.stdout
    assert program.simulator.log("revoke") == []
    program.assert_equals_truth()


def test_a_hostile_name_is_stored_as_it_is_and_shown_harmlessly(killsync: Start) -> None:
    program = killsync(users=False)
    for name in HOSTILE_NAMES.values():
        program.simulator.add_character(name=name, killmails=1)
    program.simulator.add_character(name="Decent")
    given = "".join(f"{login['refresh_token']}\n" for login in program.simulator.logins)
    commands = [("users", "add"), ("users",), ("status",)]
    commands += [("sync", *HOSTILE_NAMES.values())]
    for words in commands:
        done = program.run(*words, given=given)
        assert_harmless(done.stdout)
        assert_harmless(done.stderr)
        assert len(done.stdout) < 2000
        # a name of several lines does not pass for several users
        assert not any(line.startswith("second") for line in done.stdout.splitlines())
    stored = program.rows("SELECT name FROM users")
    assert {name for (name,) in stored} == {*HOSTILE_NAMES.values(), "Decent"}
    shown = json.loads(program.run("status", "--json").stdout)["users"]
    found = {user["name"]: user["killmails"] for user in shown}
    assert found == dict.fromkeys(HOSTILE_NAMES.values(), 1) | {"Decent": 0}


def test_markup_in_a_name_is_shown_not_obeyed(killsync: Start) -> None:
    program = killsync(users=False)
    program.simulator.add_character(name="[red]Blood[/red] :smile:")
    program.add_users()
    for command in ("users", "status"):
        assert "[red]Blood[/red] :smile:" in program.run(command, COLUMNS="200").stdout


def test_the_database_of_another_service_is_refused_before_any_request(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1, access_lifetime=30)
    program.simulator.clear_log()
    other = program.simulator.url.replace("127.0.0.1", "localhost")
    given = f"{token_of(program)}\n"
    for variable, *words in (
        ("KILLSYNC_ESI_URL", "scan"),
        ("KILLSYNC_SSO_URL", "sync", str(user_ids(program)[0])),
        ("KILLSYNC_SSO_URL", "users", "add"),
    ):
        done = program.run(*words, given=given, exit_code=2, **{variable: other})
        assert f"this database belongs to 127.0.0.1; {variable} says localhost" in done.stderr
    assert program.simulator.log() == []


def test_with_a_configuration_that_cannot_revoke_nothing_is_removed(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.simulator.clear_log()
    other = program.simulator.url.replace("127.0.0.1", "localhost")
    (user,) = user_ids(program)
    for variable, value in (("KILLSYNC_SSO_URL", other), ("KILLSYNC_CLIENT_ID", "")):
        done = program.run("users", "remove", str(user), exit_code=2, **{variable: value})
        assert variable in done.stderr
        assert "--no-revoke" in done.stderr
    assert program.simulator.log() == []
    assert (user_ids(program), tokens_kept(program)) == ([user], 1)


def test_a_url_that_is_neither_https_nor_loopback_is_refused(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    for key, url in (("esi_url", "http://example.com"), ("sso_url", "ftp://127.0.0.1")):
        environment = {f"KILLSYNC_{key.upper()}": url}
        done = program.run("users", "add", given="token\n", exit_code=2, **environment)
        assert key in done.stderr
        assert url in done.stderr
    assert program.simulator.log() == []


def test_without_a_contact_or_a_client_id_nothing_is_sent(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    given = f"{token_of(program)}\n"
    for named, variable, value in (
        ("contact", "KILLSYNC_ESI_URL", "https://esi.invalid"),
        ("client_id", "KILLSYNC_CLIENT_ID", ""),
    ):
        done = program.run("users", "add", given=given, exit_code=2, **{variable: value})
        assert named in done.stderr
    assert program.simulator.log() == []


def test_a_user_removed_during_a_refresh_leaves_no_token_behind(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2, rotate=True)
    user_id = user_ids(program)[0]
    program.simulator.fault("token", delay=2, times=1)
    program.expire_access()
    with program.start("scan") as scan:
        wait_until(lambda: len(program.simulator.log("token")) >= 2)
        program.run("users", "remove", str(user_id))
        scan.communicate(timeout=60)
    with closing(sqlite3.connect(f"{program.database}.tokens")) as tokens:
        assert tokens.execute("SELECT count(*) FROM tokens").fetchone() == (0,)
    truth = program.simulator.truth()["characters"][str(user_id)]
    assert truth["refresh_token"] is None, "no token that SSO still accepts is left"
