"""`killsync doctor`: it finds what is wrong, says how to fix it, and changes nothing."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from campaign.clock import Clock
from world import TIMEOUT, Killsync, run_in_progress, simulator

from killsync.times import DAY, iso

Make = Callable[..., Killsync]
NOWHERE = "http://127.0.0.1:9"
SECRET = "S3cret-of-mine"
AREAS = ["settings", "files", "database", "logins", "runs", "network", "cron"]


class Examined:
    """What a doctor has found."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        report = json.loads(done.stdout)
        self.findings: list[dict[str, Any]] = report["findings"]
        self.output = done.stdout + done.stderr
        levels = [finding["level"] for finding in self.findings]
        assert report["problems"] == levels.count("problem")
        assert report["warnings"] == levels.count("warning")
        assert report["ok"] is (done.returncode == 0) is (report["problems"] == 0)
        for finding in self.findings:
            assert "\n" not in finding["text"] + finding["cure"]
            assert (finding["level"] in ("warning", "problem")) == bool(finding["cure"])

    def of(self, subject: str, *levels: str) -> list[dict[str, Any]]:
        """Return what is wrong with a subject."""
        wanted = levels or ("warning", "problem")
        return [f for f in self.findings if f["subject"] == subject and f["level"] in wanted]

    def assert_reported(self, level: str, subject: str, *parts: str) -> None:
        """Check that there is one line of this level whose text and cure hold all parts."""
        lines = [f"{found['text']} -> {found['cure']}" for found in self.of(subject, level)]
        assert any(all(part in line for part in parts) for line in lines), self.output


def set_crontab(program: Killsync, text: str | None, *, answer: str = "no crontab for me") -> None:
    """Make `crontab -l` show this."""
    directory = program.directory / "bin"
    directory.mkdir(exist_ok=True)
    shown = f"cat <<'END'\n{text}\nEND" if text is not None else f"echo '{answer}' >&2; exit 1"
    fake = directory / "crontab"
    fake.write_text(f"#!/bin/sh\n{shown}\n")
    fake.chmod(0o755)
    program.environment["PATH"] = f"{directory}:{os.environ['PATH']}"


def examine(program: Killsync, *arguments: str, **environment: str) -> Examined:
    return Examined(program.run("doctor", "--json", *arguments, exit_code=None, **environment))


def contents(directory: Path) -> dict[str, bytes]:
    """Return every file, but for what SQLite keeps beside a database while it is read."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {
        str(path): path.read_bytes()
        for path in files
        if not path.name.endswith("-shm")
        and not (path.name.endswith("-wal") and not path.stat().st_size)
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Killsync, str]]:
    """Set everything up as README says: init, users, a scan, the line that init shows."""
    directory = tmp_path_factory.mktemp("installed")
    with simulator(characters=2, killmails=1) as esi:
        program = Killsync(directory, esi)
        shown = program.run("init", "--no-input").stdout
        (line,) = [line for line in shown.splitlines() if line.startswith("*/10 ")]
        program.environment = {name: program.environment[name] for name in ("PATH", "HOME")}
        program.add_users()
        program.run("scan")
        yield program, line


@pytest.fixture
def well(installed: tuple[Killsync, str], tmp_path: Path) -> Killsync:
    """Give a test such an installation of its own; the simulator is the same."""
    template, line = installed
    program = Killsync(tmp_path, template.simulator)
    program.environment = template.environment | {"HOME": str(tmp_path)}
    shutil.copytree(template.directory, tmp_path, dirs_exist_ok=True)
    config = tmp_path / ".config/killsync/config.toml"
    moved = (str(template.directory), str(tmp_path))
    config.write_text(config.read_text().replace(*moved))
    set_crontab(program, line.replace(*moved))
    program.simulator.clear_faults()
    # the scans before it knew the database and the configuration by another name
    program.run("scan")
    return program


@pytest.fixture
def bare(killsync: Make) -> Killsync:
    """Have nothing but a simulator's addresses in the environment, and no crontab."""
    program = killsync(users=False)
    set_crontab(program, None)
    return program


# everything


def test_of_an_installation_that_is_well_nothing_is_to_fix(well: Killsync) -> None:
    found = examine(well)
    assert [f for f in found.findings if f["level"] != "ok"] == []
    assert list(dict.fromkeys(f["area"] for f in found.findings)) == AREAS


def test_it_changes_nothing(well: Killsync) -> None:
    Path(f"{well.database}.tokens").chmod(0o644)
    before = contents(well.directory)
    examine(well)
    assert contents(well.directory) == before
    assert Path(f"{well.database}.tokens").stat().st_mode & 0o777 == 0o644


