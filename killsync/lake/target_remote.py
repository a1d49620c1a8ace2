"""A lake in an object store, by a file system of pyarrow's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyarrow import fs

from killsync.errors import KillsyncError, TryLater, UsageError
from killsync.lake.target_files import Entry, close_quietly

# source: pyarrow's `s3_internal.h` puts the code of the AWS SDK into the text of each error
_CODE = re.compile(r"AWS Error ([A-Z_]+)")
_STATUS = re.compile(r"HTTP status (\d{3})")
_NO_BUCKET = "NO_SUCH_BUCKET"
_NO_OBJECT = "AWS Error NO_SUCH_KEY"
_REFUSED = {
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNRECOGNIZED_CLIENT",
}
_LATER = {
    "INTERNAL_FAILURE",
    "NETWORK_CONNECTION",
    "REQUEST_TIMEOUT",
    "SERVICE_UNAVAILABLE",
    "SLOW_DOWN",
    "THROTTLING",
}
# those that have objects, and directories only as a way of speaking
_FLAT = {"s3"}


class RemoteFiles:
    """The files of a lake on a file system of pyarrow's, below a path of it.

    An object that is written appears whole, when it is closed. It cannot be renamed: `move` copies
    it and then deletes it. Nobody is kept from writing at the same time.
    """

    is_lockable = False

    def __init__(self, filesystem: Any, base: str, address: str, shown: str) -> None:
        self.filesystem = filesystem
        self.base = base.rstrip("/")
        self.address = address
        self.shown = shown

    def check(self) -> None:
        """Raise UsageError unless the bucket is there, and nothing else has the lake's name."""
        with self._errors():
            try:
                # this says so if there is no bucket, and needs no other right than listing
                self.filesystem.get_file_info(fs.FileSelector(self.base))
                return
            except FileNotFoundError:
                found = self.filesystem.get_file_info(self.base)
            except ValueError:
                raise UsageError(f"{self.shown}: is not a name that the store can have") from None
        if found.type == fs.FileType.File:
            raise UsageError(f"{self.shown}: is not a directory; name another place")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do nothing: there are no locks."""
        yield

    def names(self, folder: str) -> Iterator[Entry]:
        """Yield what is in a directory: nothing if it is not there."""
        return self._listed(folder, recursive=False)

    def deep_names(self, folder: str) -> Iterator[Entry]:
        """Yield everything below a directory: a thousand names for each request."""
        return self._listed(folder, recursive=True)

    def _listed(self, folder: str, *, recursive: bool) -> Iterator[Entry]:
        path = self._path(folder)
        with self._errors():
            found = self.filesystem.get_file_info(
                fs.FileSelector(path, allow_not_found=True, recursive=recursive)
            )
        for info in found:
            name = info.path.strip("/").removeprefix(path.strip("/")).lstrip("/")
            yield Entry(name, info.type == fs.FileType.Directory)

    @contextmanager
    def output(self, name: str) -> Iterator[Any]:
        """Yield a new file; after an error it is deleted."""
        with self._errors():
            self._make_parent(name)
            file = self.filesystem.open_output_stream(self._path(name))
            try:
                yield file
                file.close()
            except BaseException:
                # which may complete it as it is
                close_quietly(file)
                with suppress(OSError):
                    self.filesystem.delete_file(self._path(name))
                raise

    @contextmanager
    def input(self, name: str) -> Iterator[Any]:
        """Yield a file for reading."""
        with self._errors(), self.filesystem.open_input_file(self._path(name)) as file:
            yield file

    def mark(self, name: str, content: bytes = b"") -> None:
        """Create a file."""
        with self.output(name) as file:
            file.write(content)

    def move(self, source: str, target: str) -> None:
        """Move a file to where it may already have been copied."""
        with self._errors():
            self._make_parent(target)
            try:
                self.filesystem.move(self._path(source), self._path(target))
            except OSError as error:
                if not self._was_moved(error, target):
                    raise

    def settle(self) -> None:
        """Do nothing: what was acknowledged is durable."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self._errors(), suppress(FileNotFoundError):
            self.filesystem.delete_file(self._path(name))

    def remove(self, folder: str) -> None:
        """Delete a directory with its files, if it is there."""
        with self._errors(), suppress(FileNotFoundError):
            self.filesystem.delete_dir(self._path(folder))

    def tidy(self, folder: str) -> None:
        """Do nothing: somebody else may be writing there, and an empty one is nothing."""

    def _was_moved(self, error: OSError, target: str) -> bool:
        """Return whether somebody else has moved a file that is not there any more."""
        if not isinstance(error, FileNotFoundError) and _NO_OBJECT not in str(error):
            return False
        found = self.filesystem.get_file_info(self._path(target))
        return bool(found.type == fs.FileType.File)

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}".rstrip("/")

    def _is_flat(self) -> bool:
        return self.filesystem.type_name in _FLAT

    def _make_parent(self, name: str) -> None:
        if not self._is_flat():
            parent = self._path(name).rpartition("/")[0]
            self.filesystem.create_dir(parent, recursive=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explained(error, self.shown) from None


def explained(error: OSError, shown: str) -> KillsyncError:
    """Return what a person can do about an error of pyarrow's; its own text may repeat a key."""
    text = str(error)
    code = match[1] if (match := _CODE.search(text)) else ""
    status = int(match[1]) if (match := _STATUS.search(text)) else 0
    if code == _NO_BUCKET:
        return _no_bucket(shown)
    if code in _REFUSED or status in (401, 403) or isinstance(error, PermissionError):
        return UsageError(
            f"{shown}: the store refuses access; check the keys, in the environment or ~/.aws, "
            "and that they may list, read, write and delete there"
        )
    if code in _LATER or status >= 500 or status == 429:
        return TryLater(f"{shown}: the store cannot be reached or is overloaded; try again later")
    if isinstance(error, FileNotFoundError) or _NO_OBJECT in text:
        return TryLater(f"{shown}: something has vanished while killsync was at it; try again")
    what = f"HTTP {status}" if status else code or type(error).__name__
    return UsageError(
        f"{shown}: the store does not do what is asked ({what}); check its address and region"
    )


def _no_bucket(shown: str) -> UsageError:
    return UsageError(f"{shown}: there is no such bucket; create it, or check the address")
