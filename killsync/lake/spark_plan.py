"""Which archives are read, how their killmails are numbered, and which part of the work is whose.

Each archive has a number of its own in the lake, and a killmail's `stored_seq` follows from it and
from its position in the archive: unique, rising from call to call, and the same however often and
wherever an archive is read again. An archive's number is its day's, counted from 1970, unless the
lake has come further.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date

import msgspec

from killsync.archive.tar import MOST_MEMBERS

_EPOCH = date(1970, 1, 1)
# rows, not bytes, of which the largest are of one batch of killmails each
_MOST_PARTITIONS = 2_000


class FoundArchive(msgspec.Struct, frozen=True):
    """An archive: a path of this machine or, below a `root` that is an URL, of a store's.

    Its `version` changes with its content.
    """

    day: date
    root: str
    path: str
    size: int
    version: str


class PlannedArchive(msgspec.Struct, frozen=True):
    """An archive that is to be read, and its number in the lake."""

    number: int
    day: str
    root: str
    path: str
    size: int
    version: str

    @property
    def first_seq(self) -> int:
        """The `stored_seq` of its first member; its other members' follow."""
        return self.number * MOST_MEMBERS

    @property
    def shown(self) -> str:
        """What a person is told of it as its place."""
        return f"{self.root.partition('?')[0]}/{self.path}" if self.root else self.path

    @property
    def stored_at(self) -> str:
        """What its killmails have for the time at which they were stored, in ISO text."""
        return f"{self.day}T00:00:00Z"


class Version(msgspec.Struct, frozen=True):
    """What tells whether an archive is one that was read before."""

    day: str
    version: str


def plan(
    found: Iterable[FoundArchive], read: Collection[Version], last_seq: int
) -> list[PlannedArchive]:
    """Return those archives that have not been read, numbered by day behind the lake's last."""
    planned: list[PlannedArchive] = []
    number = number_of(last_seq)
    for archive in sorted(found, key=lambda archive: (archive.day, archive.root, archive.path)):
        day = archive.day.isoformat()
        if Version(day, archive.version) in read:
            continue
        number = max(number + 1, (archive.day - _EPOCH).days)
        planned.append(
            PlannedArchive(number, day, archive.root, archive.path, archive.size, archive.version)
        )
    return planned


def number_of(stored_seq: int) -> int:
    """Return the number of the archive that a `stored_seq` is of."""
    return stored_seq // MOST_MEMBERS


def last_seq(archives: Sequence[PlannedArchive]) -> int:
    """Return the highest `stored_seq` that a killmail of these archives may have."""
    return max((archive.first_seq for archive in archives), default=0) + MOST_MEMBERS - 1


def largest_first(archives: Iterable[PlannedArchive]) -> list[PlannedArchive]:
    """Return archives so that who takes the next one whenever a hand is free ends soonest."""
    return sorted(archives, key=lambda archive: (-archive.size, archive.number))


def month_number(month: str) -> int:
    """Return a number for a month, `2026-11`; those of a year's follow one another."""
    return int(month[:4]) * 12 + int(month[5:7])


def partitions(archives: Sequence[PlannedArchive]) -> int:
    """Return into how many parts the killmails go: as many as there are months, within reason.

    Of as many months in a row each has one of its own.
    """
    months = [month_number(archive.day) for archive in archives]
    return min(max(months) - min(months) + 1, _MOST_PARTITIONS) if months else 1
