"""A lake in a directory of this machine."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from killsync import files
from killsync.errors import TryLater, UsageError
from killsync.lake import target_names
from killsync.lake.target_files import Entry, close_quietly

# flock answers these on file systems that have no locks
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class LocalFiles:
    """The files of a lake in a directory, all of them created with the rights that umask leaves."""

    is_lockable = True

    def __init__(self, directory: Path) -> None:
        self.root = directory.absolute()
        self.address = str(self.root)
        self.shown = str(directory)
        # directories whose entries have changed, and may not survive a power cut
        self._unsettled: set[Path] = set()

    def check(self) -> None:
        """Raise UsageError unless the lake is a directory, or may become one."""
        with self._errors("", "read"):
            is_other = not self.root.is_dir() and os.path.lexists(self.root)
        if is_other:
            raise UsageError(f"{self.shown}: is not a directory; name another place")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the directory, and keep other programs of this machine from writing to it.

        Raises TryLater if another one does. A file system without locks keeps nobody.
        """
        with self._errors(""):
            self._make(self.root)
            lock = os.open(self.root / target_names.LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._lock(lock)
            yield
        finally:
            os.close(lock)

    def _lock(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TryLater(
                f"{self.shown}: another killsync is writing there; try again when it has ended"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise UsageError(f"{self.shown}: cannot be locked: {error.strerror}") from error

    def names(self, folder: str) -> Iterator[Entry]:
        """Yield what is in a directory: nothing if it is not there.

        Months may lie elsewhere, behind links. Of what is to be deleted none is followed: whoever
        may write there could have this program delete what only it may.
        """
        follows = folder.split("/")[0] != target_names.UNFINISHED
        with self._errors(folder, "read"):
            try:
                with os.scandir(self.root / folder) as entries:
                    found = [Entry(e.name, e.is_dir(follow_symlinks=follows)) for e in entries]
            except FileNotFoundError:
                return
        yield from found

    def deep_names(self, folder: str) -> Iterator[Entry]:
        """Yield what is in a directory and in those within it."""
        for entry in self.names(folder):
            yield entry
            if entry.is_folder:
                for inner in self.names(f"{folder}/{entry.name}"):
                    yield Entry(f"{entry.name}/{inner.name}", inner.is_folder)

    @contextmanager
    def output(self, name: str) -> Iterator[Any]:
        """Yield a new file; in the end it is durable, after an error gone."""
        path = self.root / name
        with self._errors(name):
            self._make(path.parent)
            # which encodes no name that is not UTF-8
            file = pa.OSFile(os.fsencode(path), "wb")
            self._unsettled.add(path.parent)
            try:
                yield file
                file.close()
                files.sync(path)
            except BaseException:
                close_quietly(file)
                with suppress(OSError):
                    path.unlink()
                raise

    @contextmanager
    def input(self, name: str) -> Iterator[Any]:
        """Yield a file for reading."""
        with self._errors(name, "read"), pa.OSFile(os.fsencode(self.root / name), "rb") as file:
            yield file

    def mark(self, name: str, content: bytes = b"") -> None:
        """Create a file, whole or not at all, that survives a power cut only if all before does."""
        path = self.root / name
        with self._errors(name):
            self._make(path.parent)
            self.settle()
            beside = path.with_name(f".{path.name}")
            beside.write_bytes(content)
            files.sync(beside)
            beside.replace(path)
            self._unsettled.add(path.parent)
            self.settle()

    def move(self, source: str, target: str) -> None:
        """Rename a file, which somebody else may have renamed, into a directory that is created."""
        old, new = self.root / source, self.root / target
        with self._errors(target):
            self._make(new.parent)
            try:
                old.replace(new)
            except FileNotFoundError:
                if not new.exists():
                    raise
            # that the old name is gone may be forgotten; the new one must be kept first
            self._unsettled.add(new.parent)

    def settle(self) -> None:
        """Return when all that was named, moved or created survives a power cut."""
        with self._errors(""):
            while self._unsettled:
                with suppress(FileNotFoundError):
                    files.sync(self._unsettled.pop())

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self._errors(name):
            (self.root / name).unlink(missing_ok=True)

    def tidy(self, folder: str) -> None:
        """Delete a directory if nothing is in it."""
        with suppress(OSError):
            (self.root / folder).rmdir()
            self._unsettled.add(self.root)

    def remove(self, folder: str) -> None:
        """Delete a directory with its files, if it is there."""
        path = self.root / folder
        with self._errors(folder), suppress(FileNotFoundError):
            for entry in self.names(folder):
                if entry.is_folder:
                    self.remove(f"{folder}/{entry.name}")
                else:
                    (path / entry.name).unlink(missing_ok=True)
            path.rmdir()
            self._unsettled.add(path.parent)

    def _make(self, directory: Path) -> None:
        """Create a directory and those above it that are missing."""
        if not directory.is_dir():
            self._make(directory.parent)
            directory.mkdir(exist_ok=True)
            self._unsettled.add(directory.parent)

    @contextmanager
    def _errors(self, name: str, done: str = "written") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = os.strerror(error.errno or errno.EIO)
            shown = f"{self.shown}/{name}".rstrip("/")
            raise UsageError(f"{shown}: cannot be {done}: {what}") from error
