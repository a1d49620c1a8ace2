"""The queries of README run, give rows, and compare times as they are written."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import InProcess
from stored import rows
from world import simulator

from killsync.store import connection
from killsync.store.connection import Store

README = Path(__file__).parent.parent / "README.md"
QUERIES = re.findall(r"^```sql\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
# a table of README: the view, and its columns between backquotes
VIEW = re.compile(r"^\| `(?P<view>\w+)` \| each (?P<rest>.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A synced database of two characters, with names, prices and values."""
    with simulator(characters=2, killmails=150, shared=0.2) as esi:
        program = InProcess(tmp_path_factory.mktemp("readme"), esi)
        program.add_users()
        program.run("scan", KILLSYNC_NAMES="on", KILLSYNC_PRICES="on")
        store = connection.connect(program.database)
    add_values(store)
    yield store
    store.close()


def add_values(store: Store) -> None:
    """Give each killmail a value, and each item a price."""
    store.conn.execute(
        """INSERT OR REPLACE INTO killmail_values
        SELECT killmail_id, 1e6, 2e6, 3e6, 1e6, 5e6, 6e6, 0, '2026-01-01', 'esi-markets-prices'
        FROM killmails"""
    )
    store.conn.execute(
        """INSERT OR REPLACE INTO prices
        SELECT DISTINCT item_type_id, '2026-01-01', 10.0, 9.0 FROM items"""
    )


def test_there_are_ten() -> None:
    assert len(QUERIES) == 10


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_readme_gives_rows(synced: Store, query: str) -> None:
    assert rows(synced, query)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_readme_compares_times_in_the_form_that_they_have(query: str) -> None:
    assert "datetime(" not in query
    forms = re.findall(r"strftime\('([^']*)', 'now'", query)
    assert set(forms) <= {"%Y-%m-%dT%H:%M:%SZ"}
    assert len(forms) == query.count("'now'")


def test_the_warning_of_readme_is_true(synced: Store) -> None:
    wrong, right = (
        "datetime('2026-11-24 12:00')",
        "strftime('%Y-%m-%dT%H:%M:%SZ', '2026-11-24 12:00')",
    )
    compared = f"SELECT '2026-11-24T03:00:00Z' >= {wrong}, '2026-11-24T03:00:00Z' >= {right}"
    assert rows(synced, compared) == [(1, 0)]


def test_readme_names_every_column_of_every_view(synced: Store) -> None:
    documented = {
        found["view"]: set(re.findall(r"`(\w+)`", found["rest"].split(" | ", 1)[1]))
        for found in VIEW.finditer(README.read_text())
        if " | " in found["rest"]
    }
    views = [name for (name,) in rows(synced, "SELECT name FROM sqlite_schema WHERE type = 'view'")]
    assert views
    for view in views:
        columns = {row[1] for row in rows(synced, f"PRAGMA table_info({view})")}
        assert columns <= documented[view], view
