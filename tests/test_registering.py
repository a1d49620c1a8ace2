"""Registering corporations beside their directors: by login, by refresh token, and refusals.

Logins and tokens themselves are in `test_login` and `test_users`.
"""

import json
import re
import resource
import signal
import sys
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from terminal import Terminal
from test_login import Login, ended_at, free_port, pasting
from test_users import assert_harmless, tokens_in
from world import TIMEOUT, Killsync, wait_for_exit, wait_until

from killsync.esi.client import CORPORATION_SCOPE, SCOPE

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]
Members = Callable[..., tuple[Killsync, int]]
URL = re.compile(r"(http\S+authorize\S+)")
NAME = "Some Holdings"
ACADEMY = 1_000_167
HOSTILE = "[red]Bad[/red]\x1b]0;x\x07\n\u202e" + "x" * 10_000


@pytest.fixture
def members(killsync: Start) -> Members:
    """Make a killsync without users, and a corporation of characters who are directors."""

    def make(characters: int = 1, *, name: str = NAME, **options: Any) -> tuple[Killsync, int]:
        program = killsync(users=False, characters=characters, killmails=2, shared=0, **options)
        program.environment["KILLSYNC_CALLBACK_URL"] = f"http://localhost:{free_port()}/callback"
        ids = [login["character_id"] for login in program.simulator.logins]
        corporation = program.simulator.add_corporation(members=ids, directors=ids, name=name)
        return program, corporation["corporation_id"]

    return make


def users(program: Killsync) -> list[tuple[Any, ...]]:
    return program.rows("SELECT user_id, kind, state FROM users ORDER BY kind, user_id")


def directors(program: Killsync) -> list[tuple[int, int]]:
    return program.rows("SELECT corporation_id, character_id FROM directors ORDER BY 1, 2")


def character(program: Killsync, index: int = 0) -> int:
    return int(program.simulator.logins[index]["character_id"])


def named(program: Killsync, index: int = 0) -> str:
    return str(program.simulator.logins[index]["name"])


def add(program: Killsync, *tokens: str, exit_code: int = 0, words: tuple[str, ...] = ()) -> Any:
    """Register directors by these tokens, by default by new ones of all characters."""
    tokens = tokens or tuple(
        program.simulator.director_token(login["character_id"])
        for login in program.simulator.logins
    )
    given = "".join(f"{token}\n" for token in tokens)
    return program.run("users", "add", "--corporation", *words, given=given, exit_code=exit_code)


def only_the_character(program: Killsync) -> bool:
    return users(program) == [(character(program), "character", "active")]


# by refresh token


@pytest.mark.sample
def test_a_token_of_a_director_registers_its_corporation_beside_it(members: Members) -> None:
    program, corporation = members()
    pilot = f"{named(program)} ({character(program)})"
    assert add(program).stdout == (
        f"line 1: added {pilot}; added {NAME} ({corporation}), with director {named(program)}\n"
    )
    assert users(program) == [
        (character(program), "character", "active"),
        (corporation, "corporation", "active"),
    ]
    assert program.rows("SELECT name FROM users WHERE user_id = ?", corporation) == [(NAME,)]
    assert program.rows("SELECT name, category FROM names WHERE id = ?", corporation) == [
        (NAME, "corporation")
    ]
    assert directors(program) == [(corporation, character(program))]


def test_every_director_is_added_to_the_one_corporation(members: Members) -> None:
    program, corporation = members(characters=3)
    first, second, third = add(program).stdout.splitlines()
    assert f"added {NAME} ({corporation}), with director {named(program, 0)}" in first
    assert second.endswith(f"; added director {named(program, 1)} to {NAME} ({corporation})")
    assert third.endswith(f"; added director {named(program, 2)} to {NAME} ({corporation})")
    assert directors(program) == [(corporation, character(program, n)) for n in range(3)]
    assert [entry["status"] for entry in program.simulator.log("corp_list")] == [200] * 3
    assert len(program.simulator.log("corporation")) == 1
    assert "renewed" in add(program, program.simulator.director_token(character(program))).stdout
    assert len(directors(program)) == 3


