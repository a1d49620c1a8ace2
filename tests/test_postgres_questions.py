"""The questions of the manual, as PostgreSQL understands them: answered as SQLite answers them."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from both import Row, ask_postgres, ask_sqlite
from in_process import InProcess
from postgres_server import Server
from world import simulator

from killsync.store import connection
from killsync.store.connection import Store

DOCS = Path(__file__).parent.parent / "docs"
QUESTION = re.compile(
    r"^(?P<words>[A-Z][^\n]*\?[^\n]*)\n\n```sql\n(?P<query>.*?)^```$", re.DOTALL | re.MULTILINE
)
SORTED_BY = re.compile(r"ORDER BY (\w+)( DESC)?( NULLS LAST)?(,.*)?$")


def questions(page: str) -> dict[str, str]:
    """Return the queries of a page by the question that stands before each."""
    return {
        found["words"]: found["query"].strip().removesuffix(";")
        for found in QUESTION.finditer((DOCS / page).read_text())
    }


pytestmark = pytest.mark.long
OURS, THEIRS = questions("sql.md"), questions("postgres.md")


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory, postgres: Server
) -> Iterator[tuple[Store, str]]:
    """A database of three characters with names and prices, and PostgreSQL fed from it."""
    with simulator(characters=2, killmails=80, shared=0.3) as esi:
        program = InProcess(tmp_path_factory.mktemp("asked"), esi)
        program.add_users()
        program.run("scan", KILLSYNC_NAMES="on", KILLSYNC_PRICES="on")
        with (
            postgres.new_database() as url,
            closing(connection.connect(program.database)) as store,
        ):
            program.run("feed", "postgres", url)
            yield store, url


def test_the_ten_questions_are_asked_of_both() -> None:
    assert len(OURS) == 10
    assert list(THEIRS) == list(OURS)


def whole(query: str) -> str:
    """Return a query without its limit: where it cuts among equals is nobody's promise."""
    return re.sub(r" LIMIT \d+$", "", query)


def comparable(rows: list[Row]) -> list[Any]:
    """Return rows in an order of their own, and such that sums in another order are equal."""
    values = sorted((list(row.values()) for row in rows), key=_known_first)
    return [[pytest.approx(v) if isinstance(v, float) else v for v in row] for row in values]


def _known_first(row: list[Any]) -> tuple[str, ...]:
    return tuple(repr(v) for v in sorted(row, key=lambda v: isinstance(v, float)))


def sorted_by(rows: list[Row], query: str) -> list[Any]:
    """Return what a query sorts by first, where that is a column of it."""
    found = SORTED_BY.search(query)
    return [pytest.approx(row[found[1]]) for row in rows] if found and found[1] in rows[0] else []


@pytest.mark.parametrize("question", OURS)
def test_a_question_has_the_same_answer_in_both(asked: tuple[Store, str], question: str) -> None:
    store, url = asked
    all_ours, all_theirs = whole(OURS[question]), whole(THEIRS[question])
    ours, theirs = ask_sqlite(store, all_ours), ask_postgres(url, all_theirs)
    assert ours
    assert [*theirs[0]] == [*ours[0]]
    if "weekday" in ours[0]:
        ours = [row | {"weekday": int(row["weekday"])} for row in ours]
    assert comparable(theirs) == comparable(ours)
    assert sorted_by(theirs, all_theirs) == sorted_by(ours, all_theirs)
    limited = ask_postgres(url, THEIRS[question])
    assert len(limited) == len(ask_sqlite(store, OURS[question]))
