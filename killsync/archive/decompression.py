"""Decompressing, which takes longer than all that follows: in a process of its own, or here."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO

from killsync.archive import bunzip
from killsync.archive.refusals import BrokenArchive, Flaw
from killsync.archive.tar import Read
from killsync.settings.program import without_secrets

_BUFFER = 1 << 20
_FLAWS = {
    bunzip.NOT_BZIP2: Flaw.NOT_BZIP2,
    bunzip.CUT_SHORT: Flaw.CUT_SHORT,
    bunzip.DAMAGED: Flaw.DAMAGED,
    bunzip.UNREADABLE: Flaw.UNREADABLE,
}


@contextmanager
def decompressed(source: BinaryIO | bytes) -> Iterator[Read]:
    """Yield what reads the content of a bzip2 file, given as an open file or as its bytes.

    It raises BrokenArchive in place of a last piece if the file is not whole. The process ends
    with this context at the latest, and by itself if this program is killed.
    """
    compressed = source if not isinstance(source, bytes) else subprocess.PIPE
    # -I -S: nothing but the script and the standard library is loaded
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", bunzip.__file__],
        bufsize=_BUFFER,
        stdin=compressed,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=without_secrets(os.environ),
    )
    assert process.stdout is not None
    output, feeding = process.stdout, _feed(process.stdin, source)

    def read(size: int) -> bytes:
        data = output.read(size)
        if len(data) < size and (code := process.wait()):
            raise BrokenArchive(_FLAWS.get(code, Flaw.KILLED))
        return data

    try:
        yield read
    finally:
        process.kill()
        process.wait()
        output.close()
        if feeding is not None:
            feeding.join()


def decompressed_here(source: Callable[[], bytes]) -> Read:
    """Return what reads the content of a bzip2 file, of which `source` returns the next bytes.

    For who has one processor alone. It raises BrokenArchive where the file is not whole, and
    whatever `source` raises.
    """
    pieces, left = bunzip.pieces(source), bytearray()

    def read(size: int) -> bytes:
        try:
            while len(left) < size and (piece := next(pieces, None)) is not None:
                left.extend(piece)
        except bunzip.Ended as end:
            raise BrokenArchive(_FLAWS[end.exit_code]) from None
        data = bytes(left[:size])
        del left[:size]
        return data

    return read


def _feed(into: IO[bytes] | None, source: BinaryIO | bytes) -> threading.Thread | None:
    """Write the bytes of a compressed file to the process from a thread of its own."""
    if into is None or not isinstance(source, bytes):
        return None

    def write() -> None:
        # it ends early if the archive has an end before the file has
        with suppress(BrokenPipeError), into:
            into.write(source)

    feeding = threading.Thread(target=write, daemon=True)
    feeding.start()
    return feeding
