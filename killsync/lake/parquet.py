"""Killmails as Parquet: a call adds to a lake what was stored and deleted since the last one."""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import msgspec
import pyarrow as pa

from killsync.errors import DatabaseBusy, UsageError
from killsync.lake import arrow_schema, beside, tables
from killsync.lake.arrow_source import Source, Span
from killsync.lake.layout import Call, Target
from killsync.lake.parquet_events import Exported
from killsync.store import arrow, bulk, changes
from killsync.store.changes import Place
from killsync.store.connection import Store, snapshot

Show = Callable[[int, int], None]
"""Takes how many killmails are written, and about how many there are."""


def add_new(store: Store, target: Target, show: Show, *, with_hash: bool) -> Exported:
    """Add to a lake what is new, all of it or nothing; the database is closed before.

    Raises UsageError if the lake is not this database's, and whatever keeps it from being read or
    written.
    """
    before = target.place
    place = _place_to_come(store, target)
    if place.stored_seq <= before.stored_seq and place.removed_seq == before.removed_seq:
        return Exported(target.shown, before.stored_seq)
    with target.call(place) as call:
        place = call.place
        removed = _write_removed(store, call, before)
        systems = bulk.systems(store.conn)
        # see `store.arrow`
        store.close()
        killmails = months = 0
        if place.stored_seq > before.stored_seq:
            span = Span(before.stored_seq, place.stored_seq)
            with arrow.connect(store.uri, bulk.SETUP) as conn:
                # the place is of the file that was there before
                _check_same_file(store)
                source = Source(conn, systems, span, with_hash=with_hash)
                killmails, months = _write_killmails(source, call, show, with_hash=with_hash)
        # nothing that may be torn gets into a lake, where it would stay
        store.check_unchanged()
        call.commit()
    return Exported(target.shown, place.stored_seq, killmails, months, removed)


def _check_same_file(store: Store) -> None:
    """Raise DatabaseBusy if another file has taken the database's place, as a restore does."""
    with suppress(FileNotFoundError):
        if os.path.samestat(store.path.stat(), store.file):
            return
    raise DatabaseBusy(f"{store.path}: was replaced while it was read; try again")


def _place_to_come(store: Store, target: Target) -> Place:
    with snapshot(store.conn):
        if not changes.goes_on_from(store.conn, target.place):
            raise UsageError(
                f"{target.shown}: was exported from another database, or this one was put back "
                "from a backup since; export to a new directory"
            )
        return changes.last_place(store.conn)


def _write_removed(store: Store, call: Call, before: Place) -> int:
    """Write which killmails were deleted since a place; return how many the lake may have."""
    after, until = before.removed_seq, call.place.removed_seq
    if until <= after:
        return 0
    written = 0
    schema = arrow_schema.raw("removed", with_hash=False)
    with call.part("removed", None, schema) as writer:
        for batch in changes.removed(store.conn, after, until):
            rows = pa.Table.from_pylist([msgspec.structs.asdict(row) for row in batch])
            columns = [rows[field.name].cast(field.type) for field in schema]
            writer.write_table(pa.table(columns, schema=schema))
            written += len(batch)
    return 0 if before == Place() else written


def _write_killmails(source: Source, call: Call, show: Show, *, with_hash: bool) -> tuple[int, int]:
    """Write the parts of all months; return how many killmails, of how many months."""
    killmails = months = 0
    total = source.count()
    show(0, total)
    for month, batches in source.months(total):
        with _Month(call, month, with_hash=with_hash) as parts:
            for ids in batches:
                with source.snapshot():
                    full = beside.add(source.read(ids), source, with_hash=with_hash)
                parts.write(full)
                killmails += len(full["killmails"])
                show(killmails, total)
        months += parts.is_begun
    return killmails, months


class _Month:
    """The parts of one month, which are there only if something is written."""

    def __init__(self, call: Call, month: str, *, with_hash: bool) -> None:
        self._call = call
        self._month = month
        self._with_hash = with_hash
        self._stack = ExitStack()
        self._writers: dict[str, Any] = {}

    @property
    def is_begun(self) -> bool:
        """Whether something was written."""
        return bool(self._writers)

    def __enter__(self) -> "_Month":
        self._stack.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, rows: dict[str, Any]) -> None:
        """Write a batch of each table as a row group of its own."""
        if not len(rows["killmails"]):
            return
        for table in tables.TABLES:
            if table not in self._writers:
                schema = arrow_schema.full(table, with_hash=self._with_hash)
                part = self._call.part(table, self._month, schema, **arrow_schema.options(schema))
                self._writers[table] = self._stack.enter_context(part)
            if len(rows[table]):
                self._writers[table].write_table(rows[table], row_group_size=len(rows[table]))
