"""The command line itself: help, global options, exit codes, logs, and what each of them spares."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import run as run_command
from every_command import COMMANDS, WORDS, command_at
from here import run_here
from new_store import new_store
from permissions import bound
from world import TIMEOUT, Killsync

from killsync import __version__
from killsync.cli.app import SUMMARIES

Make = Callable[..., Killsync]
Done = subprocess.CompletedProcess[str]


def run(*arguments: str, **environment: str) -> Done:
    """Run killsync in this process, with no simulator."""
    return run_here(*arguments, environment=bare() | environment)


def run_forked(*arguments: str, **environment: str) -> Done:
    """Run killsync in a process of its own, with no simulator."""
    return run_command(*arguments, environment=bare() | environment)


# runs one command after the other, with a line after each
ONE_BY_ONE = """
import json, sys
from killsync.__main__ import main
for arguments in json.loads(sys.argv.pop()):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        print(f"exit code {end.code}", file=sys.stderr)
"""


def run_bound_by_permissions(
    commands: Sequence[tuple[str, ...]], environment: dict[str, str]
) -> Done:
    """Run commands one after the other, so that file permissions bind them."""
    return start(bound([sys.executable, "-c", ONE_BY_ONE, json.dumps(commands)]), environment)


def start(words: list[str], environment: dict[str, str]) -> Done:
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=bare() | environment,
        check=False,
    )


def bare() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


def contents(directory: Path) -> dict[str, bytes | None]:
    """Return every file and directory; SQLite's own shared memory beside a database is no change.

    A WAL that is empty, or is not there, are the same.
    """
    found = {}
    for path in directory.rglob("*"):
        content = path.read_bytes() if path.is_file() else None
        if not path.name.endswith("-shm") and (content or not path.name.endswith("-wal")):
            found[str(path.relative_to(directory))] = content
    return found


def assert_one_line(done: Done, *parts: str) -> None:
    """Check for usage error 2, explained in one line that holds all parts."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("killsync: ")
    for part in parts:
        assert part in done.stderr


def assert_each_refused(done: Done, count: int, *parts: str) -> None:
    """Check for usage error 2 of each command of `ONE_BY_ONE`, in one line that holds all parts."""
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[1::2] == ["exit code 2"] * count
    assert len(lines) == 2 * count
    for line in lines[::2]:
        assert line.startswith("killsync: ")
        assert all(part in line for part in parts), line


def assert_refused(program: Killsync, *arguments: str, says: tuple[str, ...] = ()) -> None:
    """Check for exit 2, one line, not one request, and no file made or changed."""
    program.simulator.clear_log()
    before = contents(program.directory)
    assert_one_line(run_here(*arguments, environment=program.environment), *says)
    assert contents(program.directory) == before
    assert program.simulator.log() == []


# ---- help, version, completion


@pytest.mark.parametrize("path", COMMANDS, ids=WORDS)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    done = run(*path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {' '.join(('killsync', *path))} ")
    command = command_at(path)
    assert command.help.split()[0] in done.stdout
    for parameter in command.params:
        for option in parameter.opts:
            assert not option.startswith("-") or option in done.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=WORDS)
def test_every_command_and_option_has_a_help_text(path: tuple[str, ...]) -> None:
    command = command_at(path)
    assert command.help
    assert [parameter.name for parameter in command.params if not parameter.help] == []


def test_the_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"killsync {__version__}\n")


