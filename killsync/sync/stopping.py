"""The wish that a run stop in good order."""

import threading
from collections.abc import Callable


def _nobody() -> None:
    return None


class Stopping:
    """Once `flag` is set nothing new is sent; `wake` interrupts whoever sleeps."""

    def __init__(self) -> None:
        self.flag = threading.Event()
        self.wake: Callable[[], None] = _nobody
