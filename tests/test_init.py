"""`killsync init`: what it asks, what it writes, and what it does not."""

import os
import re
import shlex
import stat
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import commands
import pytest
from here import run_here
from hypothesis import given
from hypothesis import strategies as st
from newcomer import GIVEN, Newcomer, assert_refused
from terminal import Terminal
from test_login import fetched, free_port
from world import TIMEOUT, Killsync

from killsync.settings import config, edit
from killsync.settings.config import Settings
from killsync.settings.text import DESCRIPTIONS, config_text
from killsync.starting import crontab
from killsync.times import duration_text, parse_duration

SECRET = "S3cret-of-mine"


# the text


def test_every_setting_has_its_words() -> None:
    assert DESCRIPTIONS.keys() == set(Settings.__struct_fields__) - {"tell"}


def test_a_file_in_which_nothing_is_given_sets_nothing() -> None:
    assert tomllib.loads(config_text({}, Settings())) == {}


def test_what_is_commented_out_is_the_default(tmp_path: Path) -> None:
    text = re.sub(r"^#(\w+ =)", r"\1", config_text({}, Settings()), flags=re.M)
    for pair in ("client_secret", "token_key"):
        text = re.sub(rf"^{pair}_file.*$", "", text, flags=re.M)
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert config.load(file, {}, {}) == Settings()


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.fixed_dictionaries(dict.fromkeys(("db", "client_id", "client_secret"), texts)))
def test_whatever_a_text_holds_is_read_back(values: dict[str, str]) -> None:
    assert tomllib.loads(config_text(values, Settings())) == values


@given(st.floats(min_value=0, max_value=10 * 365 * 86400))
def test_a_duration_is_written_so_that_it_is_read_back(seconds: float) -> None:
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["0s", "100ms", "90s", "15m", "9h", "7d", "250ms"])
def test_a_duration_is_written_as_people_do(text: str) -> None:
    assert duration_text(parse_duration(text)) == text


# without a terminal


def test_flags_are_enough(newcomer: Newcomer) -> None:
    # the real command line; the other cases run in this process
    done = commands.run("init", *GIVEN, environment=newcomer.environment)
    assert (done.returncode, done.stderr) == (0, "")
    settings = newcomer.settings()
    assert (settings.client_id, settings.contact) == ("abc", "me@example.com")


def test_only_the_owner_can_read_it(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    assert stat.S_IMODE(newcomer.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(newcomer.file.parent.stat().st_mode) == 0o700
    assert newcomer.files() == [".config/killsync/config.toml"]


def test_what_a_shell_exports_is_written_since_cron_does_not_see_it(newcomer: Newcomer) -> None:
    done = newcomer.init(
        KILLSYNC_ESI_URL="http://127.0.0.1:9",
        KILLSYNC_SSO_URL="http://127.0.0.1:9",
        KILLSYNC_CLIENT_ID="sim",
        KILLSYNC_DB="data/k.db",
        KILLSYNC_MIN_AGE="90s",
        KILLSYNC_WORKERS="3",
        KILLSYNC_CLIENT_SECRET=SECRET,
    )
    settings = newcomer.settings()
    assert settings.db == str(Path("data/k.db").absolute())
    assert (settings.esi_url, settings.sso_url) == ("http://127.0.0.1:9",) * 2
    assert (settings.client_id, settings.workers, float(settings.min_age)) == ("sim", 3, 90)
    assert settings.client_secret == SECRET
    assert "cron does not see" in done.stderr
    for key in ("esi_url", "sso_url", "client_id", "db", "min_age", "workers", "client_secret"):
        assert key in done.stderr
    assert SECRET not in done.stderr + done.stdout


def test_a_database_and_a_configuration_file_may_be_named(
    newcomer: Newcomer, tmp_path: Path
) -> None:
    newcomer.file = tmp_path / "own" / "killsync.toml"
    done = newcomer.init(*GIVEN, "--config", str(newcomer.file), "--db", "~/k.db")
    assert newcomer.settings().db == f"{tmp_path}/k.db"
    assert f"--config {newcomer.file} scan" in done.stdout
    assert f"--config {newcomer.file} login" in done.stdout


def test_the_database_is_written_where_cron_would_look_elsewhere(
    newcomer: Newcomer, tmp_path: Path
) -> None:
    newcomer.init(*GIVEN, XDG_DATA_HOME=str(tmp_path / "data"))
    assert newcomer.settings().db == f"{tmp_path}/data/killsync/killsync.db"


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("--no-input",), ["--client-id", "KILLSYNC_CLIENT_ID", "--contact", "KILLSYNC_CONTACT"]),
        (("--client-id", "abc"), ["--contact", "KILLSYNC_CONTACT"]),
        (("--contact", "me@example.com"), ["--client-id", "KILLSYNC_CLIENT_ID"]),
    ],
)
def test_what_is_missing_is_named_with_its_flag_and_variable(
    newcomer: Newcomer, arguments: tuple[str, ...], missing: list[str]
) -> None:
    done = newcomer.init(*arguments, exit_code=2)
    assert_refused(newcomer, done, *missing)
    assert newcomer.files() == []


