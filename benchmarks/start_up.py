"""Whole processes from start to end, such as help or an idle scan, compared with a bare app."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, format_seconds, measure_pairs
from made import URL, make_database
from spending import run_measured

_APP = [sys.executable, str(Path(__file__).with_name("bare_app.py"))]
_PROGRAM = [sys.executable, str(Path(sys.executable).with_name("killsync"))]


def measure(scale: Scale) -> list[Figure]:
    """Measure three commands with ten users, each beside one of the bare app."""
    rows = (
        ("killsync --help", ["--help"], "its --help", ["--help"], 1.2),
        ("a scan with nothing due", ["scan"], "select 1", ["select"], 1.5),
        ("status of 10 users", ["status"], "a rich table of 10 rows", ["table"], 1.5),
    )
    runs = scale.of(15, 1)
    with idle_users(10) as environment:
        return [
            at_most(
                what,
                measure_pairs(
                    runs, partial(wall_time, ours, environment), partial(_bare_wall_time, theirs)
                ),
                goal,
                format_seconds,
                note=f"whole process, wall time; peer: a bare Typer app of 11 commands: {peer}",
            )
            for what, ours, peer, theirs, goal in rows
        ]


@contextmanager
def idle_users(count: int) -> Iterator[Mapping[str, str]]:
    """Yield the environment for a database of users, none of whom is due."""
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        path = Path(directory) / "killsync.db"
        with make_database(path, time.time(), count):
            pass
        yield make_environment(path)


def make_environment(path: Path) -> Mapping[str, str]:
    """Return the environment in which commands work on a generated database."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(path.parent),
        "KILLSYNC_DB": str(path),
        "KILLSYNC_ESI_URL": URL,
        "KILLSYNC_SSO_URL": URL,
        "KILLSYNC_CLIENT_ID": "benchmark",
        "KILLSYNC_CONTACT": "benchmark@example.com",
        "KILLSYNC_MIN_AGE": "9h",
    }


def wall_time(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Return the wall time of a killsync command, in seconds."""
    return run_measured([*_PROGRAM, *arguments], environment).wall


def _bare_wall_time(arguments: list[str]) -> float:
    return run_measured([*_APP, *arguments], {"PATH": os.environ["PATH"]}).wall
