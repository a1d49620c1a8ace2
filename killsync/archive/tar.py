"""The killmails of a tar file that is read as a stream, whatever else may be in it.

Our own reader: `tarfile` reads the extra headers of hostile archives into memory whatever their
size, makes an object of twenty fields for each member, and seeks a lost header where this one
stops. The form is POSIX's `pax` interchange format (IEEE 1003.1) and GNU's (info tar, "Basic Tar
Format").
"""

import re
from collections.abc import Callable, Iterator
from itertools import count

import msgspec

from killsync.archive.refusals import BrokenArchive, Flaw, Refusal, Refused

LARGEST_MEMBER = 4 << 20
"""In bytes. The largest killmail known, of 3,753 attackers, has less than 1 MiB."""
MOST_MEMBERS = 1_000_000
MOST_BYTES = 4 << 30
"""Decompressed. A day of EVE Ref's has 15,000 killmails, and less than 100 MB of them."""
_BLOCK = 512
_LARGEST_HEADER = 65536
# a tar file is filled up to a whole record: of 10 kB, unless it was made for a tape
_MOST_PADDING = 1 << 20
_PIECE = 262144

_NAME = re.compile(rb"killmails/([1-9][0-9]{0,18})\.json")
_FOLDER = re.compile(rb"(\./)?killmails/?|\./?")
_PAX_RECORD = re.compile(rb"([0-9]{1,5}) ([^=]+)=")
_FILES = (b"0", b"\0")
_FOLDERS = b"5"
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_PAX, _PAX_OF_ALL = b"x", b"g"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_SPARSE = b"S"

Read = Callable[[int], bytes]
"""Returns so many bytes; fewer only at the end."""


class _Header(msgspec.Struct):
    """What a member's header says, and the extra headers before it: None as a name is too long."""

    name: bytes | None
    size: int
    kind: bytes


class _Extra(msgspec.Struct):
    """What the extra headers before a member say of it."""

    name: bytes | None = None
    size: int | None = None
    is_lost: bool = False


def members(read: Read, refused: Refused) -> Iterator[tuple[int, bytes]]:
    """Yield the id in the name, and the content, of each killmail; what is no killmail is refused.

    Raises BrokenArchive where it cannot be read on, and whatever `read` raises.
    """
    stream = _Stream(read)
    for header in _headers(stream):
        found = _NAME.fullmatch(header.name or b"")
        reason = _reason_to_refuse(header, is_killmail=found is not None)
        if found is not None and reason is None:
            yield int(found[1]), stream.content(header.size)
            continue
        if reason is not None:
            refused(reason, _shown(header.name))
        stream.skip(header.size)


def _reason_to_refuse(header: _Header, *, is_killmail: bool) -> Refusal | None:
    if header.kind == _FOLDERS and header.name is not None and _FOLDER.fullmatch(header.name):
        return None
    if header.kind not in _FILES:
        return Refusal.NOT_A_FILE
    if not is_killmail:
        return Refusal.OTHER_NAME
    return Refusal.TOO_LARGE if header.size > LARGEST_MEMBER else None


