"""The Parquet lake: who may write to it, how far it has come, and calls that add to it.

A call writes all of its parts aside, makes them durable, sets its mark, and only then moves them to
their places. Whoever opens the lake next finishes a call that has its mark and clears away one that
has none: what a call brings is there exactly once, or not at all, whenever it was killed. A
reader beside the moves may see attackers and items of killmails that are not there yet.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import msgspec
import pyarrow.parquet as pq

from killsync.errors import KillsyncError, TryLater, UsageError
from killsync.lake import arrow_schema, target_contents, target_footer, target_names
from killsync.lake.target_address import files_of
from killsync.lake.target_files import Files, close_quietly, has
from killsync.lake.target_footer import Maker, Note
from killsync.lake.target_names import UNFINISHED, Sequences
from killsync.store.changes import Place

__all__ = ["Call", "Maker", "Target", "Where", "open_target"]

_COMPRESSION = "zstd"


@contextmanager
def open_target(address: str, maker: Maker, *, with_hash: bool) -> Iterator["Target"]:
    """Yield the lake at a path, or at an URL such as `s3://bucket/prefix`, which may be new.

    Nobody else on this machine can write to it until the end, where file systems have locks. A
    call that was killed is finished or cleared away first. Raises UsageError if the lake is
    another's, damaged, newer than this program, or was made otherwise; TryLater if it cannot be
    reached, or somebody else writes to it. Then nothing has changed.
    """
    files = files_of(address)
    files.check()
    if files.is_lockable and not target_contents.is_marked(files):
        # nothing is created in another's directory
        target_contents.newest(files)
    with files.held():
        yield Target(files, maker, with_hash=with_hash)


class Target:
    """An opened lake.

    `place` is how far it has come: Place() of an empty one, of which `maker` and `with_hash` are
    None.
    """

    def __init__(self, files: Files, maker: Maker, *, with_hash: bool) -> None:
        """Look at what is there, and recover from a killed call; raises as `open_target` does."""
        self._files = files
        self._as = Note(maker, Place(), with_hash)
        note = self._look()
        if target_contents.recover(files):
            note = self._look()
        if note is None or not note.place.stored_seq:
            target_contents.check_tables(files)
        self.place = note.place if note else Place()
        self.maker = note.maker if note else None
        self.with_hash = note.with_hash if note else None

    def _look(self) -> Note | None:
        newest = target_contents.newest(self._files)
        self._newest = Sequences(newest.stored_seq, newest.removed_seq)
        note = target_contents.note_of(self._files, newest)
        if note is not None:
            _check_alike(note, self._as, self._files.shown)
        return note

    @property
    def shown(self) -> str:
        """What a person is told of as the lake's place: no secret is in it."""
        return self._files.shown

    def parts(self, table: str) -> list[str]:
        """Return the names of a table's parts, which `reading` takes."""
        return [name for name, _ in target_contents.parts(self._files, table)]

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """Yield a part as a `pyarrow.parquet.ParquetFile`."""
        with self._files.input(name) as file:
            yield pq.ParquetFile(file)

    @contextmanager
    def call(self, place: Place) -> Iterator["Call"]:
        """Yield a call that brings the lake to a place; `commit` it, else nothing comes of it.

        A database may have lost its newest killmails since: a place never goes back. Archives may
        be read in any order: their place always goes on, so that no name is used twice.
        """
        note = msgspec.structs.replace(self._as, place=self._next(place))
        call = Call(self._files, note, self.place, self._newest)
        try:
            yield call
        finally:
            call.clear()
        if call.is_committed:
            self.place, self.maker, self.with_hash = note.place, note.maker, note.with_hash
            self._newest = call.newest

    def _next(self, place: Place) -> Place:
        now = self.place
        if self._as.maker is Maker.ARCHIVES:
            seq = max(place.stored_seq, now.stored_seq + 1)
            return msgspec.structs.replace(place, stored_seq=seq)
        if place.stored_seq < now.stored_seq:
            place = msgspec.structs.replace(now, removed_seq=place.removed_seq)
        return msgspec.structs.replace(place, removed_seq=max(place.removed_seq, now.removed_seq))


