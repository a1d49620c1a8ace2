"""Importing lines as `killsync export` writes them, from files and pipes of any size."""

import os
import select
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from killsync.archive.events import LinesImported, LinesRead
from killsync.archive.intake import Intake
from killsync.archive.refusals import Refusal
from killsync.errors import UsageError
from killsync.events import Report
from killsync.killmail import archived

LONGEST_LINE = 32 << 20
"""In bytes. A body of 8 MiB, the largest that is stored, has a million names and values at most,
and each grows by 20 bytes at most where `1e15` is written out."""

_PIECE = 1 << 18
# how soon a signal ends the wait for a program that writes nothing
_LOOK_EVERY = 0.2
_SHOWN_EVERY = 500
_SAID_EVERY = 100_000
_MARK = b"\xef\xbb\xbf"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"PK\x03\x04")

Progress = Callable[[float, int], None]
"""Takes how many bytes and how many killmails were read."""


class Source(msgspec.Struct, frozen=True):
    """A file to be read; without a path it is standard input. Of a pipe the size is not known."""

    name: str
    path: Path | None
    size: int | None


def find(paths: Iterable[Path], descriptor: int) -> list[Source]:
    """Return what these paths are; `-` is standard input, which is open as `descriptor`.

    Raises UsageError if one of them cannot be read, or is compressed.
    """
    return [_source(path, descriptor) for path in paths]


def is_compressed(beginning: bytes) -> bool:
    """Return whether a file that begins so is compressed by a program that everybody has."""
    return beginning.startswith(_COMPRESSED)


def pieces(descriptor: int, stopped: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what an open file or pipe gives, until its end or until `stopped` says so."""
    while not stopped():
        if select.select([descriptor], [], [], _LOOK_EVERY)[0]:
            piece = os.read(descriptor, _PIECE)
            if not piece:
                return
            yield piece


def lines(read: Iterable[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes | None]:
    """Yield the lines in these pieces, None for one that is longer than `longest` bytes."""
    parts: list[bytes] = []
    size = 0
    for piece in read:
        for number, part in enumerate(piece.split(b"\n")):
            if number:
                yield _joined(parts, size, longest)
                parts, size = [], 0
            size += len(part)
            if size <= longest:
                parts.append(part)
            else:
                parts.clear()
    if size:
        yield _joined(parts, size, longest)


class Exported:
    """An import of lines: how they are read, and what became of them so far."""

    def __init__(
        self,
        intake: Intake,
        report: Report,
        stopping: Callable[[], bool],
        progress: Progress | None = None,
    ) -> None:
        self._intake = intake
        self._report = report
        self._stopping = stopping
        self._progress = progress
        self._files = 0
        self._bytes = 0
        self._said = 0
        self._began = time.monotonic()

    def read(self, sources: Sequence[Source], descriptor: int) -> None:
        """Read files one after another, until `stopping` says so; what is read is stored.

        Raises UsageError if one cannot be read to its end.
        """
        try:
            for source in sources:
                if self._stopping():
                    return
                self._read(source, descriptor)
        finally:
            self._intake.store()

    def take(self, name: str, read: Iterable[bytes]) -> None:
        """Take the killmail of each line of a file; a line that is none is refused."""
        for number, line in enumerate(lines(read), 1):
            if self._stopping():
                # the line may have been cut short
                return
            where = f"{name}: line {number:,}"
            if line is None:
                self._intake.refuse(Refusal.TOO_LARGE, where)
            elif content := line.removeprefix(_MARK if number == 1 else b"").strip():
                self._intake.take(content, decode=archived.decode_exported, where=where)
            self._show(name, number)

    def ended(self, stopped: str | None) -> LinesImported:
        """Return what became of all; `stopped` names the signal that has ended it early, if any."""
        counts, seconds = self._intake.counts, time.monotonic() - self._began
        return LinesImported(
            files=self._files,
            killmails=counts.read,
            seconds=round(seconds, 3),
            stopped=stopped,
            **counts.named(),
        )

    def _read(self, source: Source, descriptor: int) -> None:
        # who is registered meanwhile is looked for from the next file on
        self._intake.look_again()
        try:
            with _opened(source, descriptor) as opened:
                self.take(source.name, self._counted(pieces(opened, self._stopping)))
        except OSError as error:
            raise _unreadable(source.name, error) from error
        self._files += not self._stopping()

    def _counted(self, read: Iterable[bytes]) -> Iterator[bytes]:
        for piece in read:
            self._bytes += len(piece)
            yield piece

    def _show(self, name: str, number: int) -> None:
        taken = self._intake.taken
        if self._progress is not None and number % _SHOWN_EVERY == 0:
            self._progress(self._bytes, taken)
        if taken >= self._said + _SAID_EVERY:
            self._said += _SAID_EVERY
            self._report(LinesRead(name, self._said))


def _source(path: Path, descriptor: int) -> Source:
    name = str(path)
    is_input = name == "-"
    source = Source("standard input" if is_input else name, None if is_input else path, None)
    if not is_input and not path.exists():
        raise UsageError(f"{name}: no such file")
    if not is_input and path.is_dir():
        raise UsageError(f"{name}: is a directory; name the files in it")
    if not is_input and not path.is_file():
        # what a pipe gives can be read once only
        return source
    try:
        with _opened(source, descriptor) as opened:
            return _looked_at(source, opened)
    except OSError as error:
        raise _unreadable(source.name, error) from error


def _looked_at(source: Source, opened: int) -> Source:
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        return source
    place = os.lseek(opened, 0, os.SEEK_CUR)
    if is_compressed(os.pread(opened, 8, place)):
        advice = "decompress it into `killsync import json -`"
        raise UsageError(f"{source.name}: is compressed; {advice}")
    return msgspec.structs.replace(source, size=status.st_size - place)


@contextmanager
def _opened(source: Source, descriptor: int) -> Iterator[int]:
    if source.path is None:
        yield descriptor
        return
    with source.path.open("rb", buffering=0) as file:
        yield file.fileno()


def _unreadable(name: str, error: OSError) -> UsageError:
    return UsageError(f"{name}: cannot be read: {error.strerror}")


def _joined(parts: list[bytes], size: int, longest: int) -> bytes | None:
    return b"".join(parts) if size <= longest else None
