"""What stands in the WAL of a database, and whether it can be that database's own.

SQLite does not ask: it plays whatever WAL lies beside a file into it, also that of another copy.
Source of every fact: SQLite's documentation of its file format.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from struct import Struct

from killsync.store.paths import with_sqlite_files

HEADER, FRAME_HEADER = 32, 24
# the byte order of the words that checksums are made of
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
_PAGE_SIZES = {1 << n for n in range(9, 17)}
# the page that holds this byte is never written: it is for locks
_LOCK_BYTE = 0x40000000
_PATIENCE_STEPS = 5_000
_PAIR = Struct(">II")

# the page that a frame holds, and after a commit, how many the database has; else 0
_Frame = tuple[int, int]


def file_of(database: Path) -> Path:
    """Return where the WAL of a database is, if it has one, wherever a link to it leads."""
    return with_sqlite_files(database.resolve())[1]


def has_commits(database: Path) -> bool:
    """Return whether something stands in the WAL that may not be in the file yet."""
    with _opened(file_of(database)) as wal:
        return wal is not None and any(size for _, size in _valid_frames(wal))


def end_of_frames(wal: int) -> int:
    """Return where the frames of an open WAL end; those behind are of an older one.

    Only the frames of this one have the salts of its header.
    """
    header = os.pread(wal, HEADER, 0)
    if not _is_header(header):
        return 0
    frame = FRAME_HEADER + _page_size(header)
    salts = header[16:24]
    low, high = 0, max(0, os.fstat(wal).st_size - HEADER) // frame
    while low < high:
        middle = (low + high) // 2
        if os.pread(wal, 8, HEADER + middle * frame + 8) == salts:
            low = middle + 1
        else:
            high = middle
    return HEADER + low * frame


def is_foreign(database: Path) -> bool:
    """Return whether a WAL cannot belong to the database that it lies beside.

    It is certain if it begins where the file does not end: pages between are in neither. A WAL
    that does belong to the file is never taken for a foreign one.
    """
    # every command asks: what takes long is looked at only in a suspicious one, and at another
    # time than the first, as others may be at work
    return _misses_pages(database, _frames) and _misses_pages(database, _valid_frames)


def is_whole_alone(database: Path) -> bool:
    """Return whether a database without its WAL is found whole in a short time."""
    uri = f"{database.resolve().as_uri()}?mode=ro&immutable=1"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as conn:
        steps = iter(range(_PATIENCE_STEPS))
        conn.set_progress_handler(lambda: next(steps, None) is None, 100_000)
        return bool(conn.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    return False


def _misses_pages(database: Path, frames_of: Callable[[int], Iterable[_Frame]]) -> bool:
    with _opened(file_of(database)) as wal:
        if wal is None or not _is_header(header := os.pread(wal, HEADER, 0)):
            return False
        page_size = _page_size(header)
        in_the_file = database.stat().st_size // page_size
        added, size = _added(frames_of(wal), in_the_file)
    # it may have grown meanwhile
    in_the_file = max(in_the_file, database.stat().st_size // page_size)
    between = range(in_the_file + 1, size + 1)
    missing = len(between) - sum(page in between for page in added)
    return missing > (_LOCK_BYTE // page_size + 1 in between)


def _added(frames: Iterable[_Frame], in_the_file: int) -> tuple[set[int], int]:
    """Return what commits add behind the file, and how many pages there are after the last one."""
    added: set[int] = set()
    since: set[int] = set()
    size = 0
    for page, after_commit in frames:
        if page > in_the_file:
            since.add(page)
        if after_commit:
            size = after_commit
            added |= since
            since.clear()
    return added, size


def _is_header(header: bytes) -> bool:
    """Return whether SQLite would look at what follows a header, but for its checksum."""
    magic = int.from_bytes(header[:4], "big")
    return len(header) == HEADER and magic in _MAGIC and _page_size(header) in _PAGE_SIZES


def _page_size(header: bytes) -> int:
    return int.from_bytes(header[8:12], "big")


def _frame(header: bytes) -> _Frame:
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")


def _frames(wal: int) -> Iterator[_Frame]:
    """Yield the frames of an open WAL, quickly: after a power cut some may not count."""
    page_size = _page_size(os.pread(wal, HEADER, 0))
    for start in range(HEADER, end_of_frames(wal), FRAME_HEADER + page_size):
        yield _frame(os.pread(wal, 8, start))


def _valid_frames(wal: int) -> Iterator[_Frame]:
    """Yield the frames of an open WAL that SQLite counts: those before the first invalid one.

    It takes some seconds for each 100 MB.
    """
    header = os.pread(wal, HEADER, 0)
    if not _is_header(header):
        return
    order, page_size = _MAGIC[int.from_bytes(header[:4], "big")], _page_size(header)
    sums = _checksum(header[:24], order, (0, 0))
    if _PAIR.pack(*sums) != header[24:]:
        return
    start = HEADER
    while len(frame := os.pread(wal, FRAME_HEADER + page_size, start)) == FRAME_HEADER + page_size:
        sums = _checksum(frame[:8] + frame[FRAME_HEADER:], order, sums)
        page, size = _frame(frame)
        if not page or frame[8:FRAME_HEADER] != header[16:24] + _PAIR.pack(*sums):
            return
        yield page, size
        start += len(frame)


def _checksum(content: bytes, order: str, before: tuple[int, int]) -> tuple[int, int]:
    """Go on with SQLite's checksum, which is cumulative, over a content of whole pairs of words."""
    first, second = before
    for one, other in Struct(f"{order}II").iter_unpack(content):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


@contextmanager
def _opened(wal: Path) -> Iterator[int | None]:
    """Yield the descriptor of a WAL, None if there is none; SQLite holds no locks on it."""
    try:
        descriptor = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