def test_the_installed_command_is_the_same_as_the_module() -> None:
    installed = shutil.which("killsync", path=str(Path(sys.executable).parent))
    assert installed is not None
    done = subprocess.run([installed, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == run("--help").stdout


def test_the_help_of_a_command_in_a_process_of_its_own() -> None:
    assert run_forked("scan", "--help").stdout == run("scan", "--help").stdout


def test_help_may_be_short() -> None:
    assert run("scan", "-h").stdout == run("scan", "--help").stdout


def test_no_command_shows_the_help() -> None:
    done = run()
    assert done.stdout + done.stderr == run("--help").stdout


# ---- global options


@pytest.mark.parametrize(
    "arguments",
    [
        ("--db", "DB", "status", "--json"),
        ("status", "--db", "DB", "--json"),
        ("status", "--json", "--db=DB"),
        ("-q", "-v", "--log-format", "json", "--db", "DB", "status", "--json"),
        ("status", "--json", "-q", "-v", "--log-format=json", "--db", "DB"),
        ("--config", "CONFIG", "status", "--json"),
        ("status", "--config", "CONFIG", "--json"),
    ],
    ids=" ".join,
)
def test_global_options_stand_before_or_after_the_command(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    database, config = tmp_path / "own.db", tmp_path / "own.toml"
    new_store(database).close()
    config.touch(0o600)
    config.write_text(f'db = "{database}"\n')
    done = run(*(a.replace("DB", str(database)).replace("CONFIG", str(config)) for a in arguments))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["database"] == str(database)


def test_the_flag_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f'db = "{tmp_path}/file.db"\n')
    environment = {"KILLSYNC_CONFIG": str(config)}
    assert "file.db" in run("status", **environment).stderr
    environment |= {"KILLSYNC_DB": str(tmp_path / "environment.db")}
    assert "environment.db" in run("status", **environment).stderr
    assert "flag.db" in run("--db", str(tmp_path / "flag.db"), "status", **environment).stderr


def test_the_database_is_in_the_data_directory_by_default(tmp_path: Path) -> None:
    assert (
        f"{tmp_path}/data/killsync/killsync.db"
        in run("status", XDG_DATA_HOME=str(tmp_path / "data")).stderr
    )


def test_the_file_is_in_the_configuration_directory_by_default(tmp_path: Path) -> None:
    config = tmp_path / "config" / "killsync" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("db = 5\n")
    assert_one_line(run("status", XDG_CONFIG_HOME=str(tmp_path / "config")), str(config), "db", "5")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("scan", "--nonsense"), ("--nonsense", "scan"), ("scan", "more")]
)
def test_an_unknown_word_exits_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[-1].lstrip("-") in done.stderr or "--nonsense" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("-v", "status"), ("status", "--verbose")])
def test_verbose_shows_a_traceback_before_the_line(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1] == run("status").stderr.strip()


# ---- wrong settings

WRONG = [
    ("min_age", "15"),
    ("min_age", "-5m"),
    ("page_delay", "fast"),
    ("full_every", "1w"),
    ("alert_after", ""),
    ("max_pages", "0"),
    ("max_pages", "many"),
    ("workers", "0"),
    ("workers", "1.5"),
    ("connections", "1000"),
    ("reserve", "2"),
    ("reserve", "nan"),
    ("max_runtime", "9"),
    ("esi_url", "http://esi.evetech.net"),
    ("sso_url", "login.eveonline.com"),
]


