"""The reader of archives: what it takes of a tar file, what it refuses, and where it stops."""

import bz2
import io
import os
import signal
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import BLOCK, END, header, member, padded, pax, tar
from hypothesis import given
from hypothesis import strategies as st
from processes import children, is_alive
from world import wait_until

from killsync.archive import bunzip
from killsync.archive import tar as reader
from killsync.archive.decompression import decompressed, decompressed_here
from killsync.archive.refusals import BrokenArchive, Flaw, Refusal
from killsync.archive.tar import LARGEST_MEMBER, MOST_BYTES, Read, members

Members = list[tuple[int, bytes]]
Refused = list[tuple[Refusal, str]]
GOOD = member("killmails/7.json", b"seven")
LAST = member("killmails/9.json", b"nine")
ZEROS = b"\0" * (1 << 20)
NAMELESS = member("killmails/6.json", b"six")


def read(content: bytes) -> tuple[Members, Refused]:
    refused: Refused = []
    return list(members(io.BytesIO(content).read, noting(refused))), refused


def noting(refused: Refused) -> Callable[[Refusal, str], None]:
    return lambda reason, what: refused.append((reason, what))


def until_it_breaks(content: bytes) -> tuple[list[int], Flaw]:
    """Return the ids that were read before an archive broke, and how."""
    taken: list[int] = []
    reading = members(io.BytesIO(content).read, noting([]))
    with pytest.raises(BrokenArchive) as broken:
        taken.extend(killmail_id for killmail_id, _ in reading)
    return taken, broken.value.flaw


class Endless:
    """A file that never ends: a beginning, then the same again and again; or `of` so many bytes."""

    def __init__(self, start: bytes, then: bytes = ZEROS, of: int = -1, last: bytes = b"") -> None:
        self._rest, self._then, self._of, self._last = start, then, of, last
        self.given = 0

    def __call__(self, size: int) -> bytes:
        while len(self._rest) < size and self._of:
            self._rest += self._then[: self._of if self._of > 0 else None]
            self._of -= min(self._of, len(self._then)) if self._of > 0 else 0
            self._rest += b"" if self._of else self._last
        piece, self._rest = self._rest[:size], self._rest[size:]
        self.given += size
        return piece


# what is taken


@given(st.dictionaries(st.integers(1, 2**63 - 1), st.binary(max_size=2000), max_size=5))
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes_is_read(form: int, contents: dict[int, bytes]) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as made:
        for killmail_id, content in contents.items():
            info = tarfile.TarInfo(f"killmails/{killmail_id}.json")
            # a fraction of a second, which only a pax header holds
            info.size, info.mtime = len(content), 1_454_300_000.5
            made.addfile(info, io.BytesIO(content))
    assert read(file.getvalue()) == (list(contents.items()), [])


def test_a_folder_of_killmails_is_no_refusal() -> None:
    folder = header("killmails/", 0, tarfile.DIRTYPE)
    assert read(tar(folder, GOOD)) == ([(7, b"seven")], [])


def test_a_pax_header_names_and_measures_the_next_member() -> None:
    renamed = pax({"path": "killmails/8.json", "size": "5"}) + header("x", 0) + padded(b"eight")
    assert read(tar(renamed, GOOD)) == ([(8, b"eight"), (7, b"seven")], [])


def test_a_long_name_of_gnus_tar_is_the_next_members() -> None:
    long = header("././@LongLink", 17, tarfile.GNUTYPE_LONGNAME) + padded(b"killmails/8.json\0")
    assert read(tar(long, member("x", b"eight"), GOOD)) == ([(8, b"eight"), (7, b"seven")], [])


# what is refused, and the rest goes on


@pytest.mark.parametrize(
    "name",
    [
        "/killmails/7.json",
        "../killmails/7.json",
        "killmails/../7.json",
        "./killmails/7.json",
        "killmails/7.JSON",
        "killmails/7.json.gz",
        "killmails/07.json",
        "killmails/-7.json",
        "killmails/.json",
        "killmails/x7.json",
        "killmails/7.json\n",
        "killmails/99999999999999999999.json",
        "killmails//7.json",
        "other/7.json",
        "7.json",
        "totals.json",
    ],
)
def test_another_name_is_refused(name: str) -> None:
    assert read(tar(member(name, b"x" * 700), GOOD)) == (
        [(7, b"seven")],
        [(Refusal.OTHER_NAME, name)],
    )


