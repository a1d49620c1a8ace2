"""A picture that is drawn again and again, until `q`, Ctrl-C or SIGTERM; the last one stays."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from killsync.cli import output
from killsync.cli.signals import leaving_by_exception

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_QUIT = b"qQ"
# all that the terminal would be left in disorder by
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def can_redraw() -> bool:
    """Return whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


def watch(console: "Console", draw: Callable[[], "RenderableType"], every: float) -> None:
    """Draw a picture every so many seconds, and when the terminal's size changes, until `q`.

    Whatever ends it, the terminal is as it was before, and the last picture stays on it. Ctrl-Z
    stops it, with the terminal as it was; it goes on in the foreground.
    """
    # a shell that starts a program in the background lets it ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    last: list[RenderableType] = []

    def draw_and_keep() -> "RenderableType":
        last[:] = [draw()]
        return last[0]

    try:
        with leaving_by_exception():
            while _is_stopped_by_key(console, draw_and_keep, every):
                os.kill(os.getpid(), signal.SIGSTOP)
    finally:
        try:
            for picture in last:
                console.print(picture)
        except OSError:
            # of a terminal that is gone nothing needs to be kept
            output.give_up()


def _is_stopped_by_key(
    console: "Console", draw: Callable[[], "RenderableType"], every: float
) -> bool:
    """Draw until a key ends it; return whether that is Ctrl-Z, after which it goes on."""
    from rich.live import Live

    with ExitStack() as stack:
        signals = stack.enter_context(_noted(signal.SIGWINCH, signal.SIGTSTP))
        keys = stack.enter_context(_single_keys())
        first = draw()
        live = stack.enter_context(
            _undisturbed_end(Live(first, console=console, screen=True, auto_refresh=False))
        )
        while True:
            live.refresh()
            ready, _, _ = select.select([signals, *keys], [], [], every)
            if signals in ready and signal.SIGTSTP in os.read(signals, 1024):
                return True
            for descriptor in keys if keys and keys[0] in ready else ():
                typed = os.read(descriptor, 1024)
                if any(key in _QUIT for key in typed):
                    return False
                if not typed:
                    keys = []
            live.update(draw())


@contextmanager
def _noted(*numbers: signal.Signals) -> Iterator[int]:
    """Yield a descriptor from which the numbers of these signals can be read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


@contextmanager
def _single_keys() -> Iterator[list[int]]:
    """Yield the keyboard, whose keys come one by one and are not shown; nothing if there is none.

    Whoever is not in the foreground would be stopped for touching it.
    """
    descriptor = _keyboard()
    if descriptor is None:
        yield []
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)
        yield [descriptor]
    finally:
        with _undisturbed(), suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _keyboard() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
        is_mine = os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (OSError, ValueError):
        return None
    return descriptor if is_mine else None


@contextmanager
def _undisturbed_end(live: Any) -> Iterator[Any]:
    """Start and stop a live picture; a signal waits until it is stopped."""
    try:
        live.start()
        yield live
    finally:
        # a terminal that is gone has nothing to restore
        with _undisturbed(), suppress(OSError):
            live.stop()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals that end the program wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
