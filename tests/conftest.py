"""No test may touch a real home; simulators are processes that end with their test."""

import compileall
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from newcomer import Newcomer
from postgres_server import Server, shared_server, skip_without
from world import TIMEOUT, Killsync, Simulator, simulator

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "killsync"

# keep what pytest compiles, even where PYTHONDONTWRITEBYTECODE is set: each process needs it
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# under nohup, or behind a shell's `&`, these would be ignored by all that is started here
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Try the same examples each time; the campaign tries new ones."""
    # pytest compiles hypothesis too: not before that is kept
    from hypothesis import settings

    settings.register_profile("suite", derandomize=True, deadline=None)
    settings.load_profile("suite")


def pytest_xdist_auto_num_workers() -> int:
    """Most tests wait for processes of theirs: more of them than processors go on at a time."""
    return 3 * (os.cpu_count() or 1)


def pytest_collection(session: pytest.Session) -> None:
    """Compile each module once, though all processes need all of them at the same time."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        # which the first command of each process reads
        compileall.compile_dir(PACKAGE, quiet=2)
    elif session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        # each process begins elsewhere, and finds compiled what others began with
        names = sorted(file.stem for file in HERE.glob("test_*.py"))
        first = len(names) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        for name in names[first:] + names[:first]:
            # what is wrong with a module, or missing, is for the collection to say
            with suppress(Exception, pytest.skip.Exception):
                importlib.import_module(name)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "KILLSYNC_DB", "KILLSYNC_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    """Make a user with an empty home."""
    return Newcomer(tmp_path)


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Start simulators with options of their own."""
    with ExitStack() as stack:

        def start(**options: Any) -> Simulator:
            return stack.enter_context(simulator(**options))

        yield start


@pytest.fixture
def killsync(tmp_path: Path, simulate: Callable[..., Simulator]) -> Callable[..., Killsync]:
    """Make a killsync with a fresh database and a simulator with these options."""

    def make(*, users: bool = True, **options: Any) -> Killsync:
        program = Killsync(tmp_path, simulate(**({"characters": 0} | options)))
        if users and program.simulator.logins:
            program.add_users()
        return program

    return make


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real PostgreSQL, which all processes of the tests share."""
    skip_without()
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with shared_server(base / "postgres") as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """Create an empty database on it; the address."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture
def background() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start commands that end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(program: Killsync, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        started.append(program.start(*arguments, **environment))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=TIMEOUT)
