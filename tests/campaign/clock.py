"""A clock that simulator and killsync share, moved forward when both do nothing but wait."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clock.sitecustomize import RECORD, read

from campaign.running import Running

CLOCK_DIRECTORY = Path(__file__).parents[1] / "clock"
# between two calls by cron
TICK = 600.0
LOOK_EVERY = 0.02
LEAP = 2.0


class Clock:
    """The time of day of every process that `environment` is given to."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        self.environment = {"PYTHONPATH": str(CLOCK_DIRECTORY), "CAMPAIGN_CLOCK": str(file)}
        self.set(time.time())

    def now(self) -> float:
        return read(self._file)

    def set(self, shown: float) -> None:
        os.write(self._file, RECORD.pack(shown, time.monotonic()))

    def forward_to(self, moment: float) -> None:
        """Let it be at least this time; the clock never goes back."""
        self.set(max(moment, self.now()))

    def play(self, running: Running, *, beside: int) -> None:
        """Wait for the end of a command, and let the time pass quickly in which nothing happens.

        `beside` is the process id of the simulator. Nothing happens when no thread of either
        can run: both wait for time to pass, or for each other's answer that time has to bring.
        """
        idle = 0
        while running.goes_on():
            idle = idle + 1 if is_idle(running.process.pid) and is_idle(beside) else 0
            if idle > 1:
                self.set(self.now() + LEAP)
            time.sleep(LOOK_EVERY)

    def close(self) -> None:
        os.close(self._file)


def is_idle(pid: int) -> bool:
    """Tell whether every thread of a process sleeps; one that only lacks a processor does not."""
    states = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states == {"S"}


@contextmanager
def shared_clock() -> Iterator[Clock]:
    """Yield a clock that every process started meanwhile inherits, at the real time."""
    with tempfile.TemporaryDirectory(prefix="killsync-clock-") as directory:
        clock = Clock(Path(directory) / "clock")
        before = {name: os.environ.get(name) for name in clock.environment}
        os.environ.update(clock.environment)
        try:
            yield clock
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
            clock.close()
