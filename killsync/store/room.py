"""Room on the disk for what is committed next: proven before, and kept until then."""

import errno
import os
from pathlib import Path

from killsync.store import wal
from killsync.store.sqlite_errors import disk_is_full

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def reserve(database: Path, size: int) -> None:
    """Allocate `size` bytes behind what is in a database's WAL: the next commits go there.

    The caller holds a write transaction, so that nobody else writes to the WAL meanwhile. Raises
    DatabaseError if the disk is full.
    """
    try:
        descriptor = os.open(wal.file_of(database), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        # SQLite cannot use a WAL on this file system
        _compare_free_space(database, size)
        return
    try:
        _allocate(descriptor, wal.end_of_frames(descriptor), size)
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
    # the WAL lies where a link leads
    space = os.statvfs(database.resolve().parent)
    if space.f_bavail * space.f_frsize < size:
        raise disk_is_full(database)
