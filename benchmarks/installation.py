"""A killsync installation in a temporary directory, with a simulator in another process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spending import Spent, killsync, run_measured
from world import Killsync, simulator

LATENCY = 0.05
UNLIMITED = {"list_tokens": 0, "body_tokens": 0}


@contextmanager
def installation(**options: Any) -> Iterator[Killsync]:
    """Yield killsync with default settings and every character of the simulator as a user."""
    with (
        tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory,
        simulator(**options) as esi,
    ):
        program = Killsync(Path(directory), esi)
        del program.environment["KILLSYNC_PAGE_DELAY"]
        program.add_users()
        esi.clear_log()
        yield program


def scan(program: Killsync, *arguments: str) -> Spent:
    """Run a scan; return what it spent."""
    return run_measured(killsync("scan", "--quiet", *arguments), program.environment)


def poll(program: Killsync, *arguments: str) -> Spent:
    """Run a scan as after all cache times; return what it spent."""
    program.make_due()
    program.simulator.clear_log()
    return scan(program, *arguments)
