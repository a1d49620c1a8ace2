"""Adds to Parquet lakes as a way out does, reads them back, and stops programs amid their steps."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from killsync.lake.layout import Call, Maker, Target, open_target
from killsync.store.changes import Place

STORED_AT = "2026-11-24T12:00:00Z"
MONTHS = ("2026-09", "2026-10", "2026-11")
TABLES = ("killmails", "attackers", "items")
SCHEMA = pa.schema([("stored_seq", pa.int64())])
REMOVED_SCHEMA = pa.schema([("removed_seq", pa.int64())])

Rows = dict[str, Counter[tuple[int, str]]]
"""Of each table how often each number is there, and in which month."""


class Feed:
    """What a database gives: each stored killmail's month by its number, and how many went."""

    def __init__(self) -> None:
        self.months: dict[int, str] = {}
        self.removed = 0

    @classmethod
    def of_three(cls) -> "Feed":
        """Return one of two killmails of one month and one of another, and one that was removed."""
        feed = cls()
        feed.store("2026-11", "2026-10", "2026-11")
        feed.remove()
        return feed

    def store(self, *months: str) -> None:
        for month in months:
            self.months[len(self.months) + 1] = month

    def remove(self, count: int = 1) -> None:
        self.removed += count

    @property
    def place(self) -> Place:
        seq = len(self.months)
        return Place(seq, self.removed, 1000 + seq if seq else 0, STORED_AT if seq else "")

    def export(self, address: str | Path, *, with_hash: bool = False) -> None:
        """Bring a lake up to date."""
        with open_target(str(address), Maker.DATABASE, with_hash=with_hash) as target:
            self.bring(target)

    def bring(self, target: Target) -> None:
        """Bring an opened lake up to date, by one call."""
        with target.call(self.place) as call:
            self.write(target.place, call)
            call.commit()

    def write(self, since: Place, call: Call) -> None:
        """Write the parts of a call."""
        by_month: dict[str, list[int]] = {}
        for seq in range(since.stored_seq + 1, call.place.stored_seq + 1):
            by_month.setdefault(self.months[seq], []).append(seq)
        for month, numbers in by_month.items():
            for table in TABLES:
                # two attackers of each killmail, say
                rows = numbers if table == "killmails" else [n for n in numbers for _ in range(2)]
                with call.part(table, month, SCHEMA) as writer:
                    writer.write_table(pa.table({"stored_seq": rows}, SCHEMA))
        gone = list(range(since.removed_seq + 1, call.place.removed_seq + 1))
        if gone:
            with call.part("removed", None, REMOVED_SCHEMA) as writer:
                writer.write_table(pa.table({"removed_seq": gone}, REMOVED_SCHEMA))

    def expected(self) -> Rows:
        """Return of each table how often each number is to be there, and in which month."""
        once = Counter(self.months.items())
        twice = Counter(dict.fromkeys(once, 2))
        gone = Counter((seq, "") for seq in range(1, self.removed + 1))
        return {"killmails": once, "attackers": twice, "items": twice, "removed": gone}


def rows(lake: Path) -> Rows:
    """Return of each table how often each number is there, and in which month, as engines see it.

    What ends in `.parquet` counts, wherever it stands.
    """
    found: Rows = {t: Counter() for t in (*TABLES, "removed")}
    for file in lake.glob("**/*.parquet"):
        table, *month = file.relative_to(lake).parts[:-1]
        with file.open("rb") as stream:
            column = pq.read_table(stream).column(0).to_pylist()
        found[table].update((n, "".join(month).removeprefix("month=")) for n in column)
    return found


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and time of all files in a directory, by their names."""
    return {
        str(file.relative_to(directory)): (
            file.read_bytes() if file.is_file() else b"",
            file.lstat().st_mtime_ns,
        )
        for file in sorted(directory.rglob("*"))
    }


def names(directory: Path) -> list[str]:
    """Return the names of all files in a directory, but not of directories."""
    found = (file.relative_to(directory) for file in directory.rglob("*") if not file.is_dir())
    return sorted(map(str, found))


class Stopped(BaseException):
    """A program has been killed, as far as what it has written shows."""


class Steps:
    """Counts the steps of a program, and stops it before one of them, and before all that follow.

    What it leaves is what `kill -9` would leave in that moment.
    """

    def __init__(self, allowed: int | None = None) -> None:
        self.allowed = allowed
        self.done: list[str] = []

    def take(self, step: str) -> None:
        """Take a step, or raise Stopped."""
        if self.allowed is not None and len(self.done) >= self.allowed:
            raise Stopped
        self.done.append(step)


# what changes a directory, and the opening of files, as Python's audit hooks call it
_EVENTS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
_watched: list[tuple[bytes, Steps]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        for directory, steps in _watched:
            if isinstance(args[0], str | bytes | os.PathLike) and os.fsencode(args[0]).startswith(
                directory
            ):
                steps.take(f"{event} {os.fsdecode(args[0])}")


@cache
def _watch() -> None:
    """Install the hook, which can never be removed."""
    sys.addaudithook(_hook)


@contextmanager
def stopping(directory: Path, steps: Steps) -> Iterator[None]:
    """Take the steps of what is done in a directory, and end where they stop."""
    _watch()
    _watched.append((os.fsencode(directory), steps))
    try:
        with suppress(Stopped):
            yield
    finally:
        _watched.pop()


class Power:
    """Knows what would be there after a power cut: only what was synced, as it was then.

    All that is in a directory at the beginning counts as synced.
    """

    def __init__(self, directory: Path) -> None:
        # of each directory, its names with inodes, and whether they are directories
        self._entries: dict[Path, dict[str, tuple[int, bool]]] = {}
        self._contents: dict[int, bytes] = {}
        for path in (directory, *directory.rglob("*")):
            descriptor = os.open(path, os.O_RDONLY)
            self.fsync(descriptor)
            os.close(descriptor)

    def fsync(self, descriptor: int) -> None:
        """Take the place of `os.fsync`."""
        opened = Path(f"/proc/self/fd/{descriptor}")
        if opened.is_dir():
            self._entries[opened.readlink()] = {
                path.name: (path.stat().st_ino, path.is_dir()) for path in opened.iterdir()
            }
        else:
            self._contents[os.fstat(descriptor).st_ino] = opened.read_bytes()

    def cut(self, directory: Path, into: Path) -> None:
        """Write what is left of a directory into another one."""
        into.mkdir()
        for name, (inode, is_directory) in self._entries.get(directory, {}).items():
            if is_directory:
                self.cut(directory / name, into / name)
            else:
                (into / name).write_bytes(self._contents.get(inode, b""))
