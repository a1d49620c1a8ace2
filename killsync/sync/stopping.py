"""A request to stop a run in good order."""

import threading
from collections.abc import Callable


def _nothing_to_wake() -> None:
    return None


class StopRequest:
    """Once `flag` is set nothing new is sent to ESI; `wake` interrupts a wait.

    `signal` is the number of the signal that asked for it, if one did; `signalled` is set then. A
    run also sets `flag` itself, out of time or where a service is down.
    """

    def __init__(self) -> None:
        self.flag = threading.Event()
        self.signalled = threading.Event()
        self.wake: Callable[[], None] = _nothing_to_wake
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code that the signal asks for, None if there was none."""
        return None if self.signal is None else 128 + self.signal
