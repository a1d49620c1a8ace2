"""What a process spends: wall time, CPU time and memory, as the kernel counts them."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import msgspec


class Spent(msgspec.Struct, frozen=True):
    """Wall and CPU time in seconds, and the peak resident memory in bytes."""

    wall: float
    cpu: float
    memory: int


def run_measured(
    command: Sequence[str], environment: Mapping[str, str], *, given: str = "", exit_code: int = 0
) -> Spent:
    """Run a command with `given` as its standard input; return what it spent.

    Raises RuntimeError if its exit code is not `exit_code`.
    """
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+") as stderr:
        stdin.write(given)
        stdin.seek(0)
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=stderr, env=dict(environment)
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != exit_code:
            stderr.seek(0)
            output = stderr.read()[-2000:]
            raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{output}")
    return Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def killsync(*arguments: str) -> list[str]:
    """Return the command line of a killsync command, in the form that cron runs."""
    return [sys.executable, "-m", "killsync", *arguments]
