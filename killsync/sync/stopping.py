"""The wish that a run stop in good order."""

import threading
from collections.abc import Callable


def _nobody() -> None:
    return None


class StopRequest:
    """Once `flag` is set nothing new is sent; `wake` interrupts whoever sleeps.

    `signal` is the number of the signal that asked for it, if one did.
    """

    def __init__(self) -> None:
        self.flag = threading.Event()
        self.wake: Callable[[], None] = _nobody
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code that the signal asks for, None if there was none."""
        return None if self.signal is None else 128 + self.signal
