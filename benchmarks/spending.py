"""What a process spends: wall, CPU and memory, as the system counts them for its parent."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import msgspec


class Spent(msgspec.Struct, frozen=True):
    """Seconds of wall and CPU, and the peak of resident memory in bytes."""

    wall: float
    cpu: float
    memory: int


def spent_by(
    command: Sequence[str], environment: Mapping[str, str], *, given: str = "", exit_code: int = 0
) -> Spent:
    """Run a command to its end. Raises RuntimeError if it ends with another code."""
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+") as stderr:
        stdin.write(given)
        stdin.seek(0)
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=stderr, env=dict(environment)
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != exit_code:
            stderr.seek(0)
            said = stderr.read()[-2000:]
            raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{said}")
    return Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def killsync(*arguments: str) -> list[str]:
    """Return the command line of a killsync command, as cron runs it."""
    return [sys.executable, "-m", "killsync", *arguments]
