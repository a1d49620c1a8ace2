"""The recipes of the manual, each run as it stands there, beside a database."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import engines
import pytest
from engines import TIMEOUT, block
from played import Played

from killsync.store import connection, killmails

PAGE = Path(__file__).parent.parent / "docs" / "recipes.md"
TEXT = PAGE.read_text()


class Machine:
    """A directory with a database in it, where the manual's lines are run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = directory / "killsync.db"
        self.world = Played()
        self.world.make(self.database)
        # of all months, and none too many
        self.killmails = [*self.world.killmails[::8], *self.world.killmails[1::8]]

    def store(self, start: int, end: int) -> None:
        """Store some killmails of the world."""
        self.world.store(self.database, self.killmails[start:end])

    def remove(self, number: int) -> None:
        """Delete a killmail of the world, as a user's may be."""
        with closing(connection.connect(self.database)) as store, store.transaction() as conn:
            killmails.remove(conn, [self.killmails[number].killmail_id])

    def rows(self, sql: str) -> list[Any]:
        """Return what SQLite answers."""
        with closing(sqlite3.connect(self.database)) as conn:
            return conn.execute(sql).fetchall()

    def shell(self, lines: str, **more: str) -> str:
        """Run lines of a shell, and return what they print."""
        return self._run(["sh", "-eu", "-c", lines], more)

    def python(self, lines: str, **more: str) -> str:
        """Run lines of Python, and return what they print."""
        return self._run([sys.executable, "-c", lines], more)

    def _run(self, words: list[str], more: dict[str, str]) -> str:
        private = {
            "KILLSYNC_DB": str(self.database),
            "DLT_DATA_DIR": str(self.directory / "dlt"),
        }
        done = subprocess.run(
            words,
            cwd=self.directory,
            env=engines.environment(self.directory) | private | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    made = Machine(tmp_path_factory.mktemp("recipes"))
    made.store(0, 60)
    return made


def test_a_datasette_of_ones_own_says_what_the_tables_are(machine: Machine) -> None:
    describe, serve = block(TEXT, "## Datasette", "sh").splitlines()
    machine.shell(describe)
    page = machine.shell(f"{serve} --get /killsync/kills")
    assert "One row per user and killmail: side, names, ISK. Start here." in page
    assert "leaves this machine" not in page
    found = machine.shell(f"{serve} --get '/killsync/kills.json?_shape=array&_size=max'")
    shown = [(kill["time"], kill["killmail_id"]) for kill in json.loads(found)]
    newest = machine.rows("SELECT time, killmail_id FROM kills ORDER BY time DESC LIMIT 1000")
    assert shown
    assert sorted(shown) == sorted(newest)
    assert shown[0] == newest[0]


@pytest.mark.long
@pytest.mark.engines
def test_dlt_brings_each_killmail_once_and_says_which_were_deleted(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("dlt")
    machine = Machine(tmp_path)
    (tmp_path / "feed.py").write_text(block(TEXT, "## dlt", "python"))
    run, asked = (block(TEXT, "## dlt", language) for language in ("sh", "sql"))

    def loads() -> int:
        (found,) = rows("SELECT count(*) FROM eve._dlt_loads")
        return int(found[0])

    def rows(sql: str) -> list[Any]:
        with closing(duckdb.connect(str(tmp_path / "killsync.duckdb"), read_only=True)) as conn:
            answer: list[Any] = conn.execute(sql).fetchall()
            return answer

    machine.store(0, 20)
    machine.shell(run)
    machine.remove(3)
    machine.store(20, 30)
    machine.shell(run)
    assert loads() == 2
    machine.shell(run)
    assert loads() == 2, "there was nothing new"

    assert rows("SELECT stored_seq FROM eve.killmails ORDER BY 1") == [(n + 1,) for n in range(30)]
    assert rows("SELECT stored_seq FROM eve.removed_killmails") == [(4,)]
    assert rows(asked) == machine.rows("SELECT count(*) FROM killmails")
    left = "FROM eve.{0} WHERE stored_seq <> 4"
    for table in ("attackers", "items"):
        (wanted,) = machine.rows(f"SELECT count(*) FROM {table}")
        assert rows(f"SELECT count(*) {left.format(table)}") == [wanted]
    isk = "SELECT sum(quantity_destroyed), sum(quantity_dropped)"
    assert rows(f"{isk} {left.format('items')}") == machine.rows(f"{isk} FROM items")


@pytest.fixture(scope="module")
def lake(machine: Machine) -> Machine:
    """A machine with a lake that is the database, some of it added later."""
    export = block(TEXT, "## A lake in an object store", "sh").replace("s3://killmails/", "")
    machine.shell(export)
    machine.store(60, 80)
    machine.shell(export)
    return machine


def of_months(machine: Machine) -> list[Any]:
    return machine.rows(
        "SELECT substr(killmail_time, 1, 7), count(*) FROM killmails GROUP BY 1 ORDER BY 1"
    )


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["DuckDB", "ClickHouse", "Polars", "pandas"])
def test_a_lake_is_looked_at_in_a_line_or_two(engine: str, lake: Machine) -> None:
    pytest.importorskip(engines.MODULES.get(engine, engine))
    lines = block(TEXT.partition("## A look at Parquet")[2], f"\n{engine}", "python")
    assert len(lines.splitlines()) == 4
    printed = lake.python(lines)
    months = of_months(lake)
    assert len(months) > 1
    for month, count in months:
        assert re.search(rf"{month}\D+{count}\b", printed), printed


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """Serve an object store with the recipe's bucket; yield the variables that lead to it."""
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    from object_store import KEYS, ObjectStore

    store = ObjectStore()
    store.client.create_bucket(Bucket="killmails")
    yield KEYS | {"AWS_ENDPOINT_URL": f"http://{store.endpoint}"}
    store.close()


@pytest.mark.long
@pytest.mark.engines
def test_a_lake_in_an_object_store_is_written_and_read(
    machine: Machine, bucket: dict[str, str]
) -> None:
    pytest.importorskip("chdb")
    pytest.importorskip("polars")
    recipe = TEXT.partition("## A lake in an object store")[2]
    machine.shell(block(recipe, "where the store is", "sh"), **bucket)
    (count,) = machine.rows("SELECT count(*) FROM killmails")[0]
    for after, times in (("Polars and pandas", 2), ("ClickHouse", 1)):
        printed = machine.python(block(recipe, after, "python"), **bucket)
        assert len(re.findall(rf"\b{count}\b", printed)) == times, printed
