"""Programs that run for a bounded time and say a bounded amount, whatever they do."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

import msgspec

GRACE = 3.0
"""So many seconds a program may still run once it is to stop."""

_LOOK = 0.05
_PIECE = 65536
_KEPT = 16384


class Finished(msgspec.Struct, frozen=True):
    """How a program ended: its exit code, None if it had to be killed, and how its output began."""

    code: int | None
    said: bytes


def run(
    words: Sequence[str],
    given: bytes,
    env: Mapping[str, str],
    timeout: float,
    *,
    keep_errors: bool,
    stopping: threading.Event | None = None,
) -> Finished:
    """Run a program in a process group of its own, and give it its standard input.

    The beginning of its standard error, or else of its standard output, is kept; the rest and the
    other one are thrown away. It is over when the program itself has ended, whoever else holds its
    output; after `timeout` seconds, or soon after `stopping` is set, the whole group is killed.
    Raises OSError if it cannot start.
    """
    kept, dropped = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=dropped if keep_errors else kept,
        stderr=kept if keep_errors else dropped,
        env=dict(env),
        start_new_session=True,
    )
    output = process.stderr if keep_errors else process.stdout
    assert process.stdin is not None
    assert output is not None
    with _Exchange(process.stdin, output, given) as exchange:
        try:
            code = _wait(process, exchange, _Deadline(timeout, stopping))
        except BaseException:
            _kill(process)
            raise
        return Finished(code, bytes(exchange.said))


def _wait(
    process: subprocess.Popen[bytes], exchange: "_Exchange", deadline: "_Deadline"
) -> int | None:
    """Return the exit code, None if the program had to be killed."""
    while (code := process.poll()) is None:
        left = deadline.left()
        if left <= 0:
            _kill(process)
            break
        exchange.go_on(min(_LOOK, left))
    exchange.go_on(0)  # what it said last
    return code


def _kill(process: subprocess.Popen[bytes]) -> None:
    # the group is there as long as the process was not waited for
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Deadline:
    """Until when a program may run, which a stop brings forward."""

    def __init__(self, seconds: float, stopping: threading.Event | None) -> None:
        self._at = time.monotonic() + seconds
        self._stopping = stopping

    def left(self) -> float:
        """Return for how many seconds it may still run."""
        now = time.monotonic()
        if self._stopping is not None and self._stopping.is_set():
            self._at, self._stopping = min(self._at, now + GRACE), None
        return self._at - now


class _Exchange:
    """Gives a program its input and takes its output, and waits for neither."""

    def __init__(self, into: IO[bytes], out: IO[bytes], given: bytes) -> None:
        self.said = bytearray()
        self._left = memoryview(given)
        self._into = into
        self._out = out
        self._selector = selectors.DefaultSelector()
        for stream, kind in ((into, selectors.EVENT_WRITE), (out, selectors.EVENT_READ)):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, kind)

    def __enter__(self) -> "_Exchange":
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for stream in (self._into, self._out):
            with suppress(OSError):
                stream.close()

    def go_on(self, seconds: float) -> None:
        """Exchange what can be exchanged now, or wait at most so long for that."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._into:
                self._give()
            else:
                self._take()

    def _give(self) -> None:
        try:
            self._left = self._left[os.write(self._into.fileno(), self._left[:_PIECE]) :]
        except BlockingIOError:
            return
        except OSError:  # it does not read on, which is its own affair
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._into)
            self._into.close()

    def _take(self) -> None:
        try:
            piece = os.read(self._out.fileno(), _PIECE)
        except BlockingIOError:
            return
        if not piece:
            self._selector.unregister(self._out)
        self.said += piece[: _KEPT - len(self.said)]