def test_it_does_not_wait_for_a_run(well: Killsync) -> None:
    with run_in_progress(well):
        assert examine(well).of("database") == []


def test_a_person_reads_a_line_and_its_cure(bare: Killsync) -> None:
    lines = bare.run("doctor", exit_code=1).stdout.splitlines()
    place = next(n for n, line in enumerate(lines) if "problem" in line and "users:" in line)
    assert lines[place + 1].strip().startswith("-> ")
    assert lines[place + 1].endswith(" login")
    assert "to fix" in lines[-1]


def test_a_quiet_one_tells_only_what_is_wrong(well: Killsync) -> None:
    assert well.run("doctor", "--quiet").stdout == ""
    set_crontab(well, None)
    well.execute("DELETE FROM runs")
    lines = well.run("doctor", "--quiet").stdout.splitlines()
    assert len(lines) == 3
    assert "nothing is synced by itself" in lines[1]


def test_cron_has_no_environment(well: Killsync) -> None:
    words = [sys.executable, "-m", "killsync", "doctor", "--json", "--config"]
    done = subprocess.run(
        [*words, str(well.directory / ".config/killsync/config.toml")],
        env={},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Examined(done).of("database") == []


# settings


def test_a_newcomer_is_told_what_is_missing_and_esi_is_not_asked(bare: Killsync) -> None:
    bare.environment = {name: bare.environment[name] for name in ("PATH", "HOME")}
    bare.environment["KILLSYNC_SSO_URL"] = NOWHERE
    before = contents(bare.directory)
    found = examine(bare)
    for subject in ("client_id", "contact"):
        found.assert_reported("problem", subject, "is not set", " init")
    found.assert_reported("problem", "database", "does not exist yet", " login")
    found.assert_reported("problem", "users", "there are none yet", " login")
    found.assert_reported("warning", "scan", "nothing is synced by itself", "*/10 * * * * ")
    assert found.of("ESI", "skipped")
    assert contents(bare.directory) == before


def test_a_file_that_is_no_toml_is_told_and_the_rest_is_looked_at(well: Killsync) -> None:
    file = well.directory / ".config/killsync/config.toml"
    file.write_text("client_id = \n")
    found = examine(
        well, KILLSYNC_SSO_URL=NOWHERE, KILLSYNC_ESI_URL=NOWHERE, KILLSYNC_DB=str(well.database)
    )
    found.assert_reported("problem", "configuration", str(file), "line 1", "init --force")
    assert found.of("client_id", "skipped")
    assert list(dict.fromkeys(f["area"] for f in found.findings)) == AREAS
    assert found.of("users", "ok")


def test_every_mistake_in_the_file_is_told_and_what_is_valid_counts(well: Killsync) -> None:
    file = well.directory / ".config/killsync/config.toml"
    file.write_text(file.read_text() + '\nworkers = 0\nmim_age = "9m"\n')
    found = examine(well)
    found.assert_reported("problem", "configuration", "workers is 0")
    found.assert_reported("problem", "configuration", "mim_age")
    assert found.of("ESI", "ok")


def test_a_variable_that_is_misspelt_is_reported(well: Killsync) -> None:
    found = examine(well, KILLSYNC_MINAGE="9m")
    found.assert_reported("warning", "KILLSYNC_MINAGE", "KILLSYNC_MIN_AGE may be meant")


def test_what_only_a_shell_exports_is_named(well: Killsync) -> None:
    found = examine(well, KILLSYNC_WORKERS="2", KILLSYNC_DB=str(well.database))
    found.assert_reported("warning", "environment", "KILLSYNC_WORKERS", "config.toml")
    # the file says the same
    assert "KILLSYNC_DB" not in found.output


# secrets


def test_secrets_that_stand_open_are_told_and_not_shown(well: Killsync) -> None:
    set_crontab(well, f"KILLSYNC_TOKEN_KEY={SECRET}")
    found = examine(well, KILLSYNC_CLIENT_SECRET=SECRET)
    found.assert_reported("warning", "client_secret", "environment", "client_secret_file")
    found.assert_reported("warning", "secret", "KILLSYNC_TOKEN_KEY", "crontab", "token_key_file")
    assert SECRET not in found.output


def test_a_file_that_others_may_read_is_reported(well: Killsync) -> None:
    config, tokens = well.directory / ".config/killsync/config.toml", f"{well.database}.tokens"
    for file in (config, Path(tokens)):
        file.chmod(0o640)
    found = examine(well)
    for file in (config, Path(tokens)):
        found.assert_reported("problem", "permissions", str(file), f"chmod 600 {file}")


def test_the_files_of_secrets_are_looked_at(well: Killsync) -> None:
    secret = well.directory / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    found = examine(
        well, KILLSYNC_CLIENT_SECRET_FILE=str(secret), KILLSYNC_TOKEN_KEY_FILE="/nowhere"
    )
    found.assert_reported("problem", "permissions", str(secret), f"chmod 600 {secret}")
    found.assert_reported("problem", "token_key", "/nowhere", "No such file")


def test_a_key_beside_the_database_is_reported(well: Killsync) -> None:
    key = well.directory / "key"
    key.write_text(SECRET)
    key.chmod(0o600)
    found = examine(well, KILLSYNC_TOKEN_KEY_FILE=str(key))
    found.assert_reported("warning", "token_key_file", str(key), "beside the database")


def test_a_key_in_a_configuration_beside_the_database_is_reported(well: Killsync) -> None:
    file = well.directory / "own.toml"
    file.write_text(f'db = "{well.database}"\ntoken_key = "{SECRET}"\n')
    file.chmod(0o600)
    found = examine(well, KILLSYNC_CONFIG=str(file))
    found.assert_reported("warning", "token_key", str(file), "beside the database")


def test_tokens_whose_key_is_not_there_are_reported(well: Killsync, tmp_path: Path) -> None:
    keys = tmp_path / "elsewhere" / "keys"
    well.run("users", "rekey", "--new-key", KILLSYNC_TOKEN_KEY_FILE=str(keys))
    found = examine(well, KILLSYNC_TOKEN_KEY_FILE=str(keys))
    assert found.of("token key", "ok")
    examine(well).assert_reported("problem", "token key", "encrypted with a key", "token_key_file")
    other = base64.b64encode(bytes(32)).decode()
    found = examine(well, KILLSYNC_TOKEN_KEY=other)
    found.assert_reported(
        "problem", "token key", "another key than is configured", "token_key_file"
    )


# database and logins


def test_a_file_that_is_no_database_is_reported(well: Killsync) -> None:
    well.database.write_text("Dear diary,\n" * 200)
    found = examine(well)
    found.assert_reported("problem", "database", str(well.database), "not an SQLite database")
    assert found.of("users", "skipped")


def test_a_database_that_is_gone_is_reported(well: Killsync) -> None:
    well.database.unlink()
    examine(well).assert_reported("problem", "database", "is gone", "restore")


def test_an_older_schema_is_no_harm(well: Killsync) -> None:
    well.execute("PRAGMA user_version = 1")
    examine(well).assert_reported("warning", "database", "schema is older", " scan")


def test_a_database_of_another_esi_is_reported(well: Killsync) -> None:
    well.execute("UPDATE facts SET value = 'esi.evetech.net' WHERE name = 'esi_url'")
    file = well.directory / ".config/killsync/config.toml"
    parts = ("belongs to esi.evetech.net", f"esi_url in {file}", "correct it there", "--db")
    examine(well).assert_reported("problem", "database", *parts)


def test_users_who_need_a_login_are_named(well: Killsync) -> None:
    first, second = well.simulator.logins
    well.execute("UPDATE users SET state = 'needs_login' WHERE user_id = ?", first["character_id"])
    well.execute_on_tokens("DELETE FROM tokens WHERE user_id = ?", second["character_id"])
    found = examine(well)
    found.assert_reported("problem", "users", first["name"], " login")
    found.assert_reported("problem", "tokens", second["name"], " login")


def test_names_and_prices_that_fail_for_a_week_are_reported(well: Killsync) -> None:
    for of, since in (("names", "2026-01-02T03:04:05Z"), ("prices", iso(time.time() - 6 * DAY))):
        well.execute("INSERT INTO facts VALUES (?, 'ESI says 500')", f"{of}_failure")
        well.execute("INSERT INTO facts VALUES (?, ?)", f"{of}_failing_since", since)
    found = examine(well, KILLSYNC_NAMES="on", KILLSYNC_PRICES="on")
    parts = ("since 2026-01-02T03:04:05Z: ESI says 500", " scan --verbose")
    found.assert_reported("warning", "names", *parts)
    assert not found.of("prices", "warning")
    assert not examine(well, KILLSYNC_NAMES="off").of("names", "warning")


def test_a_token_file_that_is_gone_or_damaged_is_reported(well: Killsync) -> None:
    tokens = Path(f"{well.database}.tokens")
    tokens.write_bytes(b"no database at all")
    examine(well).assert_reported("problem", "tokens", str(tokens))
    tokens.unlink()
    examine(well).assert_reported("problem", "tokens", "is missing", " login")


# network


def test_what_does_not_answer_is_reported(well: Killsync) -> None:
    found = examine(well, KILLSYNC_SSO_URL=NOWHERE, KILLSYNC_ESI_URL=NOWHERE)
    for service in ("ESI", "SSO"):
        found.assert_reported("problem", service, "cannot be reached", "network")


def test_an_esi_that_is_down_is_no_problem(well: Killsync) -> None:
    well.simulator.fault("status", status=503)
    found = examine(well)
    found.assert_reported("warning", "ESI", "503", "wait")
    assert found.of("clock", "ok")


def test_an_sso_without_keys_is_reported(well: Killsync) -> None:
    well.simulator.fault("jwks", status=404)
    examine(well).assert_reported("problem", "SSO", "404")


def test_esi_is_told_who_asks(bare: Killsync) -> None:
    examine(bare, KILLSYNC_CONTACT="me@example.com")
    (asked,) = bare.simulator.log("status")
    assert "me@example.com" in asked["user_agent"]


def test_a_clock_that_is_wrong_is_reported(well: Killsync) -> None:
    clock = Clock(well.directory / "clock")
    clock.set(time.time() - 300)
    found = examine(well, **clock.environment)
    clock.close()
    found.assert_reported("problem", "clock", "behind ESI's", "timedatectl")


def test_a_proxy_is_named_without_its_password(bare: Killsync) -> None:
    found = examine(bare, https_proxy=f"http://me:{SECRET}@proxy.example:3128")
    found.assert_reported("ok", "proxy", "https_proxy", "proxy.example")
    assert SECRET not in found.output


# cron


def test_a_scan_that_runs_by_itself_is_found_well(well: Killsync) -> None:
    found = examine(well)
    assert "without a terminal" in found.of("scan", "ok")[0]["text"]
    assert found.of("program", "ok")
    assert found.of("configuration", "ok")


def test_a_scan_that_somebody_typed_does_not_count(well: Killsync) -> None:
    well.execute("UPDATE runs SET terminal = 1")
    set_crontab(well, None)
    examine(well).assert_reported("warning", "scan", "none has run without a terminal")


def test_an_entry_that_is_missing_is_a_warning_with_the_line_to_add(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    set_crontab(program, None)
    found = examine(program)
    found.assert_reported("warning", "scan", "nothing is synced by itself", "crontab -e", "*/10 * ")


def test_an_entry_that_never_ran_is_reported(well: Killsync) -> None:
    well.execute("DELETE FROM runs")
    examine(well).assert_reported("warning", "scan", "names killsync", "has not run yet", "log")


def test_a_crontab_that_may_not_be_read_is_reported(well: Killsync) -> None:
    well.execute("DELETE FROM runs")
    set_crontab(well, None, answer="you are not allowed to use this program")
    examine(well).assert_reported("warning", "scan", "not allowed")


def test_scans_that_work_on_another_database_are_reported(well: Killsync, tmp_path: Path) -> None:
    # what a shell exports and cron does not see
    mine = tmp_path / "mine" / "killsync.db"
    user = well.simulator.logins[0]["character_id"]
    token = well.simulator.control("tokens", "POST", character_id=user)["refresh_token"]
    well.run("users", "add", given=f"{token}\n", KILLSYNC_DB=str(mine))
    found = examine(well, KILLSYNC_DB=str(mine))
    found.assert_reported("warning", "scan", str(well.database), str(mine), "*/10 * * * *")
    found.assert_reported("warning", "environment", "KILLSYNC_DB", "config.toml")


def test_a_database_that_only_a_flag_names_is_told_from_the_one_that_is_scanned(
    well: Killsync, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    found = examine(well, "--db", str(other))
    found.assert_reported("warning", "scan", str(well.database), str(other), f"--db {other} scan")


def test_cron_that_does_not_run_is_reported(well: Killsync) -> None:
    well.execute("UPDATE runs SET started_at = ?", iso(time.time() - 31 * 60))
    examine(well).assert_reported("problem", "scan", "31 min ago", "systemctl status cron")


def test_an_idle_scan_counts(well: Killsync) -> None:
    well.execute("UPDATE runs SET started_at = ?", iso(time.time() - 31 * 60))
    assert "nothing is due" in well.run("scan").stdout
    assert examine(well).of("scan") == []


def test_a_scan_by_another_installation_is_reported(well: Killsync) -> None:
    well.execute("UPDATE runs SET program = '/other/killsync'")
    found = examine(well)
    found.assert_reported("warning", "program", "/other/killsync", "change the entry to: */10")


def test_a_scan_with_another_configuration_is_reported(well: Killsync) -> None:
    other = well.directory / "other.toml"
    usual = well.directory / ".config/killsync/config.toml"
    other.write_text(usual.read_text())
    found = examine(well, "--config", str(other))
    found.assert_reported("warning", "configuration", str(usual), str(other), f"--config {other}")


def test_damaged_rows_of_runs_hide_nothing(well: Killsync) -> None:
    well.execute("UPDATE runs SET variables = '{'")
    assert examine(well).of("scan") == []
    assert well.status()["last_run"]["variables"] == []
    well.execute("UPDATE runs SET program = NULL")
    examine(well).assert_reported("warning", "scan", "names killsync")


def test_scans_of_the_future_do_not_count(well: Killsync) -> None:
    well.execute("UPDATE runs SET started_at = ?", iso(time.time() + 3600))
    found = examine(well)
    found.assert_reported("warning", "scan", "names killsync")
    assert found.of("program", "ok") == []


def test_only_the_names_of_variables_are_recorded(well: Killsync) -> None:
    well.run("scan", KILLSYNC_CLIENT_SECRET=SECRET, KILLSYNC_WORKERS="2")
    (run,) = well.rows("SELECT variables, terminal FROM runs ORDER BY id DESC LIMIT 1")
    assert run == ('["KILLSYNC_CLIENT_SECRET", "KILLSYNC_WORKERS"]', 0)
    assert SECRET.encode() not in well.database.read_bytes()
    # what the scan has seen too is no difference
    assert examine(well, KILLSYNC_WORKERS="2").of("environment") == []


def test_a_scan_that_a_unit_of_systemd_starts_is_recorded_as_such(well: Killsync) -> None:
    # systemd names the very process, and whatever that starts inherits the variable
    words = f"SYSTEMD_EXEC_PID=$$; export SYSTEMD_EXEC_PID; exec {sys.executable} -m killsync scan"
    for line in (words, words.replace("exec ", "") + "; true"):
        subprocess.run(
            ["/bin/sh", "-c", line],
            env=well.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
    rows = well.rows("SELECT variables FROM runs ORDER BY id DESC LIMIT 2")
    assert rows == [("[]",), ('["SYSTEMD_EXEC_PID"]',)]


def start_by_systemd(program: Killsync, rows: str = "true") -> None:
    program.execute(f"UPDATE runs SET variables = '[\"SYSTEMD_EXEC_PID\"]' WHERE {rows}")


def write_units(program: Killsync) -> Path:
    program.run("init", "--systemd", "--quiet")
    return program.directory / ".config/systemd/user"


def test_scans_of_a_timer_need_no_line_in_the_crontab(well: Killsync) -> None:
    write_units(well)
    set_crontab(well, None)
    start_by_systemd(well)
    found = examine(well)
    assert "by systemd" in found.of("scan", "ok")[0]["text"]
    assert "crontab" not in json.dumps([f for f in found.findings if f["area"] == "cron"])


def test_a_timer_that_does_not_run_is_reported(well: Killsync) -> None:
    start_by_systemd(well)
    well.execute("UPDATE runs SET started_at = ?", iso(time.time() - 31 * 60))
    found = examine(well)
    found.assert_reported("problem", "scan", "systemd does not run", "list-timers", "enable-linger")


def test_units_of_which_no_scan_has_come_are_reported(well: Killsync) -> None:
    write_units(well)
    well.execute("DELETE FROM runs")
    found = examine(well)
    found.assert_reported("warning", "scan", "none of its scans", "enable --now killsync.timer")


def test_cron_and_a_timer_together_are_reported(well: Killsync) -> None:
    well.run("scan")
    # cron, and then a timer
    start_by_systemd(well, "id = (SELECT max(id) FROM runs)")
    assert examine(well).of("starters") == []
    well.run("scan")
    found = examine(well)
    found.assert_reported("warning", "starters", "one is enough", "crontab -e", "disable --now")


def test_a_service_that_may_not_write_where_the_database_is_now_is_reported(
    well: Killsync, tmp_path: Path
) -> None:
    write_units(well)
    assert examine(well).of("service") == []
    moved = tmp_path / "moved"
    moved.mkdir()
    well.run("init", "--set", f"db={moved / 'k.db'}")
    service = tmp_path / ".config/systemd/user/killsync.service"
    service.write_text(service.read_text().replace(str(tmp_path), "/elsewhere"))
    examine(well).assert_reported("warning", "service", str(moved), "init --systemd")
