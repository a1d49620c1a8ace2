"""Decompresses bzip2 from standard input to standard output: a program of its own.

It runs beside the import, since decompressing takes longer than all that follows, and reads its
input by itself. It imports nothing of killsync, and is called as a script without site-packages,
so that it starts at once. It ends when nobody reads its output any more.
"""

import bz2
import os
import signal
import sys
from collections.abc import Callable, Iterator

NOT_BZIP2 = 3
"""The exit code of input that is something else."""
CUT_SHORT = 4
"""The exit code of input that ends too early."""
DAMAGED = 5
"""The exit code of input that is bzip2 in part."""
UNREADABLE = 6
"""The exit code of a file that the operating system does not let be read to its end."""

_READ = 65536
# what is compressed to nothing, such as zeros, comes in pieces too
_PIECE = 262144
_MAGIC = b"BZh"


class Ended(Exception):
    """There is no more to decompress."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def pieces(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield what is compressed, from all streams one after another, as bzcat does.

    What follows a stream and is no other one is ignored, as bzcat does too. Raises Ended if it is
    not whole, once what came before is yielded, and whatever `read` raises.
    """
    data, streams = _more(read, b""), 0
    while data.startswith(_MAGIC):
        stream = bz2.BZ2Decompressor()
        while not stream.eof:
            if not data and stream.needs_input and not (data := read()):
                raise Ended(CUT_SHORT)
            try:
                piece = stream.decompress(data, _PIECE)
            except OSError:
                raise Ended(DAMAGED) from None
            data = b""
            yield piece
        streams += 1
        data = _more(read, stream.unused_data)
    if not streams:
        raise Ended(CUT_SHORT if _MAGIC.startswith(data) else NOT_BZIP2)


def _more(read: Callable[[], bytes], data: bytes) -> bytes:
    """Return some input, enough to tell what it is unless there is no more."""
    while len(data) < len(_MAGIC) and (more := read()):
        data += more
    return data


def _write(piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(1, left) :]


def _read() -> bytes:
    try:
        return os.read(0, _READ)
    except OSError:
        raise Ended(UNREADABLE) from None


def main() -> int:
    """Decompress everything, and return the exit code."""
    # what goes to all programs of a terminal or a service: the import ends this one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        for piece in pieces(_read):
            _write(piece)
    except BrokenPipeError:
        return 0
    except Ended as end:
        return end.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
