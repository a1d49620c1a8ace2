"""What Spark's tasks do for a lake, one after another in this process: no Java is needed for that.

`test_lake_spark` shows the same where Spark does it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lake_archives import imported, make_archives, rows_of

import killsync
from killsync.errors import UsageError
from killsync.lake import spark, spark_reading, spark_sources, spark_writing
from killsync.lake.layout import Call, Maker, open_target
from killsync.lake.spark_plan import last_seq, partitions, plan
from killsync.lake.spark_reading import Work
from killsync.lake.spark_rows import ArchiveOutcome, Outcome, PartOutcome
from killsync.lake.target_names import BY_MONTH
from killsync.store.changes import Place

TODAY = date(2026, 11, 27)
OUTCOMES = msgspec.json.Decoder(Outcome)


class Tasks:
    """What Spark would call, with the rows that go from one to the other."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def read(self, done: Callable[[ArchiveOutcome], None] = lambda one: None) -> list[Any]:
        """Return the rows of all archives, in the order that Spark brings them in."""
        rows = spark_reading.read(self.work, iter(range(len(self.work.archives))), done)
        return sorted(rows, key=lambda row: (row["month"][0].as_py(), row["first_seq"][0].as_py()))

    def write(self, rows: Iterable[Any]) -> list[Outcome]:
        """Write them, and return what became of all."""
        return [OUTCOMES.decode(text) for text in spark_writing.write(self.work, iter(rows))]


@contextmanager
def tasks(lake: str, archives: str, **changes: Any) -> Iterator[tuple[Call, Tasks]]:
    """Yield a call that brings archives into a lake, and what does the work of it."""
    found = spark_sources.find([archives], TODAY)
    with open_target(lake, Maker.ARCHIVES, with_hash=True) as target:
        planned = plan(found.archives, (), target.place.stored_seq)
        with target.call(Place(last_seq(planned))) as call:
            turns = partitions(planned)
            work = Work(planned, turns, call.where(), True, killsync.__version__, False)
            yield call, Tasks(msgspec.structs.replace(work, **changes))


def make(lake: str, archives: str) -> list[Outcome]:
    """Bring archives into a lake, and return what became of them."""
    with tasks(lake, archives) as (call, hands):
        outcomes = hands.write(hands.read())
        call.commit(parts_of(outcomes))
    return outcomes


def parts_of(outcomes: list[Outcome]) -> set[tuple[str, str | None]]:
    """Return table and month of the parts that were written."""
    months = {one.month for one in outcomes if isinstance(one, PartOutcome) and one.stored}
    return {(table, month) for table in BY_MONTH for month in months}


def lost_behind(rows: list[Any]) -> Iterator[Any]:
    """Yield rows from a connection that is lost behind them."""
    yield from rows
    raise ConnectionError


def counts(outcomes: list[Outcome]) -> tuple[int, int, int]:
    """Return how many killmails were taken, stored, and known."""
    parts = [one for one in outcomes if isinstance(one, PartOutcome)]
    read = [one for one in outcomes if isinstance(one, ArchiveOutcome)]
    return (
        sum(one.killmails for one in read),
        sum(one.stored for one in parts),
        sum(one.known for one in parts),
    )


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    make_archives(tmp_path / "archives")
    return tmp_path / "archives"


def test_what_is_written_equals_an_import_and_an_export(archives: Path, tmp_path: Path) -> None:
    outcomes = make(str(tmp_path / "lake"), str(archives))
    assert rows_of(tmp_path / "lake") == imported(tmp_path, archives)
    flaws = [one.flaw for one in outcomes if isinstance(one, ArchiveOutcome)]
    assert flaws == [None, None, None, "is cut short"]
    assert counts(outcomes) == (114, 110, 4)