def test_each_corporation_is_registered_with_its_own_director(members: Members) -> None:
    program, corporation = members(characters=2)
    elsewhere = program.simulator.add_corporation(name="Others", directors=[character(program, 1)])
    program.simulator.move(character(program, 1), elsewhere["corporation_id"])
    add(program)
    assert directors(program) == sorted(
        [(corporation, character(program)), (elsewhere["corporation_id"], character(program, 1))]
    )


def test_a_known_corporation_is_renewed_and_its_refusals_are_forgotten(members: Members) -> None:
    program, corporation = members()
    add(program)
    program.execute(
        "UPDATE users SET state = 'needs_login', error = 'gone' WHERE kind = 'corporation'"
    )
    program.execute("UPDATE directors SET refused_at = '2026-01-01T00:00:00Z', confirmed = 1")
    done = add(program)
    assert f"renewed {NAME} ({corporation}), with director {named(program)}" in done.stdout
    assert users(program)[1] == (corporation, "corporation", "active")
    refusals = "SELECT refused_at, confirmed, not_before, error FROM directors"
    assert program.rows(refusals) == [(None, 0, None, None)]


def test_a_quiet_registration_says_only_what_is_wrong(members: Members) -> None:
    program, corporation = members(characters=2)
    program.simulator.set_director(character(program, 1), corporation, False)
    done = add(program, exit_code=1, words=("--quiet",))
    (line,) = done.stdout.splitlines()
    assert line.startswith("line 2: added")


# refusals: the character is registered all the same


def test_a_character_without_the_role_is_no_director(members: Members) -> None:
    program, corporation = members()
    program.simulator.set_director(character(program), corporation, False)
    done = add(program, exit_code=1)
    assert done.stdout == (
        f"line 1: added {named(program)} ({character(program)}); "
        f"not registered as a director: {named(program)} is not a director of {NAME} "
        "(ESI says 403: Character does not have required role(s)): ask its CEO for that role, "
        "or let a director log in, with `killsync login --corporation`\n"
    )
    assert only_the_character(program)


def test_a_token_without_the_scope_registers_no_corporation(members: Members) -> None:
    program, _ = members()
    done = add(program, program.simulator.director_token(character(program), SCOPE), exit_code=1)
    assert f"the login of {named(program)} lacks the scope {CORPORATION_SCOPE}" in done.stdout
    assert "https://developers.eveonline.com" in done.stdout
    assert only_the_character(program)
    assert program.simulator.log("affiliation") == []


def test_a_token_for_the_corporation_alone_registers_nobody(members: Members) -> None:
    program, _ = members()
    token = program.simulator.director_token(character(program), CORPORATION_SCOPE)
    assert f"lacks the scope {SCOPE}" in add(program, token, exit_code=1).stdout
    assert users(program) == []


def test_an_npc_corporation_is_refused_by_its_name(members: Members) -> None:
    program, _ = members()
    program.run("scan")
    program.simulator.move(character(program), ACADEMY)
    done = add(program, exit_code=1)
    assert f"{named(program)} is in State War Academy, an NPC corporation" in done.stdout
    assert only_the_character(program)
    assert program.simulator.log("corp_list") == []


FAULTS: dict[str, dict[str, Any]] = {
    "down": {"status": 503},
    "HTML": {"status": 502, "html": True},
    "broken": {"status": 500, "body": '{"error":"oops"}'},
    "a rest": {"status": 429, "headers": {"Retry-After": "30"}},
    "an error limit": {"status": 420, "headers": {"X-ESI-Error-Limit-Reset": "30"}},
    "cut": {"cut": True},
    "no JSON": {"wrong_json": "null"},
    "no answer": {"reset": True},
    "a token that is not valid": {"status": 401, "body": '{"error":"Unauthorized"}'},
    "a 403 in HTML": {"status": 403, "html": True},
    "a 403 of no role": {
        "status": 403,
        "body": '{"error":"Token is not valid for any required scope"}',
    },
}


