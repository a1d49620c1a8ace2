"""Kills an export to Parquet before the move of a part that is the one with this number.

From outside such a moment cannot be met: all moves together take less than a millisecond.
"""

import os
import signal
import sys
from typing import Any

_left = int(os.environ.get("KILL_AT_MOVE", "0"))


def _watch(event: str, args: tuple[Any, ...]) -> None:
    global _left
    if event == "os.rename" and "/_unfinished/call-" in os.fsdecode(args[0]):
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


if _left:
    sys.addaudithook(_watch)
