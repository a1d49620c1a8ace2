"""A time of day that a test moves: Python imports this first if PYTHONPATH names its directory.

Only `time.time` is another; it goes on from what the test last set it to, at real speed, or so
many times faster as CAMPAIGN_CLOCK_SPEED says. Every process that is told of the same file sees the
same time, also while it runs. With CAMPAIGN_CLOCK_HASTE, the pauses that it makes between two tries
are so many times shorter.
"""

import os
import struct
import threading
import time
from collections.abc import Mapping
from functools import partial

# a record: what the clock shows, and at which monotonic time it was set; the last one counts
RECORD = struct.Struct("dd")


def read(file: int, speed: float = 1.0) -> float:
    """Return the time that the clock in an open file shows."""
    size = os.fstat(file).st_size // RECORD.size * RECORD.size
    shown, since = RECORD.unpack(os.pread(file, RECORD.size, size - RECORD.size))
    return float(shown + (time.monotonic() - since) * speed)


_real_time = time.time
_shown = _real_time


def replace_time() -> None:
    """Make `time.time` one that can be moved, for all that is read afterwards."""
    time.time = lambda: _shown()


def obey(environment: Mapping[str, str]) -> None:
    """Follow the clock that the environment names, if it names one."""
    global _shown
    if "CAMPAIGN_CLOCK" in environment:
        # records are only ever added, so that none is read half-written
        file = os.open(environment["CAMPAIGN_CLOCK"], os.O_RDONLY | os.O_CLOEXEC)
        _shown = partial(read, file, float(environment.get("CAMPAIGN_CLOCK_SPEED", "1")))
    if "CAMPAIGN_CLOCK_HASTE" in environment:
        _hurry(float(environment["CAMPAIGN_CLOCK_HASTE"]))


def _hurry(haste: float) -> None:
    patiently = threading.Event.wait

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        return patiently(self, None if timeout is None else timeout / haste)

    threading.Event.wait = wait  # type: ignore[method-assign]


if "CAMPAIGN_CLOCK" in os.environ:
    replace_time()
    obey(os.environ)
