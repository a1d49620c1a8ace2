"""Importing EVE Ref's daily archives, one after another."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from killsync.archive.days import ArchiveFile, Totals, archive_name
from killsync.archive.decompression import decompressed
from killsync.archive.events import (
    ArchiveMissing,
    ArchiveRead,
    ArchiveRefused,
    ArchiveUnchanged,
    Imported,
)
from killsync.archive.intake import Intake
from killsync.archive.refusals import BrokenArchive, Flaw
from killsync.archive.tar import Read, members
from killsync.errors import NotSent, Refused, Unavailable
from killsync.events import Report
from killsync.killmail.mentions import finder
from killsync.model import Origin
from killsync.store import imports
from killsync.store.connection import Store
from killsync.store.imports import Archive

if TYPE_CHECKING:
    # reading files must not load what sends requests
    from killsync.http import Http

_SHOWN_EVERY = 500
# then it is the server, not an archive of its
_MOST_IN_A_ROW = 3

Progress = Callable[[float, int], None]
"""Takes how much was done, in the weights of archives, and how many killmails were read."""


class Wanted(msgspec.Struct, frozen=True):
    """An archive that is to be read: its day, and what share of the whole work it is.

    A `file` is on this machine; otherwise it is fetched, unless it is of the `known` version.
    """

    day: date
    weight: int
    file: ArchiveFile | None = None
    known: str | None = None


class _Stopped(Exception):
    """The import was told to stop amid an archive."""


class _Archives(msgspec.Struct):
    """How many archives were read, are unchanged, do not exist, could not be read to their end."""

    read: int = 0
    unchanged: int = 0
    missing: int = 0
    flawed: int = 0


class EveRef:
    """An import of archives: how they are read, and what became of them so far."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        report: Report,
        stopping: Callable[[], bool],
        *,
        everything: bool,
    ) -> None:
        self._store = store
        self._intake = intake
        self._report = report
        self._stopping = stopping
        self._everything = everything
        self._progress: Progress = lambda done, killmails: None
        self._archives = _Archives()
        self._done = 0.0
        self._began = time.monotonic()

    def show_progress(self, progress: Progress) -> None:
        """Have progress shown while archives are read."""
        self._progress = progress

    def files(self, found: Sequence[ArchiveFile], *, full: bool) -> list[Wanted]:
        """Return which of these files are to be read: not those that were, unless `full`."""
        conn = self._store.conn
        wanted = [
            Wanted(archive.day, archive.size, archive)
            for archive in found
            if full or not imports.is_read(conn, self._record(archive.day, archive.version, 0))
        ]
        self._archives.unchanged = len(found) - len(wanted)
        return wanted

    def days(self, days: Sequence[date], totals: Totals, *, full: bool) -> list[Wanted]:
        """Return the archives of these days, each with the version that was read, unless `full`.

        Totals that are empty are not known. A day that they lack is asked for all the same.
        """
        return [
            Wanted(
                day,
                totals.get(day, 0) if totals else 1,
                known=None if full else self._version_fetched(day),
            )
            for day in days
        ]

    def read_files(self, archives: Sequence[Wanted]) -> None:
        """Read files until all are read or the import is stopped.

        Raises DatabaseError if they cannot be stored.
        """
        for wanted in archives:
            if self._stopping() or wanted.file is None:
                return
            found = wanted.file
            try:
                file = found.path.open("rb", buffering=0)
            except OSError as error:
                self.refuse(str(found.path), f"{Flaw.UNREADABLE}: {error.strerror}")
            else:
                with file:
                    self._read(wanted, str(found.path), file, found.version)
            self._done += wanted.weight

    def read_days(self, archives: Sequence[Wanted], http: "Http", address: str) -> None:
        """Fetch and read days, one at a time, until all are read or the import is stopped.

        Raises Unavailable in the end if a day got no answer, and at once if several in a row got
        none; DatabaseError if they cannot be stored.
        """
        down: list[Unavailable] = []
        in_a_row = 0
        for wanted in archives:
            if self._stopping():
                return
            try:
                self._read_day(wanted, http, address)
                in_a_row = 0
            except NotSent:
                return
            except Unavailable as error:
                if self._stopping():
                    return
                self.refuse(archive_name(wanted.day), str(error))
                down.append(error)
                in_a_row += 1
                if in_a_row == _MOST_IN_A_ROW:
                    break
            self._done += wanted.weight
            self._progress(self._done, self._intake.taken)
        if down:
            raise down[-1]

    def refuse(self, name: str, flaw: str, killmails: int = 0) -> None:
        """Count and report an archive that cannot be read to its end."""
        self._archives.flawed += 1
        self._report(ArchiveRefused(name, flaw, killmails))

    def ended(self, stopped: str | None, *, full: bool) -> Imported:
        """Return what became of all; `stopped` names the signal that has ended it early, if any."""
        counts, seconds = self._intake.counts, time.monotonic() - self._began
        return Imported(
            archives=self._archives.read,
            unchanged=self._archives.unchanged,
            missing=self._archives.missing,
            flawed=self._archives.flawed,
            killmails=counts.read,
            seconds=round(seconds, 3),
            stopped=stopped,
            full=full,
            **counts.named(),
        )

    def _read_day(self, wanted: Wanted, http: "Http", address: str) -> None:
        from killsync.archive import fetching

        try:
            answer = fetching.fetch(http, address, wanted.day, wanted.known)
        except Refused as error:
            self.refuse(archive_name(wanted.day), str(error))
            return
        if isinstance(answer, fetching.Missing):
            self._miss(wanted.day)
        elif isinstance(answer, fetching.Unchanged):
            self._archives.unchanged += 1
            self._report(ArchiveUnchanged(wanted.day.isoformat()))
        else:
            self._read(wanted, archive_name(wanted.day), answer.content, answer.version)

    def _read(self, wanted: Wanted, name: str, source: BinaryIO | bytes, version: str) -> None:
        began, intake = time.monotonic(), self._intake
        # who is registered meanwhile is looked for from the next archive on
        intake.look_again()
        before, taken = intake.counts.copy(), intake.taken
        try:
            self._take(wanted, source)
        except (BrokenArchive, _Stopped) as end:
            intake.store()
            if isinstance(end, BrokenArchive) and not self._stopping():
                self.refuse(name, end.flaw, intake.taken - taken)
            return
        intake.store(self._record(wanted.day, version, intake.taken - taken))
        self._archives.read += 1
        counts, seconds = intake.counts.since(before), time.monotonic() - began
        self._report(
            ArchiveRead(
                day=wanted.day.isoformat(),
                killmails=counts.read,
                seconds=round(seconds, 3),
                **counts.named(),
            )
        )

    def _take(self, wanted: Wanted, source: BinaryIO | bytes) -> None:
        """Take the killmails of an archive. Raises BrokenArchive and _Stopped amid it."""
        intake = self._intake
        may_be_ours = _anything if self._everything else finder(intake.ours)
        with decompressed(source) as read:
            for number, (killmail_id, raw) in enumerate(members(self._on(read), intake.refuse)):
                if may_be_ours(raw):
                    intake.take(raw, killmail_id)
                else:
                    intake.skip_others(1)
                if number % _SHOWN_EVERY == 0:
                    self._show(wanted, source, number)

    def _on(self, read: Read) -> Read:
        """Return what reads on until the import is stopped, whatever it is that is read."""
        stopping = self._stopping

        def read_on(size: int) -> bytes:
            if stopping():
                raise _Stopped
            return read(size)

        return read_on

    def _show(self, wanted: Wanted, source: BinaryIO | bytes, number: int) -> None:
        if isinstance(source, bytes):
            part = float(number)
        else:
            # the process that decompresses it reads on from the same place
            part = float(os.lseek(source.fileno(), 0, os.SEEK_CUR))
        self._progress(self._done + min(part, wanted.weight), self._intake.taken)

    def _record(self, day: date, version: str, killmails: int) -> Archive:
        return Archive(
            Origin.EVEREF,
            day.isoformat(),
            version,
            self._everything,
            self._intake.users_added,
            killmails,
        )

    def _version_fetched(self, day: date) -> str | None:
        return imports.version_fetched(
            self._store.conn,
            Origin.EVEREF,
            day.isoformat(),
            everything=self._everything,
            users_added=self._intake.users_added,
        )

    def _miss(self, day: date) -> None:
        self._archives.missing += 1
        self._report(ArchiveMissing(day.isoformat()))


def _anything(raw: bytes) -> bool:
    return True
