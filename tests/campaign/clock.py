"""A clock that the simulator and killsync share, moved forward while both only wait."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import commands
from clock.sitecustomize import RECORD, read

from campaign.running import Running

# the seconds between two calls by cron
TICK = 600.0
POLL_INTERVAL = 0.02
LEAP = 2.0


class Clock:
    """The time of day of every process that runs with `environment`.

    Their pauses between two tries take `haste` times less than they ask for; the time goes `speed`
    times faster, and stands still at 0.
    """

    def __init__(self, file: Path, haste: float = 1, speed: float = 1) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        self.environment = {
            "PYTHONPATH": str(commands.CLOCK_DIRECTORY),
            "CAMPAIGN_CLOCK": str(file),
        }
        if haste > 1:
            self.environment["CAMPAIGN_CLOCK_HASTE"] = str(haste)
        self._speed = speed
        if speed != 1:
            self.environment["CAMPAIGN_CLOCK_SPEED"] = str(speed)
        self.set(time.time())

    def now(self) -> float:
        return read(self._file, self._speed)

    def set(self, shown: float) -> None:
        os.write(self._file, RECORD.pack(shown, time.monotonic()))

    def forward_to(self, moment: float) -> None:
        """Move the clock forward to a unix time; it never goes back."""
        self.set(max(moment, self.now()))

    def fast_forward(self, running: Running, *, simulator_pid: int, leap: float = LEAP) -> None:
        """Wait for a command to end, and skip the time in which nothing happens, by leaps.

        Nothing happens when no thread of the command or the simulator can run: both wait for time
        to pass, or for an answer that only comes as time passes.
        """
        idle = 0
        while running.is_running():
            idle = idle + 1 if is_idle(running.process.pid) and is_idle(simulator_pid) else 0
            if idle > 1:
                self.set(self.now() + leap)
            time.sleep(POLL_INTERVAL)

    def close(self) -> None:
        os.close(self._file)


def is_idle(pid: int) -> bool:
    """Return whether every thread of a process sleeps, rather than waits for a processor."""
    states = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states == {"S"}


@contextmanager
def cheap_days() -> Iterator[Clock]:
    """Yield a shared clock under which a tick takes a tenth of a second.

    Its commands hurry.
    """
    with shared_clock(haste=20) as clock:
        yield clock


@contextmanager
def quick_clock() -> Iterator[Clock]:
    """Yield a shared clock of which a second takes a twentieth, all pauses included."""
    with shared_clock(20, 20) as clock:
        yield clock


@contextmanager
def shared_clock(haste: float = 1, speed: float = 1) -> Iterator[Clock]:
    """Yield a clock, set to the real time, that processes started in the block inherit."""
    with tempfile.TemporaryDirectory(prefix="killsync-clock-") as directory:
        clock = Clock(Path(directory) / "clock", haste, speed)
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
