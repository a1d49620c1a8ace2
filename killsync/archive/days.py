"""Which days are meant, and which archives there are: in files, in directories, by totals."""

import os
import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from killsync.archive.refusals import Flaw
from killsync.errors import UsageError
from killsync.store.imports import FILE

FIRST = date(2007, 12, 5)
"""The first day of which EVE Ref has killmails."""
TOTALS = "totals.json"
_LARGEST_TOTALS = 8 << 20
_NAME = re.compile(r"killmails-([0-9]{4}-[0-9]{2}-[0-9]{2})\.tar\.bz2")
TO_COME = "is of a day that is still to come"
NO_ARCHIVE = "no archive there: they are named killmails-YYYY-MM-DD.tar.bz2"
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")

# of all years there are 95 million
_Total = Annotated[int, msgspec.Meta(le=100_000_000)]

Totals = Mapping[date, int]
"""How many killmails there are of each day."""


class ArchiveFile(msgspec.Struct, frozen=True):
    """An archive on this machine."""

    day: date
    path: Path
    size: int
    version: str


class Found(msgspec.Struct):
    """The archives at some paths, the earliest day first, and how many other files there are.

    `refused` says of paths below what is wrong with them. `totals` are what `totals.json` beside
    them says, if it is there.
    """

    archives: list[ArchiveFile] = []
    ignored: int = 0
    refused: dict[Path, str] = {}
    totals: dict[date, int] = {}


def archive_name(day: date) -> str:
    """Return the name of a day's archive."""
    return f"killmails-{day.isoformat()}.tar.bz2"


def day_of(name: str) -> date | None:
    """Return the day whose archive has this name; None if it is not one's."""
    named = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(named[1]) if named else None
    except ValueError:
        return None


def version_of(size: int, modified_ns: int) -> str:
    """Return what tells a file from what it was: its size in bytes, its time in nanoseconds."""
    return f"{FILE}{size}-{modified_ns}"


def days(text: str, today: date) -> list[date]:
    """Return the days that FROM..TO means; each is a day or a month, and one alone will do.

    They begin with the first archive, and FROM.. goes on until today. Raises UsageError if it
    means none, or one that is still to come.
    """
    start, dots, end = text.partition("..")
    first = _span(start)[0]
    last_from, last = (today, today) if dots and not end else _span(end or start)
    if last_from <= today:
        # the month that goes on
        last = min(last, today)
    if first > last:
        raise UsageError(f"--days {text}: ends before it begins")
    if last > today:
        raise UsageError(f"--days {text}: {last} is still to come; today is {today}, in EVE time")
    if last < FIRST:
        raise UsageError(f"--days {text}: there are no killmails from before {FIRST}")
    first = max(first, FIRST)
    return [first + timedelta(number) for number in range((last - first).days + 1)]


def find(paths: Iterable[Path], today: date) -> Found:
    """Return the archives that these paths are, or that lie below them.

    What is there by several names is there once. Raises UsageError if a path is neither, cannot
    be read, or is of a day that is still to come, and if there is no archive at all.
    """
    found = Found()
    for path in paths:
        try:
            _find(path, found, today)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not (found.archives or found.refused):
        raise UsageError(NO_ARCHIVE)
    found.archives = sorted(
        {os.path.realpath(archive.path): archive for archive in found.archives}.values(),
        key=lambda archive: (archive.day, str(archive.path)),
    )
    return found


def totals_in(content: bytes) -> dict[date, int]:
    """Return what `totals.json` says: `{"YYYYMMDD": number}`. Raises ValueError if it is not so."""
    try:
        counts = msgspec.json.decode(content, type=dict[str, _Total])
        return {_compact_day(day): max(0, count) for day, count in counts.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("is of an unknown form") from None


def _compact_day(text: str) -> date:
    if len(text) != 8 or not text.isdigit():
        raise ValueError("is of an unknown form")
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _span(text: str) -> tuple[date, date]:
    try:
        if _MONTH.fullmatch(text):
            first = date.fromisoformat(f"{text}-01")
            return first, first.replace(day=monthrange(first.year, first.month)[1])
        if len(text) == len("2016-02-01"):
            return date.fromisoformat(text), date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"--days: {text!r} is no day: give 2016-02-01, 2016-02 or 2016-02-01..2016-03")


def _find(path: Path, found: Found, today: date) -> None:
    if path.is_dir():
        _find_below(path, found, today)
    elif path.is_file():
        if (archive := _archive(path)) is None:
            raise UsageError(f"{path}: is not named killmails-YYYY-MM-DD.tar.bz2")
        if archive.day > today:
            raise UsageError(f"{path}: {TO_COME}; today is {today}, in EVE time")
        found.archives.append(archive)
    else:
        raise UsageError(f"{path}: no such file or directory")


def _find_below(directory: Path, found: Found, today: date) -> None:
    def note(error: OSError) -> None:
        path = Path(error.filename)
        if path == directory:
            raise error
        found.refused[path] = f"{Flaw.UNREADABLE}: {error.strerror}"

    seen = {os.path.realpath(directory)}
    for folder, folders, names in os.walk(directory, onerror=note, followlinks=True):
        # a link may lead back to where it was found
        real = {os.path.realpath(Path(folder, name)): name for name in sorted(folders)}
        folders[:] = [name for path, name in real.items() if path not in seen]
        seen.update(real)
        for name in names:
            try:
                _find_named(Path(folder, name), found, today)
            except OSError as error:
                note(error)


def _find_named(path: Path, found: Found, today: date) -> None:
    if (archive := _archive(path)) is not None:
        if archive.day > today:
            found.refused[path] = TO_COME
        else:
            found.archives.append(archive)
    elif path.name == TOTALS and not found.totals:
        found.totals = _totals_of(path)
    else:
        found.ignored += 1


def _archive(path: Path) -> ArchiveFile | None:
    day = day_of(path.name)
    if day is None or not path.is_file():
        return None
    stat = path.stat()
    return ArchiveFile(day, path, stat.st_size, version_of(stat.st_size, stat.st_mtime_ns))


def _totals_of(path: Path) -> dict[date, int]:
    """Return what a file says, nothing if it says nothing that can be read."""
    try:
        with path.open("rb") as file:
            return totals_in(file.read(_LARGEST_TOTALS))
    except (OSError, ValueError):
        return {}
