"""Files: those that only their owner may read, whole-file writing, the first free name."""

import codecs
import fcntl
import glob
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from killsync.errors import DatabaseError, UsageError

PRIVATE = 0o600
DRAFT = ".draft-"
# short: SQLite takes no long paths
_DRAFTED = "draft"


def open_to_others(path: Path) -> bool:
    """Return whether an existing regular file may be read or written by others than its owner."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o077)


def make_private(path: Path) -> bool:
    """Close a file to others; return whether that was needed and could be done."""
    if not open_to_others(path) or path.stat().st_uid != os.geteuid():
        return False
    try:
        path.chmod(PRIVATE)
    except OSError:
        return False
    return True


def may_use(owner: int, user: int, directory_owner: int) -> bool:
    """Return whether a user may keep secrets in a file of this owner.

    Only in the user's own; root also in the files of whoever owns the directory.
    """
    return owner == user or (user == 0 and owner == directory_owner)


def require_own(path: Path) -> None:
    """Raise DatabaseError if a file, or a link that stands for it, belongs to another user.

    That user could read what is written to it. A file that is not there is fine.
    """
    try:
        owners = {path.lstat().st_uid, path.stat().st_uid}
    except FileNotFoundError:
        owners = {path.lstat().st_uid} if path.is_symlink() else set()
    directory_owner = path.parent.stat().st_uid if owners else 0
    for owner in owners:
        if not may_use(owner, os.geteuid(), directory_owner):
            raise DatabaseError(
                f"{path}: belongs to {_name_of(owner)}, who could read the tokens in it: move the "
                "database to a directory of your own, or have that file deleted"
            )


def _name_of(user: int) -> str:
    try:
        return f"user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"user {user}"


def create_private(path: Path) -> None:
    """Create a file, if there is none, that only its owner may read; its directory too.

    An existing file is never opened: closing it would drop the locks that SQLite holds on it in
    this process, and another program would take the database for unused. Raises UsageError if
    the file cannot be created.
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


@contextmanager
def draft_beside(path: Path) -> Iterator[Path]:
    """Yield an empty private file on the file system of `path`; in the end it is gone, or moved.

    It stands in a directory of its own, `<path>.draft-xxxxxxxx`, with all that SQLite keeps beside
    it. What killed programs have left of such, for `path` or for `<path>.*`, is deleted first.
    Raises OSError.
    """
    _remove_abandoned(path)
    directory, held = _locked_directory(path)
    try:
        draft = directory / _DRAFTED
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        yield draft
    finally:
        with suppress(OSError):
            _remove_draft(directory, held)
        os.close(held)


def is_draft(file: Path) -> bool:
    """Return whether a file is a draft, or stands beside one."""
    return DRAFT in file.parent.name


def is_being_written(draft: Path) -> bool:
    """Return whether a program that runs now is writing a draft."""
    try:
        held = _open_directory(draft.parent)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(held)
    return False


def _locked_directory(path: Path) -> tuple[Path, int]:
    """Create the directory of a draft; return it and the descriptor that holds its lock.

    The directory is locked, not the draft: over a network this lock would be in the way of
    SQLite's own on the same file.
    """
    while True:
        directory = Path(tempfile.mkdtemp(prefix=f"{path.name}{DRAFT}", dir=path.parent))
        with suppress(FileNotFoundError):
            held = _open_directory(directory)
            with suppress(OSError):  # without locks no program takes it for abandoned
                # whoever looks at it just now soon ends, and may have deleted it
                fcntl.flock(held, fcntl.LOCK_EX)
            if directory.exists():
                return directory, held
            os.close(held)


def _remove_abandoned(path: Path) -> None:
    name = glob.escape(path.name)
    for pattern in (f"{name}{DRAFT}????????", f"{name}.*{DRAFT}????????"):
        for directory in path.parent.glob(pattern):
            # another program writes it, or nothing can be learnt of it
            with suppress(OSError):
                _remove_if_abandoned(directory)


def _remove_if_abandoned(directory: Path) -> None:
    held = _open_directory(directory)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = all(file.name.split("-")[0] == _DRAFTED for file in directory.iterdir())
        if ours and os.fstat(held).st_uid == os.geteuid():
            _remove_draft(directory, held)
    finally:
        os.close(held)


def _remove_draft(directory: Path, held: int) -> None:
    for file in directory.iterdir():
        os.unlink(file.name, dir_fd=held)
    directory.rmdir()


def _open_directory(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


@contextmanager
def draft_of(path: Path, *, mode: int = PRIVATE) -> Iterator[Path]:
    """Yield an empty private file that replaces `path` once it is complete.

    After an error `path` is unchanged. The file survives a power cut. Raises OSError.
    """
    with draft_beside(path) as draft:
        yield draft
        sync(draft)
        draft.chmod(mode)
        draft.replace(path)
    sync(path.parent)


@contextmanager
def whole_file(path: Path, *, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """Yield a stream into a draft that replaces `path` once it is complete, as `draft_of` does."""
    with draft_of(path, mode=mode) as draft, draft.open("wb") as stream:
        yield stream


def write_private(path: Path, content: bytes) -> None:
    """Write a whole file that only its owner may read; its directory is created too.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_file(path) as stream:
        stream.write(content)


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return a file's text, without the byte order mark that some editors put first.

    The encoding is UTF-8 or a part of it. Raises OSError and UnicodeDecodeError.
    """
    return path.read_bytes().removeprefix(codecs.BOM_UTF8).decode(encoding)


def first_free_name(path: Path, suffix: str, endings: Sequence[str] = ("",)) -> Path:
    """Return `<path>.<suffix>`, or with `-2`, `-3` and so on the first name that is not taken.

    Nor is it with any of the endings.
    """
    names = (f"{path.name}.{suffix}" + (f"-{n}" if n > 1 else "") for n in count(1))
    return next(
        path.with_name(name)
        for name in names
        if not any(path.with_name(name + ending).exists() for ending in endings)
    )


def keep_copy(path: Path, suffix: str) -> Path:
    """Copy a file to the first free name beside it, for its owner alone; return that name."""
    copy = first_free_name(path, suffix)
    write_private(copy, path.read_bytes())
    return copy


def sync(path: Path) -> None:
    """Make a file, or what was named, renamed or deleted in a directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
