"""Output that is never in the way: what cannot be written now waits for a while, or is dropped."""

import io
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from killsync.terminal.transcript import Transcript

MOST_HELD = 1 << 20
PATIENCE = 2.0
BROKEN_PIPE = 141

# standard output and standard error may lead to the same pipe
_ONE_AT_A_TIME = threading.RLock()


_transcripts: list[Transcript] = []


@contextmanager
def transcribed() -> Iterator[Transcript]:
    """Yield a transcript of what is printed meanwhile to streams that never block."""
    transcript = Transcript()
    _transcripts.append(transcript)
    try:
        yield transcript
    finally:
        _transcripts.remove(transcript)


def transcribe(line: str) -> None:
    """Put a line into the transcript that a quiet call does not print."""
    _add_to_transcripts(f"{line}\n".encode(errors="backslashreplace"))


def _add_to_transcripts(data: bytes) -> None:
    for transcript in _transcripts:
        transcript.add(data)


class NeverBlocking(io.RawIOBase):
    """Writes to a descriptor without ever waiting for it and without ever failing.

    What cannot be written now, for whatever reason, is held and tried again with the next write.
    While `MOST_HELD` bytes wait, whole writes are dropped, never a part of one.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._held = bytearray()
        self._sending = False
        self.name = name

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write, hold or drop; return as if everything had been written."""
        with _ONE_AT_A_TIME:
            _add_to_transcripts(data)
            if not self._fits(data):
                self._send(0.0)
            if self._fits(data):
                self._held += data
            self._send(0.0)
        return len(data)

    def flush(self) -> None:
        """Write what is held, as far as it is taken now."""
        self.drain(0.0)

    def drain(self, patience: float) -> None:
        """Write what is held, waiting for a reader for at most `patience` seconds in all."""
        with _ONE_AT_A_TIME:
            self._send(patience)

    def close(self) -> None:
        """Leave it open: a stream that leads to the same place may still write."""
        self.flush()

    def leads_to(self, descriptor: int) -> bool:
        """Return whether another descriptor is one of the same file, pipe or terminal."""
        return os.path.samestat(os.fstat(self._descriptor), os.fstat(descriptor))

    def fileno(self) -> int:
        """Return the descriptor that was given."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return that this can be written to."""
        return True

    def _fits(self, data: bytes) -> bool:
        return not self._held or len(self._held) + len(data) <= MOST_HELD

    def _send(self, patience: float) -> None:
        if self._sending or not self._held:
            # a signal handler may write amid a write, which then goes on with this
            return
        self._sending = True
        deadline = time.monotonic() + patience
        room = select.poll()
        try:
            with _not_blocking(self._descriptor) as target:
                room.register(target, select.POLLOUT)
                while self._held and room.poll(1000 * max(0.0, deadline - time.monotonic())):
                    self._send_piece(target)
        except OSError:
            # a full disk may have room again at the next write
            pass
        finally:
            self._sending = False

    def _send_piece(self, target: int) -> None:
        """Write as much as fits into whatever is ready, in whole lines if one fits.

        A pipe takes such a piece at once, and other programs' lines never get into ours.
        """
        piece = bytes(self._held[: select.PIPE_BUF])
        piece = piece[: piece.rfind(b"\n") + 1] or piece
        # first, since Ctrl-C may raise right after the write: it must not be repeated
        del self._held[: len(piece)]
        try:
            written = os.write(target, piece)
        except OSError:
            self._held[:0] = piece
            raise
        self._held[:0] = piece[written:]


def never_block(*names: str) -> None:
    """Make these of `stdout` and `stderr` streams that are never in the way of the work.

    One without a descriptor stays as it is. `finish` is due at the end of the program.
    """
    for name in names:
        stream = getattr(sys, name)
        try:
            descriptor = stream.fileno()
        except OSError:
            continue
        # two that lead to the same place share what they hold, so that their order stays
        raw = next((r for r in _installed() if r.leads_to(descriptor)), None)
        raw = raw or NeverBlocking(descriptor, stream.name)
        ours = io.TextIOWrapper(raw, stream.encoding, stream.errors, write_through=True)
        # without a reference to it, what was opened for a closed stream would be closed
        ours.before = stream  # type: ignore[attr-defined]
        setattr(sys, name, ours)


def finish() -> None:
    """Write what is still held, waiting for readers for at most `PATIENCE` seconds in all."""
    deadline = time.monotonic() + PATIENCE
    for raw in _installed():
        raw.drain(max(0.0, deadline - time.monotonic()))


def _installed() -> list[NeverBlocking]:
    streams = (getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr))
    return [raw for raw in streams if isinstance(raw, NeverBlocking)]


@contextmanager
def printing() -> Iterator[None]:
    """End the program when what is printed to standard output cannot be written.

    A closed pipe ends it silently with 141, anything else with a line and 2.
    """
    try:
        yield
    except BrokenPipeError:
        give_up()
        raise SystemExit(BROKEN_PIPE) from None
    except OSError as error:
        give_up()
        sys.stderr.write(f"killsync: {unwritable(error)}\n")
        raise SystemExit(2) from None


def give_up() -> bool:
    """Return whether standard output cannot be written; what is left for it is then dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        # the interpreter would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def unwritable(error: OSError) -> str:
    """Return what a person is told of standard output that cannot be written."""
    return f"standard output cannot be written: {error.strerror or error}"


@contextmanager
def _not_blocking(descriptor: int) -> Iterator[int]:
    """Yield a descriptor of the same pipe or terminal that does not block, if there can be one.

    Setting that on the given one would set it for every process that shares it, such as a shell.
    Where it cannot be had, as of another user's terminal, a piece that follows a poll blocks only
    if another program was faster, or if a terminal that nobody reads has room for a part of it.
    """
    own = None
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
            own = os.open(f"/proc/self/fd/{descriptor}", flags)
    try:
        yield descriptor if own is None else own
    finally:
        if own is not None:
            os.close(own)
