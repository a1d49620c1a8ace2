"""`killsync login` against the simulated SSO over real HTTP: every way in, every wrong turn.

What single answers of SSO mean is in `test_sso_answers`, which tokens are valid in `test_access`.
"""

import errno
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import commands
import pytest
from terminal import Terminal
from world import TIMEOUT, Killsync, read_until, wait_until

from killsync.cli.logging_in import opens_a_browser
from killsync.errors import UsageError
from killsync.login.callback import listen
from killsync.login.page import BrowserPage, rendered
from killsync.settings import config

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]
URL = re.compile(r"^(http\S+authorize\S+)$", re.MULTILINE)


class Login:
    """A `killsync login` that waits for a browser, and the browser."""

    def __init__(self, program: Killsync, *words: str, **environment: str) -> None:
        self.program = program
        self.process = program.start("login", *words, **environment)
        self.said = read_until(self.process, "Waiting")
        self.url = URL.findall(self.said)[0]
        self.query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.url).query))

    def follow(self) -> str:
        """Log in at SSO; return the page on which the browser ends."""
        return fetched(self.url)

    def come_back(self, **query: str) -> str:
        """Come back from SSO with another answer; return the page."""
        given = {"state": self.query["state"]} | query
        return fetched(f"{self.query['redirect_uri']}?{urllib.parse.urlencode(given)}")

    def end(self, exit_code: int = 0) -> str:
        """Wait for the end; return all that was said on both streams."""
        out, err = self.process.communicate(timeout=TIMEOUT)
        said = f"{self.said}{err}{out}"
        assert self.process.returncode == exit_code, said
        assert "Traceback" not in said
        return said


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def newcomer(killsync: Start) -> Start:
    """Make a killsync without users, and a callback URL of its own."""

    def make(**options: Any) -> Killsync:
        program = killsync(users=False, **({"characters": 1, "killmails": 5} | options))
        program.environment["KILLSYNC_CALLBACK_URL"] = f"http://localhost:{free_port()}/callback"
        return program

    return make


@pytest.fixture
def log_in() -> Iterator[Callable[..., Login]]:
    """Start logins that end with the test."""
    started: list[Login] = []

    def start(program: Killsync, *words: str, **environment: str) -> Login:
        started.append(Login(program, *words, **environment))
        return started[-1]

    yield start
    for login in started:
        login.process.kill()
        login.process.communicate(timeout=TIMEOUT)


LogIn = Callable[..., Login]


def pasting(program: Killsync, *words: str, exit_code: int = 0, **environment: str) -> Any:
    """Log in without a browser here: what is pasted is made of the URL that was printed."""
    process = commands.start(
        *("login", "--no-browser", *words),
        environment=program.environment | environment,
        text=True,
        errors="surrogateescape",
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
    )
    url = URL.findall(read_until(process, "paste it here"))[0]

    def paste(*lines: str) -> str:
        out, err = process.communicate("".join(f"{line}\n" for line in lines), timeout=TIMEOUT)
        assert process.returncode == exit_code, f"{out}\n{err}"
        assert "Traceback" not in err
        return str(err + out)

    return url, paste


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def ended_at(url: str) -> str:
    """Return where SSO sends the browser, as a person copies it from the address bar."""
    try:
        urllib.request.build_opener(_Stay).open(url, timeout=TIMEOUT)
    except urllib.error.HTTPError as redirect:
        with redirect:
            return str(redirect.headers["Location"])
    raise AssertionError("SSO did not redirect")


def users(program: Killsync) -> list[tuple[Any, ...]]:
    return program.rows("SELECT user_id, state FROM users ORDER BY user_id")


def character_id(program: Killsync) -> int:
    return int(program.simulator.logins[0]["character_id"])


def claim(program: Killsync, **claims: Any) -> None:
    """Let the tokens of the only character claim something else."""
    program.simulator.options(claims=json.dumps({str(character_id(program)): claims}))


# the way in


