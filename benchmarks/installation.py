"""A killsync of its own in a directory of its own, against a simulator in a process of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spending import Spent, killsync, spent_by
from world import Killsync, simulator

LATENCY = 0.05
UNLIMITED = {"list_tokens": 0, "body_tokens": 0}


@contextmanager
def installation(**options: Any) -> Iterator[Killsync]:
    """Yield killsync with its default settings and every character of the simulator as a user."""
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
    """Run a scan, and return what it spent."""
    return spent_by(killsync("scan", "--quiet", *arguments), program.environment)


def poll(program: Killsync, *arguments: str) -> Spent:
    """Let the cache times pass, and run a scan."""
    program.make_due()
    program.simulator.clear_log()
    return scan(program, *arguments)
