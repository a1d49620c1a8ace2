"""The queries of the manual run, give rows, and compare times as they are written."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess
from stored import rows
from world import simulator

from killsync.store import connection
from killsync.store.connection import Store

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "sql.md"
QUERIES = [
    query
    for page in (PAGE, ROOT / "README.md")
    for query in re.findall(r"^```sql\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
]
# its table: the view, and its columns between backquotes
VIEW = re.compile(r"^\| `(?P<view>\w+)` \| each (?P<rest>.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database of two characters, with names, prices and values as a scan writes them."""
    with simulator(characters=2, killmails=150, shared=0.2) as esi:
        program = InProcess(tmp_path_factory.mktemp("documented"), esi)
        program.add_users()
        program.run("scan", KILLSYNC_NAMES="on", KILLSYNC_PRICES="on")
        store = connection.connect(program.database)
    yield store
    store.close()


def test_there_are_ten_and_one_in_readme() -> None:
    assert len(QUERIES) == 11


@pytest.mark.parametrize("query", QUERIES)
def test_a_documented_query_gives_rows(synced: Store, query: str) -> None:
    assert rows(synced, query)


@pytest.mark.parametrize("query", QUERIES)
def test_a_documented_query_compares_times_in_the_form_that_they_have(query: str) -> None:
    assert "datetime(" not in query
    forms = re.findall(r"strftime\('([^']*)', 'now'", query)
    assert set(forms) <= {"%Y-%m-%dT%H:%M:%SZ"}
    assert len(forms) == query.count("'now'")


def asked(synced: Store, question: str) -> list[dict[str, Any]]:
    """Return the rows of the query that follows a documented question, by column."""
    query = PAGE.read_text().partition(question)[2].partition("```sql\n")[2].partition("```")[0]
    cursor = synced.conn.execute(query.replace("-7 days", "-9999 days"))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def test_the_modules_that_are_lost_most_are_no_ammunition(synced: Store) -> None:
    lost = {row["type"] for row in asked(synced, "Which modules do I lose most?")}
    charges = {name for (name,) in rows(synced, "SELECT name FROM types WHERE category_id = 8")}
    assert lost
    assert lost.isdisjoint(charges)


def test_npcs_that_killed_somebody_are_named(synced: Store) -> None:
    found = [row["killer"] for row in asked(synced, "What did I lose last week")]
    npcs = rows(
        synced,
        """SELECT final_blow_corporation FROM kills
        WHERE side = 'loss' AND final_blow IS NULL AND final_blow_corporation IS NOT NULL""",
    )
    assert npcs
    assert {name for (name,) in npcs} <= set(found)


def test_the_newest_of_one_user_are_found_without_reading_those_of_others(synced: Store) -> None:
    ((user_id,), *_) = rows(synced, "SELECT user_id FROM users")
    (written,) = re.findall(r"`(SELECT \* FROM kills [^`]*)`", PAGE.read_text())
    query = written.replace("90000001", str(user_id))
    assert rows(synced, query) == rows(
        synced, f"SELECT * FROM kills WHERE user_id = {user_id} ORDER BY time DESC LIMIT 20"
    )
    plan = [step for *_, step in rows(synced, f"EXPLAIN QUERY PLAN {query}")]
    for step in ("k USING INTEGER PRIMARY", "user_killmails USING INDEX user_killmails_newest"):
        assert any(step in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN ")], plan


def test_the_warning_about_times_is_true(synced: Store) -> None:
    wrong, right = (
        "datetime('2026-11-24 12:00')",
        "strftime('%Y-%m-%dT%H:%M:%SZ', '2026-11-24 12:00')",
    )
    compared = f"SELECT '2026-11-24T03:00:00Z' >= {wrong}, '2026-11-24T03:00:00Z' >= {right}"
    assert rows(synced, compared) == [(1, 0)]


def test_the_page_names_every_column_of_every_view(synced: Store) -> None:
    documented = {
        found["view"]: set(re.findall(r"`(\w+)`", found["rest"].split(" | ", 1)[1]))
        for found in VIEW.finditer(PAGE.read_text())
        if " | " in found["rest"]
    }
    views = [name for (name,) in rows(synced, "SELECT name FROM sqlite_schema WHERE type = 'view'")]
    assert views
    for view in views:
        columns = {row[1] for row in rows(synced, f"PRAGMA table_info({view})")}
        assert columns <= documented[view], view
