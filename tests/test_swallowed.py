"""A signal that comes where Python lets nothing be raised ends a command as at any other time."""

import signal
import subprocess
import sys

import pytest

_SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
_COMMAND = """
import os, sqlite3, sys, time
import typer
from killsync.cli.invocation import Invocation, edge
from killsync.cli.signals import StopOnSignal, leaving_by_exception
from killsync.store import patience

SIGNAL = int(sys.argv[1])

class Finalized:
    def __init__(self, does):
        self.does = does
    def __del__(self):
        self.does()

def signalled():
    os.kill(os.getpid(), SIGNAL)
    return False

def refused():
    raise ValueError("of its own")

def finalized():
    with leaving_by_exception():
        Finalized(signalled)
        time.sleep(30)

def connecting():
    with StopOnSignal() as stop, stop.leaving_at_once():
        Finalized(signalled)
        time.sleep(30)

def asking():
    database = sqlite3.connect(":memory:")
    endless = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n FROM n) SELECT count(*) FROM n"
    with leaving_by_exception():
        patience.first_row(database, endless, {}, gives_up=signalled, instructions=1000)
        time.sleep(30)

def failing():
    Finalized(refused)
    time.sleep(0.2)

def work():
    with edge(Invocation()):
        try:
            globals()[sys.argv[2]]()
        finally:
            print("undone")
    print("went on")

app = typer.Typer()
app.command()(work)
app(args=[])
"""


def run(where: str, number: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command that is signalled at some place of its own."""
    command = [sys.executable, "-c", _COMMAND, str(int(number)), where]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("number", "code"), _SIGNALS)
def test_a_signal_amid_a_finalizer_ends_the_command(number: int, code: int) -> None:
    done = run("finalized", number)
    assert (done.returncode, done.stdout, done.stderr) == (code, "undone\n", "")


@pytest.mark.parametrize(("number", "code"), _SIGNALS)
def test_so_does_one_where_nothing_has_been_begun(number: int, code: int) -> None:
    done = run("connecting", number)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(("number", "code"), _SIGNALS)
def test_so_does_one_while_sqlite_asks_whether_to_give_up(number: int, code: int) -> None:
    done = run("asking", number)
    assert (done.returncode, done.stdout, done.stderr) == (code, "undone\n", "")


def test_an_error_of_a_finalizer_is_shown_and_the_command_goes_on() -> None:
    done = run("failing")
    assert (done.returncode, done.stdout) == (0, "undone\nwent on\n")
    assert "ValueError: of its own" in done.stderr
