"""SIGTERM, SIGHUP and SIGINT: the first ends a run in good order, a second SIGINT at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from killsync.cli.invocation import exit_code_of, exit_with
from killsync.errors import INTERRUPTED, TryLater
from killsync.sync.stopping import StopRequest


@contextmanager
def leaving_by_exception() -> Iterator[None]:
    """Make what would end the program at once raise SystemExit, which undoes what was started."""

    def leave_now(number: int, _: FrameType | None) -> None:
        # no Exception, which much that is called here catches, and goes on
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, leave_now)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopOnSignal(StopRequest):
    """Stops on the first signal."""

    def __enter__(self) -> "StopOnSignal":
        self._before = {
            number: signal.signal(number, self._on)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            # nohup wants the program to outlive its terminal
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        }
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.exit_code is not None and isinstance(error, TryLater):
            exit_with(self.exit_code)

    def exit_code_after(self, error: Exception) -> int:
        """Return the exit code that the program ends with after an error."""
        if self.exit_code is not None and isinstance(error, TryLater):
            # it could not be done because it was told to stop
            return self.exit_code
        return exit_code_of(error)

    @property
    def signal_name(self) -> str | None:
        """The name of the signal that asked for it, None if there was none."""
        return None if self.signal is None else signal.Signals(self.signal).name

    @contextmanager
    def leaving_at_once(self) -> Iterator[None]:
        """Make a signal end the program by an exception: nothing has been begun yet."""

        def leave() -> None:
            if self.exit_code is not None:
                # as in `leaving_by_exception`
                raise SystemExit(self.exit_code)

        leave()
        before, self.wake = self.wake, leave
        try:
            yield
        finally:
            self.wake = before

    def _on(self, number: int, _: FrameType | None) -> None:
        if self.signal == signal.SIGINT == number:
            # every transaction is whole: nothing is lost by going at once
            os._exit(INTERRUPTED)
        self.signal = self.signal or number
        self.signalled.set()
        self.flag.set()
        self.wake()
