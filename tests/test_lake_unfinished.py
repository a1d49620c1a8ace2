"""What is unfinished in a lake is nothing to the engines that read it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lakes import Feed, Steps, names, rows, stopping

pytestmark = pytest.mark.engines


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Make a lake with a whole call, one that was killed amid its moves, and files of tasks."""
    lake = tmp_path / "my lake"
    feed = Feed()
    feed.store("2026-10", "2026-11")
    feed.remove()
    feed.export(lake)
    feed.store("2026-10", "2026-11", "2026-11")
    feed.remove()

    class AmidMoves(Steps):
        def take(self, step: str) -> None:
            if "killmails.2026-11" in step and step.startswith("os.rename"):
                self.allowed = 0
            super().take(step)

    with stopping(lake, AmidMoves()):
        feed.export(lake)
    call = next((lake / "_unfinished").iterdir())
    for name in ("attempt-0123456789abcdef", "attackers.2026-10"):
        (call / name).write_bytes(b"PAR1 and then nothing")
    (call / "items.2026-09").write_bytes((call / "killmails.2026-11").read_bytes())
    assert 5 < len([name for name in names(lake) if "_unfinished" in name]) < 9
    return lake


def duckdb(lake: Path, table: str) -> list[int]:
    import duckdb

    pattern = f"{lake}/{table}/**/*.parquet"
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [pattern]).fetchall()
        every = connection.execute(
            "SELECT count(*) FROM read_parquet(?, union_by_name = true)", [f"{lake}/**/*.parquet"]
        ).fetchall()
    assert every == [(sum(counter.total() for counter in rows(lake).values()),)]
    return [row[0] for row in found]


def polars(lake: Path, table: str) -> list[int]:
    import polars

    # of a directory it reads all that is in it
    found: list[int] = polars.scan_parquet(lake / table).collect().to_series(0).to_list()
    assert polars.scan_parquet(f"{lake}/{table}/**/*.parquet").collect().height == len(found)
    return found


def chdb(lake: Path, table: str) -> list[int]:
    import chdb

    answer = chdb.query(f"SELECT * FROM file('{lake}/{table}/**/*.parquet')", "JSONCompact")
    return [int(row[0]) for row in json.loads(answer.bytes())["data"]]


def arrow(lake: Path, table: str) -> list[int]:
    import pyarrow.dataset

    found: list[int] = pyarrow.dataset.dataset(lake / table).to_table().column(0).to_pylist()
    return found


@pytest.mark.parametrize("engine", [duckdb, polars, chdb, arrow])
def test_engines_see_the_parts_that_have_their_place_and_nothing_else(
    lake: Path, engine: Callable[[Path, str], list[int]]
) -> None:
    pytest.importorskip("pyarrow" if engine is arrow else engine.__name__)
    for table, counter in rows(lake).items():
        assert sorted(engine(lake, table)) == sorted(n for n, _ in counter.elements())
