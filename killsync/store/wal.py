"""What stands in the WAL of a database, and whether it can be that database's own.

SQLite does not ask: it plays whatever WAL lies beside a file into it, also that of another copy.
Source of every fact: SQLite's documentation of its file format.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from killsync.store.paths import with_sqlite_files

HEADER, FRAME_HEADER = 32, 24
_MAGIC = (0x377F0682, 0x377F0683)
# the page that holds this byte is never written: it is for locks
_LOCK_BYTE = 0x40000000
_PATIENCE_STEPS = 5_000


def file_of(database: Path) -> Path:
    """Return where the WAL of a database is, if it has one, wherever a link to it leads."""
    return with_sqlite_files(database.resolve())[1]


def has_commits(database: Path) -> bool:
    """Return whether something may stand in the WAL that is not in the file yet."""
    with _opened(file_of(database)) as wal:
        return wal is not None and end_of_frames(wal) > HEADER


def end_of_frames(wal: int) -> int:
    """Return where the frames of an open WAL end; those behind are of an older one.

    Only the frames of this one have the salts of its header.
    """
    header = os.pread(wal, HEADER, 0)
    if int.from_bytes(header[:4], "big") not in _MAGIC:
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
    return _misses_pages(database) and _misses_pages(database)  # others may be at work


def is_whole_alone(database: Path) -> bool:
    """Return whether a database without its WAL is found whole in a short time."""
    uri = f"{database.resolve().as_uri()}?mode=ro&immutable=1"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as conn:
        steps = iter(range(_PATIENCE_STEPS))
        conn.set_progress_handler(lambda: next(steps, None) is None, 100_000)
        return bool(conn.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    return False


def _misses_pages(database: Path) -> bool:
    with _opened(file_of(database)) as wal:
        if wal is None or end_of_frames(wal) <= HEADER:
            return False
        page_size = _page_size(os.pread(wal, HEADER, 0))
        pages, size = _committed(wal, page_size)
    in_the_file = database.stat().st_size // page_size
    between = range(in_the_file + 1, size + 1)
    missing = len(between) - len(pages & set(between))
    return missing > (_LOCK_BYTE // page_size + 1 in between)


def _page_size(header: bytes) -> int:
    # never less, whatever stands in a damaged one
    return max(512, int.from_bytes(header[8:12], "big"))


def _committed(wal: int, page_size: int) -> tuple[set[int], int]:
    """Return the pages that a WAL holds, and how many the database had after its last commit."""
    committed: set[int] = set()
    since: set[int] = set()
    size = 0
    for start in range(HEADER, end_of_frames(wal), FRAME_HEADER + page_size):
        frame = os.pread(wal, 8, start)
        since.add(int.from_bytes(frame[:4], "big"))
        if after_commit := int.from_bytes(frame[4:], "big"):
            size = after_commit
            committed |= since
            since.clear()
    return committed, size


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
