"""Ten questions, asked of a lake by the manual's own lines: every engine answers as SQLite does."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import engines
import pyarrow.parquet as pq
import pytest
from engines import NAMES, PAGE, same
from here import run_here
from killboard import minimal_environment
from played import MOMENT, Played

from killsync.store import connection, killmails

QUESTIONS = engines.queries(PAGE)
OF_THE_DATABASE = engines.queries(PAGE.with_name("sql.md"))


def export(directory: Path) -> None:
    done = run_here(
        *("export", "--format", "parquet", "-o", str(directory / "lake")),
        environment=minimal_environment(directory / "killsync.db"),
    )
    assert done.returncode == 0, done.stderr


def remove(database: Path, chosen: Sequence[Any]) -> None:
    with closing(connection.connect(database)) as store, store.transaction() as conn:
        killmails.remove(conn, [one.killmail_id for one in chosen])


def leave_unnamed(database: Path) -> None:
    """Let every second of the others have no name yet, and be in a militia that has one."""
    with closing(connection.connect(database)) as store, store.transaction() as conn:
        others = "id % 2 = 0 AND id NOT IN (SELECT user_id FROM users)"
        assert conn.execute(f"DELETE FROM names WHERE {others}").rowcount > 10
        conn.execute("UPDATE attackers SET faction_id = 500002 WHERE corporation_id % 2 = 0")


def read(directory: Path, queries: Sequence[str]) -> list[Any]:
    with closing(sqlite3.connect(directory / "killsync.db")) as conn:
        return [[list(row) for row in conn.execute(sql)] for sql in queries]


@pytest.fixture(scope="module")
def after_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one call, of which nothing was removed."""
    directory = tmp_path_factory.mktemp("once")
    world = Played()
    world.make(directory / "killsync.db")
    world.store(directory / "killsync.db", world.killmails[::10])
    export(directory)
    return directory


@pytest.fixture(scope="module")
def after_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of three calls, between which killmails were stored, removed and stored again."""
    directory = tmp_path_factory.mktemp("thrice")
    database = directory / "killsync.db"
    world = Played()
    world.make(database)
    first, second, third = (world.killmails[number::3] for number in range(3))
    world.store(database, first)
    leave_unnamed(database)
    export(directory)
    remove(database, first[1::10])
    world.store(database, second)
    leave_unnamed(database)
    export(directory)
    remove(database, second[::10])
    world.store(database, [*first[1::20], *third])
    remove(database, third[::10])
    leave_unnamed(database)
    export(directory)
    users = dict(read(directory, ["SELECT user_id, name FROM users"])[0])
    engines.write_views(directory, users)
    return directory


def as_sqlite(directory: Path) -> list[Any]:
    """Return SQLite's answers to the same, at the moment of the page."""
    return read(directory, engines.asked_of_sqlite(MOMENT))


def assert_same(question: str, found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected), question
    for number, (row, wanted) in enumerate(zip(found, expected, strict=True)):
        assert same(row, wanted), f"{question}\nrow {number}: {row}, not {wanted}"


def test_the_ten_are_those_of_the_database() -> None:
    assert len(QUESTIONS) == 10
    assert list(QUESTIONS) == list(OF_THE_DATABASE)


@pytest.mark.long
def test_every_question_has_an_answer_in_each_of_its_columns(after_three: Path) -> None:
    for question, answer in zip(engines.asked(), as_sqlite(after_three), strict=True):
        assert answer, question
        for number, column in enumerate(zip(*answer, strict=True)):
            assert any(column), f"{question}: column {number} is empty"


@pytest.mark.parametrize("table", ["killmails", "attackers", "items", "removed"])
def test_the_page_names_every_column_that_the_database_has_not(table: str, after_one: Path) -> None:
    found = re.search(rf"^\| `{table}` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert found
    named = re.findall(r"`(\w+)`", found[1])
    with closing(sqlite3.connect(after_one / "killsync.db")) as conn:
        (*rows,) = conn.execute("SELECT name FROM pragma_table_info(?)", [table])
    of_the_database = {name for (name,) in rows} | {"stored_seq"} - set(named)
    part = next((after_one / "lake" / table).rglob("*.parquet"))
    assert set(pq.read_schema(part).names) == of_the_database - {"killmail_hash"} | set(named)


@pytest.mark.long
@pytest.mark.engines
@pytest.mark.parametrize("engine", NAMES)
def test_an_engine_answers_as_sqlite_does(engine: str, after_three: Path) -> None:
    asked = engines.asked()
    found = engines.ask(engine, after_three, [*asked.values()])
    for question, answer, wanted in zip(asked, found, as_sqlite(after_three), strict=True):
        assert_same(question, answer, wanted)


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["DuckDB", "Polars", "ClickHouse"])
def test_a_lake_of_which_nothing_was_removed_opens_too(engine: str, after_one: Path) -> None:
    engines.write_views(after_one, {90000001: "O''Dell"})
    (((count,),),) = engines.ask(engine, after_one, ["SELECT count(*) FROM killmails"])
    assert [[[count]]] == read(after_one, ["SELECT count(*) FROM killmails"])
