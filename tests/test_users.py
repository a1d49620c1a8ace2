import json
import signal
import sqlite3
import unicodedata
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from world import Killsync, wait_for_exit, wait_until

Start = Callable[..., Killsync]

HOSTILE_NAMES = {
    "rich markup": "[red]Blood[/red] [bold",
    "escape sequence": "\x1b[31mRed\x1b[0m\x07 \x1b]0;title\x07",
    "newlines": "first\nsecond\r\nthird\tfourth",
    "10 kB": "Long" * 2560,
    "quotes": "Robert'); DROP TABLE users;-- \"\\`",
    "RTL override": "Harm\u202eless\u2066\u200b\u2028",
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


def tokens_kept(program: Killsync) -> int:
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        return int(conn.execute("SELECT count(*) FROM tokens").fetchone()[0])


def assert_harmless(text: str) -> None:
    """Check that nothing in a text moves the cursor, hides or turns around what follows."""
    bad = {"Cc", "Cf", "Zl", "Zp"}
    assert [c for c in text if c != "\n" and unicodedata.category(c) in bad] == []


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


def test_tokens_are_read_from_a_file(killsync: Start) -> None:
    program = killsync(users=False, characters=2, killmails=0)
    file = program.directory / "tokens.txt"
    file.write_text(f"{token_of(program, 0)}\n{token_of(program, 1)}")
    program.run("users", "add", "--token-file", str(file))
    assert len(user_ids(program)) == 2


def test_a_token_file_that_is_not_there_exits_2(killsync: Start) -> None:
    program = killsync(users=False)
    missing = str(program.directory / "missing.txt")
    assert "missing.txt" in program.run("users", "add", "--token-file", missing, exit_code=2).stderr


def test_no_token_at_all_exits_2(killsync: Start) -> None:
    assert killsync(users=False).run("users", "add", given="\n \n", exit_code=2).stderr


@pytest.mark.parametrize(
    "garbage",
    ["no token at all", "unknowntoken", "\x1b[31mred", "ü" * 30, "x" * 20_000, "--help", "\x00"],
    ids=["words", "unknown", "escape", "not ASCII", "20 kB", "option", "NUL"],
)
def test_a_garbage_line_fails_alone_and_is_not_repeated(killsync: Start, garbage: str) -> None:
    program = killsync(users=False, characters=2, killmails=0)
    given = f"{token_of(program, 0)}\n{garbage}\n{token_of(program, 1)}\n"
    done = program.run("users", "add", given=given, exit_code=1)
    lines = done.stdout.splitlines()
    assert ["failed" in line for line in lines] == [False, True, False]
    assert garbage not in done.stdout + done.stderr
    assert_harmless(done.stdout)
    assert len(user_ids(program)) == 2


def test_a_line_that_is_not_utf_8_fails_alone_and_no_token_is_shown(killsync: Start) -> None:
    program = killsync(users=False, characters=1, killmails=0)
    file = program.directory / "tokens.txt"
    file.write_bytes(b"\xff\xfe\x80\n" + token_of(program).encode() + b"\n")
    done = program.run("users", "add", "--token-file", str(file), exit_code=1)
    assert token_of(program) not in done.stdout + done.stderr
    assert ["failed" in line for line in done.stdout.splitlines()] == [True, False]
    assert len(user_ids(program)) == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"scopes": ["publicData"]}, "scope esi-killmails.read_killmails.v1"),
        ({"scopes": []}, "scope esi-killmails.read_killmails.v1"),
        ({"client_id": "another-application"}, "invalid_grant"),
    ],
    ids=["other scope", "no scope", "other application"],
)
def test_a_token_that_cannot_be_used_is_refused_with_the_reason(
    killsync: Start, values: dict[str, Any], reason: str
) -> None:
    program = killsync(users=False, characters=2, killmails=0)
    bad = new_token(program, program.simulator.logins[0]["character_id"], **values)
    given = f"{bad}\n{token_of(program, 1)}\n"
    done = program.run("users", "add", given=given, exit_code=1)
    assert reason in done.stdout.splitlines()[0]
    assert user_ids(program) == [program.simulator.logins[1]["character_id"]]


