"""No token, code, client secret or key is anywhere but where it belongs, whatever goes wrong."""

import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote

import pytest
from campaign.case import Case, case
from campaign.secrets import Needles, hunt
from world import TIMEOUT, Killsync, wait_until

from killsync.tokens.sealing import Keyring
from killsync.tokens.tokens import Tokens

pytestmark = pytest.mark.long

SECRET = "the-S3cret~of+the/application"
Background = Callable[..., Popen[str]]
Make = Callable[..., Killsync]


KEY = "0123456789-_abcdefghijklmnopqrstuvwxyzABCDE="
OLD_KEY = KEY.swapcase()


def put_into_file(program: Case, name: str, text: str) -> None:
    """Give a secret to the program in a file of its own."""
    file = program.directory / name.lower()
    file.touch(0o600)
    file.write_text(text)
    program.environment[f"KILLSYNC_{name}_FILE"] = str(file)


@contextmanager
def leaking(characters: int) -> Iterator[Case]:
    """Yield a case with secrets in files, whose tokens are refreshed and rotated at every run."""
    options: dict[str, Any] = {"killmails": 1, "shared": 0, "list_tokens": 0}
    with case(random.Random(1), users=False, characters=characters, **options) as program:
        # what other users see of its processes, a test looks at where Python starts them
        program.forks = True
        put_into_file(program, "CLIENT_SECRET", SECRET)
        put_into_file(program, "TOKEN_KEY", f"{KEY}\n{OLD_KEY}\n")
        program.simulator.options(client_secret=SECRET, rotate=True)
        program.add_users()
        yield program


@pytest.fixture
def leaky() -> Iterator[Case]:
    with leaking(characters=8) as program:
        yield program


@pytest.fixture
def crowd() -> Iterator[Case]:
    """A leaky case with a user for each answer of `answers_with`, and two more."""
    with leaking(characters=20) as program:
        yield program


def tokens_in_use(program: Killsync) -> list[str]:
    users = [login["character_id"] for login in program.simulator.logins]
    with closing(Tokens(program.database, Keyring(lambda: [KEY, OLD_KEY]))) as tokens:
        found = [token for user in users if (token := tokens.get(user))]
    return [text for token in found for text in (*token.refresh_tokens, token.access_token) if text]


def earlier_tokens(program: Killsync) -> list[str]:
    """Return the refresh tokens that are kept until the newest has proved itself."""
    users = [login["character_id"] for login in program.simulator.logins]
    with closing(Tokens(program.database, Keyring(lambda: [KEY, OLD_KEY]))) as tokens:
        found = [token for user in users if (token := tokens.get(user))]
    return [text for token in found for text in token.earlier]


def scan_again(program: Case, *words: str) -> None:
    """Scan with all options that show more of an error."""
    program.let_all_be_tried()
    program.simulator.thaw()
    program.call("--verbose", *words, "scan", "--force", "--workers", "8")


def repeated(tokens: list[str]) -> str:
    """Return the tokens in all forms in which a server may give them back."""
    coded = [base64.b64encode(token.encode()).decode() for token in tokens]
    quoted = [quote(token, safe="") for token in tokens]
    return " ".join([*tokens, *coded, *quoted, *(f"Bearer {token}," for token in tokens)])


def answers_with(said: str) -> list[dict[str, Any]]:
    """Return errors of each kind that repeat something in text, headers and redirects."""
    headers = {"WWW-Authenticate": f'Bearer error="{said}"', "Warning": said, "X-Error": said}
    # so long that no run waits for its end
    rest = {"Retry-After": "3600", "X-ESI-Error-Limit-Reset": "3600"}
    error = json.dumps({"error": said, "error_description": said, "sso_status": said})
    return [
        *({"status": s, "body": error, "headers": headers} for s in (400, 401, 403, 404)),
        *({"status": s, "body": error, "headers": headers} for s in (422, 500, 503, 520)),
        {"status": 400, "body": json.dumps({"error": "invalid_request " + said})},
        {"status": 200, "body": said, "headers": headers},
        {"wrong_json": json.dumps([{"killmail_id": said, "killmail_hash": said}])},
        {"wrong_json": json.dumps([{"killmail_id": 5, "killmail_hash": said}])},
        {"wrong_json": json.dumps({"access_token": 5, "refresh_token": [said]})},
        {"redirect": f"http://127.0.0.1:9/?token={quote(said)}"},
        {"redirect": f"http://[{quote(said)}"},
        {"cut": True, "headers": headers},
        {"status": 429, "body": error, "headers": headers | rest},
        {"status": 420, "body": error, "headers": headers | rest},
    ]