class Call:
    """What is added to a lake: from the mark that `commit` sets, all of it will be there once.

    Its parts appear one by one, the killmails last.
    """

    def __init__(self, files: Files, note: Note, before: Place, newest: Sequences) -> None:
        self._files = files
        self._before = before
        self.place = note.place
        self.newest = newest
        self.is_committed = False
        self._is_marked = False
        self._is_begun = False
        self._unwritten: set[str] = set()
        self._written: set[str] = set()
        numbers = Sequences(note.place.stored_seq, note.place.removed_seq)
        self._name = target_names.new_call(numbers)
        self._note = target_footer.encode(note)

    @property
    def _folder(self) -> str:
        return f"{UNFINISHED}/{self._name}"

    @contextmanager
    def part(self, table: str, month: str | None, schema: Any, **options: Any) -> Iterator[Any]:
        """Yield the `pyarrow.parquet.ParquetWriter` of the one part of a table and a month.

        The options are ParquetWriter's. A table without months has None. Raises UsageError or
        TryLater if it cannot be written.
        """
        self._check(table)
        with self._part(table, month, schema, options) as writer:
            yield writer

    @contextmanager
    def _part(
        self, table: str, month: str | None, schema: Any, options: dict[str, Any]
    ) -> Iterator[Any]:
        name = target_names.waiting(table, month)
        self._begin()
        self._unwritten.add(name)
        path = f"{self._folder}/{name}"
        with _writer(self._files, path, schema, self._note, options) as writer:
            yield writer
        self._unwritten.remove(name)
        self._written.add(name)

    def where(self) -> "Where":
        """Return what other processes, on this machine or another, write parts of this call by."""
        self._begin()
        return Where(
            self._files.address,
            self._files.shown,
            self._name,
            self.place.stored_seq,
            self.place.removed_seq,
            self._note,
        )

    def commit(self, elsewhere: Iterable[tuple[str, str | None]] = ()) -> None:
        """Make every part durable, and move all of them to their places.

        `elsewhere` are table and month of the parts that were written by `where`. If it fails after
        the mark, the next who opens the lake ends it. Raises TryLater if a part is not there, or
        somebody else has cleared this call away, or writes or has written there: of two calls that
        both began where this one did, at most one comes, whether or not there are locks.
        """
        if self._unwritten:
            raise RuntimeError(f"a part that failed was taken for written: {self._unwritten}")
        if self._is_begun:
            self._written.update(target_names.waiting(*part) for part in elsewhere)
            if self._before == Place() and target_names.REMOVED not in self._written:
                # that nothing was: no engine reads a table of no files
                schema = arrow_schema.raw(target_names.REMOVED, with_hash=False)
                with self._part(target_names.REMOVED, None, schema, {}):
                    pass
            self._require_parts()
            self._require_alone()
            self._is_marked = True
            target_contents.mark(self._files, self._name, self._written)
            # see `target_contents.clear`
            self._require_begun()
            if not target_contents.finish(self._files, self._name):
                raise self._overtaken()
            self.newest = self._newest_now()
        self.is_committed = True

    def _require_parts(self) -> None:
        self._require_begun()
        there = {entry.name for entry in self._files.names(self._folder)}
        if not self._written <= there:
            raise TryLater(
                f"{self._files.shown}: what the workers have written is not there: name a "
                "directory that all machines share, or s3://bucket/prefix"
            )

    def _require_begun(self) -> None:
        if not has(self._files, self._folder, target_names.BEGUN):
            raise self._overtaken()

    def _require_alone(self) -> None:
        """Raise TryLater if another call goes on, or has come to its end meanwhile.

        They are looked for in this order: a call that ends between both is seen by what it brought.
        """
        others = target_contents.unfinished(self._files) != [self._name]
        newest = target_contents.newest(self._files)
        if others or Sequences(newest.stored_seq, newest.removed_seq) != self.newest:
            raise self._overtaken()

    def _overtaken(self) -> TryLater:
        return TryLater(
            f"{self._files.shown}: another killsync has written there meanwhile; try again"
        )

    def _newest_now(self) -> Sequences:
        """Return the numbers of the newest parts, now that those of this call are among them."""
        tables = {name.partition(".")[0] for name in self._written}
        is_stored = bool(tables & {target_names.KILLMAILS, target_names.ARCHIVES})
        is_removed = target_names.REMOVED in tables
        return Sequences(
            self.place.stored_seq if is_stored else self.newest.stored,
            self.place.removed_seq if is_removed else self.newest.removed,
        )

    def clear(self) -> None:
        """Delete what was written, if it can be, unless it is or may be on its way to its place."""
        if self._is_begun and not self._is_marked:
            with suppress(KillsyncError):
                target_contents.clear(self._files, self._name)

    def _begin(self) -> None:
        if not self._is_begun:
            self._files.mark(f"{self._folder}/{target_names.BEGUN}")
            self._is_begun = True

    def _check(self, table: str) -> None:
        """Raise ValueError of a part whose name would not be new."""
        numbers = Sequences(self.place.stored_seq, self.place.removed_seq)
        before = Sequences(self._before.stored_seq, self._before.removed_seq)
        if numbers.of(table) <= before.of(table):
            raise ValueError(f"{table}: there is nothing new up to {numbers.of(table)}")


class Where(msgspec.Struct, frozen=True):
    """Where the parts of a call go: it can be sent to other processes, which write them."""

    address: str
    shown: str
    name: str
    seq: int
    removed_seq: int
    note: str

    @contextmanager
    def write(self, table: str, month: str | None, schema: Any, **options: Any) -> Iterator[Any]:
        """Yield a `pyarrow.parquet.ParquetWriter`, as `Call.part` does.

        Who writes the same part once more, because a first try failed or is slow, replaces it
        whole.
        """
        files = files_of(self.address)
        folder = f"{UNFINISHED}/{self.name}"
        name = f"{folder}/{target_names.waiting(table, month)}"
        attempt = f"{folder}/{target_names.new_attempt()}"
        with _writer(files, attempt, schema, self.note, options) as writer:
            yield writer
        files.move(attempt, name)
        files.settle()


@contextmanager
def _writer(
    files: Files, name: str, schema: Any, note: str, options: dict[str, Any]
) -> Iterator[Any]:
    # names are text to every engine, whatever they are in memory
    options = {"compression": _COMPRESSION, "store_schema": False, **options}
    with ExitStack() as stack:
        file = stack.enter_context(files.output(name))
        writer = pq.ParquetWriter(file, schema, **options)
        writer.add_key_value_metadata(target_footer.metadata(note))
        try:
            yield writer
        except BaseException:
            close_quietly(writer)
            raise
        writer.close()


def _check_alike(found: Note, wanted: Note, shown: str) -> None:
    """Raise UsageError unless what is to come goes with what is there."""
    if found.maker is not wanted.maker:
        by = {Maker.DATABASE: "`killsync export`", Maker.ARCHIVES: "`killsync lake`"}[found.maker]
        raise UsageError(f"{shown}: was written by {by}; name another directory")
    if found.with_hash and not wanted.with_hash:
        raise UsageError(f"{shown}: has hashes; use --with-hash, or name another directory")
    if wanted.with_hash and not found.with_hash:
        raise UsageError(
            f"{shown}: has no hashes; leave out --with-hash, or name another directory"
        )
