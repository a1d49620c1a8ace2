"""One large answer at a time: what eight of them hold together is more than small machines have."""

import ctypes
import threading
import time
import weakref
from contextlib import suppress
from functools import cache
from queue import Empty, SimpleQueue

from killsync.errors import NotSent, ServerFault

# killmails of the game are smaller, but for the greatest battles
LARGE = 512 * 1024
# an answer that waits is to be whole in time all the same
_LONGEST_WAIT = 30.0
_STEP = 0.1
_M_MMAP_THRESHOLD = -3


class OneLarge:
    """Lets threads read large answers in turn: the next one once the last is out of memory.

    A thread has its turn from `take` until `give_back`, or until the value dies that was made
    of its answer and named in `hand_over`.
    """

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._mine = threading.local()
        # its put may run anywhere, even within its get: a value dies when nobody expects it
        self._turn: SimpleQueue[None] = SimpleQueue()
        self._turn.put(None)

    def take(self) -> None:
        """Wait for this thread's turn, if it does not have it yet.

        Raises ServerFault if that takes too long, and NotSent if the run stops meanwhile.
        """
        _return_freed_memory()
        deadline = time.monotonic() + _LONGEST_WAIT
        while not self._has_turn():
            try:
                self._turn.get(timeout=_STEP)
                self._mine.turn = True
            except Empty:
                if self._stopping.is_set():
                    raise NotSent from None
                if time.monotonic() > deadline:
                    raise ServerFault("too many large answers at a time") from None

    def give_back(self) -> None:
        """End this thread's turn, if it has it."""
        if self._has_turn():
            self._mine.turn = False
            self._turn.put(None)

    def hand_over(self, value: object) -> None:
        """Let this thread's turn, if it has it, end when `value` dies."""
        if self._has_turn():
            self._mine.turn = False
            weakref.finalize(value, self._turn.put, None).atexit = False

    def _has_turn(self) -> bool:
        return getattr(self._mine, "turn", False)


@cache
def _return_freed_memory() -> None:
    """Let glibc give large blocks back when they are freed.

    By default it keeps what is freed for the thread that had it, and a run has many threads.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)