@pytest.mark.parametrize("route", ["token", "list"])
def test_an_error_that_repeats_a_secret_is_not_repeated(crowd: Case, route: str) -> None:
    said = repeated([*tokens_in_use(crowd)[:2], SECRET])
    users = [login["character_id"] for login in crowd.simulator.logins]
    faults = dict(zip(users, answers_with(said), strict=False))
    for user, fault in faults.items():
        crowd.simulator.fault(route, character_id=user, **fault, times=3)
    recorded: set[tuple[int]] = set()
    for number in range(10):
        if route == "token":
            crowd.expire_access()
        scan_again(crowd, *("--log-format", "json") if number % 2 else ())
        recorded |= {*crowd.rows("SELECT user_id FROM jobs WHERE error IS NOT NULL")}
        met = {entry["character_id"] for entry in crowd.simulator.log(route) if entry["fault"]}
        if met == faults.keys():
            break
    assert met == faults.keys()
    assert len(recorded) > 3
    crowd.forks = False
    crowd.call("sync", str(users[0]), "--verbose", "--no-wait")
    crowd.forks = True
    for words in (("status", "-v"), ("status", "--json"), ("users", "--json"), ("export",)):
        crowd.call(*words)
    assert hunt(crowd, crowd.processes) == []


def test_a_token_kept_from_before_is_shown_nowhere_though_it_is_sent_and_refused(
    leaky: Case,
) -> None:
    leaky.expire_access()
    scan_again(leaky)
    earlier = earlier_tokens(leaky)
    assert len(earlier) == len(leaky.simulator.logins)
    said = repeated(earlier)
    error = json.dumps({"error": "invalid_grant", "error_description": said})
    for user in [login["character_id"] for login in leaky.simulator.logins][:5]:
        leaky.simulator.fault("token", character_id=user, status=400, body=error)
    leaky.expire_access()
    scan_again(leaky, "--log-format", "json")
    leaky.expire_access()
    scan_again(leaky)
    assert leaky.rows("SELECT count(*) FROM users WHERE error LIKE '%refresh token%'") == [(5,)]
    leaky.call("--verbose", "users", "rekey")
    for words in (("status", "-v"), ("status", "--json"), ("users", "--json"), ("export",)):
        leaky.call(*words)
    assert hunt(leaky, leaky.processes) == []


def test_registering_a_corporation_shows_no_secret_whatever_esi_answers(crowd: Case) -> None:
    said = repeated([*tokens_in_use(crowd)[:2], SECRET])
    users = [login["character_id"] for login in crowd.simulator.logins]
    crowd.simulator.add_corporation(members=users, directors=users)
    faults = dict(zip(users, answers_with(said), strict=False))
    *_, last, other = users
    assert not {last, other} & faults.keys()
    tokens = []
    for number, (user, fault) in enumerate(faults.items()):
        crowd.simulator.fault("corp_list", character_id=user, **fault)
        # where nobody is answered, the others would not be asked for
        works = (last, other)[number % 2]
        tokens += [crowd.simulator.director_token(one) for one in (works, user)]
    words = ("--verbose", "users", "add", "--corporation")
    assert crowd.launch(*words, given="\n".join(tokens)).wait(TIMEOUT) == 75
    met = {entry["character_id"] for entry in crowd.simulator.log("corp_list") if entry["fault"]}
    assert met == faults.keys()
    crowd.simulator.fault("affiliation", **answers_with(said)[5])
    crowd.launch(*words, given=tokens[0]).wait(TIMEOUT)
    for shown in (("users", "--json"), ("status", "--json"), ("export",)):
        crowd.call(*shown)
    assert hunt(crowd, crowd.processes) == []


@pytest.mark.sample
def test_a_wrong_client_secret_is_not_shown(leaky: Case) -> None:
    leaky.simulator.options(client_secret="another-S3cret-of-theirs")
    leaky.expire_access()
    scan_again(leaky)
    assert leaky.rows("SELECT DISTINCT state FROM users") == [("active",)]
    assert hunt(leaky, leaky.processes) == []


