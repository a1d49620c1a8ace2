"""Writing parts where Spark has its hands: each month's killmails by one of them, in order."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from killsync.lake import arrow_schema, beside, target_names
from killsync.lake.layout import Where
from killsync.lake.shipped_names import shipped_names
from killsync.lake.spark_plan import number_of
from killsync.lake.spark_reading import Work, check
from killsync.lake.spark_rows import NO_MONTH, Packed, PartOutcome, packed
from killsync.lake.target_address import files_of

KILLMAILS, ATTACKERS, ITEMS = "killmails", "attackers", "items"
# of Arrow tables, before they go into a row group
_MOST_BYTES = 48 << 20


def write(work: Work, batches: Iterator[Any]) -> Iterator[bytes]:
    """Write the killmails in Spark's batches, which are sorted by month and `stored_seq`.

    Yield what became of them, and the outcomes that stand among them, as JSON. Of a killmail that
    is there more than once the first one is written, and none that the lake has. Raises
    UsageError or TryLater if a part cannot be written.
    """
    check(work)
    rows = chain.from_iterable(map(packed, batches))
    for month, group in groupby(rows, key=attrgetter("month")):
        if month == NO_MONTH:
            yield from (row.killmails.to_pybytes() for row in group)
        else:
            yield from _write_month(work, month, group)


def _write_month(work: Work, month: str, rows: Iterator[Packed]) -> Iterator[bytes]:
    new = _New(_ids_before(work.where, month))
    with _parts(work, month) as parts:
        for row in rows:
            if kept := new.of(row.tables()):
                parts.add(kept)
    yield from new.outcomes(month)


class _New:
    """Passes over killmails that the lake has, or that came before; counts both by archive."""

    def __init__(self, ids: set[int]) -> None:
        self._ids = ids
        self._stored: Counter[int] = Counter()
        self._known: Counter[int] = Counter()

    def of(self, tables: dict[str, Any]) -> dict[str, Any]:
        """Return those rows of some tables that are new; nothing if none is."""
        killmails = tables[KILLMAILS]
        ids = killmails["killmail_id"].to_pylist()
        is_new = [self._is_new(killmail_id) for killmail_id in ids]
        stored = sum(is_new)
        # all of a batch are of one archive
        archive = number_of(killmails["stored_seq"][0].as_py())
        self._stored[archive] += stored
        self._known[archive] += len(ids) - stored
        if stored in (0, len(ids)):
            return tables if stored else {}
        kept = killmails.filter(pa.array(is_new))
        of_kept = pc.SetLookupOptions(kept["stored_seq"].combine_chunks())
        return {KILLMAILS: kept} | {
            name: tables[name].filter(pc.is_in(tables[name]["stored_seq"], options=of_kept))
            for name in (ATTACKERS, ITEMS)
        }

    def outcomes(self, month: str) -> Iterator[bytes]:
        """Yield what became of each archive's killmails, as JSON."""
        for archive in sorted(self._stored):
            outcome = PartOutcome(archive, month, self._stored[archive], self._known[archive])
            yield msgspec.json.encode(outcome)

    def _is_new(self, killmail_id: int) -> bool:
        before = len(self._ids)
        self._ids.add(killmail_id)
        return len(self._ids) > before


def _ids_before(where: Where, month: str) -> set[int]:
    """Return the ids of a month's killmails that the lake has had before this call."""
    files, folder = files_of(where.address), f"{KILLMAILS}/month={month}"
    ids: set[int] = set()
    for entry in files.names(folder):
        seq = target_names.seq_of(entry.name)
        if seq is not None and seq < where.seq:
            with files.input(f"{folder}/{entry.name}") as file:
                for batch in pq.ParquetFile(file).iter_batches(columns=["killmail_id"]):
                    ids.update(batch.column(0).to_pylist())
    return ids


@contextmanager
def _parts(work: Work, month: str) -> Iterator["_Parts"]:
    """Yield the parts of a month, which are complete in the end."""
    with ExitStack() as open_parts:
        parts = _Parts(open_parts, work, month)
        yield parts
        parts.flush()


class _Parts:
    """The parts of a month, which are opened with the first rows for them."""

    def __init__(self, open_parts: ExitStack, work: Work, month: str) -> None:
        self._open_parts = open_parts
        self._work = work
        self._month = month
        self._writers: dict[str, Any] = {}
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, tables: dict[str, Any]) -> None:
        """Add rows of the three tables, which are written once they make a row group."""
        self._waiting.append(tables)
        self._bytes += sum(table.nbytes for table in tables.values())
        if self._bytes >= _MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        raw = {name: pa.concat_tables(some[name] for some in waiting) for name in waiting[0]}
        full = beside.add(raw, shipped_names(), with_hash=self._work.with_hash)
        for name, table in full.items():
            self._writer(name, table.schema).write_table(table)

    def _writer(self, table: str, schema: Any) -> Any:
        if table not in self._writers:
            options = arrow_schema.options(schema)
            part = self._work.where.write(table, self._month, schema, **options)
            self._writers[table] = self._open_parts.enter_context(part)
        return self._writers[table]