def test_what_the_lake_has_is_not_written_again(archives: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    make(str(lake), str(archives))
    before = rows_of(lake, without=set())
    parts = set(lake.rglob("*.parquet"))
    assert counts(make(str(lake), str(archives))) == (114, 0, 114)
    assert rows_of(lake, without=set()) == before
    assert set(lake.rglob("*.parquet")) == parts


def test_a_task_that_is_done_again_changes_nothing(archives: Path, tmp_path: Path) -> None:
    """Spark may read an archive again, and write a part again of which not all rows came."""
    once, again = tmp_path / "once", tmp_path / "again"
    make(str(once), str(archives))
    with tasks(str(again), str(archives)) as (call, hands):
        rows = hands.read()
        with pytest.raises(ConnectionError):
            hands.write(lost_behind(rows[:-1]))
        assert counts(hands.write(rows)) == counts(hands.write(hands.read()))
        call.commit(parts_of(hands.write(rows)))
    assert rows_of(again, without=set()) == rows_of(once, without=set())
    assert not list(again.rglob("*attempt*"))


def test_a_batch_is_packed_before_it_is_large(archives: Path, tmp_path: Path) -> None:
    with tasks(str(tmp_path / "lake"), str(archives)) as (_, hands):
        rows = hands.read()
    assert max(row.nbytes for row in rows) < 1 << 20
    assert {row.num_rows for row in rows} == {1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda work: {"version": "0.0.9"}, "install the same on all machines"),
        (
            lambda work: {"where": msgspec.structs.replace(work.where, address="/nowhere/else")},
            "name a directory that all machines share, or s3://bucket/prefix",
        ),
    ],
)
def test_who_cannot_take_part_does_nothing(
    archives: Path, tmp_path: Path, change: Callable[[Work], dict[str, Any]], words: str
) -> None:
    with tasks(str(tmp_path / "lake"), str(archives)) as (_, hands):
        rows = hands.read()
        hands.work = msgspec.structs.replace(hands.work, **change(hands.work))
        for task in (hands.read, lambda: hands.write(rows)):
            with pytest.raises(UsageError, match=words):
                task()


def test_an_archive_that_is_gone_is_a_flaw_that_names_the_machine(
    archives: Path, tmp_path: Path
) -> None:
    with tasks(str(tmp_path / "lake"), str(archives), is_spread=True) as (_, hands):
        for path in archives.rglob("*.bz2"):
            path.unlink()
        outcomes = hands.write(hands.read())
    flaws = {one.flaw for one in outcomes if isinstance(one, ArchiveOutcome)}
    assert len(flaws) == 1
    assert str(flaws.pop()).startswith("cannot be read on ")


WHOLE = ArchiveOutcome(16_000, 123, {"hash": 1}, [], None, 1.0)
SHORT = msgspec.structs.replace(WHOLE, killmails=3, flaw="cannot be read: Stale file handle")


@pytest.mark.parametrize(
    ("readings", "killmails", "flaw"),
    [
        ([WHOLE], 123, None),
        ([WHOLE, msgspec.structs.replace(WHOLE, seconds=2.0)], 123, None),
        ([WHOLE, SHORT], 3, "cannot be read: Stale file handle"),
        ([SHORT, WHOLE], 3, "cannot be read: Stale file handle"),
        ([WHOLE, SHORT, WHOLE], 3, "cannot be read: Stale file handle"),
        (
            [WHOLE, msgspec.structs.replace(WHOLE, killmails=122)],
            122,
            "was read more than once, and not alike",
        ),
        (
            [WHOLE, msgspec.structs.replace(WHOLE, refused={})],
            123,
            "was read more than once, and not alike",
        ),
    ],
)
def test_an_archive_is_whole_only_if_each_reading_of_it_was(
    readings: list[ArchiveOutcome], killmails: int, flaw: str | None
) -> None:
    held = None
    for reading in readings:
        held = spark.worse(held, reading)
    assert held is not None
    assert (held.killmails, held.flaw) == (killmails, flaw)


def test_an_archive_that_vanishes_before_it_is_read_again_is_flawed(
    archives: Path, tmp_path: Path
) -> None:
    """Its rows may have gone with the executor that read it."""
    with tasks(str(tmp_path / "lake"), str(archives)) as (_, hands):
        first: list[ArchiveOutcome] = []
        hands.read(first.append)
        for path in archives.rglob("*.bz2"):
            path.unlink()
        written = {
            one.number: one for one in hands.write(hands.read()) if isinstance(one, ArchiveOutcome)
        }
    assert None in {one.flaw for one in first}
    assert None not in {spark.worse(one, written[one.number]).flaw for one in first}


@pytest.mark.engines
def test_archives_and_lake_may_be_in_an_object_store(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("moto")
    from object_store import BUCKET, KEYS, ObjectStore

    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    store = ObjectStore()
    try:
        for path in archives.rglob("*.bz2"):
            store.client.upload_file(str(path), BUCKET, f"killmails/2016/{path.name}")
        outcomes = make(store.url("tasks"), store.url("killmails"))
        assert counts(outcomes) == (114, 110, 4)
        assert counts(make(store.url("tasks"), store.url("killmails"))) == (114, 0, 114)
    finally:
        store.close()