@pytest.mark.sample
def test_secrets_in_the_environment_are_shown_no_more_than_those_in_files(leaky: Case) -> None:
    for name, secret in (("CLIENT_SECRET", SECRET), ("TOKEN_KEY", f"{OLD_KEY} {KEY}")):
        Path(leaky.environment.pop(f"KILLSYNC_{name}_FILE")).unlink()
        leaky.environment[f"KILLSYNC_{name}"] = secret
    leaky.forks = False
    leaky.expire_access()
    scan_again(leaky)
    leaky.call("--verbose", "users", "rekey", "--new-key")
    assert leaky.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    shown = leaky.processes.environments
    assert any(KEY.encode() in environment for environment in shown)
    assert hunt(leaky) == []


# the last one, with which most is tried, is too short
WRONG_KEYS = (f"{KEY}\nü", "", "A" * 43 + "=", KEY[:-2])


def test_a_key_is_not_shown_whatever_is_wrong_with_its_file(leaky: Case) -> None:
    file = Path(leaky.environment["KILLSYNC_TOKEN_KEY_FILE"])
    before = file.read_text()
    leaky.expire_access()
    for keys in WRONG_KEYS:
        file.write_text(keys)
        for words in (["scan"], ["users", "rekey", "--new-key"]):
            assert leaky.call("--verbose", *words) == 2, (keys, words, leaky.heard())
        assert file.read_text() == keys
    assert leaky.call("--verbose", "users", "rekey") == 2, leaky.heard()
    assert leaky.call("--verbose", "status") == 0, leaky.heard()
    said = b"".join(file.read_bytes() for file in leaky.said.iterdir())
    shown = [*(key for keys in WRONG_KEYS for key in keys.split()), KEY, OLD_KEY]
    assert Needles(shown).within(said) == set()
    file.write_text(before)
    assert hunt(leaky, leaky.processes) == []
    scan_again(leaky)
    assert leaky.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]


def test_a_line_that_is_not_a_token_is_not_repeated(leaky: Case) -> None:
    used = tokens_in_use(leaky)
    lines = [f"{used[0]} {used[1]}", f"{used[0]}\x1b", "ü" + used[1], used[0][:-1]]
    done = leaky.run("--verbose", "users", "add", given="\n".join(lines), exit_code=1)
    (leaky.said / "users.out").write_text(done.stdout + done.stderr)
    assert hunt(leaky, leaky.processes) == []


WRITTEN: tuple[Callable[[str], str], ...] = (
    lambda token: token,
    lambda token: quote(token, safe=""),
    lambda token: base64.b64encode(f"id:{token}".encode()).decode(),
    lambda token: base64.urlsafe_b64encode(f"me:{token}".encode()).decode(),
    lambda token: f"...{token.rpartition('.')[2]}...",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_secret_is_found_however_it_is_written(written: Callable[[str], str]) -> None:
    for secret in (f"eyJhbGciOiJSUzI1NiJ9.e30.{SECRET}", SECRET, KEY):
        text = f"what {written(secret)} is this".encode()
        assert Needles([secret, OLD_KEY]).within(text) == {secret}
        assert Needles([OLD_KEY]).within(text) == set()


def test_the_hunt_finds_a_secret_that_was_planted(leaky: Case) -> None:
    assert hunt(leaky) == []
    planted = leaky.said / "planted.err"
    for token in (tokens_in_use(leaky)[0], SECRET, KEY):
        planted.write_text(f"what {token} is this")
        assert hunt(leaky) == ["planted.err holds a secret"], token
    planted.unlink()
    token = tokens_in_use(leaky)[0]
    leaky.execute("UPDATE users SET error = ?", f"refused {token}")
    found = hunt(leaky)
    assert {"killsync.db holds a secret", "killsync.db-wal holds a secret"} & set(found)
    leaky.execute("UPDATE users SET error = NULL")
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", token], stdin=subprocess.PIPE
    ) as shown:
        wait_until(lambda: any(token.encode() in line for line in leaky.processes.command_lines))
        shown.communicate()
    assert "a command line holds a secret" in hunt(leaky, leaky.processes)


def test_the_hunt_finds_a_file_that_others_may_read(leaky: Case) -> None:
    leaky.database.chmod(0o640)
    assert hunt(leaky) == ["killsync.db has mode 640"]


@pytest.mark.sample
def test_a_running_killsync_leaves_no_core_dump(killsync: Make, background: Background) -> None:
    program = killsync(characters=1, killmails=1, latency_list=3)
    program.simulator.clear_log()
    process = background(program, "scan")
    wait_until(lambda: program.simulator.log("list"))
    limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]
