"""What each part of a lake says in its footer: what was read for it, and how far."""

from enum import StrEnum
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from killsync.errors import UsageError
from killsync.store.changes import Place

FORMAT = 1
"""Rises when an older killsync could no longer add to what a newer one has written."""
KEY = b"killsync"

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: the footer's length, and the magic
_AT_ONCE = 65_536


class Maker(StrEnum):
    """What a lake was made from: the numbers of one mean nothing to the other."""

    DATABASE = "database"
    ARCHIVES = "archives"


class Note(msgspec.Struct, frozen=True):
    """What stands in the footer of each part."""

    maker: Maker
    place: Place
    with_hash: bool
    format: int = FORMAT


class _Version(msgspec.Struct):
    format: int


class Readable(Protocol):
    """A file that is open for reading, as pyarrow's are."""

    def size(self) -> int:
        """Return how many bytes it has."""
        ...

    def read_at(self, nbytes: int, offset: int) -> bytes:
        """Return some bytes from somewhere in it."""
        ...


def encode(note: Note) -> str:
    """Return a note as JSON."""
    return msgspec.json.encode(note).decode()


def metadata(note: str) -> dict[bytes, bytes]:
    """Return what a file's footer holds that carries a note, given as JSON."""
    return {KEY: note.encode()}


def read(file: Readable, shown: str) -> Note:
    """Return the note in a part's footer.

    Raises UsageError if the part is damaged, not killsync's, or newer than this program; OSError if
    it cannot be read.
    """
    footer = _footer(file)
    try:
        metadata = pq.read_metadata(pa.BufferReader(footer)).metadata
    except (pa.ArrowException, OSError) as error:
        raise damaged(shown) from error
    if KEY not in (metadata or {}):
        raise UsageError(
            f"{shown}: was not written by killsync; move it away, or name another directory"
        )
    return _decode(metadata[KEY], shown)


def damaged(shown: str) -> UsageError:
    """Return the error for a part that is not whole."""
    return UsageError(f"{shown}: is damaged; put it back from a copy, or export to a new directory")


def _footer(file: Readable) -> bytes:
    """Return a file that has nothing but the footer of this one: empty if there is none."""
    size = file.size()
    tail = file.read_at(min(size, _AT_ONCE), max(0, size - _AT_ONCE))
    if len(tail) < _TAIL + len(_MAGIC) or not tail.endswith(_MAGIC):
        return b""
    length = int.from_bytes(tail[-_TAIL:-4], "little") + _TAIL
    if length + len(_MAGIC) > size:
        return b""
    if length > len(tail):
        tail = file.read_at(length, size - length)
    return _MAGIC + tail[-length:]


def _decode(text: bytes, shown: str) -> Note:
    try:
        if msgspec.json.decode(text, type=_Version).format > FORMAT:
            raise UsageError(f"{shown}: was written by a newer killsync; upgrade this one")
        return msgspec.json.decode(text, type=Note)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(shown) from error
