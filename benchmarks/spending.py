"""What a process spends: wall time, CPU time and memory, as the kernel counts them."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from campaign.running import most_resident_mb

_POLL_INTERVAL = 0.02


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


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process; return the peak resident memory of the largest of it and its children.

    In bytes. wait4 would not do: its peak includes the memory of the parent before the exec.
    """
    peak = 0.0
    while process.poll() is None:
        # any of them may end while it is looked at
        with suppress(OSError):
            for pid in _family(process.pid):
                status = Path(f"/proc/{pid}/status").read_text()
                peak = max(peak, most_resident_mb(status) * 2**20)
        time.sleep(_POLL_INTERVAL)
    return peak


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))


def killsync(*arguments: str) -> list[str]:
    """Return the command line of a killsync command, in the form that cron runs."""
    return [sys.executable, "-m", "killsync", *arguments]
