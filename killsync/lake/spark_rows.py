"""What goes from those who read archives to those who write parts: rows of Spark's, packed.

A row is a batch of killmails of one month, with the rows of its three tables as Arrow's IPC
streams: Spark moves and sorts few large rows, and never looks into them. A row of no month says
what became of an archive or of a part, as JSON.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import msgspec
import pyarrow as pa

from killsync.killmail.body import Extra
from killsync.lake import arrow_schema, tables
from killsync.lake.spark_plan import month_number
from killsync.store.killmails import (
    ATTACKER_COLUMNS,
    ITEM_COLUMNS,
    KILLMAIL_COLUMNS,
    FetchedKillmail,
    attacker_rows,
    item_rows,
    killmail_row,
)

NO_MONTH = ""
ROW = "month string, turn int, first_seq long, killmails binary, attackers binary, items binary"
"""A row in Spark's words; its `turn` is the number of the partition that it goes to."""
_SCHEMA = pa.schema(
    [
        ("month", pa.string()),
        ("turn", pa.int32()),
        ("first_seq", pa.int64()),
        ("killmails", pa.binary()),
        ("attackers", pa.binary()),
        ("items", pa.binary()),
    ]
)

# a batch: what is decoded of it takes ten times as much memory as its JSON
_MOST_KILLMAILS = 1_000
_MOST_BYTES = 2 << 20
_TIME = KILLMAIL_COLUMNS.index("killmail_time")
_PACKED = pa.ipc.IpcWriteOptions(compression="zstd")


class ArchiveOutcome(msgspec.Struct, frozen=True, tag="archive"):
    """What became of an archive: killmails taken from it, how many were refused and why.

    `shown` are the first of those, each with its reason; `flaw` says why it could not be read to
    its end. `seconds` is how long that took.
    """

    number: int
    killmails: int
    refused: dict[str, int]
    shown: list[tuple[str, str]]
    flaw: str | None
    seconds: float


class PartOutcome(msgspec.Struct, frozen=True, tag="part"):
    """What became of an archive's killmails of one month: written, or known already."""

    number: int
    month: str
    stored: int
    known: int


Outcome = ArchiveOutcome | PartOutcome


class Packed(msgspec.Struct):
    """A row: a month's batch of killmails with their attackers and items, in Arrow's buffers."""

    month: str
    killmails: Any
    attackers: Any
    items: Any

    def tables(self) -> dict[str, Any]:
        """Return the `pyarrow.Table` of each of the three tables, with the database's columns."""
        return {
            "killmails": _unpacked(self.killmails),
            "attackers": _unpacked(self.attackers),
            "items": _unpacked(self.items),
        }


def packed(batch: Any) -> Iterator[Packed]:
    """Yield the rows of a `pyarrow.RecordBatch` of Spark's."""
    months, _, _, *columns = batch.columns
    for month, *streams in zip(months.to_pylist(), *columns, strict=True):
        yield Packed(month, *(stream.as_buffer() for stream in streams))


def note(outcome: Outcome) -> Any:
    """Return the row of an outcome."""
    return _row(NO_MONTH, 0, 0, [msgspec.json.encode(outcome), None, None])


class Batch:
    """Killmails that are packed together, those of each month by themselves."""

    def __init__(self, turns: int, *, with_hash: bool) -> None:
        self._turns = turns
        self._schemas = {
            table: arrow_schema.raw(table, with_hash=with_hash) for table in tables.TABLES
        }
        self._months: dict[str, _Month] = {}
        self._count = 0
        self._bytes = 0

    def add(self, fetched: FetchedKillmail, stored_seq: int, stored_at: str, size: int) -> None:
        """Add a killmail whose JSON had `size` bytes."""
        row = killmail_row(fetched, stored_seq, stored_at)
        month = row[_TIME][:7]
        self._months.setdefault(month, _Month()).add(row, fetched, stored_seq)
        self._count += 1
        self._bytes += size

    @property
    def is_full(self) -> bool:
        """Whether it should be packed before anything is added."""
        return self._count >= _MOST_KILLMAILS or self._bytes >= _MOST_BYTES

    def pack(self) -> Iterator[Any]:
        """Yield what was added as rows, each a `pyarrow.RecordBatch`, and start over."""
        months, self._months = self._months, {}
        self._count = self._bytes = 0
        for name, month in months.items():
            columns = (
                _columns(month.killmails, KILLMAIL_COLUMNS),
                _columns(month.attackers, ATTACKER_COLUMNS) | {"stored_seq": month.attacker_seqs},
                _columns(month.items, ITEM_COLUMNS) | {"stored_seq": month.item_seqs},
            )
            streams = [
                _stream(of_table, schema)
                for of_table, schema in zip(columns, self._schemas.values(), strict=True)
            ]
            yield _row(name, month_number(name) % self._turns, month.first_seq, streams)


class _Month:
    def __init__(self) -> None:
        self.first_seq = 0
        self.killmails: list[tuple[Any, ...]] = []
        self.attackers: list[tuple[Any, ...]] = []
        self.attacker_seqs: list[int] = []
        self.items: list[tuple[Any, ...]] = []
        self.item_seqs: list[int] = []

    def add(self, row: tuple[Any, ...], fetched: FetchedKillmail, stored_seq: int) -> None:
        if not self.killmails:
            self.first_seq = stored_seq
        self.killmails.append(row)
        attackers, items = attacker_rows(fetched.killmail), item_rows(fetched.killmail)
        self.attackers += attackers
        self.attacker_seqs += repeat(stored_seq, len(attackers))
        self.items += items
        self.item_seqs += repeat(stored_seq, len(items))


def _columns(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    return dict(zip(names, zip(*rows, strict=True) if rows else repeat(()), strict=False))


def _stream(columns: dict[str, Sequence[Any]], schema: Any) -> bytes:
    """Return rows as an Arrow stream: of the columns of the schema those that there are."""
    fields = [field for field in schema if field.name in columns]
    arrays = [_array(columns[field.name], field) for field in fields]
    batch = pa.record_batch(arrays, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_PACKED) as stream:
        stream.write_batch(batch)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _array(values: Sequence[Any], field: Any) -> Any:
    if field.name == "extra":
        return pa.array([_json(value) for value in values], field.type)
    if pa.types.is_timestamp(field.type):
        return pa.array(values, pa.string()).cast(field.type)
    if pa.types.is_floating(field.type):
        # an integer above 2**53 is taken for an error
        return pa.array([None if v is None else float(v) for v in values], field.type)
    return pa.array(values, field.type)


def _json(extra: bytes | Extra | None) -> bytes | None:
    return msgspec.json.encode(extra.data) if isinstance(extra, Extra) else extra


def _row(month: str, turn: int, first_seq: int, streams: Sequence[bytes | None]) -> Any:
    values = [month, turn, first_seq, *streams]
    arrays = [pa.array([value], kind) for value, kind in zip(values, _SCHEMA.types, strict=True)]
    return pa.record_batch(arrays, schema=_SCHEMA)


def _unpacked(stream: Any) -> Any:
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()