@pytest.mark.parametrize(("key", "value"), [pair for pair in WRONG if pair[1]])
def test_a_wrong_value_in_the_environment(tmp_path: Path, key: str, value: str) -> None:
    done = run("scan", **{f"KILLSYNC_{key.upper()}": value})
    assert_one_line(done, key, value, "environment")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "literal"),
    [(key, json.dumps(value)) for key, value in WRONG]
    + [("min_age", "15"), ("workers", '"4"'), ("workers", "true"), ("db", "5"), ("reserve", "nan")],
)
def test_a_wrong_value_in_the_file(tmp_path: Path, key: str, literal: str) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f"{key} = {literal}\n")
    done = run("scan", KILLSYNC_CONFIG=str(config))
    assert_one_line(done, str(config), key, literal.strip('"').replace("true", "True"))
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize(
    ("option", "value"), [("--workers", "0"), ("--max-runtime", "9"), ("--splay", "soon")]
)
def test_a_wrong_value_on_the_command_line(tmp_path: Path, option: str, value: str) -> None:
    done = run("scan", option, value)
    assert_one_line(done, option.strip("-").replace("-", "_"), value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text('mim_age = "15m"\n')
    assert_one_line(run("status", "--config", str(config)), str(config), "mim_age")


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text("workers = \n")
    assert_one_line(run("status", "--config", str(config)), str(config), "line 1")


def test_a_named_file_that_is_missing(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    assert_one_line(run("status", "--config", str(config)), str(config))


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text("client_secret = 123456\n")
    done = run("status", "--config", str(config))
    assert_one_line(done, str(config), "client_secret")
    assert "123456" not in done.stderr


@pytest.mark.parametrize("missing", ["client_id", "contact"])
def test_a_scan_without_what_esi_asks_for_makes_no_file(tmp_path: Path, missing: str) -> None:
    given = {"KILLSYNC_CLIENT_ID": "mine", "KILLSYNC_CONTACT": "ops@example.com"}
    del given[f"KILLSYNC_{missing.upper()}"]
    assert_one_line(run("scan", KILLSYNC_DB=str(tmp_path / "killsync.db"), **given), missing)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_refused_in_a_process_of_its_own(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text("workers = 0\n")
    assert_one_line(run_forked("scan", KILLSYNC_CONFIG=str(config)), str(config), "workers", "0")
    assert_one_line(run_forked("scan", KILLSYNC_WORKERS="0"), "workers", "0", "environment")
    assert_one_line(run_forked("scan", "--workers", "0"), "workers", "0")
    assert_one_line(run_forked("export", "--user", "999"), "killsync init")
    assert "--nonsense" in run_forked("scan", "--nonsense").stderr
    assert list(tmp_path.iterdir()) == [config]


# ---- unknown users

NAMING = [
    ("sync", "USER"),
    ("sync", "--user", "USER"),
    ("status", "--user", "USER"),
    ("kills", "--user", "USER"),
    ("export", "--user", "USER"),
    ("users", "disable", "USER"),
    ("users", "enable", "USER"),
    ("users", "remove", "USER"),
]


def test_an_unknown_user_is_refused_and_the_nearest_named(killsync: Make) -> None:
    program = killsync(characters=2, killmails=0)
    name = program.simulator.logins[1]["name"]
    for arguments in NAMING:
        words = [a.replace("USER", name[1:]) for a in arguments]
        assert_refused(program, *words, says=(name[1:], name))


def test_one_unknown_user_among_several_syncs_none(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    assert_refused(program, "sync", program.simulator.logins[0]["name"], "999", says=("999",))
    assert program.status()["jobs"]["queued"] == 0


def test_without_a_database_every_user_is_unknown_and_none_is_created(killsync: Make) -> None:
    program = killsync()
    for arguments in NAMING:
        assert_refused(program, *arguments, says=("killsync login",))


# ---- databases that cannot be used

USING = [
    ("scan",),
    ("status",),
    ("status", "--json"),
    ("users",),
    ("kills",),
    ("export",),
    ("feed", "postgres", "service=nothing"),
    ("sync", "90000001"),
    ("users", "disable", "90000001"),
    ("import", "everef", "--days", "2016-02-01"),
]


def test_a_text_file_is_refused(killsync: Make) -> None:
    program = killsync()
    program.database.write_text("Dear diary,\n" * 200)
    forked = program.run("status", exit_code=2)
    assert_one_line(forked, str(program.database), "not an SQLite database")
    for arguments in USING:
        assert_refused(program, *arguments, says=(str(program.database), "not an SQLite database"))


def test_the_database_of_another_program_is_refused(killsync: Make) -> None:
    program = killsync()
    with closing(sqlite3.connect(program.database)) as conn, conn:
        conn.execute("CREATE TABLE users (user_id INTEGER PRIMARY KEY, name TEXT)")
    for arguments in USING:
        assert_refused(program, *arguments, says=(str(program.database), "another program"))


def test_a_newer_database_is_refused(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    program.execute("PRAGMA user_version = 99")
    for arguments in USING:
        assert_refused(program, *arguments, says=(str(program.database), "newer", "99"))


def test_a_database_that_may_not_be_read_is_refused(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    before = contents(program.directory)
    program.database.chmod(0)
    done = run_bound_by_permissions(USING, program.environment)
    assert_each_refused(done, len(USING), str(program.database), "ermission")
    program.database.chmod(0o600)
    assert contents(program.directory) == before


def test_a_directory_that_may_not_be_written_is_refused(killsync: Make, tmp_path: Path) -> None:
    program = killsync()
    directory = tmp_path / "locked"
    directory.mkdir(mode=0o500)
    environment = program.environment | {"KILLSYNC_DB": str(directory / "killsync.db")}
    done = run_bound_by_permissions((("scan",), ("sync", "90000001")), environment)
    assert_each_refused(done, 2, str(directory / "killsync.db"))
    assert list(directory.iterdir()) == []


def test_a_directory_in_place_of_the_database_is_refused(killsync: Make) -> None:
    program = killsync()
    program.database.mkdir()
    for command in ("scan", "status"):
        assert_refused(program, command, says=(str(program.database),))


def test_another_host_is_refused(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    usual = dict(program.environment)
    for variable in ("KILLSYNC_ESI_URL", "KILLSYNC_SSO_URL"):
        other = program.simulator.url.replace("127.0.0.1", "127.0.0.2")
        program.environment = usual | {variable: other}
        said = ("this database belongs to 127.0.0.1", f"{variable} says 127.0.0.2")
        for arguments in (("scan",), ("scan", "--force"), ("sync", "90000001")):
            assert_refused(program, *arguments, says=said)


def test_no_refresh_token_is_given_to_another_host(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    program.environment["KILLSYNC_SSO_URL"] = program.simulator.url.replace(".1:", ".2:")
    program.simulator.clear_log()
    token = program.simulator.logins[0]["refresh_token"]
    done = program.run("users", "add", given=f"{token}\n", exit_code=2)
    assert_one_line(done, "this database belongs to 127.0.0.1")
    assert program.simulator.log() == []


# ---- what a scan writes to standard error


def scan_as_json(program: Killsync, *arguments: str, exit_code: int = 0) -> list[dict[str, Any]]:
    done = program.run("scan", *arguments, "--log-format", "json", exit_code=exit_code)
    return [json.loads(line) for line in (done.stderr + done.stdout).splitlines()]


def assert_events(lines: list[dict[str, Any]]) -> None:
    assert lines
    for line in lines:
        assert isinstance(line["event"], str)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])


def test_a_json_log_is_an_object_a_line(killsync: Make) -> None:
    program = killsync(characters=2, killmails=3, page_size=2)
    lines = scan_as_json(program)
    assert_events(lines)
    user_ids = {line["user_id"] for line in lines if "user_id" in line}
    assert user_ids == {login["character_id"] for login in program.simulator.logins}


@pytest.mark.parametrize(
    ("route", "status", "exit_code"),
    [
        ("list", 400, 75),
        ("body", 400, 1),
        ("token", 400, 75),
        ("list", 503, 75),
        ("body", 503, 75),
        ("token", 503, 75),
    ],
)
def test_a_json_log_is_still_one_when_something_fails(
    killsync: Make, route: str, status: int, exit_code: int
) -> None:
    program = killsync(characters=3, killmails=3, shared=0)
    if route == "token":
        program.environment["KILLSYNC_WORKERS"] = "3"
        program.expire_access()
    program.simulator.fault(route, status=status)
    assert_events(scan_as_json(program, exit_code=exit_code))


def test_a_json_log_is_still_one_when_the_time_is_over(killsync: Make) -> None:
    program = killsync(characters=3, killmails=5, latency_body=0.5, latency_list=0.5)
    assert_events(scan_as_json(program, "--max-runtime", "1s"))


def test_a_text_log_begins_each_line_with_the_time(killsync: Make) -> None:
    program = killsync(characters=2, killmails=3)
    lines = program.run("scan").stderr.splitlines()
    assert lines
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S", line)


def test_a_quiet_scan_with_nothing_wrong_prints_nothing(killsync: Make) -> None:
    program = killsync(characters=2, killmails=3)
    for _ in range(2):
        done = program.run("scan", "--quiet")
        assert done.stdout == done.stderr == ""


def test_the_result_goes_to_standard_output(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    assert "3 killmails stored" in program.run("scan").stdout


# ---- a fast start

# only a way out needs these
HEAVY = {
    *("pyarrow", "adbc_driver_manager", "psycopg", "pyspark"),
    *("duckdb", "pandas", "numpy"),
}
SLOW = {"requests", "authlib", "joserfc", "sqlite_utils", "rich", "urllib3", "tenacity", *HEAVY}

# ends like a command, and then writes what it has imported
PRINT_MODULES = """
import atexit, sys
from killsync.__main__ import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main()
"""


def run_and_trace(*arguments: str, **environment: str) -> tuple[Done, set[str]]:
    """Run killsync in an interpreter of its own; return the modules that it imported, too."""
    done = start([sys.executable, "-c", PRINT_MODULES, *arguments], environment)
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.splitlines()[-1].split())
    assert "killsync.cli.app" in modules
    return done, modules


@pytest.mark.parametrize(
    ("arguments", "read", "environment"),
    [
        (("--version",), set(), {}),
        (("--help",), set(), {}),
        (("sync", "-h"), {"sync"}, {}),
        (("killsync sy", "sy"), set(), {"_KILLSYNC_COMPLETE": "bash"}),
        (("killsync sync ma", "ma"), {"sync"}, {"_KILLSYNC_COMPLETE": "bash"}),
    ],
)
def test_help_and_completion_import_nothing_slow_and_no_other_command(
    arguments: tuple[str, ...], read: set[str], environment: dict[str, str]
) -> None:
    _, modules = run_and_trace(*arguments, **environment)
    assert modules & SLOW == set()
    names = {f"killsync.cli.{path[0]}" for path in COMMANDS if path}
    assert modules & names == {f"killsync.cli.{name}" for name in read}


def test_the_help_names_each_command_with_a_line_of_its_own() -> None:
    lines = run("--help", COLUMNS="80").stdout.splitlines()
    for name, summary in SUMMARIES.items():
        assert f"  {name:<9}  {summary}" in lines


def test_with_nothing_due_nothing_slow_is_imported(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    program.run("scan")
    for arguments in (("status", "--json"), ("scan",), ("scan", "--quiet")):
        done, modules = run_and_trace(*arguments, **program.environment)
        assert modules & SLOW == set(), arguments
        assert "due" in done.stdout or "--quiet" in arguments


def test_what_scans_and_shows_imports_nothing_of_the_ways_out(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2)
    for arguments in (
        ("scan",),
        ("status",),
        ("kills",),
        ("export", "--format", "jsonl"),
        ("--help",),
    ):
        done, modules = run_and_trace(*arguments, **program.environment)
        assert modules & HEAVY == set(), arguments
        assert done.stdout
    assert len(program.rows("SELECT 1 FROM killmails")) == 2
