"""Room on the disk for what is committed next: proven before, and kept until then."""

import errno
import os
from pathlib import Path

from killsync.store.paths import with_sqlite_files
from killsync.store.sqlite_errors import disk_is_full

# source: SQLite's documentation of the WAL format
_WAL_HEADER, _FRAME_HEADER = 32, 24
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def reserve(database: Path, size: int) -> None:
    """Allocate `size` bytes behind what is in a database's WAL: the next commits go there.

    The caller holds a write transaction, so that nobody else writes to the WAL meanwhile. Raises
    DatabaseError if the disk is full.
    """
    wal = with_sqlite_files(database)[1]
    try:
        descriptor = os.open(wal, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        # SQLite cannot use a WAL on this file system
        _compare_free_space(database, size)
        return
    try:
        _allocate(descriptor, _end_of_frames(descriptor), size)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise disk_is_full(database) from error
        _compare_free_space(database, size)
    finally:
        os.close(descriptor)


def _allocate(descriptor: int, start: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):
        raise OSError(errno.EOPNOTSUPP, "not on this system")
    os.posix_fallocate(descriptor, start, size)


def _compare_free_space(database: Path, size: int) -> None:
    space = os.statvfs(database.parent)
    if space.f_bavail * space.f_frsize < size:
        raise disk_is_full(database)


def _end_of_frames(wal: int) -> int:
    """Return where the frames of a WAL end: those behind have the salts of an older one."""
    header = os.pread(wal, _WAL_HEADER, 0)
    frame = _FRAME_HEADER + int.from_bytes(header[8:12], "big")
    salts = header[16:24]
    low, high = 0, max(0, os.fstat(wal).st_size - _WAL_HEADER) // frame
    while low < high:
        middle = (low + high) // 2
        if os.pread(wal, 8, _WAL_HEADER + middle * frame + 8) == salts:
            low = middle + 1
        else:
            high = middle
    return _WAL_HEADER + low * frame