@pytest.mark.parametrize("route", ["affiliation", "corporation", "corp_list"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_where_esi_cannot_be_asked_the_character_alone_is_registered(
    members: Members, route: str, fault: dict[str, Any]
) -> None:
    program, corporation = members()
    program.simulator.fault(route, **fault)
    done = add(program, exit_code=75)
    said = f"ESI could not be asked for the corporation of {named(program)}: "
    assert f"added {named(program)}" in done.stdout
    assert said in done.stdout
    assert only_the_character(program)
    program.simulator.clear_faults()
    program.simulator.control("error_limit", "POST", seconds=0)
    program.execute("UPDATE rate_limits SET retry_at = NULL, spent = '[]'")
    add(program)
    assert directors(program) == [(corporation, character(program))]


def test_a_moment_of_trouble_is_waited_out(members: Members) -> None:
    program, corporation = members()
    for route in ("affiliation", "corporation", "corp_list"):
        program.simulator.fault(route, status=502, times=1)
    add(program)
    assert directors(program) == [(corporation, character(program))]


def test_an_affiliation_of_somebody_else_is_not_believed(members: Members) -> None:
    program, corporation = members()
    others = json.dumps([{"character_id": 5, "corporation_id": corporation}])
    program.simulator.fault("affiliation", wrong_json=others)
    assert "other characters" in add(program, exit_code=75).stdout
    assert only_the_character(program)


def test_no_answer_makes_a_corporation_of_a_character(members: Members) -> None:
    program, _ = members()
    pilot = program.simulator.add_character(character_id=95_000_001, name="Some Pilot")
    program.run("users", "add", given=pilot["refresh_token"] + "\n")
    lie = {"character_id": character(program), "corporation_id": 95_000_001}
    program.simulator.fault("affiliation", wrong_json=json.dumps([lie]))
    program.simulator.fault("corporation", status=200, body='{"name": "Not A Pilot"}')
    program.simulator.fault("corp_list", status=200, body="[]")
    add(program, program.simulator.director_token(character(program)), exit_code=75)
    named_so = program.rows("SELECT kind, name FROM users WHERE user_id = 95000001")
    assert named_so == [("character", "Some Pilot")]
    assert directors(program) == []


def test_one_that_is_refused_keeps_no_other_from_being_registered(members: Members) -> None:
    program, corporation = members(characters=3)
    program.simulator.set_director(character(program), corporation, False)
    program.simulator.fault("affiliation", status=503, times=3, after=1)
    done = add(program, exit_code=75)
    registered = ["not registered" not in line for line in done.stdout.splitlines()]
    assert registered == [False, False, True]
    assert directors(program) == [(corporation, character(program, 2))]
    assert len(users(program)) == 4


def test_an_outage_costs_few_requests_however_many_are_registered(members: Members) -> None:
    program, _ = members(characters=5)
    program.simulator.fault("affiliation", status=503)
    done = add(program, exit_code=75)
    assert ["could not be asked" in line for line in done.stdout.splitlines()] == [True] * 5
    assert len(program.simulator.log("affiliation")) == 9
    assert [kind for _, kind, _ in users(program)] == ["character"] * 5


def let_open_no_more_files(program: Killsync, process: Any) -> None:
    """Let a command open no connection more once it has asked for its first affiliation."""
    wait_until(lambda: program.simulator.log("affiliation"))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, 3))


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="no other process can be limited")


@ON_LINUX
def test_what_ends_the_command_is_said_of_whoever_is_registered_then(members: Members) -> None:
    program, _ = members()
    program.simulator.fault("affiliation", delay=1, close=True)
    process = adding(program)
    let_open_no_more_files(program, process)
    line, said = process.communicate(timeout=TIMEOUT)
    assert f"added {named(program)} ({character(program)}); not registered as a director" in line
    assert "no more files or connections may be opened" in said
    assert process.returncode == 75
    assert only_the_character(program)