WRONG: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    (("--client-id", "a b"), {}, "client_id"),
    (("--client-id", ""), {}, "client_id"),
    (("--contact", "Zoë"), {}, "contact"),
    (("--contact", " "), {}, "contact"),
    (("--callback-url", "localhost"), {}, "callback_url"),
    (("--client-secret-file", "/nowhere"), {}, "/nowhere"),
    ((), {"KILLSYNC_WORKERS": "many"}, "workers"),
    (("--set", "workers=2"), {}, "without other options"),
]


@pytest.mark.parametrize(("arguments", "environment", "part"), WRONG)
def test_a_wrong_value_is_refused_at_once(
    newcomer: Newcomer, arguments: tuple[str, ...], environment: dict[str, str], part: str
) -> None:
    done = newcomer.init(*GIVEN, *arguments, exit_code=2, **environment)
    assert_refused(newcomer, done, part)
    assert newcomer.files() == []


def test_no_flag_takes_a_secret() -> None:
    shown = run_here("init", "--help", environment={}).stdout
    assert set(re.findall(r"--[\w-]*(?:secret|key|token)[\w-]*", shown)) == {"--client-secret-file"}


def test_a_database_that_the_file_cannot_name_is_named_on_the_lines(
    newcomer: Newcomer, tmp_path: Path
) -> None:
    database = tmp_path / "k\udcff.db"
    streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    words = ("init", *GIVEN, "--db", str(database))
    with commands.start(*words, environment=newcomer.environment, **streams) as process:
        out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert newcomer.settings().db == ""
    named = b"--db '" + os.fsencode(database) + b"'"
    login, scan, doctor = [line for line in out.splitlines() if named in line]
    assert (b" login" in login, b"*/10" in scan, b" doctor" in doctor) == (True, True, True)


# a file that is there


