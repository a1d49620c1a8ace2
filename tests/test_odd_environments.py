"""Paths that are not UTF-8, a home that nobody knows, byte order marks, and narrow terminals."""

import codecs
import os
import pwd
import subprocess
from collections.abc import Callable
from pathlib import Path

import commands
import pytest
from here import Done, run_here
from world import TIMEOUT, Killsync

Start = Callable[..., Killsync]

# as the file system has it: three bytes that no UTF-8 has
ODD = "d\udcff/k\udcfe\udce9.db"


@pytest.fixture
def odd(killsync: Start, tmp_path: Path) -> Killsync:
    """Make a killsync whose database and configuration have names that are not UTF-8."""
    program = killsync(users=False, characters=1, killmails=3)
    program.database = tmp_path / ODD
    program.database.parent.mkdir()
    config = program.database.with_name("c\udcfd.toml")
    config.write_text("min_age = '1m'\n")
    config.chmod(0o600)
    program.environment |= {"KILLSYNC_DB": str(program.database), "KILLSYNC_CONFIG": str(config)}
    return program


# paths


def test_a_database_whose_path_is_not_utf_8_is_synced_and_read(odd: Killsync) -> None:
    odd.add_users()
    odd.run("scan")
    odd.assert_equals_truth()
    shown = os.fsencode(odd.database)
    assert odd.status()["database"].encode(errors="surrogateescape") == shown
    odd.run("check")
    user = str(odd.simulator.logins[0]["character_id"])
    odd.run("sync", user)
    odd.run("users", "remove", user)


def test_doctor_looks_at_paths_that_are_not_utf_8(odd: Killsync) -> None:
    odd.add_users()
    odd.run("scan")
    for words in (("doctor",), ("doctor", "--json")):
        done = odd.run(*words, exit_code=None)
        assert "k\\udcfe\\udce9.db" in done.stdout
        assert "unexpected" not in done.stdout + done.stderr


def test_a_user_whose_name_is_not_utf_8_is_unknown(killsync: Start) -> None:
    program = killsync(characters=1, killmails=0)
    assert "no user" in program.run("sync", "\udcff", exit_code=2).stderr


# a home that is not known


def homeless(monkeypatch: pytest.MonkeyPatch, program: Killsync, *words: str, **given: str) -> Done:
    """Run a command as a user whom the system does not know, as in many containers."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    environment = {n: v for n, v in program.environment.items() if n != "HOME"} | given
    done = run_here(*words, environment=environment)
    assert "unexpected" not in done.stderr
    return done


def test_no_home_is_needed_if_no_file_lies_there(
    killsync: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = killsync(characters=1, killmails=2)
    program.environment["KILLSYNC_CONFIG"] = str(tmp_path / "config.toml")
    (tmp_path / "config.toml").touch(0o600)
    for words in (("scan",), ("status", "--json"), ("check",), ("users",)):
        done = homeless(monkeypatch, program, *words)
        assert (done.returncode, done.stderr) == (0, "") or words == ("scan",), done
    assert homeless(monkeypatch, program, "doctor").returncode in (0, 1)
    written = homeless(monkeypatch, program, "init", "--force", "--no-input")
    assert written.returncode == 0, written.stderr


@pytest.mark.parametrize("missing", ["KILLSYNC_CONFIG", "KILLSYNC_DB"])
def test_without_a_home_what_to_set_is_said_in_one_line(
    killsync: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    program = killsync(users=False)
    program.environment["KILLSYNC_CONFIG"] = str(tmp_path / "config.toml")
    (tmp_path / "config.toml").touch(0o600)
    del program.environment[missing]
    for words in (("status",), ("scan",), ("doctor",), ("login",)):
        done = homeless(monkeypatch, program, *words)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "set HOME" in line
        assert missing in line
    assert not (tmp_path / "~").exists()


def test_a_path_in_an_unknown_home_is_named(
    killsync: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = killsync(users=False)
    for name in ("KILLSYNC_DB", "KILLSYNC_CONFIG", "KILLSYNC_TOKEN_KEY_FILE"):
        done = homeless(monkeypatch, program, "scan", HOME="/", **{name: "~nobody-here/file"})
        assert done.returncode == 2
        assert "~nobody-here/file: that home directory is not known" in done.stderr


def test_a_directory_that_is_gone_is_named(killsync: Start, tmp_path: Path) -> None:
    program = killsync(users=False)
    gone = tmp_path / "gone"
    gone.mkdir()
    before = Path.cwd()
    os.chdir(gone)
    gone.rmdir()
    try:
        done = run_here("scan", environment=program.environment | {"KILLSYNC_DB": "here.db"})
    finally:
        os.chdir(before)
    assert done.returncode == 2
    assert "here.db: the current directory does not exist any more" in done.stderr


# byte order marks

MARK = codecs.BOM_UTF8.decode()


def test_a_byte_order_mark_in_the_configuration_is_skipped(killsync: Start, tmp_path: Path) -> None:
    program = killsync(users=False)
    config = tmp_path / "config.toml"
    config.write_text(f"{MARK}min_age = 'x'\n")
    done = program.run("status", exit_code=2, KILLSYNC_CONFIG=str(config))
    assert "min_age is 'x'" in done.stderr


def test_a_configuration_in_utf_16_is_named(killsync: Start, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("min_age = '1m'\n", "utf-16")
    done = killsync(users=False).run("status", exit_code=2, KILLSYNC_CONFIG=str(config))
    assert f"{config}: is UTF-16: save it as UTF-8" in done.stderr


def test_byte_order_marks_in_files_with_secrets_are_skipped(
    killsync: Start, tmp_path: Path
) -> None:
    program = killsync(users=False, characters=1, killmails=2, client_secret="hunter2")
    secret, key, tokens = (tmp_path / name for name in ("secret", "key", "tokens"))
    secret.write_text(f"{MARK}hunter2\n")
    key.write_text(f"{MARK}{'A' * 43}=\n")
    tokens.write_text(f"{MARK}{program.simulator.logins[0]['refresh_token']}\n")
    for file in (secret, key, tokens):
        file.chmod(0o600)
    program.environment |= {
        "KILLSYNC_CLIENT_SECRET_FILE": str(secret),
        "KILLSYNC_TOKEN_KEY_FILE": str(key),
    }
    program.run("users", "add", "--token-file", str(tokens))
    program.run("users", "add", given=tokens.read_text())
    program.run("users", "rekey", "--new-key")
    assert len(key.read_text().split()) == 2
    program.run("scan")
    program.assert_equals_truth()


# streams that cannot take every text


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_a_name_that_the_output_cannot_hold_ends_nothing(killsync: Start, encoding: str) -> None:
    program = killsync(users=False)
    for name in ("Zo\u00eb \u0416", "Other"):
        program.simulator.add_character(name=name, killmails=2)
    file = program.directory / "tokens"
    file.write_text("".join(f"{login['refresh_token']}\n" for login in program.simulator.logins))
    program.environment["PYTHONIOENCODING"] = encoding
    shown = b""
    for words in (("users", "add", "--token-file", str(file)), ("scan",), ("status",), ("check",)):
        streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        with commands.start(*words, environment=program.environment, **streams) as process:
            out, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, err
        shown += out
    name = "Zo\u00eb \u0416" if encoding == "utf-16" else "\\u0416"
    assert name.encode(encoding).removeprefix(codecs.BOM_UTF16) in shown