# ESI's limits


def test_what_registering_spends_is_remembered(members: Members) -> None:
    program, _ = members(corp_list_tokens=3)
    add(program)
    key = str(character(program))
    (bucket,) = program.rows(
        """SELECT "limit", spent FROM rate_limits WHERE "group" = 'corp-killmail' AND "key" = ?""",
        key,
    )
    assert (bucket[0], [tokens for _, tokens in json.loads(bucket[1])]) == (3, [2])
    done = add(program, exit_code=75)
    assert f"corp-killmail of {key} rests until" in done.stdout
    assert len(program.simulator.log("corp_list")) == 1


# nothing that SSO gave is lost


@pytest.mark.parametrize("route", ["affiliation", "corporation", "corp_list"])
def test_a_kill_while_esi_is_asked_loses_no_token(members: Members, route: str) -> None:
    program, _ = members(rotate=True)
    program.simulator.fault(route, delay=60)
    process = adding(program)
    wait_until(lambda: program.simulator.log(route))
    process.kill()
    process.communicate()
    assert only_the_character(program)
    program.simulator.clear_faults()
    program.expire_access()
    program.run("scan")
    assert only_the_character(program)
    assert program.simulator.log("list")[-1]["status"] == 200


def adding(program: Killsync) -> Any:
    file = program.directory / "tokens.txt"
    file.write_text(program.simulator.director_token(character(program)))
    return program.start("users", "add", "--corporation", "--token-file", str(file))


@pytest.mark.sample
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_esi_is_asked_keeps_the_character(
    members: Members, number: int, code: int
) -> None:
    program, _ = members(rotate=True)
    program.simulator.fault("affiliation", delay=1)
    process = adding(program)
    wait_until(lambda: program.simulator.log("affiliation"))
    assert wait_for_exit(process, number) == code
    assert only_the_character(program)
    assert program.simulator.log("corporation") == []


# by login


def test_a_director_logs_in_with_a_browser(members: Members) -> None:
    program, corporation = members()
    login = Login(program, "--corporation")
    assert login.query["scope"].split() == [SCOPE, CORPORATION_SCOPE]
    page = login.follow()
    said = login.end()
    assert f"{named(program)} and {NAME} are registered" in page
    assert f"added {named(program)} ({character(program)})\n" in said
    assert f"added {NAME} ({corporation}), with director {named(program)}" in said
    assert f"sync {character(program)} {corporation}" in said
    assert directors(program) == [(corporation, character(program))]


def test_the_page_says_why_a_corporation_is_not_registered(members: Members) -> None:
    program, corporation = members()
    program.simulator.set_director(character(program), corporation, False)
    login = Login(program, "--corporation")
    page = login.follow()
    said = login.end(exit_code=1)
    assert f"{named(program)} is registered, but not as a director" in page
    for text in (page, said):
        assert f"{named(program)} is not a director of {NAME}" in text
    assert only_the_character(program)


def test_a_login_that_esi_cannot_complete_exits_75(members: Members) -> None:
    program, _ = members()
    program.simulator.fault("corp_list", status=503)
    url, paste = pasting(program, "--corporation", exit_code=75)
    assert "ESI could not be asked" in paste(ended_at(url))
    assert only_the_character(program)


def test_several_directors_log_in_one_after_the_other(members: Members) -> None:
    program, corporation = members(characters=3)
    program.simulator.set_director(character(program, 1), corporation, False)
    words = ("login", "--no-browser", "--another", "--corporation")
    terminal = Terminal(program, *words, columns=1000)
    for login, answer in zip(program.simulator.logins, "yyn", strict=True):
        program.simulator.options(login_as=login["character_id"])
        terminal.wait_for("paste it here:")
        terminal.type(f"{ended_at(URL.findall(terminal.shown)[-1])}\n")
        terminal.wait_for("Log in another character?")
        terminal.shown = ""
        terminal.type(f"{answer}\n")
    terminal.to_end()
    assert terminal.process.returncode == 1, "one of them is no director"
    assert directors(program) == [(corporation, character(program, n)) for n in (0, 2)]
    assert len(users(program)) == 4