def test_a_revoked_token_is_refused(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    user = program.simulator.logins[0]["character_id"]
    program.simulator.control("revoke", "POST", character_id=user)
    program.run("users", "add", given=f"{token_of(program)}\n", exit_code=1)
    assert user_ids(program) == []


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
    program.run("scan", exit_code=1)
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


@pytest.mark.parametrize("command", ["disable", "enable", "remove"])
def test_an_unknown_user_exits_2_and_names_the_nearest(killsync: Start, command: str) -> None:
    program = killsync(users=False)
    program.simulator.add_character(name="Aino Halla")
    program.add_users()
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


def test_enabling_a_user_who_needs_a_login_says_that_only_a_login_helps(killsync: Start) -> None:
    program = killsync(characters=1, access_lifetime=30)
    user = user_ids(program)[0]
    program.simulator.control("revoke", "POST", character_id=user)
    program.run("scan", exit_code=1)
    done = program.run("users", "enable", str(user), exit_code=2)
    assert "killsync login" in done.stderr
    assert program.user(user)["state"] == "needs_login"


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


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 503}, "SSO says 503"),
        ({"reset": True}, "the connection broke"),
        ({"status": 404}, "SSO says 404"),
        ({"status": 400, "body": '{"error":"unsupported_token_type"}'}, "SSO says 400"),
        ({"status": 401, "body": '{"error":"invalid_client"}'}, "check client_id"),
        ({"redirect": "https://127.0.0.1:9/"}, "redirected elsewhere"),
        ({"status": 429, "headers": {"Retry-After": "60"}}, "asks for a rest"),
    ],
    ids=["503", "reset", "404", "refused", "other application", "redirect", "429"],
)
def test_a_token_that_could_not_be_revoked_is_deleted_and_that_is_said(
    killsync: Start, fault: dict[str, Any], reason: str
) -> None:
    program = killsync(characters=1, killmails=0)
    program.simulator.fault("revoke", **fault)
    done = program.run("users", "remove", str(user_ids(program)[0]))
    assert "could not be revoked" in done.stderr
    assert reason in done.stderr
    assert "https://developers.eveonline.com/authorized-apps" in done.stderr
    assert "is revoked" not in done.stdout
    assert (user_ids(program), tokens_kept(program)) == ([], 0)


@pytest.mark.parametrize(
    "fault", [{}, {"status": 400, "body": '{"error":"invalid_token"}'}], ids=["200", "400"]
)
def test_a_token_that_was_revoked_already_counts_as_revoked(
    killsync: Start, fault: dict[str, Any]
) -> None:
    program = killsync(characters=1, killmails=0)
    (user,) = user_ids(program)
    program.simulator.control("revoke", "POST", character_id=user)
    if fault:
        program.simulator.fault("revoke", **fault)
    done = program.run("users", "remove", str(user))
    assert ("is revoked" in done.stdout, done.stderr) == (True, "")


