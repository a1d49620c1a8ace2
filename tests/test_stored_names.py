"""The tables of names: who gets in line, what leaves it, and that no step reads a whole table."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killmail_strategies import bodies
from new_store import new_store
from test_store import BIG, scans, statements

from killsync.esi.universe import Named
from killsync.killmail.body import decode
from killsync.killmail.ids import ids_with_names
from killsync.model import LARGEST_ID
from killsync.store import names, storing, users
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.times import DAY, HOUR, iso

NOW = 1_800_000_000.0
NAMES_TABLES = {"names", "types", "systems", "factions", "unnamed_ids"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path / "killsync.db")) as opened:
        yield opened


def line(store: Store) -> list[int]:
    return [i for (i,) in store.conn.execute("SELECT id FROM unnamed_ids ORDER BY id")]


def test_only_what_has_no_name_gets_in_line(store: Store) -> None:
    conn = store.conn
    conn.execute("INSERT INTO types (type_id, name) VALUES (587, 'Rifter')")
    conn.execute("INSERT INTO systems (system_id, name) VALUES (30000142, 'Jita')")
    conn.execute("INSERT INTO factions VALUES (500001, 'Caldari State')")
    conn.execute("INSERT INTO names VALUES (90000001, 'character', 'x', NULL)")
    names.ask_later(conn, [587, 588, 30000142, 500001, 90000001, 90000002, 588])
    names.ask_later(conn, [588])
    assert line(store) == [588, 90000002]


@given(st.sets(st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, -1, 1, LARGEST_ID])))
def test_no_id_breaks_a_batch(ids: set[int]) -> None:
    with closing(sqlite3.connect(":memory:")) as conn:
        for table, key in (("names", "id"), ("types", "type_id"), ("systems", "system_id"),
                           ("factions", "faction_id"), ("unnamed_ids", "id")):  # fmt: skip
            conn.execute(f"CREATE TABLE {table} ({key} INTEGER PRIMARY KEY)")
        names.ask_later(conn, ids)
        found = [i for (i,) in conn.execute("SELECT id FROM unnamed_ids ORDER BY id")]
    assert found == sorted(i for i in ids if i > 0)


PILOT = {"alliance_id": 1, "character_id": 2, "corporation_id": 3, "faction_id": 4}
BODY = {
    "killmail_id": 77,
    "killmail_time": "2026-11-08T09:10:07Z",
    "solar_system_id": 30000142,
    "moon_id": 40000001,
    "war_id": 600001,
    "victim": PILOT
    | {
        "damage_taken": 1,
        "ship_type_id": 5,
        "items": [
            {"item_type_id": 6, "flag": 11, "singleton": 0},
            {
                "item_type_id": 7,
                "flag": 12,
                "singleton": 0,
                "items": [{"item_type_id": 8, "flag": 0, "singleton": 0}],
            },
        ],
    },
    "attackers": [
        {"damage_done": 1, "final_blow": True, "security_status": 0.5},
        {
            "damage_done": 1,
            "final_blow": False,
            "security_status": 0.5,
            "ship_type_id": 9,
            "weapon_type_id": 10,
            **{key: value + 100 for key, value in PILOT.items()},
        },
    ],
}
IDS = [*range(1, 11), *range(101, 105), 30000142]


def fetched(body: Any, killmail_id: int) -> FetchedKillmail:
    return FetchedKillmail.compared(decode(json.dumps(body).encode(), killmail_id), "a" * 40)


def test_storing_a_killmail_puts_every_id_in_line_that_has_a_name(store: Store) -> None:
    with store.transaction() as conn:
        storing.store(conn, [fetched(BODY, 77)], iso(NOW))
    assert line(store) == IDS


def test_what_was_stored_before_can_be_put_in_line(store: Store) -> None:
    with store.transaction() as conn:
        storing.store(conn, [fetched(BODY, 77)], iso(NOW))
        conn.execute("DELETE FROM unnamed_ids")
        names.ask_later_about(conn, [77, 78])
    assert line(store) == IDS


class _Undo(Exception):
    """Rolls a transaction back."""


@given(body=bodies)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_into_the_line_agree(store: Store, body: Any) -> None:
    one = fetched(body, body["killmail_id"])
    with suppress(_Undo), store.transaction() as conn:
        storing.store(conn, [one], iso(NOW))
        before = line(store)
        assert before == sorted(i for i in ids_with_names([one.killmail]) if i > 0)
        conn.execute("DELETE FROM unnamed_ids")
        names.ask_later_about(conn, [body["killmail_id"]])
        assert line(store) == before
        raise _Undo


def named(*ids: int, category: str = "character") -> list[Named]:
    return [Named(i, f"name of {i}", category) for i in ids]


def test_what_stays_unknown_is_asked_for_later_each_time(store: Store) -> None:
    conn = store.conn
    names.ask_later(conn, [1, 2])
    assert names.next_to_ask(conn, 10) == [1, 2]
    waits = []
    for _ in range(5):
        names.unknown(conn, [1], NOW)
        (until,) = conn.execute("SELECT not_before FROM unnamed_ids WHERE id = 1").fetchone()
        waits += [wait for wait in names.ASK_AGAIN if until == iso(NOW + wait)]
        assert names.next_to_ask(conn, 10) == [2]
        assert names.next_to_ask_again(conn, 10, NOW + waits[-1] - 1) == []
        assert names.next_to_ask_again(conn, 10, NOW + waits[-1]) == [1]
    assert waits == [HOUR, DAY, 7 * DAY, 30 * DAY, 30 * DAY]


def test_what_was_unknown_never_goes_with_what_was_not(store: Store) -> None:
    conn = store.conn
    names.ask_later(conn, [1, 2])
    names.unknown(conn, [1], NOW)
    assert names.forget_waits(conn) == 1
    assert names.next_to_ask(conn, 10) == [2]
    assert names.next_to_ask_again(conn, 10, NOW) == [1]


def test_a_wait_that_a_wrong_clock_has_set_is_over(store: Store) -> None:
    names.ask_later(store.conn, [1])
    names.unknown(store.conn, [1], NOW + 400 * DAY)
    assert names.next_to_ask_again(store.conn, 10, NOW) == [1]


def test_only_names_of_esi_are_renewed_the_oldest_first_and_not_twice(store: Store) -> None:
    conn = store.conn
    for age, id_ in ((100, 1), (95, 2), (120, 3), (89, 4)):
        names.named(conn, named(id_), NOW - age * DAY)
    conn.execute("INSERT INTO names VALUES (5, 'corporation', 'shipped', NULL)")
    assert names.any_to_renew(conn, NOW)
    assert names.renew(conn, 2, NOW) == 2
    assert line(store) == [1, 3]
    assert names.renew(conn, 2, NOW) == 1
    assert line(store) == [1, 2, 3]
    assert not names.any_to_renew(conn, NOW)
    assert names.counts(conn).renewing == 3
    assert names.counts(conn).unnamed == 0


def test_a_name_leaves_the_line_and_is_replaced_by_a_newer_one(store: Store) -> None:
    conn = store.conn
    names.ask_later(conn, [1, 2])
    assert names.named(conn, named(1), NOW) == []
    assert line(store) == [2]
    names.named(conn, [Named(1, "another", "corporation")], NOW + DAY)
    assert conn.execute("SELECT * FROM names").fetchall() == [
        (1, "corporation", "another", iso(NOW + DAY))
    ]


def test_game_data_keep_their_other_columns_beside_a_name_of_esi(store: Store) -> None:
    conn = store.conn
    conn.execute("INSERT INTO types VALUES (587, 'Old', 25, 'Frigate', 6, 'Ship')")
    names.named(conn, [Named(587, "Rifter", "inventory_type")], NOW)
    assert conn.execute("SELECT * FROM types").fetchall() == [
        (587, "Rifter", 25, "Frigate", 6, "Ship")
    ]


def test_names_of_all_kinds_are_read_at_once(store: Store) -> None:
    conn = store.conn
    names.named(conn, named(1, 2), NOW)
    for id_, category in ((587, "inventory_type"), (30000142, "solar_system"), (500001, "faction")):
        names.named(conn, named(id_, category=category), NOW)
    asked = [1, 3, 587, 30000142, 500001]
    assert names.names_of(conn, asked) == {i: f"name of {i}" for i in asked if i != 3}
    assert names.names_of(conn, []) == {}


STEPS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "ask_later": lambda conn: names.ask_later(conn, [1, 2]),
    "ask_later_about": lambda conn: names.ask_later_about(conn, [1, 2]),
    "next_to_ask": lambda conn: names.next_to_ask(conn, 1000),
    "next_to_ask_again": lambda conn: names.next_to_ask_again(conn, 10, NOW),
    "named": lambda conn: names.named(conn, named(1, 2), NOW),
    "unknown": lambda conn: names.unknown(conn, [1, 2], NOW),
    "any_to_renew": lambda conn: names.any_to_renew(conn, NOW),
    "renew": lambda conn: names.renew(conn, 1000, NOW),
    "names_of": lambda conn: names.names_of(conn, [1, 2]),
}


@pytest.mark.parametrize("name", STEPS)
def test_no_step_reads_a_whole_table(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("test_store.BIG", BIG | NAMES_TABLES)
    asked = statements(store.conn, STEPS[name])
    assert asked, "the call asks the database nothing"
    assert {sql: found for sql in asked if (found := scans(store.conn, sql))} == {}


def test_a_registered_user_has_a_name_at_once(store: Store) -> None:
    users.add(store.conn, 90000001, "Caelia Yulai", NOW)
    assert names.names_of(store.conn, [90000001]) == {90000001: "Caelia Yulai"}
    names.ask_later(store.conn, [90000001])
    assert names.next_to_ask(store.conn, 10) == []
