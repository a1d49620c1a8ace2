"""The units of the user's systemd: what they say, and how `killsync init --systemd` writes them."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from newcomer import GIVEN, Newcomer, assert_refused
from world import TIMEOUT

from killsync.errors import UsageError
from killsync.settings.config import Settings
from killsync.settings.values import Duration
from killsync.starting import units
from killsync.times import HOUR

HERE = Path(__file__).parent.parent
NO_QUOTES = str.maketrans("", "", "\"'\\")
ODD = ["plain", "a b", "100%/h", "$HOME", 'quo"te', "it's", "back\\slash", "Zoë;x"]


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def systemd_version() -> int:
    return int(analyze("--version").stdout.split()[1]) if shutil.which("systemd-analyze") else 0


# since 250 it judges a file, too
needs_systemd = pytest.mark.skipif(systemd_version() < 250, reason="there is no such systemd")


def test_the_samples_are_what_init_writes() -> None:
    program = "/home/you/.local/lib/killsync/bin/killsync"
    settings = Settings(db="/home/you/.local/share/killsync/killsync.db")
    text = units.service_text([program, "scan"], settings)
    sample = HERE / "systemd" / units.SERVICE
    assert sample.read_text() == text.replace("/home/you", "%h")
    assert (HERE / "systemd" / units.TIMER).read_text() == units.timer_text()


def test_a_service_may_run_longer_than_a_scan() -> None:
    assert "TimeoutStartSec=15min\n" in units.service_text(["/k", "scan"], Settings(db="/k.db"))
    hours = Settings(db="/k.db", max_runtime=Duration(2 * HOUR))
    assert "TimeoutStartSec=126min\n" in units.service_text(["/k", "scan"], hours)


@pytest.mark.parametrize(
    ("words", "database"),
    [(["/k", "scan"], "/tmp/k.db"), (["/k", "--config", "/var/tmp/c.toml", "scan"], "/k.db")],
)
def test_a_service_whose_files_lie_in_tmp_has_no_tmp_of_its_own(
    words: list[str], database: str
) -> None:
    assert "PrivateTmp=no\n" in units.service_text(words, Settings(db=database))
    assert "PrivateTmp=yes\n" in units.service_text(["/k", "scan"], Settings(db="/srv/k.db"))


@needs_systemd
def test_the_service_is_hardened() -> None:
    service = HERE / "systemd" / units.SERVICE
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", service)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("name", ODD)
def test_systemd_reads_the_units_whatever_the_paths_hold(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    # systemd itself takes no quotes in the path of a program
    program = tmp_path / name.translate(NO_QUOTES) / "killsync"
    program.parent.mkdir(parents=True)
    # verify looks whether the program is there
    program.symlink_to("/bin/true")
    command = [str(program), "--config", str(place / "config.toml"), "scan"]
    (tmp_path / units.SERVICE).write_text(
        units.service_text(command, Settings(db=str(place / "k.db")))
    )
    (tmp_path / units.TIMER).write_text(units.timer_text())
    done = analyze("--man=no", "verify", tmp_path / units.SERVICE, tmp_path / units.TIMER)
    assert done.returncode == 0, done.stderr
    # of other units on this machine it may complain
    assert units.SERVICE not in done.stderr


@pytest.mark.parametrize("path", ["/home/k\udcff/killsync.db", "/home/new\nline/killsync.db"])
def test_a_path_that_no_unit_can_hold_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a systemd unit"):
        units.service_text(["/k", "scan"], Settings(db=path))


@pytest.mark.parametrize("name", ['/quo"te/k', "/it's/k", "/back\\slash/k"])
def test_a_program_that_systemd_would_not_start_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="use cron"):
        units.service_text([name, "scan"], Settings(db="/k.db"))


@pytest.mark.parametrize("name", ODD)
def test_a_service_may_write_beside_the_database(name: str) -> None:
    settings = Settings(db=f"/srv/{name}/killsync.db")
    text = units.service_text(["/k", "scan"], settings)
    assert units.not_writable(text, settings) == []
    elsewhere = Settings(db="/elsewhere/killsync.db")
    assert units.not_writable(text, elsewhere) == [Path("/elsewhere")]
    assert units.not_writable(text.replace("ProtectSystem=strict", ""), elsewhere) == []


def test_init_writes_units_for_an_installation_that_is_there(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    before = newcomer.file.read_text()
    done = newcomer.init("--systemd")
    directory = newcomer.home / ".config/systemd/user"
    service = (directory / units.SERVICE).read_text()
    (start,) = [line for line in service.splitlines() if line.startswith("ExecStart=:")]
    words = shlex.split(start.removeprefix("ExecStart=:"))
    assert words[-3:] == ["--config", str(newcomer.file), "scan"]
    assert f"ReadWritePaths={newcomer.home}/.local/share/killsync\n" in service
    assert (directory / units.TIMER).read_text() == units.timer_text()
    for line in ("systemctl --user enable --now killsync.timer", "loginctl enable-linger"):
        assert line in done.stdout
    assert newcomer.file.read_text() == before
    # the same again
    assert newcomer.init("--systemd").stdout == done.stdout
    assert newcomer.init("--systemd", "--quiet").stdout == ""


def test_init_with_systemd_writes_the_configuration_first(newcomer: Newcomer) -> None:
    done = newcomer.init(*GIVEN, "--systemd", "--db", str(newcomer.home / "d" / "k.db"))
    assert newcomer.settings().client_id == "abc"
    assert "crontab -e" not in done.stdout
    service = newcomer.home / ".config/systemd/user" / units.SERVICE
    assert f"ReadWritePaths={newcomer.home}/d\n" in service.read_text()


def test_a_database_that_the_file_does_not_name_is_named_in_the_unit(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    newcomer.init("--systemd", KILLSYNC_DB=str(newcomer.home / "mine" / "k.db"))
    service = (newcomer.home / ".config/systemd/user" / units.SERVICE).read_text()
    assert f" --db {newcomer.home}/mine/k.db scan\n" in service
    assert f"ReadWritePaths={newcomer.home}/mine\n" in service


def test_a_unit_of_another_text_is_replaced_only_by_force(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    directory = newcomer.home / ".config/systemd/user"
    directory.mkdir(parents=True)
    service = directory / units.SERVICE
    service.write_text("mine")
    assert_refused(newcomer, newcomer.init("--systemd", exit_code=2), str(service), "--force")
    assert service.read_text() == "mine"
    assert not (directory / units.TIMER).exists()
    done = newcomer.init("--systemd", "--force")
    kept = directory / f"{units.SERVICE}.before-init"
    assert kept.read_text() == "mine"
    assert str(kept) in done.stdout
    assert "ExecStart" in service.read_text()


def test_a_person_is_asked_before_a_unit_is_replaced(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    newcomer.init("--systemd")
    timer = newcomer.home / ".config/systemd/user" / units.TIMER
    timer.write_text("mine")
    terminal = newcomer.at_terminal("--systemd")
    terminal.answer(f"Replace {timer}? [y/N]", "y")
    terminal.to_end()
    assert timer.read_text() == units.timer_text()


def test_a_crontab_that_scans_too_is_mentioned(newcomer: Newcomer) -> None:
    newcomer.init(*GIVEN)
    fake = newcomer.home / "bin/crontab"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho '*/10 * * * * killsync scan'\n")
    fake.chmod(0o755)
    done = newcomer.init("--systemd", PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert "crontab -e" in done.stdout.splitlines()[-1]
