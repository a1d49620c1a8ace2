"""What stands beside a lake's rows where there is no database: the same that a database says."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from world import copy_new_database

from killsync.lake.shipped_names import ShippedNames, shipped_names, shown_security
from killsync.store import connection
from killsync.store.views import SECURITY


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a database with the shipped game data."""
    copy_new_database(tmp_path / "killsync.db")
    with closing(connection.connect(tmp_path / "killsync.db")) as store:
        yield store.conn


@pytest.fixture(scope="module")
def names() -> ShippedNames:
    return shipped_names()


def test_types_are_those_of_the_database(conn: sqlite3.Connection, names: ShippedNames) -> None:
    types = names.reference.types.to_pylist()
    assert [tuple(one.values()) for one in types] == [
        tuple(row) for row in conn.execute("SELECT * FROM types ORDER BY rowid")
    ]


def test_systems_have_the_security_that_the_database_shows(
    conn: sqlite3.Connection, names: ShippedNames
) -> None:
    sql = f"SELECT system_id, name, {SECURITY.format('security')}, region_id, region FROM systems"
    expected = [tuple(row) for row in conn.execute(f"{sql} ORDER BY system_id")]
    found = [tuple(one.values()) for one in names.reference.systems.to_pylist()]
    assert sorted(found) == expected


@pytest.mark.parametrize("true", [None, 0.0, -0.04, 0.001, 0.049, 0.05, 0.15, 0.25, 0.45, -0.65])
def test_security_is_rounded_as_the_database_rounds_it(
    conn: sqlite3.Connection, true: float | None
) -> None:
    (shown,) = conn.execute(f"SELECT {SECURITY.format('x')} FROM (SELECT ? AS x)", (true,))
    assert repr(shown_security(true)) == repr(shown[0])


def test_factions_and_npc_corporations_are_those_of_the_database(
    conn: sqlite3.Connection, names: ShippedNames
) -> None:
    for table, sql in (
        (names.reference.factions, "SELECT faction_id, name FROM factions ORDER BY 1"),
        (names.names([]), "SELECT id, name FROM names ORDER BY 1"),
    ):
        found = sorted(tuple(one.values()) for one in table.to_pylist())
        assert found == [tuple(row) for row in conn.execute(sql)]
