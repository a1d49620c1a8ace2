"""Who may read a file: what holds a secret is for its owner alone."""

import os
import stat
import tempfile
from itertools import count
from pathlib import Path

from killsync.errors import UsageError

PRIVATE = 0o600


def open_to_others(path: Path) -> bool:
    """Tell whether others than its owner may read or write a regular file that is there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o077)


def make_private(path: Path) -> bool:
    """Make a file its owner's alone; return whether that was needed and could be done."""
    if not open_to_others(path) or path.stat().st_uid != os.geteuid():
        return False
    try:
        path.chmod(PRIVATE)
    except OSError:
        return False
    return True


def write_private(path: Path, content: bytes) -> None:
    """Let a file, its owner's alone, hold this: all of it or, if that fails, what it held.

    When this returns, it survives a power cut. Its directory is made, for its
    owner alone, if there is none.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def first_free_name(path: Path, suffix: str) -> Path:
    """Return `<path>.<suffix>`, or with `-2`, `-3` and so on the first name that is not taken."""
    names = (f"{path.name}.{suffix}" + (f"-{n}" if n > 1 else "") for n in count(1))
    return next(free for name in names if not (free := path.with_name(name)).exists())


def keep_copy(path: Path, suffix: str) -> Path:
    """Copy a file beside itself, for its owner alone, to the first free name; return which."""
    copy = first_free_name(path, suffix)
    write_private(copy, path.read_bytes())
    return copy


def create_private(path: Path) -> None:
    """Create the file if there is none, so that only its owner may read it.

    An existing one is never opened: closing it would drop the locks that SQLite holds on it in
    this process, and another program would take the database for unused. Raises UsageError.
    """
    if path.exists():
        return
    # through a dangling link SQLite would create a file that others may read
    path = path.resolve()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    except FileExistsError:
        return
    except OSError as error:
        raise UsageError(f"{path}: cannot be opened: {error.strerror}") from error