@pytest.mark.parametrize(
    "kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_link_or_a_device_is_refused(kind: bytes) -> None:
    odd = header("killmails/6.json", 0, kind, linkname="/etc/passwd")
    assert read(tar(odd, GOOD)) == (
        [(7, b"seven")],
        [(Refusal.NOT_A_FILE, "killmails/6.json")],
    )


def test_another_folder_and_an_unknown_kind_are_refused() -> None:
    folder, unknown = (
        header("secret/", 0, tarfile.DIRTYPE),
        member("killmails/6.json", b"x", kind=b"Z"),
    )
    assert read(tar(folder, unknown, GOOD)) == (
        [(7, b"seven")],
        [(Refusal.NOT_A_FILE, "secret/"), (Refusal.NOT_A_FILE, "killmails/6.json")],
    )


def test_a_sparse_file_is_refused_with_all_of_its_headers() -> None:
    first = bytearray(header("killmails/6.json", 3, tarfile.GNUTYPE_SPARSE))
    first[482] = 1
    first[148:156] = b"%06o\0 " % (sum(first[:148]) + 256 + sum(first[156:]))
    more, last = bytearray(BLOCK), bytes(BLOCK)
    more[504] = 1
    odd = bytes(first) + bytes(more) + last + padded(b"abc")
    assert read(tar(odd, GOOD)) == ([(7, b"seven")], [(Refusal.NOT_A_FILE, "killmails/6.json")])


def test_a_member_that_is_too_large_is_passed_over() -> None:
    large = header("killmails/6.json", LARGEST_MEMBER + 1) + padded(bytes(LARGEST_MEMBER + 1))
    assert read(tar(large, GOOD)) == ([(7, b"seven")], [(Refusal.TOO_LARGE, "killmails/6.json")])


def test_the_largest_member_that_is_allowed_is_read() -> None:
    content = bytes(LARGEST_MEMBER)
    assert read(tar(member("killmails/6.json", content), GOOD)) == (
        [(6, content), (7, b"seven")],
        [],
    )


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_extra_header_is_passed_over_and_its_member_refused(kind: bytes) -> None:
    size = 64 << 20
    stream = Endless(header("x", size, kind), ZEROS, of=size, last=NAMELESS + GOOD + END)
    refused: Refused = []
    tracemalloc.start()
    taken = list(members(stream, noting(refused)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken == [(7, b"seven")]
    assert refused == [(Refusal.OTHER_NAME, "a member whose name is too long")]
    assert peak < 16 << 20


@pytest.mark.parametrize("records", [b"nonsense", b"99 path=x\n", b"10 path=x\n", b"12 size=-12\n"])
def test_a_pax_header_of_another_form_refuses_its_member(records: bytes) -> None:
    odd = header("x", len(records), tarfile.XHDTYPE) + padded(records)
    taken, refused = read(tar(odd, member("killmails/6.json", b"six"), GOOD))
    assert (taken, [reason for reason, _ in refused]) == ([(7, b"seven")], [Refusal.OTHER_NAME])


# where it stops


@pytest.mark.parametrize("cut", [1, BLOCK, BLOCK + 3, 2 * BLOCK, 2 * BLOCK + 100, 3 * BLOCK + 2])
def test_a_tar_file_that_is_cut_short_gives_what_came_before(cut: int) -> None:
    taken, flaw = until_it_breaks((GOOD + LAST)[:cut])
    assert taken == ([7] if cut >= BLOCK + 5 else [])
    assert flaw is Flaw.CUT_SHORT


def test_garbage_in_the_middle_gives_what_came_before() -> None:
    assert until_it_breaks(tar(GOOD, b"\x01garbage" * BLOCK, LAST)) == ([7], Flaw.DAMAGED)


def test_a_size_that_is_no_number_is_damage() -> None:
    odd = bytearray(header("killmails/6.json", 3))
    odd[124:136] = b"-0000000001\0"
    odd[148:156] = b"%06o\0 " % (sum(odd[:148]) + 256 + sum(odd[156:]))
    assert until_it_breaks(tar(GOOD, bytes(odd), LAST)) == ([7], Flaw.DAMAGED)


@pytest.mark.parametrize("content", [b"<html>" * BLOCK, b"\x01" * BLOCK])
def test_what_is_no_tar_file_is_called_so(content: bytes) -> None:
    assert until_it_breaks(content) == ([], Flaw.NOT_TAR)


def test_an_empty_file_is_no_tar_file() -> None:
    assert until_it_breaks(b"") == ([], Flaw.NOT_TAR)


def test_zeros_without_end_are_not_read_for_ever() -> None:
    stream = Endless(GOOD, ZEROS)
    taken: list[int] = []
    with pytest.raises(BrokenArchive) as broken:
        taken.extend(i for i, _ in members(stream, lambda reason, what: None))
    assert (broken.value.flaw, stream.given < 4 << 20) == (Flaw.NOT_ITS_END, True)


def test_something_behind_the_end_is_not_passed_over_in_silence() -> None:
    assert until_it_breaks(tar(GOOD) + tar(LAST)) == ([7], Flaw.NOT_ITS_END)


def test_a_record_of_zeros_behind_the_end_is_usual() -> None:
    assert read(tar(GOOD) + bytes(20 * BLOCK)) == ([(7, b"seven")], [])


def test_members_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_MEMBERS", 3)
    assert until_it_breaks(tar(*[GOOD] * 4)) == ([7, 7, 7], Flaw.TOO_MUCH)
    assert len(read(tar(*[GOOD] * 3))[0]) == 3


def test_an_archive_is_bounded_in_size_whatever_it_claims() -> None:
    claims = header("killmails/6.json", MOST_BYTES + 1)
    stream = Endless(GOOD + claims, ZEROS)
    with pytest.raises(BrokenArchive) as broken:
        list(members(stream, lambda reason, what: None))
    assert broken.value.flaw is Flaw.TOO_MUCH


# decompression, in a process of its own and in this one


@pytest.fixture(params=["bytes", "file", "here"])
def unpack(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], bytes]:
    """Return what decompresses, from bytes or from a file."""

    def unpack(compressed: bytes) -> bytes:
        path = tmp_path / "archive"
        path.write_bytes(compressed)
        with path.open("rb", buffering=0) as file:
            if request.param == "here":
                return all_of(decompressed_here(lambda: file.read(1000)))
            source = compressed if request.param == "bytes" else file
            with decompressed(source) as read:
                return all_of(read)

    return unpack


def all_of(read: Read) -> bytes:
    with_pieces = b""
    while piece := read(100_000):
        with_pieces += piece
    return with_pieces


Unpack = Callable[[bytes], bytes]
TEXT = bytes(range(256)) * 4000
PACKED = bz2.compress(TEXT)


@pytest.mark.parametrize("more", [b"", bz2.compress(b"more"), b"\n", b"garbage behind it"])
def test_all_streams_are_decompressed_and_what_follows_them_is_ignored(
    unpack: Unpack, more: bytes
) -> None:
    assert unpack(PACKED + more) == TEXT + (b"more" if more[:1] == b"B" else b"")


@pytest.mark.parametrize(
    ("compressed", "flaw"),
    [
        (b"", Flaw.CUT_SHORT),
        (b"BZ", Flaw.CUT_SHORT),
        (b"BZh9", Flaw.CUT_SHORT),
        (PACKED[:-20], Flaw.CUT_SHORT),
        (PACKED + PACKED[:-1], Flaw.CUT_SHORT),
        (b"<html>404</html>", Flaw.NOT_BZIP2),
        (b"\x1f\x8b gzip", Flaw.NOT_BZIP2),
        (b"BZh9 not a block of it", Flaw.DAMAGED),
    ],
)
def test_what_is_not_whole_is_called_what_it_is(
    unpack: Unpack, compressed: bytes, flaw: Flaw
) -> None:
    with pytest.raises(BrokenArchive) as broken:
        unpack(compressed)
    assert broken.value.flaw is flaw


def test_a_block_that_is_damaged_is_found(unpack: Unpack) -> None:
    packed = bytearray(bz2.compress(os.urandom(500_000)))
    packed[300_000] ^= 0xFF
    with pytest.raises(BrokenArchive) as broken:
        unpack(bytes(packed))
    assert broken.value.flaw is Flaw.DAMAGED


@pytest.mark.long
def test_a_bomb_is_decompressed_in_pieces() -> None:
    bomb = bz2.compress(bytes(256 << 20))
    assert len(bomb) < 1000
    read_from = iter([bomb])
    sizes = {len(piece) for piece in bunzip.pieces(lambda: next(read_from, b""))}
    assert max(sizes) <= 1 << 20


def test_a_process_that_is_killed_is_an_error_in_words() -> None:
    with decompressed(endless()) as read:
        read(1)
        (child,) = children(os.getpid())
        os.kill(child, signal.SIGKILL)
        with pytest.raises(BrokenArchive, match="was killed"):
            read(64 << 20)


def test_it_ends_with_whoever_asked_for_it() -> None:
    with decompressed(endless()) as read:
        read(1)
        (child,) = children(os.getpid())
    assert not Path(f"/proc/{child}").exists()


ASKS = """
import sys
from killsync.archive.decompression import decompressed
with open(sys.argv[1], "rb", buffering=0) as file, decompressed(file) as read:
    read(1)
    print("read", flush=True)
    sys.stdin.read()
"""


def test_a_killed_program_leaves_no_process_behind(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(endless())
    with subprocess.Popen(
        [sys.executable, "-c", ASKS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"read\n"
        (child,) = children(asking.pid)
        asking.kill()
    wait_until(lambda: not is_alive(child))


def endless() -> bytes:
    """Return what takes more than a pipe once it is decompressed."""
    return bz2.compress(bytes(64 << 20))
