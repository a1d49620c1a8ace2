"""A command that runs, and how much memory it has used at most."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

from world import TIMEOUT

from campaign.score import Score

MOST_MEMORY_MB = 150
_LOOK_EVERY = 0.02


def most_resident_mb(status: str) -> float:
    """Return the most memory a process has had, of its /proc/<pid>/status; 0 when it has ended."""
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(sizes[0]) / 1024 if sizes else 0.0


class Running:
    """Looks at a process again and again until it ends."""

    def __init__(self, process: subprocess.Popen[bytes], patience: float = 5 * TIMEOUT) -> None:
        self.process = process
        self.peak_mb = 0.0
        self._deadline = time.monotonic() + patience

    def goes_on(self) -> bool:
        """Tell whether it still runs; one that never ends is killed."""
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.peak_mb = max(self.peak_mb, most_resident_mb(status))
        if self.process.poll() is not None:
            return False
        if time.monotonic() > self._deadline:
            self.process.kill()
            self.process.wait()
            raise TimeoutError(f"{self.process.args!r} has not ended")
        return True

    def wait(self) -> int:
        """Return the exit code when it has ended."""
        while self.goes_on():
            time.sleep(_LOOK_EVERY)
        return self.process.returncode

    def judge_memory(self, score: Score) -> None:
        """A run may not need more than a small machine has to spare."""
        used = f"{self.process.args!r} took {self.peak_mb:.0f} MB"
        score.must(self.peak_mb < MOST_MEMORY_MB, used)
