"""Put in front by PYTHONPATH: a clock that is wrong by KILLSYNC_CLOCK_WRONG_BY seconds."""

import os
import time

_wrong_by = float(os.environ.get("KILLSYNC_CLOCK_WRONG_BY", "0"))
_right = time.time


def _wrong() -> float:
    return _right() + _wrong_by


time.time = _wrong
