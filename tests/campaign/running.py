"""A running command, and its peak memory."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

from world import TIMEOUT

from campaign.score import Score

MOST_MEMORY_MB = 150
_POLL_INTERVAL = 0.02


def most_resident_mb(status: str) -> float:
    """Return a process's peak memory from its /proc/<pid>/status; 0 if it has ended."""
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(sizes[0]) / 1024 if sizes else 0.0


class Running:
    """Polls a process until it ends; `peak_mb` is the most memory it used so far."""

    def __init__(self, process: subprocess.Popen[bytes], timeout: float = 5 * TIMEOUT) -> None:
        self.process = process
        self.peak_mb = 0.0
        self._deadline = time.monotonic() + timeout

    def is_running(self) -> bool:
        """Return whether it still runs; after `timeout`, kill it and raise TimeoutError."""
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.peak_mb = max(self.peak_mb, most_resident_mb(status))
        if self.process.poll() is not None:
            return False
        if time.monotonic() > self._deadline:
            self.process.kill()
            self.process.wait()
            raise TimeoutError(f"{self.process.args!r} did not end")
        return True

    def wait(self) -> int:
        """Wait until it ends; return the exit code."""
        while self.is_running():
            time.sleep(_POLL_INTERVAL)
        return self.process.returncode

    def check_memory(self, score: Score) -> None:
        """Check that it needed no more memory than a small machine has to spare."""
        problem = f"{self.process.args!r} used {self.peak_mb:.0f} MB"
        score.check(self.peak_mb < MOST_MEMORY_MB, problem)