def test_a_revocation_that_fails_once_is_tried_again(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.simulator.fault("revoke", status=503, times=1)
    assert "is revoked" in program.run("users", "remove", str(user_ids(program)[0])).stdout


def test_an_sso_that_revokes_nothing_is_told_of(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.execute_on_tokens(
        "UPDATE sso_documents SET body = CAST(replace(CAST(body AS TEXT), 'revocation_endpoint',"
        " 'another_endpoint') AS BLOB)"
    )
    done = program.run("users", "remove", str(user_ids(program)[0]))
    assert "SSO offers no revocation" in done.stderr
    assert tokens_kept(program) == 0


def test_a_damaged_token_is_deleted_without_being_sent(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.execute_on_tokens("UPDATE tokens SET refresh_token = 'damäged'")
    done = program.run("users", "remove", str(user_ids(program)[0]))
    assert "the stored token is damaged" in done.stderr
    assert program.simulator.log("revoke") == []
    assert tokens_kept(program) == 0


def test_a_user_without_a_token_is_removed(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    program.execute_on_tokens("DELETE FROM tokens")
    done = program.run("users", "remove", str(user_ids(program)[0]))
    assert "there was no token to revoke" in done.stderr
    assert user_ids(program) == []


def test_a_token_renewed_while_it_is_revoked_is_revoked_too(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    (user,) = user_ids(program)
    program.simulator.fault("revoke", delay=2, times=1)
    with program.start("users", "remove", str(user)) as removing:
        wait_until(lambda: program.simulator.log("revoke"))
        program.run("users", "add", given=f"{new_token(program, user)}\n")
        removing.communicate(timeout=60)
    assert len(program.simulator.log("revoke")) == 2
    assert program.simulator.truth()["characters"][str(user)]["refresh_token"] is None
    assert tokens_kept(program) == 0


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


@pytest.mark.parametrize("given", ["n\n", ""], ids=["no", "no answer"])
def test_a_purge_that_is_not_confirmed_removes_nothing(killsync: Start, given: str) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    done = program.run(
        "users", "remove", str(user_ids(program)[0]), "--purge", given=given, exit_code=None
    )
    assert done.returncode != 0
    assert "3 stored killmails" in done.stdout
    assert program.simulator.log("revoke") == []
    program.assert_equals_truth()


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_a_hostile_name_is_stored_as_it_is_and_shown_harmlessly(killsync: Start, name: str) -> None:
    program = killsync(users=False)
    user = program.simulator.add_character(name=name, killmails=1)["character_id"]
    program.simulator.add_character(name="Decent")
    given = "".join(f"{login['refresh_token']}\n" for login in program.simulator.logins)
    for words in (("users", "add"), ("sync", name), ("users",), ("status",)):
        done = program.run(*words, given=given)
        assert_harmless(done.stdout)
        assert_harmless(done.stderr)
        assert len(done.stdout) < 2000
        # a name of several lines does not pass for several users
        assert not any(line.startswith("second") for line in done.stdout.splitlines())
    assert program.user(user)["name"] == name
    assert program.rows("SELECT name FROM users WHERE user_id = ?", user) == [(name,)]


def test_markup_in_a_name_is_shown_not_obeyed(killsync: Start) -> None:
    program = killsync(users=False)
    program.simulator.add_character(name="[red]Blood[/red] :smile:")
    program.add_users()
    for command in ("users", "status"):
        assert "[red]Blood[/red] :smile:" in program.run(command, COLUMNS="200").stdout


@pytest.mark.parametrize("service", ["esi", "sso"])
@pytest.mark.parametrize("command", ["scan", "sync", "users add"])
def test_the_database_of_another_service_is_refused_before_any_request(
    killsync: Start, command: str, service: str
) -> None:
    program = killsync(characters=1, killmails=1, access_lifetime=30)
    program.simulator.clear_log()
    variable = f"KILLSYNC_{service.upper()}_URL"
    other = program.simulator.url.replace("127.0.0.1", "localhost")
    words = [*command.split(), *([str(user_ids(program)[0])] if command == "sync" else [])]
    given = f"{token_of(program)}\n"
    done = program.run(*words, given=given, exit_code=2, **{variable: other})
    assert f"this database belongs to 127.0.0.1; {variable} says localhost" in done.stderr
    assert program.simulator.log() == []


@pytest.mark.parametrize("wrong", ["KILLSYNC_SSO_URL", "KILLSYNC_CLIENT_ID"])
def test_with_a_configuration_that_cannot_revoke_nothing_is_removed(
    killsync: Start, wrong: str
) -> None:
    program = killsync(characters=1, killmails=0)
    program.simulator.clear_log()
    other = program.simulator.url.replace("127.0.0.1", "localhost")
    program.environment[wrong] = other if wrong.endswith("URL") else ""
    (user,) = user_ids(program)
    done = program.run("users", "remove", str(user), exit_code=2)
    assert wrong in done.stderr
    assert "--no-revoke" in done.stderr
    assert program.simulator.log() == []
    assert (user_ids(program), tokens_kept(program)) == ([user], 1)


@pytest.mark.parametrize("key", ["esi_url", "sso_url"])
@pytest.mark.parametrize(
    "url",
    ["http://example.com", "http://127.0.0.1.example.com", "http://10.0.0.1:80", "ftp://127.0.0.1"],
)
def test_a_url_that_is_neither_https_nor_loopback_is_refused(
    killsync: Start, key: str, url: str
) -> None:
    program = killsync(users=False, characters=1)
    done = program.run(
        "users", "add", given="token\n", exit_code=2, **{f"KILLSYNC_{key.upper()}": url}
    )
    assert key in done.stderr
    assert url in done.stderr
    assert program.simulator.log() == []


def test_without_a_client_id_nothing_is_asked(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    given = f"{token_of(program)}\n"
    done = program.run("users", "add", given=given, exit_code=2, KILLSYNC_CLIENT_ID="")
    assert "client_id" in done.stderr
    assert program.simulator.log() == []


def test_without_a_contact_the_real_esi_is_not_called(killsync: Start) -> None:
    program = killsync(users=False, characters=1)
    given = f"{token_of(program)}\n"
    url = "https://esi.invalid"
    done = program.run("users", "add", given=given, exit_code=2, KILLSYNC_ESI_URL=url)
    assert "contact" in done.stderr
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