@ON_LINUX
def test_nobody_else_is_asked_to_log_in_where_none_could_be_registered(members: Members) -> None:
    program, _ = members(characters=2)
    program.simulator.options(login_as=character(program))
    program.simulator.fault("affiliation", delay=1, close=True)
    words = ("login", "--no-browser", "--another", "--corporation")
    terminal = Terminal(program, *words, columns=1000)
    terminal.wait_for("paste it here:")
    terminal.type(f"{ended_at(URL.findall(terminal.shown)[-1])}\n")
    let_open_no_more_files(program, terminal.process)
    terminal.wait_for("no more files or connections may be opened")
    assert "Log in another" not in terminal.to_end()
    assert terminal.process.returncode == 75
    assert f"added {named(program)}" in terminal.shown
    assert only_the_character(program)


def test_a_login_that_is_stopped_while_esi_is_asked_keeps_the_character(members: Members) -> None:
    program, _ = members()
    program.simulator.fault("affiliation", delay=1)
    login = Login(program, "--corporation")
    with ThreadPoolExecutor() as pool:
        page = pool.submit(login.follow)
        wait_until(lambda: program.simulator.log("affiliation"))
        login.process.send_signal(signal.SIGINT)
        said = login.end(exit_code=130)
        assert "but not as a director" in page.result()
    assert f"added {named(program)}" in said
    assert only_the_character(program)


def test_an_application_without_the_scope_is_told_which_to_add(members: Members) -> None:
    program, _ = members()
    login = Login(program, "--corporation")
    page = login.come_back(error="invalid_scope")
    said = login.end(exit_code=2)
    for text in (page, said):
        assert CORPORATION_SCOPE in text
        assert "https://developers.eveonline.com" in text
    assert users(program) == []


def test_a_sold_director_is_registered_only_if_the_person_agrees(members: Members) -> None:
    program, corporation = members()
    add(program)
    claims = {str(character(program)): {"owner": "another account"}}
    program.simulator.options(claims=json.dumps(claims))
    before = tokens_in(program)
    url, paste = pasting(program, "--corporation", exit_code=1)
    assert "belongs to another account" in paste(ended_at(url))
    assert tokens_in(program) == before
    url, paste = pasting(program, "--corporation", "--yes")
    assert f"renewed {NAME} ({corporation})" in paste(ended_at(url))
    assert tokens_in(program) != before


# later logins of a director


def test_a_login_without_the_scope_warns_that_a_list_is_out_of_reach(members: Members) -> None:
    program, _ = members()
    add(program)
    url, paste = pasting(program)
    assert parsed(url)["scope"] == SCOPE
    said = paste(ended_at(url))
    warning = f"{named(program)} no longer reads the killmails of {NAME}: this login lacks"
    assert warning in said
    assert "log in again with `" in said
    assert "login --corporation`" in said
    done = program.run(
        "users", "add", given=program.simulator.director_token(character(program), SCOPE)
    )
    assert warning in done.stderr


