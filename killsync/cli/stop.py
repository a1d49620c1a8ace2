"""SIGTERM and SIGINT: the first ends a run in good order, a second SIGINT at once."""

import os
import signal
from types import FrameType

from killsync.sync.stopping import Stopping


class Stop(Stopping):
    """Stops on the first signal."""

    def __enter__(self) -> "Stop":
        self._before = {s: signal.signal(s, self._on) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on(self, number: int, _: FrameType | None) -> None:
        if self.signal == signal.SIGINT == number:
            # every transaction is whole: nothing is lost by going at once
            os._exit(130)
        self.signal = self.signal or number
        self.flag.set()
        self.wake()
