"""What a signal raises where nothing can be raised, as in a `__del__`: it is raised once more."""

import _thread
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# the finalizer has returned by then; if another runs, it is sent again
_SOON = 0.01


@contextmanager
def raised_again() -> Iterator[None]:
    """Send a signal again whose KeyboardInterrupt or SystemExit(128 + number) was swallowed.

    Python prints such an exception and goes on, and its SQLite does not even print what is raised
    while it asks whether to give up: the program would work on as if nobody had told it to end.
    Garbage is collected at any time, so that it may happen to any call.
    """
    before = sys.unraisablehook

    def look(found: "sys.UnraisableHookArgs") -> None:
        number = _signal_behind(found.exc_value)
        if number is None:
            before(found)
        else:
            # a Thread takes locks, which whoever is finalizing may hold
            _thread.start_new_thread(_send_again, (number,))

    sys.unraisablehook = look
    sqlite3.enable_callback_tracebacks(True)
    try:
        yield
    finally:
        sqlite3.enable_callback_tracebacks(False)
        sys.unraisablehook = before


def _signal_behind(error: BaseException | None) -> int | None:
    match error:
        case KeyboardInterrupt():
            return signal.SIGINT
        case SystemExit(code=int(code)) if code > 128:
            return code - 128
    return None


def _send_again(number: int) -> None:
    time.sleep(_SOON)
    main = threading.main_thread().ident
    assert main is not None
    # into whatever it waits for
    signal.pthread_kill(main, number)
