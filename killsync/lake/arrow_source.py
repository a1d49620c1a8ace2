"""The database as the lake reads it: months, batches of killmails, and what is known of ids.

A batch is read in one snapshot, and no read lasts longer than it; what is deleted meanwhile is
simply not there. Memory holds one batch, however many killmails there are.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from killsync.lake import arrow_schema, beside, tables
from killsync.lake.beside import Reference
from killsync.lake.tables import HASH
from killsync.store import bulk, reference
from killsync.store.arrow import ArrowConnection
from killsync.store.prices import to_the_cent

# a batch is a row group of each table: large enough for the engines that read them
_MOST_KILLMAILS = 10_000
_MOST_ROWS = 300_000
# ids that are kept in memory: of more, the killmails are found by their times
_MOST_IDS = 100_000
_LOWEST_ID = -(2**63)
_OF_ATTACKERS = [c.name for c in tables.ATTACKERS if c.name not in ("killmail_id", "stored_seq")]
_OF_ITEMS = [c.name for c in tables.ITEMS if c.name not in ("killmail_id", "stored_seq")]
_NUMBER, _TEXT, _REAL = pa.int64(), pa.string(), pa.float64()


def _columns(**types: Any) -> Any:
    return pa.schema(types)


_NAMES = _columns(id=_NUMBER, name=_TEXT)
_PRICES = _columns(type_id=_NUMBER, price=_REAL)
_TYPES = _columns(
    type_id=_NUMBER,
    name=_TEXT,
    group_id=_NUMBER,
    group_name=_TEXT,
    category_id=_NUMBER,
    category_name=_TEXT,
)
_SYSTEMS = _columns(system_id=_NUMBER, name=_TEXT, security=_REAL, region_id=_NUMBER, region=_TEXT)
_FACTIONS = _columns(faction_id=_NUMBER, name=_TEXT)
_IDS_BY_SEQ = _columns(id=_NUMBER, month=_NUMBER)
_IDS_BY_TIME = _columns(id=_NUMBER, time=_TEXT, weight=_NUMBER)
_WEIGHTS = _columns(weight=_NUMBER)


class Span(msgspec.Struct, frozen=True):
    """Which killmails: those whose `stored_seq` is above one and up to another."""

    after: int
    until: int


class Source:
    """Killmails of a span, month by month, and what the database knows beside them."""

    def __init__(
        self,
        conn: ArrowConnection,
        systems: Sequence[tuple[Any, ...]],
        span: Span,
        *,
        with_hash: bool,
    ) -> None:
        """Take the rows of `bulk.systems`, and read what else the game itself names."""
        self._conn = conn
        self._span = (span.after, span.until)
        self._schema = arrow_schema.raw("killmails", with_hash=with_hash)
        own = [c.name for c in tables.KILLMAILS if with_hash or c.name != HASH]
        self._killmails = bulk.killmails(own, [c.name for c in tables.VALUES])
        self._children = {
            name: (bulk.children(name, columns), _children(name, columns))
            for name, columns in (("attackers", _OF_ATTACKERS), ("items", _OF_ITEMS))
        }
        columns = [pa.array(values) for values in zip(*systems, strict=True)]
        with conn.snapshot():
            self.reference = Reference(
                types=conn.read(reference.TYPES, [], _TYPES),
                systems=pa.table(columns, names=_SYSTEMS.names).cast(_SYSTEMS)
                if columns
                else _SYSTEMS.empty_table(),
                factions=conn.read(reference.FACTIONS, [], _FACTIONS),
            )

    def snapshot(self) -> AbstractContextManager[None]:
        """Make several reads see one state of the database."""
        return self._conn.snapshot()

    def count(self) -> int:
        """Return how many killmails there are."""
        with self._conn.snapshot():
            return int(self._conn.one(bulk.COUNT, *self._span))

    def months(self, count: int) -> Iterator[tuple[str, Iterator[list[int]]]]:
        """Yield each month as `2026-11` with the ids of its batches, the earliest first.

        `count` is about how many there are in all. The batches of a month must be read before the
        next one is asked for.
        """
        return self._few() if count <= _MOST_IDS else self._many()

    def read(self, ids: Sequence[int]) -> dict[str, Any]:
        """Return the rows of killmails with their attackers and items, as `beside.add` takes them.

        Those that are gone are not there. The caller holds a snapshot.
        """
        self._want(ids)
        killmails = self._conn.read(self._killmails, self._span, self._schema)
        keys = {name: killmails[name].chunk(0) for name in ("killmail_id", "stored_seq")}
        if len(killmails) < len(ids):
            # places are those of the rows that were found
            self._want(keys["killmail_id"].to_pylist())
        found = {"killmails": killmails}
        for name, (sql, schema) in self._children.items():
            rows = self._conn.read(sql, [], schema)
            for key, column in keys.items():
                rows = rows.append_column(key, column.take(rows[beside.PLACE].chunk(0)))
            found[name] = rows
        return found

    def _want(self, ids: Sequence[int]) -> None:
        clear, fill = bulk.WANT
        self._conn.do(clear)
        self._conn.do(fill, _json(ids))

    def names(self, ids: Any) -> Any:
        """Return the names of players, corporations and alliances, as `beside.Known` says."""
        return self._conn.read(bulk.NAMES, [_json(ids.to_pylist())], _NAMES)

    def prices(self, day: str, type_ids: Any) -> Any:
        """Return what types were worth on a day, as `beside.Known` says."""
        found = self._conn.read(bulk.PRICES, [_json(type_ids.to_pylist()), day], _PRICES)
        listed = found["price"].combine_chunks().dictionary_encode()
        worth = pa.array(to_the_cent(listed.dictionary.to_pylist()), _REAL)
        return found.set_column(1, "price", worth.take(listed.indices))

    def _few(self) -> Iterator[tuple[str, Iterator[list[int]]]]:
        with self._conn.snapshot():
            found = self._conn.read(bulk.IDS_BY_SEQ, self._span, _IDS_BY_SEQ)
        for month in pc.unique(found["month"]).sort().to_pylist():
            ids = found.filter(pc.equal(found["month"], month))["id"].combine_chunks().sort()
            yield f"{month // 100:04}-{month % 100:02}", self._weighed(array("q", ids.to_pylist()))

    def _weighed(self, ids: "array[int]") -> Iterator[list[int]]:
        """Yield ids in batches that fit into memory."""
        while ids:
            some = ids[:_MOST_KILLMAILS].tolist()
            with self._conn.snapshot():
                self._want(some)
                weights = self._conn.read(bulk.WEIGHTS, [], _WEIGHTS)
            some = some[: _few_enough(weights["weight"])]
            yield some
            ids = ids[len(some) :]

    def _many(self) -> Iterator[tuple[str, Iterator[list[int]]]]:
        time = ""
        while (first := self._first_from(time)) is not None:
            month = first[: len("2026-11")]
            time = _month_after(month)
            yield month, self._by_time(first, time)

    def _first_from(self, time: str) -> str | None:
        with self._conn.snapshot():
            first: str | None = self._conn.one(bulk.NEXT_TIME, time)
            return first

    def _by_time(self, first: str, until: str) -> Iterator[list[int]]:
        time, after_id = first, _LOWEST_ID
        while True:
            asked: list[int | str] = [time, after_id, until, *self._span, _MOST_KILLMAILS]
            with self._conn.snapshot():
                found = self._conn.read(bulk.IDS_BY_TIME, asked, _IDS_BY_TIME)
            if not len(found):
                return
            found = found.slice(0, _few_enough(found["weight"]))
            yield found["id"].to_pylist()
            time, after_id = found["time"][-1].as_py(), found["id"][-1].as_py()


def _children(table: str, columns: Sequence[str]) -> Any:
    schema = arrow_schema.raw(table, with_hash=True)
    return pa.schema([(beside.PLACE, _NUMBER), *(schema.field(name) for name in columns)])


def _few_enough(weights: Any) -> int:
    """Return how many of the first may be in memory together: one at least."""
    totals = pc.cumulative_sum(pc.fill_null(weights, 0))
    return max(1, pc.sum(pc.less_equal(totals, _MOST_ROWS)).as_py() or 0)


def _month_after(month: str) -> str:
    """Return what every time of a month stands before, and of later ones none."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year:04}-{number + 1:02}" if number < 12 else f"{year:04}-13"


def _json(ids: Sequence[int]) -> str:
    return json.dumps(ids, separators=(",", ":"))