@pytest.mark.sample
def test_a_character_logs_in_with_a_browser_and_is_synced(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer()
    login = log_in(program)
    page = login.follow()
    said = login.end()
    name = program.simulator.logins[0]["name"]
    assert f"{name} is registered" in page
    assert f"added {name} ({character_id(program)})" in said
    program.run("sync", str(character_id(program)))
    program.assert_equals_truth()


def test_the_browser_is_sent_with_pkce_and_the_registered_callback(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer()
    login = log_in(program)
    assert login.query["code_challenge_method"] == "S256"
    assert login.query["redirect_uri"] == program.environment["KILLSYNC_CALLBACK_URL"]
    assert login.query["scope"] == "esi-killmails.read_killmails.v1"
    login.follow()
    login.end()
    (exchange,) = program.simulator.log("token")
    assert not exchange["authorized"]


def test_an_application_with_a_secret_authenticates_with_it_instead(
    newcomer: Start, log_in: LogIn, tmp_path: Path
) -> None:
    program = newcomer(client_secret="hunter2")
    (tmp_path / "secret").write_text("hunter2\n")
    login = log_in(program, KILLSYNC_CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    assert "code_challenge" not in login.query
    login.follow()
    login.end()
    (exchange,) = program.simulator.log("token")
    assert exchange["authorized"]


def test_the_browser_that_the_environment_names_is_opened(
    newcomer: Start, log_in: LogIn, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nenv > {tmp_path}/env\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    login = log_in(
        newcomer(client_secret="hunter2"),
        BROWSER=str(browser),
        KILLSYNC_CLIENT_SECRET="hunter2",
    )
    wait_until(lambda: (tmp_path / "opened").exists() and (tmp_path / "opened").read_text())
    assert (tmp_path / "opened").read_text().strip() == login.url
    assert "Your browser opens" in login.said
    assert "hunter2" not in (tmp_path / "env").read_text()
    login.follow()
    login.end()


@pytest.mark.sample
@pytest.mark.parametrize(
    ("environment", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({"DISPLAY": ""}, "freebsd14", False),
        ({}, "darwin", True),
    ],
)
def test_a_browser_is_opened_only_where_it_has_a_window(
    environment: dict[str, str], platform: str, opens: bool
) -> None:
    assert opens_a_browser(environment, platform) is opens


@pytest.mark.sample
def test_without_a_browser_the_answer_is_pasted(newcomer: Start) -> None:
    program = newcomer(characters=3)
    forms: list[Callable[[str, str, str], str]] = [
        lambda address, query, code: f"  {address} ",
        lambda address, query, code: query,
        lambda address, query, code: code,
    ]
    for login, form in zip(program.simulator.logins, forms, strict=True):
        program.simulator.options(login_as=login["character_id"])
        url, paste = pasting(program)
        address = ended_at(url)
        query = urllib.parse.urlsplit(address).query
        code = urllib.parse.parse_qs(query)["code"][0]
        assert f"added {login['name']}" in paste(form(address, query, code))
    assert users(program) == [
        (login["character_id"], "active") for login in program.simulator.logins
    ]


def test_without_a_browser_any_callback_url_serves(newcomer: Start) -> None:
    program = newcomer()
    callback = "https://killboard.example/callback"
    program.simulator.options(redirect_uri=callback)
    url, paste = pasting(program, KILLSYNC_CALLBACK_URL=callback)
    assert ended_at(url).startswith(callback)
    paste(ended_at(url))


def test_several_characters_log_in_one_after_the_other(newcomer: Start) -> None:
    program = newcomer(characters=2)
    first, second = program.simulator.logins
    terminal = Terminal(program, "login", "--another", columns=1000, BROWSER="true")
    for login, answer in ((first, "y"), (second, "n")):
        program.simulator.options(login_as=login["character_id"])
        terminal.wait_for("Waiting")
        fetched(re.findall(r"(http\S+authorize\S+)", terminal.shown)[-1])
        terminal.wait_for("Log in another character?")
        terminal.shown = ""
        terminal.type(f"{answer}\n")
    terminal.to_end()
    assert terminal.process.returncode == 0
    assert [user_id for user_id, _ in users(program)] == [
        first["character_id"],
        second["character_id"],
    ]


def test_several_characters_log_in_by_pasting_one_after_the_other(newcomer: Start) -> None:
    program = newcomer(characters=3)
    terminal = Terminal(program, "login", "--no-browser", "--another", columns=1000)
    for login, answer in zip(program.simulator.logins, "yyn", strict=True):
        program.simulator.options(login_as=login["character_id"])
        terminal.wait_for("paste it here:")
        url = re.findall(r"(http\S+authorize\S+)", terminal.shown)[-1]
        terminal.type(f"nothing of it\n{ended_at(url)}\n")
        terminal.wait_for("Log in another character?")
        terminal.shown = ""
        terminal.type(f"{answer}\n")
    shown = terminal.to_end()
    assert terminal.process.returncode == 0, shown
    assert users(program) == [
        (login["character_id"], "active") for login in program.simulator.logins
    ]


def test_a_person_chooses_at_the_simulator_who_logs_in(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer(characters=2, consent_page=True)
    second = program.simulator.logins[1]
    login = log_in(program)
    request = urllib.request.Request(login.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        choice = re.findall(rf'href="(\?[^"]*)">{second["name"]}<', answer.read().decode())[0]
    fetched(urllib.parse.urljoin(login.url, choice.replace("&amp;", "&")))
    assert f"added {second['name']}" in login.end()


# a character already known


def test_a_new_login_renews_a_character_and_keeps_how_far_it_is_read(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer()
    program.add_users()
    program.run("scan")
    before = program.user(character_id(program))
    program.execute("UPDATE users SET state = 'needs_login', error = 'gone'")
    login = log_in(program)
    assert "is logged in again" in login.follow()
    assert f"renewed {before['name']}" in login.end()
    after = program.user(character_id(program))
    assert (after["state"], after["error"]) == ("active", None)
    assert after["last_killmail_id"] == before["last_killmail_id"]


def sold(newcomer: Start) -> Killsync:
    """Make a killsync whose only user has been sold to another account."""
    program = newcomer()
    program.add_users()
    claim(program, owner="another account")
    return program


def refresh_tokens(program: Killsync) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        return conn.execute("SELECT user_id, refresh_token FROM tokens ORDER BY 1").fetchall()


def refresh_token(program: Killsync) -> str:
    ((_, token),) = refresh_tokens(program)
    return token


def test_a_sold_character_is_reported_and_not_renewed_unasked(
    newcomer: Start, log_in: LogIn
) -> None:
    program = sold(newcomer)
    before = refresh_token(program)
    login = log_in(program)
    assert "One question is left" in login.follow()
    said = login.end(exit_code=1)
    assert "belongs to another account" in said
    assert "--yes" in said
    assert refresh_token(program) == before
    assert [entry["status"] for entry in program.simulator.log("revoke")] == [200]


def test_a_sold_character_is_renewed_with_yes(newcomer: Start, log_in: LogIn) -> None:
    program = sold(newcomer)
    before = refresh_token(program)
    login = log_in(program, "--yes")
    assert "is logged in again" in login.follow()
    login.end()
    assert refresh_token(program) != before
    assert log_in_again_is_silent(program, log_in)


def log_in_again_is_silent(program: Killsync, log_in: LogIn) -> bool:
    login = log_in(program)
    login.follow()
    return "another account" not in login.end()


def test_a_sold_character_is_renewed_if_the_person_agrees(newcomer: Start) -> None:
    program = sold(newcomer)
    before = refresh_token(program)
    terminal = Terminal(program, "login", columns=1000, BROWSER="true")
    terminal.wait_for("Waiting")
    fetched(re.findall(r"(http\S+authorize\S+)", terminal.shown)[-1])
    terminal.wait_for("[y/N]")
    terminal.type("y\n")
    terminal.to_end()
    assert terminal.process.returncode == 0
    assert refresh_token(program) != before


@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_question_leaves_no_token_behind(newcomer: Start, number: int) -> None:
    program = sold(newcomer)
    terminal = Terminal(program, "login", columns=1000, BROWSER="true")
    terminal.wait_for("Waiting")
    fetched(re.findall(r"(http\S+authorize\S+)", terminal.shown)[-1])
    terminal.wait_for("[y/N]")
    terminal.process.send_signal(number)
    terminal.to_end()
    assert terminal.process.returncode == 128 + number
    assert [entry["status"] for entry in program.simulator.log("revoke")] == [200]


def test_a_sold_character_whose_login_is_stopped_leaves_no_token_behind(
    newcomer: Start, log_in: LogIn
) -> None:
    program = sold(newcomer)
    program.simulator.clear_log()
    login = log_in(program)
    stopped_at_its_end(program, login)
    assert [entry["status"] for entry in program.simulator.log("revoke")] == [200]


def test_a_refresh_token_of_a_sold_character_is_accepted_and_that_is_said(newcomer: Start) -> None:
    program = sold(newcomer)
    done = program.run("users", "add", given=program.simulator.logins[0]["refresh_token"] + "\n")
    assert "it belongs to another account than before" in done.stdout


# wrong turns


def test_the_answer_to_another_login_is_refused_and_the_right_one_still_taken(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer()
    login = log_in(program)
    assert "another login" in login.come_back(state="forged", code="stolen")
    assert program.simulator.log("token") == []
    login.follow()
    assert "another login" in login.end()
    assert users(program) == [(character_id(program), "active")]


def test_an_answer_without_a_code_ends_the_login(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer()
    login = log_in(program)
    assert "did not work" in login.come_back()
    assert "holds no code" in login.end(exit_code=1)
    assert program.simulator.log("token") == []


@pytest.mark.parametrize(
    ("error", "exit_code", "says"),
    [("invalid_scope", 2, "does not have the scope"), ("\x1b[2J<b>", 1, "SSO gave no code")],
    ids=["known", "hostile"],
)
def test_an_error_of_sso_ends_the_login_with_what_to_do(
    newcomer: Start, log_in: LogIn, error: str, exit_code: int, says: str
) -> None:
    program = newcomer()
    login = log_in(program)
    page = login.come_back(error=error, error_description="<script>alert(1)</script>")
    said = login.end(exit_code)
    assert says in said
    assert says in page
    assert "\x1b" not in said
    assert "<script" not in page
    assert users(program) == []


def test_a_refused_consent_changes_nothing(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer(deny=True)
    login = log_in(program)
    assert "refused at SSO" in login.follow()
    assert "`killsync login`" in login.end(exit_code=1)
    assert users(program) == []


def test_a_wrong_code_is_refused(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer()
    login = log_in(program)
    assert "does not accept the code" in login.come_back(code="made-up-code")
    said = login.end(exit_code=1)
    assert "log in again with `killsync login`" in said
    assert "made-up-code" not in said
    assert users(program) == []


def test_a_code_of_another_login_is_refused(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer()
    stolen = urllib.parse.urlsplit(ended_at(log_in(program).url)).query
    code = urllib.parse.parse_qs(stolen)["code"][0]
    _, paste = pasting(program, exit_code=1)
    assert "of another login" in paste(code)
    assert users(program) == []


def test_a_pasted_answer_to_another_login_is_asked_for_again(newcomer: Start) -> None:
    program = newcomer()
    url, paste = pasting(program)
    elsewhere = "http://localhost/?state=forged&code=x"
    said = paste("", url, "hello", elsewhere, "http://localhost/?code=x", f'"{ended_at(url)}"')
    assert "nothing was pasted" in said
    assert said.count("holds no code") == 2
    assert "another login" in said
    assert "not the whole address" in said
    assert users(program) == [(character_id(program), "active")]


def test_a_login_that_waits_for_a_paste_ends_after_its_timeout(newcomer: Start) -> None:
    process = commands.start(
        *("login", "--no-browser", "--timeout", "300ms"),
        environment=newcomer().environment,
        text=True,
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
    )
    assert process.stdin is not None
    process.stdin.write("half an addr")
    process.stdin.flush()
    assert "nobody came back" in read_until(process, "nobody came back")
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 75


def test_lines_pasted_at_once_are_all_read(newcomer: Start) -> None:
    program = newcomer()
    process = commands.start(
        *("login", "--no-browser"),
        environment=program.environment,
        text=True,
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
    )
    url = URL.findall(read_until(process, "paste it here"))[0]
    assert process.stdin is not None
    process.stdin.write(f"hello\n{ended_at(url)}\n")
    process.stdin.flush()
    assert process.wait(TIMEOUT) == 0
    process.communicate(timeout=TIMEOUT)
    assert users(program) == [(character_id(program), "active")]


@pytest.mark.sample
def test_a_paste_that_is_not_text_is_asked_for_again(newcomer: Start) -> None:
    program = newcomer()
    url, paste = pasting(program, PYTHONUTF8="1")
    assert users(program) == []
    assert "added" in paste("\udcff", ended_at(url))


def test_the_end_of_standard_input_changes_nothing(newcomer: Start) -> None:
    _, paste = pasting(newcomer(), exit_code=2)
    assert "nothing has changed" in paste()


def test_two_logins_at_once_do_not_share_a_port(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer()
    first = log_in(program)
    port = urllib.parse.urlsplit(program.environment["KILLSYNC_CALLBACK_URL"]).port
    said = program.run("login", exit_code=2).stderr
    assert f"port {port} is in use" in said
    assert "callback_url" in said
    assert "--no-browser" in said
    first.follow()
    first.end()


def test_two_logins_at_once_on_ports_of_their_own_both_succeed(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer(characters=2)
    other = f"http://127.0.0.1:{free_port()}/"
    logins = [log_in(program), log_in(program, KILLSYNC_CALLBACK_URL=other)]
    for login, who in zip(logins, program.simulator.logins, strict=True):
        program.simulator.options(login_as=who["character_id"])
        login.follow()
    for login in logins:
        login.end()
    assert len(users(program)) == 2


@pytest.mark.parametrize(
    "url", ["http://localhost:99999/", "http://localhost:0/", "http://u@localhost/"]
)
def test_a_callback_url_that_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="callback_url is"):
        config.load(None, {}, {"KILLSYNC_CALLBACK_URL": url})


@pytest.mark.parametrize("url", ["https://localhost:8635/", "http://127.0.0.2:8635/"])
def test_a_callback_url_that_cannot_be_listened_at_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=re.escape(url)), listen(url):
        pass


def test_without_a_callback_url_on_this_computer_a_login_names_another_way(
    newcomer: Start,
) -> None:
    url = "https://killboard.example/callback"
    said = newcomer().run("login", exit_code=2, KILLSYNC_CALLBACK_URL=url).stderr
    assert url in said
    assert "--no-browser" in said


@pytest.mark.sample
def test_a_login_ends_after_its_timeout(newcomer: Start) -> None:
    program = newcomer()
    said = program.run("login", "--timeout", "200ms", exit_code=75).stderr
    assert program.environment["KILLSYNC_CALLBACK_URL"] in said.splitlines()[-1]


@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_login_can_be_stopped_while_it_waits(newcomer: Start, log_in: LogIn, number: int) -> None:
    login = log_in(newcomer())
    login.process.send_signal(number)
    _, err = login.process.communicate(timeout=TIMEOUT)
    assert login.process.returncode in (128 + number, -number)
    assert err == ("" if number == signal.SIGTERM else STOPPED)


STOPPED = "\nStopped: this login has changed nothing.\n"


def test_a_login_that_is_stopped_at_its_end_keeps_what_sso_has_given(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer()
    login = log_in(program)
    assert b"is registered" in stopped_at_its_end(program, login)
    assert users(program) == [(character_id(program), "active")]


def stopped_at_its_end(program: Killsync, login: Login) -> bytes:
    """Press Ctrl-C while SSO is asked for the tokens; return what the browser is shown."""
    program.simulator.fault("token", delay=1.0)
    with closing(socket.create_connection(("127.0.0.1", port_of(program)), TIMEOUT)) as browser:
        back = urllib.parse.urlsplit(ended_at(login.url))
        browser.sendall(f"GET {back.path}?{back.query} HTTP/1.0\r\n\r\n".encode())
        wait_until(lambda: program.simulator.log("token"))
        login.process.send_signal(signal.SIGINT)
        login.end(exit_code=130)
        return browser.makefile("rb").read()


def port_of(program: Killsync) -> int:
    return urllib.parse.urlsplit(program.environment["KILLSYNC_CALLBACK_URL"]).port or 0


@pytest.mark.sample
def test_other_requests_and_idle_connections_keep_no_login_waiting(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer()
    login = log_in(program)
    with closing(socket.create_connection(("127.0.0.1", port_of(program)), TIMEOUT)):
        assert "Nothing is here" in fetched(f"http://127.0.0.1:{port_of(program)}/favicon.ico")
        assert "is registered" in login.follow()
        login.end()


def test_only_this_computer_can_reach_the_listener(newcomer: Start, log_in: LogIn) -> None:
    program = newcomer()
    log_in(program)
    assert listened_at(port_of(program)) <= {"0100007F", "00000000000000000000000001000000"}


def listened_at(port: int) -> set[str]:
    """Return the addresses at which a port is listened on, as the kernel writes them."""
    found = set()
    for table in ("tcp", "tcp6"):
        file = Path("/proc/net", table)
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            address, _, number = line.split()[1].partition(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                found.add(address)
    return found


# localhost has two addresses


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")


@ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_browser_may_come_back_to_either_address_of_localhost(
    newcomer: Start, log_in: LogIn, host: str
) -> None:
    program = newcomer()
    login = log_in(program)
    page = fetched(ended_at(login.url).replace("localhost", host))
    assert "is registered" in page
    login.end()
    assert users(program) == [(character_id(program), "active")]


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=ipv6)])
def test_another_program_on_the_port_keeps_a_browser_from_being_opened(
    newcomer: Start, tmp_path: Path, host: str
) -> None:
    program = newcomer()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = port_of(program)
    with socket.create_server((host, port), family=family):
        done = program.run("login", exit_code=2, BROWSER=f"touch {tmp_path}/opened %s")
    assert f"port {port} is in use" in done.stderr
    assert host in done.stderr
    assert "callback_url" in done.stderr
    assert not (tmp_path / "opened").exists()
    assert "authorize" not in done.stderr


@ipv6
@pytest.mark.parametrize(("host", "other"), [("127.0.0.1", "::1"), ("[::1]", "127.0.0.1")])
def test_a_callback_url_with_an_address_needs_that_one_alone(host: str, other: str) -> None:
    port = free_port()
    family = socket.AF_INET6 if ":" in other else socket.AF_INET
    with socket.create_server((other, port), family=family), listen(f"http://{host}:{port}/back"):
        assert "Nothing is here" in fetched(f"http://{host}:{port}/")


@pytest.mark.sample
@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_the_other_address_is_enough(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class Old(socket.socket):
        def __init__(self, family: int = -1, *rest: Any, **named: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(number, os.strerror(number))
            super().__init__(family, *rest, **named)

    monkeypatch.setattr(socket, "socket", Old)
    port = free_port()
    with listen(f"http://localhost:{port}/callback"):
        assert "Nothing is here" in fetched(f"http://127.0.0.1:{port}/")


# tokens that are not what they should be


def test_a_token_that_is_refused_is_not_stored_and_none_is_left_valid(
    newcomer: Start, log_in: LogIn
) -> None:
    program = newcomer()
    claim(program, aud=["another application", "EVE Online"])
    login = log_in(program)
    assert "not valid" in login.follow()
    assert "not valid" in login.end(exit_code=1)
    assert users(program) == []
    assert [entry["status"] for entry in program.simulator.log("revoke")] == [200]


# secrets, and text from outside


def test_neither_code_nor_tokens_are_shown_or_logged(newcomer: Start) -> None:
    program = newcomer()
    url, paste = pasting(program, "--verbose")
    address = ended_at(url)
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["code"][0]
    said = paste(address)
    # its traceback too
    again = commands.run(
        *("--verbose", "login", "--no-browser"),
        environment=program.environment,
        given=f"{code}\n",
    )
    assert (again.returncode, "Traceback" in again.stderr) == (1, True)
    for secret in (code, refresh_token(program)):
        assert secret not in said + again.stdout + again.stderr


def test_an_odd_redirect_gives_no_user_the_tokens_of_another(newcomer: Start) -> None:
    program = newcomer(characters=2)
    program.add_users()
    program.expire_access()
    before = refresh_tokens(program)
    program.simulator.fault("token", after=1, redirect="/\u00ff")
    program.run("scan", exit_code=None)
    assert refresh_tokens(program) == before


@pytest.mark.sample
def test_a_hostile_name_is_shown_harmlessly_on_the_page() -> None:
    page = rendered(BrowserPage("<script>alert('x')</script>", "{title} & \ud800")).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{title} &amp; ?" in page


@pytest.mark.sample
def test_the_page_needs_no_scripts_and_nothing_from_elsewhere(
    newcomer: Start, log_in: LogIn
) -> None:
    login = log_in(newcomer())
    page = login.follow()
    assert "<script" not in page
    assert not re.search(r"""(src|href|url)\W+https?:""", page)
    assert "prefers-color-scheme: dark" in page