def test_a_file_that_is_there_is_not_changed(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    before = newcomer.file.read_text()
    done = newcomer.init("--client-id", "new", "--contact", "x@example.com", exit_code=2)
    assert_refused(newcomer, done, str(newcomer.file), "--force")
    assert newcomer.file.read_text() == before


def test_force_replaces_it_and_keeps_a_copy(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    newcomer.file.write_text(f'client_secret = "{SECRET}"\n')
    newcomer.file.chmod(0o644)
    for name in ("config.toml.before-init", "config.toml.before-init-2"):
        held = newcomer.file.read_text()
        copy = newcomer.file.with_name(name)
        assert str(copy) in newcomer.init(*GIVEN, "--force").stdout
        assert copy.read_text() == held
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert stat.S_IMODE(newcomer.file.stat().st_mode) == 0o600
    assert newcomer.settings().client_id == "abc"


OLD = """\
# mine
client_id = "old"
contact = "old@example.com"
min_age = "20m"  # often enough
workers = 3
client_secret = "S3cret-of-mine"
token_key_file = "KEYS"
colour = "red"
connections = 1000
"""


def old_file(newcomer: Newcomer) -> Path:
    """Give a newcomer a file with settings of all kinds; return where it is kept at the end."""
    keys = newcomer.home / "keys"
    keys.write_text("A" * 43 + "=\n")
    newcomer.file.parent.mkdir(parents=True)
    newcomer.file.write_text(OLD.replace("KEYS", str(keys)))
    newcomer.file.chmod(0o600)
    return newcomer.file.with_name("config.toml.before-init")


def test_force_keeps_every_valid_setting_of_the_old_file(newcomer: Newcomer) -> None:
    copy = old_file(newcomer)
    done = newcomer.init("--force", "--no-input")
    settings = newcomer.settings()
    assert (settings.client_id, settings.contact) == ("old", "old@example.com")
    assert (float(settings.min_age), settings.workers) == (1200, 3)
    assert (settings.client_secret, settings.token_key_file) == (SECRET, f"{newcomer.home}/keys")
    (line,) = done.stderr.splitlines()
    assert str(copy) in line
    assert line.endswith("colour, connections, its comments")
    assert SECRET not in done.stderr + done.stdout


CHANNELS = """
[[tell]]
name = "corp \u2026"
url = "discord://1/S3cret-of-mine"
what = ["losses"]
users = ["Zo\u00eb", 90000001]
min_value = "100m"
delay = "24h"

[[tell]]
name = "mine"
command = "notify --to 'a b'"
"""


def test_force_and_set_keep_the_channels(newcomer: Newcomer) -> None:
    old_file(newcomer)
    newcomer.file.write_text(newcomer.file.read_text().replace('colour = "red"\n', "") + CHANNELS)
    newcomer.file.write_text(newcomer.file.read_text().replace("connections = 1000\n", ""))
    channels = newcomer.settings().tell
    assert [channel.name for channel in channels] == ["corp …", "mine"]
    done = newcomer.init("--force", "--no-input")
    assert newcomer.settings().tell == channels
    assert SECRET not in done.stderr + done.stdout
    newcomer.init("--set", "max_pages=7")
    assert newcomer.settings().tell == channels
    assert newcomer.settings().max_pages == 7


def test_force_lets_flags_and_variables_override_the_old_file(newcomer: Newcomer) -> None:
    old_file(newcomer)
    secret = newcomer.home / "secret"
    secret.write_text("another\n")
    newcomer.init(
        *("--force", "--contact", "new@example.com", "--client-secret-file", str(secret)),
        KILLSYNC_WORKERS="5",
    )
    settings = newcomer.settings()
    assert (settings.client_id, settings.contact) == ("old", "new@example.com")
    assert (float(settings.min_age), settings.workers) == (1200, 5)
    assert (settings.client_secret, settings.client_secret_file) == ("", str(secret))


def test_force_again_finds_nothing_that_it_cannot_keep(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN, KILLSYNC_WORKERS="5")
    before = newcomer.file.read_text()
    done = newcomer.init("--force")
    assert done.stderr == ""
    assert newcomer.file.read_text() == before


@pytest.mark.parametrize("text", ["not TOML", 'contact = "Zo\u00eb"\nclient_id = 7\n'])
def test_force_replaces_a_file_of_which_nothing_is_valid(newcomer: Newcomer, text: str) -> None:
    newcomer.file.parent.mkdir(parents=True)
    newcomer.file.write_text(text)
    newcomer.file.chmod(0o600)
    done = newcomer.init("--force", *GIVEN)
    assert "not taken over from the old file" in done.stderr
    assert newcomer.settings().client_id == "abc"


def test_force_at_a_terminal_offers_the_old_values(newcomer: Newcomer) -> None:
    old_file(newcomer)
    terminal = newcomer.at_terminal("--force")
    terminal.answer("Client id of the application [old]: ", "")
    terminal.answer("Contact [old@example.com]: ", "new@example.com")
    terminal.answer("Log in with a character now? [Y/n]", "n")
    terminal.answer("Show the line for your crontab? [Y/n]", "n")
    shown = terminal.to_end()
    assert terminal.process.returncode == 0, shown
    settings = newcomer.settings()
    assert (settings.client_id, settings.contact) == ("old", "new@example.com")
    assert (settings.client_secret, settings.workers) == (SECRET, 3)


def test_another_application_does_not_keep_the_secret_of_the_old_one(newcomer: Newcomer) -> None:
    old_file(newcomer)
    terminal = newcomer.at_terminal("--force")
    terminal.answer("Client id of the application [old]: ", "new")
    terminal.answer("Its secret", "")
    terminal.answer("Contact [old@example.com]: ", "")
    terminal.answer("Log in with a character now? [Y/n]", "n")
    terminal.answer("Show the line for your crontab? [Y/n]", "n")
    terminal.to_end()
    settings = newcomer.settings()
    assert (settings.client_id, settings.client_secret) == ("new", "")


def test_set_changes_one_setting_and_leaves_the_rest(newcomer: Newcomer) -> None:
    old_file(newcomer)
    before = newcomer.file.read_text()
    done = newcomer.init("--set", "workers=4", "--set", "min_age=25m", "--set", "max_pages=7")
    assert newcomer.file.read_text() == before.replace("workers = 3", "workers = 4").replace(
        'min_age = "20m"', 'min_age = "25m"'
    ) + ("max_pages = 7\n")
    assert str(newcomer.file) in done.stdout
    assert stat.S_IMODE(newcomer.file.stat().st_mode) == 0o600
    assert len(newcomer.files()) == 2


def test_set_writes_below_the_line_that_shows_the_default(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    before = newcomer.file.read_text()
    newcomer.init("--set", "workers=4", "--set", 'contact=me\\1 "x"')
    shown = "#workers = 1\n"
    assert newcomer.file.read_text() == before.replace(shown, f"{shown}workers = 4\n").replace(
        '"me@example.com"', r'"me\\1 \"x\""'
    )


def test_set_replaces_a_secret_by_its_file(newcomer: Newcomer) -> None:
    old_file(newcomer)
    secret = newcomer.home / "secret"
    secret.write_text("another\n")
    newcomer.init("--set", "client_secret_file=~/secret")
    assert SECRET not in newcomer.file.read_text()
    assert tomllib.loads(newcomer.file.read_text())["client_secret_file"] == str(secret)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("workers=many", "workers is 'many': expected a whole number\n"),
        ("workers=0", "workers is '0': expected a whole number of at least 1\n"),
        ("reserve=1", "reserve is '1': expected a number of at most 0.9\n"),
        ("client_secret_file=/nonexistent", "client_secret_file: /nonexistent cannot be read"),
        ("token_key=hunter2", "token_key: key 1 is not 32 random bytes in base64"),
        ("workers=1000", "workers is '1000'"),
        ("min_age=5", "min_age is '5'"),
        ("esi_url=http://example.com", "esi_url"),
        ("worker=2", "unknown key 'worker', set to '2'; workers may be meant"),
        ("contact=Zo\u00eb", "contact"),
        ("workers", "KEY=VALUE"),
        ("tell=corp", "tell takes tables"),
        ("db=k\udcff.db", "cannot be written"),
    ],
)
def test_set_refuses_what_the_file_could_not_hold(
    newcomer: Newcomer, change: str, says: str
) -> None:
    newcomer.init(*GIVEN)
    before = newcomer.file.read_text()
    assert_refused(newcomer, newcomer.init("--set", change, exit_code=2), says)
    assert newcomer.file.read_text() == before


def test_set_leaves_a_file_that_is_not_valid(newcomer: Newcomer) -> None:
    newcomer.file.parent.mkdir(parents=True)
    newcomer.file.write_text("workers = \n")
    assert_refused(newcomer, newcomer.init("--set", "workers=2", exit_code=2), "not valid TOML")
    assert newcomer.file.read_text() == "workers = \n"


def test_set_writes_a_file_if_there_is_none(newcomer: Newcomer) -> None:
    done = newcomer.init("--set", "workers=2", "--set", "client_id=abc")
    assert f"workers, client_id set in {newcomer.file}, which is new" in done.stdout
    assert tomllib.loads(newcomer.file.read_text()) == {"client_id": "abc", "workers": 2}
    assert stat.S_IMODE(newcomer.file.stat().st_mode) == 0o600


def test_set_says_what_the_environment_overrides(newcomer: Newcomer) -> None:
    done = newcomer.init("--set", "workers=4", KILLSYNC_WORKERS="9")
    assert done.stderr == "killsync: not in force here: the environment sets KILLSYNC_WORKERS\n"


def test_set_leaves_no_empty_line_in_an_empty_file(newcomer: Newcomer) -> None:
    newcomer.file.parent.mkdir(parents=True)
    newcomer.file.touch()
    newcomer.init("--set", "workers=4")
    assert newcomer.file.read_text() == "workers = 4\n"


def test_a_key_that_cannot_seal_is_refused_at_once(newcomer: Newcomer) -> None:
    done = newcomer.init(*GIVEN, KILLSYNC_TOKEN_KEY="hunter2", exit_code=2)
    assert "key 1 is not 32 random bytes" in done.stderr
    assert "hunter2" not in done.stderr
    assert newcomer.files() == []


@pytest.mark.parametrize("change", [f"client_secret={SECRET}\u00eb", f"client_secrt={SECRET}"])
def test_set_shows_no_secret_that_it_refuses(newcomer: Newcomer, change: str) -> None:
    done = newcomer.init("--set", change, exit_code=2)
    assert_refused(newcomer, done, change.partition("=")[0])
    assert SECRET not in done.stderr


def test_set_says_where_tables_are_written(newcomer: Newcomer) -> None:
    done = newcomer.init("--set", "tell=discord://a/b", exit_code=2)
    assert_refused(newcomer, done, "[[tell]]", str(newcomer.file))
    assert "discord" not in done.stderr


KEYS = st.sampled_from(["workers", "max_pages", "connections"])
COMMENTS = st.sampled_from(
    ["", "# x", "#workers = 1", "#max_pages=50", "[table]", "[[tell]]", "x = , "]
)


@given(st.lists(COMMENTS, max_size=6), KEYS, st.integers(1, 64))
def test_a_changed_text_sets_the_key_and_nothing_else(lines: list[str], key: str, n: int) -> None:
    text = "\n".join(lines)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert tomllib.loads(edit.changed(text, {key: n})) == before | {key: n}


def test_a_variable_that_is_no_setting_is_named_in_a_warning(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    environment = newcomer.environment | {"KILLSYNC_WORKER": "3", "KILLSYNC_CONFIG": ""}
    done = run_here("status", environment=environment)
    (first, _) = done.stderr.splitlines()
    assert "KILLSYNC_WORKER is not a setting, and does nothing; KILLSYNC_WORKERS may be" in first
    assert "KILLSYNC_WORKER is not" in newcomer.init(*GIVEN, "--force", KILLSYNC_WORKER="3").stderr


@pytest.mark.parametrize("command", ["kills", "users", "scan"])
def test_every_command_names_a_misspelt_variable_and_never_its_value(
    newcomer: Newcomer, command: str
) -> None:
    newcomer.init(*GIVEN)
    environment = newcomer.environment | {"KILLSYNC_CLIENT_SECRT": SECRET}
    done = run_here(*command.split(), environment=environment)
    assert "KILLSYNC_CLIENT_SECRT is not a setting" in done.stderr.splitlines()[0]
    assert SECRET not in done.stdout + done.stderr
    quiet = run_here("--quiet", *command.split(), environment=environment)
    assert "KILLSYNC_CLIENT_SECRT" not in quiet.stderr


def test_the_target_of_a_link_is_written(newcomer: Newcomer, tmp_path: Path) -> None:
    newcomer.file.parent.mkdir(parents=True)
    newcomer.file.symlink_to(tmp_path / "dotfiles.toml")
    newcomer.init(*GIVEN)
    assert newcomer.file.is_symlink()
    assert (tmp_path / "dotfiles.toml").is_file()


def test_a_device_is_not_replaced(newcomer: Newcomer) -> None:
    done = newcomer.init(*GIVEN, "--force", exit_code=2, KILLSYNC_CONFIG="/dev/null")
    assert_refused(newcomer, done, "/dev/null", "--config")


# the line for cron


def cron_line(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("*/10 ")]
    return line


def test_the_line_for_cron_works_in_an_empty_environment(newcomer: Newcomer) -> None:
    line = cron_line(newcomer.init(*GIVEN).stdout)
    command = line.removeprefix("*/10 * * * * ").partition(" scan ")[0]
    done = subprocess.run(
        ["env", "-i", "/bin/sh", "-c", f"{command} --version"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout[:9]) == (0, b"killsync ")


@pytest.mark.parametrize("path", ["/a/killsync", "/a b/killsync", "/100%/k'x/killsync"])
def test_cron_understands_the_line_whatever_the_paths_hold(path: str) -> None:
    line = crontab.entry([path], Path(f"{path}.toml"), Path(path).parent)
    assert not re.search(r"(?<!\\)%", line)
    # what cron makes of it
    command = line.removeprefix("*/10 * * * * ").replace("\\%", "%")
    log = f"{Path(path).parent}/killsync.log"
    words = [path, "--config", f"{path}.toml", "scan", "--splay", "45s", ">>", log, "2>&1"]
    assert shlex.split(command) == words


def test_the_usual_configuration_file_is_not_named() -> None:
    line = crontab.entry(["/a/k"], Path("/home/me/.config/killsync/config.toml"), Path("/home/me"))
    assert line == "*/10 * * * * /a/k scan --splay 45s >> /home/me/killsync.log 2>&1"


# at a terminal


def test_a_newcomer_is_asked_for_id_secret_and_contact(newcomer: Newcomer) -> None:
    terminal = newcomer.at_terminal()
    terminal.answer("Client id", "abc")
    terminal.answer("secret", SECRET)
    terminal.answer("Contact:", "me@example.com")
    terminal.answer("Log in with a character now? [Y/n]", "n")
    terminal.answer("Show the line for your crontab? [Y/n]", "")
    shown = terminal.to_end()
    assert terminal.process.returncode == 0
    for part in (
        "https://developers.eveonline.com",
        "http://localhost:8635/callback",
        "esi-killmails.read_killmails.v1",
        "esi-killmails.read_corporation_killmails.v1",
        "killsync",
    ):
        assert part in shown
    assert SECRET not in shown
    assert cron_line(shown)
    settings = newcomer.settings()
    assert (settings.client_id, settings.contact) == ("abc", "me@example.com")
    assert settings.client_secret == SECRET


def test_a_wrong_answer_is_explained_and_asked_for_again(newcomer: Newcomer) -> None:
    terminal = newcomer.at_terminal()
    terminal.answer("Client id", "")
    terminal.answer("client_id is empty", "abc")
    terminal.answer("secret", "two words")
    # what is typed before the question is there is dropped
    terminal.answer("client_secret must be one word of plain ASCII", "", then="Its secret")
    terminal.answer("Contact:", "Zoë")
    terminal.answer("plain ASCII", "me@example.com")
    terminal.answer("Log in with a character now? [Y/n]", "perhaps")
    terminal.answer("Answer y or n.", "n")
    terminal.answer("Show the line for your crontab? [Y/n]", "n")
    shown = terminal.to_end()
    assert "*/10" not in shown
    assert newcomer.settings().contact == "me@example.com"
    assert newcomer.settings().client_secret == ""


def test_what_is_known_is_not_asked_for(killsync: Callable[..., Killsync]) -> None:
    program = killsync(users=False)
    terminal = Terminal(program, "init")
    terminal.answer("Log in with a character now? [Y/n]", "n")
    assert "Client id" not in terminal.shown
    assert "Contact" not in terminal.shown
    terminal.answer("Show the line for your crontab? [Y/n]", "n")
    terminal.to_end()
    assert terminal.process.returncode == 0


def test_a_login_follows_at_once_if_wanted(killsync: Callable[..., Killsync]) -> None:
    program = killsync(users=False, characters=1)
    program.environment["KILLSYNC_CALLBACK_URL"] = f"http://localhost:{free_port()}/callback"
    terminal = Terminal(program, "init", columns=1000, BROWSER="true")
    terminal.answer("Log in with a character now? [Y/n]", "y")
    terminal.wait_for("Waiting")
    (url,) = re.findall(r"(http\S+authorize\S+)", terminal.shown)
    assert "is registered" in fetched(url)
    terminal.answer("Show the line for your crontab? [Y/n]", "y")
    shown = terminal.to_end()
    assert terminal.process.returncode == 0
    assert f"added {program.simulator.logins[0]['name']}" in shown
    assert "*/10 * * * *" in shown
    # all that cron needs stands in the file
    program.environment = {name: program.environment[name] for name in ("PATH", "HOME")}
    program.run("scan")
    program.assert_equals_truth()


# a question that is answered in the open, one that is not, and the last one
CTRL_C = (Terminal.interrupt, 130, "")
CTRL_D = (lambda terminal: terminal.type("\x04"), 2, "nothing was written")


@pytest.mark.parametrize(
    ("answers", "end", "exit_code", "says"),
    [
        ([], *CTRL_D),
        (["Client id"], *CTRL_C),
        (["Client id"], *CTRL_D),
        (["Client id", "secret"], *CTRL_C),
    ],
    ids=["ctrl-d at first", "ctrl-c in secret", "ctrl-d in secret", "ctrl-c at last"],
)
def test_breaking_off_leaves_no_file(
    newcomer: Newcomer,
    answers: list[str],
    end: Callable[[Terminal], None],
    exit_code: int,
    says: str,
) -> None:
    terminal = newcomer.at_terminal()
    for question in answers:
        terminal.answer(question, "abc")
    terminal.wait_for(["Client id of the application: ", "none): ", "Contact: "][len(answers)])
    end(terminal)
    shown = terminal.to_end()
    assert terminal.process.returncode == exit_code, shown
    assert says in shown
    assert "Traceback" not in shown
    assert newcomer.files() == []


def test_ctrl_d_at_an_offer_declines_it(newcomer: Newcomer) -> None:
    terminal = newcomer.at_terminal(*GIVEN)
    for offer in ("Log in with a character now? [Y/n] ", "your crontab? [Y/n] "):
        terminal.wait_for(offer)
        terminal.type("\x04")
    shown = terminal.to_end()
    assert terminal.process.returncode == 0
    assert "*/10" not in shown
    assert newcomer.files() == [".config/killsync/config.toml"]