class _Stream:
    """The bytes of a tar file, of which there may not be too many."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = MOST_BYTES

    def block(self) -> bytes:
        """Return the next block, b"" at the end. Raises BrokenArchive if it is not whole."""
        block = self._next(_BLOCK)
        if block and len(block) < _BLOCK:
            raise BrokenArchive(Flaw.CUT_SHORT)
        return block

    def content(self, size: int) -> bytes:
        """Return the data of a member, and pass over what fills its last block."""
        data = self._next(size + -size % _BLOCK)
        if len(data) < size:
            raise BrokenArchive(Flaw.CUT_SHORT)
        return data[:size]

    def skip(self, size: int) -> None:
        """Pass over the data of a member."""
        left = size + -size % _BLOCK
        while left > 0:
            piece = self._next(min(left, _PIECE))
            if not piece:
                raise BrokenArchive(Flaw.CUT_SHORT)
            left -= len(piece)

    def skip_sparse_map(self, block: bytes) -> None:
        """Pass over the blocks in which GNU's tar goes on with the header of a sparse file."""
        goes_on = block[482]
        while goes_on:
            block = self.block()
            if not block:
                raise BrokenArchive(Flaw.CUT_SHORT)
            goes_on = block[504]

    def finish(self) -> None:
        """Read what fills the file up. Raises BrokenArchive if that is more than zeros."""
        left = _MOST_PADDING
        while piece := self._next(_PIECE):
            left -= len(piece)
            if left < 0 or piece.count(0) < len(piece):
                raise BrokenArchive(Flaw.NOT_ITS_END)

    def _next(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise BrokenArchive(Flaw.TOO_MUCH)
        return self._read(size)


def _headers(stream: _Stream) -> Iterator[_Header]:
    """Yield the header of each member; who takes it has read the member's data."""
    extra = _Extra()
    for number in count():
        block = stream.block()
        if not block:
            # a tar file that is whole has an end of its own
            raise BrokenArchive(Flaw.CUT_SHORT if number else Flaw.NOT_TAR)
        if block.count(0) == _BLOCK:
            stream.finish()
            return
        if number == MOST_MEMBERS:
            raise BrokenArchive(Flaw.TOO_MUCH)
        header = _header(block, is_first=number == 0)
        if header.kind in (_PAX, _PAX_OF_ALL, _LONG_NAME, _LONG_LINK):
            _read_extra(extra, header, stream)
            continue
        if header.kind == _SPARSE:
            stream.skip_sparse_map(block)
        yield _with_extra(header, extra)
        extra = _Extra()


def _header(block: bytes, *, is_first: bool) -> _Header:
    # the sum is made with spaces in its own place
    if sum(block) - sum(block[148:156]) + 8 * 32 != _number(block[148:156]):
        raise BrokenArchive(Flaw.NOT_TAR if is_first else Flaw.DAMAGED)
    size = _number(block[124:136])
    if size < 0:
        raise BrokenArchive(Flaw.DAMAGED)
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    return _Header(name, size, block[156:157])


def _with_extra(header: _Header, extra: _Extra) -> _Header:
    if extra.size is not None:
        header.size = extra.size
    if extra.is_lost:
        header.name = None
    elif extra.name is not None:
        header.name = extra.name
    if header.kind in _WITHOUT_DATA:
        header.size = 0
    return header


def _read_extra(extra: _Extra, header: _Header, stream: _Stream) -> None:
    """Read a header that says more of the next member, if it is of a size that can be read."""
    wanted = header.kind in (_PAX, _LONG_NAME)
    if not wanted or header.size > _LARGEST_HEADER:
        extra.is_lost |= wanted
        stream.skip(header.size)
        return
    data = stream.content(header.size)
    if header.kind == _LONG_NAME:
        extra.name = _text(data)
        return
    try:
        records = _pax_records(data)
        extra.name = records.get(b"path", extra.name)
        if b"size" in records:
            extra.size = _decimal(records[b"size"])
    except ValueError:
        extra.is_lost = True


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header: `30 mtime=1350244992.023960108`, each with its length.

    Raises ValueError if it has another form.
    """
    records, at = {}, 0
    while at < len(data):
        found = _PAX_RECORD.match(data, at)
        if found is None:
            raise ValueError("not a pax header")
        end = at + int(found[1])
        if end <= found.end() or data[end - 1 : end] != b"\n":
            raise ValueError("not a pax header")
        records[found[2]] = data[found.end() : end - 1]
        at = end
    return records


def _decimal(digits: bytes) -> int:
    if not digits.isdigit():
        raise ValueError("not a number")
    return int(digits)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes) -> int:
    """Return a number in a header: octal, or base 256; -1 if it is neither."""
    if field[0] == 0xFF:
        return -1
    if field[0] & 0x80:
        return int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
    digits = field.strip(b" \0")
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        return -1


def _shown(name: bytes | None) -> str:
    if name is None:
        return "a member whose name is too long"
    return name[:200].decode(errors="backslashreplace")
