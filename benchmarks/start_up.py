"""Whole processes from start to end: help, a scan with nothing due, a status, beside a bare app."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, in_pairs, seconds
from made import URL, database
from spending import spent_by

_APP = [sys.executable, str(Path(__file__).with_name("bare_app.py"))]
_PROGRAM = [sys.executable, str(Path(sys.executable).with_name("killsync"))]


def measure(scale: Scale) -> list[Figure]:
    """Measure three commands of ten users, each beside one of the bare app."""
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
                in_pairs(runs, partial(wall, ours, environment), partial(_bare_wall, theirs)),
                goal,
                seconds,
                note=f"whole process, wall; peer: a bare Typer app of 11 commands: {peer}",
            )
            for what, ours, peer, theirs, goal in rows
        ]


@contextmanager
def idle_users(count: int) -> Iterator[Mapping[str, str]]:
    """Yield the environment of a database of users of whom nobody is due."""
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        path = Path(directory) / "killsync.db"
        with database(path, time.time(), count):
            pass
        yield environment_of(path)


def environment_of(path: Path) -> Mapping[str, str]:
    """Return the environment in which every command works on a made database."""
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


def wall(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Return the seconds that a killsync command takes."""
    return spent_by([*_PROGRAM, *arguments], environment).wall


def _bare_wall(arguments: list[str]) -> float:
    return spent_by([*_APP, *arguments], {"PATH": os.environ["PATH"]}).wall
