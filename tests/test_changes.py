"""The change feed: what was stored and deleted since a place, and whose place it is."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from new_store import new_store
from stored import attacker, body, pilot

from killsync.killmail.body import decode
from killsync.model import Origin
from killsync.store import changes, killmails, storing
from killsync.store.changes import Place
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail

STORED_AT = "2026-11-24T12:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path / "killsync.db")) as opened:
        yield opened


def keep(store: Store, *killmail_ids: int, at: str = STORED_AT) -> None:
    bodies = [body(i, pilot(90000001), [attacker(90000002)]) for i in killmail_ids]
    batch = [
        FetchedKillmail.computed(decode(json.dumps(raw).encode(), raw["killmail_id"]), Origin.ESI)
        for raw in bodies
    ]
    with store.transaction() as conn:
        storing.store(conn, batch, at)


def delete(store: Store, *killmail_ids: int) -> None:
    with store.transaction() as conn:
        killmails.remove(conn, list(killmail_ids))


def removed_since(conn: sqlite3.Connection, place: Place) -> list[tuple[int, int]]:
    until = changes.last_place(conn).removed_seq
    found = [r for batch in changes.removed(conn, place.removed_seq, until) for r in batch]
    return [(r.killmail_id, r.stored_seq) for r in found]


def test_the_place_behind_nothing_is_the_beginning(store: Store) -> None:
    assert changes.last_place(store.conn) == Place()
    assert changes.goes_on_from(store.conn, Place())


def test_a_place_names_the_killmail_that_was_stored_last(store: Store) -> None:
    keep(store, 7, 5)
    assert changes.last_place(store.conn) == Place(2, 0, 7, STORED_AT)


def test_what_was_deleted_since_a_place_is_told_once_and_in_order(store: Store) -> None:
    keep(store, 1, 2, 3)
    before = changes.last_place(store.conn)
    delete(store, 2)
    assert removed_since(store.conn, before) == [(2, 2)]
    later = changes.last_place(store.conn)
    delete(store, 1)
    assert removed_since(store.conn, later) == [(1, 1)]
    assert removed_since(store.conn, before) == [(2, 2), (1, 1)]


def test_a_killmail_deleted_by_hand_is_told_too(store: Store) -> None:
    keep(store, 1, 2)
    store.conn.execute("DELETE FROM killmails WHERE killmail_id = 1")
    assert removed_since(store.conn, Place()) == [(1, 1)]


def test_a_killmail_stored_again_has_a_number_of_its_own(store: Store) -> None:
    keep(store, 1)
    delete(store, 1)
    keep(store, 1)
    assert changes.last_place(store.conn) == Place(2, 1, 1, STORED_AT)


def test_a_place_whose_killmail_was_deleted_goes_on(store: Store) -> None:
    keep(store, 1, 2)
    place = changes.last_place(store.conn)
    delete(store, 2)
    assert changes.goes_on_from(store.conn, place)


@pytest.mark.parametrize(
    "other", [{"stored_seq": 3}, {"killmail_id": 9}, {"stored_at": "2020-01-01T00:00:00Z"}]
)
def test_the_place_of_another_database_does_not_go_on(
    store: Store, other: dict[str, object]
) -> None:
    keep(store, 1, 2)
    place = changes.last_place(store.conn)
    assert changes.goes_on_from(store.conn, place)
    assert not changes.goes_on_from(store.conn, msgspec.structs.replace(place, **other))


def test_a_place_beyond_the_last_deletion_does_not_go_on(store: Store) -> None:
    keep(store, 1)
    place = msgspec.structs.replace(changes.last_place(store.conn), removed_seq=1)
    assert not changes.goes_on_from(store.conn, place)


def test_a_place_behind_a_deletion_that_did_not_take_place_here_does_not_go_on(
    store: Store,
) -> None:
    keep(store, 1, 2, 3)
    delete(store, 2)
    place = changes.last_place(store.conn)
    # as in a copy of before that deletion, which goes on with another number
    store.conn.execute("UPDATE removed_killmails SET removed_seq = 2")
    assert not changes.goes_on_from(store.conn, place)


def test_what_is_written_again_has_the_number_of_the_last_time(store: Store) -> None:
    keep(store, 1, 2, 3)
    with store.transaction() as conn:
        changes.note_rewritten(conn, [1, 2, 3])
        changes.note_rewritten(conn, [1])
    assert changes.rewritten(store.conn, 0, 2) == [(2, 2), (3, 3)]
    assert changes.rewritten(store.conn, 3, 2) == [(4, 1)]
    delete(store, 1)
    assert changes.rewritten(store.conn, 3, 2) == []
    assert changes.last_rewritten(store.conn) == 4


def test_a_feed_walks_indexes(store: Store) -> None:
    for sql in changes.QUERIES:
        parameters = [1] * sql.count("?")
        plan = store.conn.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        assert not any(row[3].startswith("SCAN") and "INDEX" not in row[3] for row in plan), plan
