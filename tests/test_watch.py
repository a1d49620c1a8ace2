"""`killsync status --watch`: a picture that is drawn again, and a terminal as it was before."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Terminal
from world import TIMEOUT, Killsync, wait_until

from killsync.cli.options import hoisted

Make = Callable[..., Killsync]

ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
DRAWN = "Nothing is running"


@pytest.fixture
def scanned(killsync: Make) -> Killsync:
    """One user after a scan."""
    program = killsync(characters=1, killmails=1)
    program.run("scan")
    return program


def name_of(program: Killsync) -> str:
    return str(program.simulator.logins[0]["name"])


ENDINGS: dict[str, tuple[Callable[[Terminal], object], int]] = {
    "q": (lambda terminal: terminal.type("q"), 0),
    "Ctrl-C": (lambda terminal: terminal.type("\x03"), 130),
    "Ctrl-Backslash": (lambda terminal: terminal.type("\x1c"), 131),
    "SIGTERM": (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 143),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_the_last_picture_stays_on_a_terminal_that_is_as_before(
    scanned: Killsync, how: str
) -> None:
    end, exit_code = ENDINGS[how]
    terminal = Terminal(scanned, "status", "--watch=60")
    terminal.wait_for(DRAWN)
    assert terminal.modes() != terminal.first_modes
    end(terminal)
    shown = terminal.to_end()
    assert terminal.process.returncode == exit_code
    assert terminal.last_modes == terminal.first_modes
    assert "Traceback" not in shown
    assert shown.rindex(SHOWN) > shown.rindex(HIDDEN)
    before, after = shown.split(BACK)
    assert ALTERNATE in before
    assert name_of(scanned) in after
    assert DRAWN in after


def test_the_terminal_is_as_before_when_drawing_fails(scanned: Killsync) -> None:
    terminal = Terminal(scanned, "status", "--watch=0.1")
    terminal.wait_for(DRAWN)
    scanned.execute("ALTER TABLE users RENAME TO lost")
    shown = terminal.to_end()
    assert terminal.process.returncode not in (0, None)
    assert terminal.last_modes == terminal.first_modes
    assert "Traceback" not in shown
    assert "killsync: " in shown.split(BACK)[1]


def test_watch_draws_what_changes_by_itself(scanned: Killsync) -> None:
    terminal = Terminal(scanned, "status", "--watch")
    terminal.wait_for("up to date")
    scanned.run("users", "disable", name_of(scanned))
    terminal.wait_for("disabled")
    terminal.type("q")
    terminal.to_end()


def test_a_terminal_of_another_size_is_drawn_anew_at_once(scanned: Killsync) -> None:
    terminal = Terminal(scanned, "status", "--watch=3600", columns=120)
    terminal.wait_for(DRAWN)
    assert "Newest id" in terminal.shown
    before = len(terminal.shown)
    terminal.resize(45)
    while DRAWN not in terminal.shown[before:]:
        assert terminal.read()
    assert "Newest id" not in terminal.shown[before:]
    terminal.type("q")
    terminal.to_end()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(scanned: Killsync) -> None:
    terminal = Terminal(scanned, "status", "--watch=60")
    terminal.wait_for(DRAWN)
    terminal.process.send_signal(signal.SIGTSTP)
    terminal.wait_for(BACK)
    wait_until(lambda: state_of(terminal.process.pid) == "T")
    assert terminal.modes() == terminal.first_modes
    before = len(terminal.shown)
    terminal.process.send_signal(signal.SIGCONT)
    while DRAWN not in terminal.shown[before:]:
        assert terminal.read()
    terminal.type("q")
    terminal.to_end()
    assert terminal.process.returncode == 0


def test_without_a_keyboard_watch_draws_until_a_signal(scanned: Killsync) -> None:
    terminal = Terminal(scanned, "status", "--watch=60", keyboard=False)
    terminal.wait_for(DRAWN)
    terminal.process.send_signal(signal.SIGTERM)
    terminal.to_end()
    assert terminal.process.returncode == 143


def test_a_terminal_that_is_closed_ends_it_as_a_hangup(scanned: Killsync) -> None:
    terminal = Terminal(scanned, "status", "--watch=60")
    terminal.wait_for(DRAWN)
    terminal.close()
    assert terminal.process.wait(TIMEOUT) == 129


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["status", "--watch", "5"], ["status", "--watch=5"]),
        (["status", "--watch", "2m", "-q"], ["-q", "status", "--watch=2m"]),
        (["status", "--watch", "--user", "5"], ["status", "--watch=1", "--user", "5"]),
        (["status", "--watch", "-q"], ["-q", "status", "--watch=1"]),
    ],
)
def test_the_seconds_of_watch_may_stand_behind_it_or_be_left_out(
    typed: list[str], meant: list[str]
) -> None:
    assert hoisted(typed) == meant


def test_into_a_pipe_or_as_json_watch_is_refused_in_one_line(scanned: Killsync) -> None:
    for words in (("--watch",), ("--watch=5", "--json")):
        done = scanned.run("status", *words, exit_code=2)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert "--watch draws on a terminal" in line


def test_seconds_that_are_none_are_named(scanned: Killsync) -> None:
    for given in ("0", "x", "-1", "nan", "1d", ""):
        (line,) = scanned.run("status", f"--watch={given}", exit_code=2).stderr.splitlines()
        assert f"--watch is {given!r}" in line