def parsed(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def test_a_login_with_both_scopes_warns_of_nothing(members: Members) -> None:
    program, corporation = members()
    add(program)
    token = program.simulator.director_token(character(program))
    assert program.run("users", "add", given=token).stderr == ""
    assert directors(program) == [(corporation, character(program))]


def test_a_director_who_has_lost_the_role_forgives_nothing(members: Members) -> None:
    program, corporation = members()
    add(program)
    program.execute("UPDATE directors SET refused_at = '2026-01-01T00:00:00Z', confirmed = 1")
    program.simulator.set_director(character(program), corporation, False)
    add(program, exit_code=1)
    assert program.rows("SELECT confirmed FROM directors") == [(1,)]


def test_a_director_who_has_joined_another_corporation_is_registered_there(
    members: Members,
) -> None:
    program, _ = members()
    add(program)
    other = program.simulator.add_corporation(name="Others", directors=[character(program)])
    program.simulator.move(character(program), other["corporation_id"])
    done = add(program)
    assert f"{named(program)} has left {NAME}, whose killmails it can read no more" in done.stderr
    assert f"added Others ({other['corporation_id']})" in done.stdout
    assert len(directors(program)) == 2


@pytest.mark.parametrize("how", ["director", "no role", "NPC"])
def test_a_director_who_has_left_is_refused_by_the_old_list_whatever_the_new_one(
    members: Members, how: str
) -> None:
    program, corporation = members(characters=2)
    add(program)
    lost = character(program)
    moved_to = ACADEMY
    if how != "NPC":
        ids = [lost] if how == "director" else []
        moved_to = program.simulator.add_corporation(directors=ids)["corporation_id"]
    program.simulator.move(lost, moved_to)
    code = 0 if how == "director" else 1
    done = add(program, program.simulator.director_token(lost), exit_code=code)
    assert f"{named(program)} has left {NAME}, whose killmails it can read no more" in done.stderr
    shown = {one["character_id"]: one for one in program.user(corporation)["directors"]}
    assert shown[lost]["state"] == "refused"
    assert f"({moved_to})" in shown[lost]["error"]
    assert shown[character(program, 1)]["state"] == "working"


def test_a_login_leaves_a_disabled_corporation_disabled_and_says_so(members: Members) -> None:
    program, corporation = members()
    add(program)
    program.run("users", "disable", str(corporation))
    done = add(program)
    assert users(program)[1] == (corporation, "corporation", "disabled")
    assert f"{NAME} stays disabled: `" in done.stderr
    assert f"users enable {corporation}`" in done.stderr


# removing


def test_removing_the_last_director_is_said(members: Members) -> None:
    program, _ = members(characters=2)
    add(program)
    assert program.run("users", "remove", str(character(program))).stderr == ""
    said = program.run("users", "remove", str(character(program, 1))).stderr
    assert f"{NAME} has no director left" in said
    assert "login --corporation" in said
    assert directors(program) == []


def test_a_corporation_is_removed_without_its_directors(members: Members) -> None:
    program, corporation = members()
    add(program)
    tokens = tokens_in(program)
    done = program.run("users", "remove", NAME)
    assert f"removed {NAME} ({corporation})" in done.stdout
    assert done.stderr == ""
    assert only_the_character(program)
    assert tokens_in(program) == tokens
    assert program.simulator.log("revoke") == []


def test_a_disabled_corporation_is_enabled_by_its_name(members: Members) -> None:
    program, corporation = members()
    add(program)
    program.run("users", "disable", "some hold")
    assert users(program)[1] == (corporation, "corporation", "disabled")
    assert f"{NAME} ({corporation}) is active" in program.run("users", "enable", NAME).stdout


# text from outside


def test_a_hostile_name_of_a_corporation_is_stored_as_it_is_and_shown_harmlessly(
    members: Members,
) -> None:
    program, corporation = members(name=HOSTILE)
    done = add(program)
    assert_harmless(done.stdout)
    assert len(done.stdout) < 1000
    assert program.rows("SELECT name FROM users WHERE user_id = ?", corporation) == [(HOSTILE,)]
    program.simulator.set_director(character(program), corporation, False)
    refused = add(program, exit_code=1).stdout
    assert_harmless(refused)
    assert "killsync login --corporation" in refused, "the name leaves room for what to do"
    login = Login(program, "--corporation")
    page = login.follow()
    assert "\x1b" not in page
    assert len(page) < 5000
    login.end(exit_code=1)
    removed = program.run("users", "remove", str(character(program)))
    assert_harmless(removed.stderr)
    assert "has no director left" in removed.stderr


@pytest.mark.parametrize("name", ["   ", "\u200b"])
def test_a_corporation_whose_name_shows_nothing_is_called_by_its_id(
    members: Members, name: str
) -> None:
    program, corporation = members(name=name)
    assert f"added corporation {corporation} ({corporation})" in add(program).stdout
