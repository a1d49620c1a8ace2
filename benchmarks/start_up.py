"""Whole processes from start to end: help, an idle scan, a status."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from figures import Figure, Scale, format_seconds, within
from made import URL, make_database
from spending import run_measured

PROGRAM = [sys.executable, str(Path(sys.executable).with_name("killsync"))]


def measure(scale: Scale) -> list[Figure]:
    """Measure three commands, each with ten users."""
    rows = (
        ("killsync --help", ["--help"], 0.3),
        ("a scan with nothing due", ["scan"], 0.5),
        ("status of 10 users", ["status"], 0.5),
    )
    with idle_users(10) as environment:
        return [
            within(
                what,
                [wall_time(arguments, environment) for _ in range(scale.of(15, 1))],
                limit,
                format_seconds,
                note="whole process, wall time",
            )
            for what, arguments, limit in rows
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
    return run_measured([*PROGRAM, *arguments], environment).wall
