"""What a lake asks of the place where its files lie, whatever that is.

Names are relative to the lake, with `/` between their parts; `""` is the lake itself.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One thing in a directory, or in one within it: then its name has a `/`."""

    name: str
    is_folder: bool


class Files(Protocol):
    """The files of a lake; each method raises UsageError or TryLater, which name the lake."""

    address: str
    """With which any other process finds the same files, wherever it works."""
    shown: str
    """What a person is told of, without any secret."""

    is_lockable: bool
    """Whether `held` keeps anybody out, by something that it leaves there."""

    def check(self) -> None:
        """Raise unless the lake is a directory, or may become one."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """Create the lake, and keep others from writing to it until the end, where that can be."""
        ...

    def names(self, folder: str) -> Iterator[Entry]:
        """Yield what is in a directory: nothing if it is not there."""
        ...

    def deep_names(self, folder: str) -> Iterator[Entry]:
        """Yield what is in a directory and in those within it, and maybe what is deeper."""
        ...

    def output(self, name: str) -> AbstractContextManager[Any]:
        """Yield a new binary file of pyarrow's kind; in the end it is durable, after errors gone.

        Any error of the operating system, or of the store, in its body counts as one of writing.
        """
        ...

    def input(self, name: str) -> AbstractContextManager[Any]:
        """Yield a file of pyarrow's kind for reading."""
        ...

    def mark(self, name: str, content: bytes = b"") -> None:
        """Create a file, whole or not at all, that survives a power cut only if all before does."""
        ...

    def move(self, source: str, target: str) -> None:
        """Give a file another name, in whose place there may already be what it was moved to."""
        ...

    def settle(self) -> None:
        """Return when all that was named, moved or created survives a power cut."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...

    def tidy(self, folder: str) -> None:
        """Delete a directory if nothing is in it, where there are empty directories."""
        ...

    def remove(self, folder: str) -> None:
        """Delete a directory with its files, if it is there."""
        ...


def has(files: Files, folder: str, name: str) -> bool:
    """Return whether something of a name is in a directory."""
    return any(entry.name == name for entry in files.names(folder))


def close_quietly(file: Any) -> None:
    """Close a file whose content is not wanted any more, whatever comes of it."""
    with suppress(OSError, ValueError):
        file.close()
