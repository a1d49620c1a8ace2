"""Game data in the database: loaded once for each build, and nothing that is known is lost."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from new_store import new_store
from test_game_data import NEWER, newer
from world import Killsync

from killsync.gamedata import build
from killsync.gamedata.reading import read
from killsync.gamedata.shipped import shipped
from killsync.model import ItemType
from killsync.store import facts, game_data
from killsync.store.connection import Store

pytestmark = pytest.mark.long

EVERYTHING = (
    "SELECT * FROM types",
    "SELECT * FROM systems",
    "SELECT * FROM factions",
    "SELECT * FROM names",
    "SELECT * FROM facts WHERE name LIKE 'game_data%'",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path / "killsync.db")) as store:
        yield store


def everything(store: Store) -> list[list[Any]]:
    return [store.conn.execute(sql).fetchall() for sql in EVERYTHING]


@pytest.mark.sample
def test_a_scan_puts_the_game_data_into_a_new_database(
    killsync: Callable[..., Killsync],
) -> None:
    program = killsync(users=False)
    program.run("scan")
    assert program.rows("SELECT * FROM types WHERE type_id = 587") == [
        (587, "Rifter", 25, "Frigate", 6, "Ship")
    ]
    assert program.rows("SELECT * FROM systems WHERE name = 'jita' COLLATE NOCASE") == [
        (30000142, "Jita", 0.945913, 20000020, "Kimotoro", 10000002, "The Forge")
    ]
    assert program.rows("SELECT name FROM factions WHERE faction_id = 500010") == [
        ("Guristas Pirates",)
    ]
    assert program.rows("SELECT * FROM names WHERE id = 1000125") == [
        (1000125, "corporation", "CONCORD", None)
    ]
    assert program.rows("SELECT value FROM facts WHERE name = 'game_data'") == [(build.BUILD,)]


def test_a_scan_renews_older_game_data_and_keeps_newer_ones(
    killsync: Callable[..., Killsync],
) -> None:
    program = killsync(users=False)
    program.run("scan")
    program.execute("UPDATE types SET name = 'Changed' WHERE type_id = 587")
    named = "SELECT name FROM types WHERE type_id = 587"
    program.execute("UPDATE facts SET value = ? WHERE name = 'game_data'", NEWER)
    program.run("scan")
    assert program.rows(named) == [("Changed",)]
    program.execute("UPDATE facts SET value = ? WHERE name = 'game_data'", build.BUILD - 1)
    program.run("scan")
    assert program.rows(named) == [("Rifter",)]


def test_loading_twice_changes_nothing(store: Store) -> None:
    with store.transaction() as conn:
        game_data.load(conn, shipped())
    before = everything(store)
    with store.transaction() as conn:
        game_data.load(conn, shipped())
    assert everything(store) == before
    assert not game_data.is_outdated(store.conn)


def test_what_newer_data_name_no_more_keeps_its_name(store: Store, tmp_path: Path) -> None:
    with store.transaction() as conn:
        game_data.load(conn, shipped())
        game_data.load(conn, read(newer(tmp_path / "newer.zip")))
    found = game_data.types_of(store.conn, [587, 670, 999999, 10**12])
    assert found == {
        587: ItemType(587, "Rifter II", 25, "Frigate", 6, "Ship"),
        670: ItemType(670, "Capsule", 29, "Capsule", 6, "Ship"),
        999999: ItemType(999999, "Brand New", 25, "Frigate", 6, "Ship"),
    }
    assert facts.game_data(store.conn) == (NEWER, "2026-11-25T11:00:00Z")


def test_ids_that_become_known_are_asked_of_nobody(store: Store) -> None:
    known, unknown = [587, 30000142, 500010, 1000125], [2112005234]
    with store.transaction() as conn:
        conn.executemany("INSERT INTO unnamed_ids (id) VALUES (?)", zip(known + unknown))
        conn.execute("INSERT INTO types (type_id, name) VALUES (587, 'As ESI named it')")
        game_data.load(conn, shipped())
    assert store.conn.execute("SELECT id FROM unnamed_ids").fetchall() == [(2112005234,)]
    assert game_data.types_of(store.conn, [587])[587].category == "Ship"


def test_old_names_still_wait_to_be_renewed(store: Store) -> None:
    waiting = (2112005234, 1, "2026-11-25T12:00:00Z")
    with store.transaction() as conn:
        conn.execute(
            "INSERT INTO names VALUES (?, 'character', 'Old', '2020-01-01T00:00:00Z')", waiting[:1]
        )
        conn.execute("INSERT INTO unnamed_ids VALUES (?, ?, ?)", waiting)
        game_data.load(conn, shipped())
    assert store.conn.execute("SELECT * FROM unnamed_ids").fetchall() == [waiting]


@pytest.mark.sample
def test_any_number_of_types_is_looked_up(store: Store) -> None:
    with store.transaction() as conn:
        game_data.load(conn, shipped())
    everyone = {one.type_id: one for one in shipped().types}
    assert game_data.types_of(store.conn, everyone) == everyone
    assert game_data.types_of(store.conn, []) == {}


@pytest.mark.sample
def test_counts_are_those_of_the_shipped_data(store: Store) -> None:
    game_data.load_if_outdated(store)
    counts = msgspec.structs.asdict(game_data.counts(store.conn))
    assert counts == {
        "types": build.TYPES,
        "systems": build.SYSTEMS,
        "corporations": build.CORPORATIONS,
        "factions": build.FACTIONS,
    }
