"""Prices and values in the database: what is kept, by which day's prices, and what changes them."""

import itertools
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killmail_strategies import bodies
from msgspec.structs import asdict
from new_store import new_store

from killsync.killmail.body import decode
from killsync.killmail.value import value
from killsync.model import TypePrice
from killsync.store import facts, filling_in, prices, revaluing, storing, values
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail

NOW = 1_800_000_000.0
NOW_ISO = "2027-01-15T08:00:00Z"
RIFTER, GUN = 587, 484
YEARS = itertools.count(2000)
LIMITED = re.compile("LIMIT")
SUMMED = ("hull", "fitted", "cargo", "dropped", "destroyed", "total")
EQUAL = "round(hull + fitted + cargo, 2) = total AND round(dropped + destroyed, 2) = total"
ADDS_UP = f"SELECT count(*) FROM killmail_values WHERE {EQUAL}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(opened(tmp_path)) as store:
        yield store


def opened(directory: Path) -> Store:
    return new_store(directory / "killsync.db")


def keep_prices(store: Store, day: str, **by_type: float | None) -> int:
    """Keep average prices of a day, `t587=5.0` for each type."""
    found = [TypePrice(int(name[1:]), average=price) for name, price in by_type.items()]
    with store.transaction() as conn:
        return prices.record(conn, day, found, NOW)


def lost(killmail_id: int, day: str = "2026-11-24", ship: int = RIFTER) -> FetchedKillmail:
    item = {"item_type_id": GUN, "flag": 27, "singleton": 0, "quantity_dropped": 2}
    return stored_as(
        {
            "killmail_id": killmail_id,
            "killmail_time": f"{day}T03:00:00Z",
            "solar_system_id": 30000142,
            "victim": {"damage_taken": 1, "ship_type_id": ship, "items": [item]},
            "attackers": [],
        }
    )


def stored_as(body: dict[str, Any]) -> FetchedKillmail:
    killmail = decode(json.dumps(body).encode(), body["killmail_id"])
    return FetchedKillmail.compared(killmail, "a" * 40)


def keep(store: Store, *killmails: FetchedKillmail) -> None:
    with store.transaction() as conn:
        storing.store(conn, killmails, NOW_ISO)


def rows(store: Store, columns: str = "*") -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM killmail_values ORDER BY killmail_id"
    return store.conn.execute(query).fetchall()


def as_of_before_values(store: Store) -> None:
    """Make a database as it is right after the upgrade that brings values."""
    with store.transaction() as conn:
        conn.execute("DELETE FROM killmail_values")
        highest = conn.execute("SELECT max(killmail_id) + 1 FROM killmails").fetchone()[0]
        facts.set_values_below(conn, highest)


def fill_all(store: Store, limit: int) -> int:
    """Fill in everything in steps of a size; return how many were done."""
    steps = 0
    for step in (filling_in.fill_below, filling_in.fill_missing):
        more = True
        while more:
            with store.transaction() as conn:
                more = step(conn, NOW, limit)
            steps += more
    return steps


# prices


def test_a_price_is_kept_only_where_it_changed(store: Store) -> None:
    assert keep_prices(store, "2026-11-20", t1=5.0, t2=7.0) == 2
    assert keep_prices(store, "2026-11-21", t1=5.0, t2=8.0) == 1
    assert keep_prices(store, "2026-11-22", t1=5.5, t2=8.0) == 1
    kept = store.conn.execute("SELECT type_id, day, average FROM prices").fetchall()
    assert kept == [
        *((1, "2026-11-20", 5.0), (1, "2026-11-22", 5.5)),
        *((2, "2026-11-20", 7.0), (2, "2026-11-21", 8.0)),
    ]
    days = [day for (day,) in store.conn.execute("SELECT day FROM price_days ORDER BY day")]
    assert days == ["2026-11-20", "2026-11-21", "2026-11-22"]


def test_a_price_of_a_day_is_the_last_up_to_it(store: Store) -> None:
    keep_prices(store, "2026-11-20", t1=5.0)
    keep_prices(store, "2026-11-22", t1=5.5)
    found = [prices.prices_on(store.conn, f"2026-11-{day}", [1]) for day in (19, 20, 21, 22, 23)]
    assert found == [{}, {1: 5.0}, {1: 5.0}, {1: 5.5}, {1: 5.5}]


def test_a_type_that_is_no_longer_listed_keeps_its_last_price(store: Store) -> None:
    keep_prices(store, "2026-11-20", t1=5.0, t2=7.0)
    keep_prices(store, "2026-11-21", t2=7.0)
    assert prices.prices_on(store.conn, "2026-11-21", [1, 2]) == {1: 5.0, 2: 7.0}


def test_the_average_counts_and_without_one_the_adjusted_price(store: Store) -> None:
    listed = [TypePrice(1, 5.0, 6.0), TypePrice(2, None, 6.0), TypePrice(3, 0.0, 6.0)]
    with store.transaction() as conn:
        prices.record(conn, "2026-11-20", listed, NOW)
    assert prices.prices_on(store.conn, "2026-11-20", [1, 2, 3, 4]) == {1: 5.0, 2: 6.0, 3: 6.0}


def test_a_day_that_was_fetched_is_not_changed(store: Store) -> None:
    keep_prices(store, "2026-11-20", t1=5.0)
    assert keep_prices(store, "2026-11-20", t1=9.0, t2=1.0) == 0
    assert prices.prices_on(store.conn, "2026-11-20", [1, 2]) == {1: 5.0}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_day_keeps_its_prices_whatever_day_is_fetched_after_it(
    store: Store, order: tuple[int, ...]
) -> None:
    listed = [{"t1": 5.0, "t2": 7.0}, {"t1": 6.0}, {"t1": 5.0, "t2": 8.0, "t3": 1.0}, {"t2": 8.0}]
    asked = {}
    for number in order:
        keep_prices(store, f"2026-11-2{number}", **listed[number])
        asked[number] = prices.prices_on(store.conn, f"2026-11-2{number}", [1, 2, 3])
        for before, found in asked.items():
            assert prices.prices_on(store.conn, f"2026-11-2{before}", [1, 2, 3]) == found
    for number, kept in enumerate(listed):
        assert {int(name[1:]): price for name, price in kept.items()}.items() <= (
            asked[number].items()
        )


def test_days_that_are_still_to_come_count_as_if_they_had_not_been_fetched(store: Store) -> None:
    keep_prices(store, "2030-01-01", t587=9.0)
    assert not prices.any_fetched(store.conn, NOW)
    assert prices.day_for(store.conn, "2026-11-24", NOW) is None
    keep(store, lost(1))
    assert not values.any_to_fill(store.conn, NOW)
    assert fill_all(store, 10) == 0
    assert rows(store, "hull, priced_on") == [(None, None)]
    keep_prices(store, "2027-01-15", t587=5.0)
    fill_all(store, 10)
    keep(store, lost(2), lost(3, day="2030-01-01"))
    assert rows(store, "hull, priced_on") == [(5.0, "2027-01-15")] * 3


def test_a_clock_may_be_a_day_behind(store: Store) -> None:
    keep_prices(store, "2027-01-16", t587=9.0)
    keep_prices(store, "2027-01-17", t587=8.0)
    assert prices.day_for(store.conn, "2027-01-15", NOW) == "2027-01-16"
    assert prices.day_for(store.conn, "2027-01-17", NOW) == "2027-01-16"


@pytest.mark.parametrize(
    ("day", "counts"),
    [
        ("2026-11-20", "2026-11-20"),  # fetched
        ("2007-12-05", "2026-11-20"),  # the nearest later one
        ("2026-11-21", "2026-11-24"),
        ("2026-11-23", "2026-11-24"),
        ("2026-11-25", "2026-11-24"),  # the nearest earlier one
        ("9999-12-31", "2026-11-24"),
    ],
)
def test_the_day_whose_prices_count(store: Store, day: str, counts: str) -> None:
    assert prices.day_for(store.conn, day, NOW) is None
    keep_prices(store, "2026-11-20", t1=1.0)
    keep_prices(store, "2026-11-24", t1=1.0)
    assert prices.day_for(store.conn, day, NOW) == counts


# values


def test_a_killmail_is_valued_in_the_transaction_that_stores_it(store: Store) -> None:
    keep_prices(store, "2026-11-24", t587=100.0, t484=5.25)
    with suppress(KeyboardInterrupt), store.transaction() as conn:
        storing.store(conn, [lost(1)], NOW_ISO)
        raise KeyboardInterrupt
    assert rows(store) == []
    keep(store, lost(1))
    valued = (1, 100.0, 10.5, 0.0, 10.5, 100.0, 110.5, 0)
    assert rows(store) == [(*valued, "2026-11-24", "esi-markets-prices")]


def test_each_killmail_is_valued_by_the_prices_that_count_on_its_day(store: Store) -> None:
    keep_prices(store, "2026-11-20", t587=100.0)
    keep_prices(store, "2026-11-24", t587=200.0)
    days = ["2026-11-20", "2026-11-21", "2026-11-24", "2026-11-30", "2010-01-01"]
    keep(store, *(lost(number, day) for number, day in enumerate(days)))
    assert rows(store, "hull") == [(100.0,), (200.0,), (200.0,), (200.0,), (100.0,)]


def test_a_time_with_an_offset_belongs_to_its_day_in_utc(store: Store) -> None:
    keep_prices(store, "2026-11-20", t587=100.0)
    keep_prices(store, "2026-11-21", t587=200.0)
    body = {
        "killmail_id": 1,
        "killmail_time": "2026-11-20T23:30:00-01:00",
        "solar_system_id": 1,
        "victim": {"damage_taken": 1, "ship_type_id": RIFTER},
        "attackers": [],
    }
    keep(store, stored_as(body))
    assert rows(store, "hull, priced_on") == [(200.0, "2026-11-21")]


def test_without_any_prices_everything_is_null_until_there_are_some(store: Store) -> None:
    keep(store, lost(1), lost(2))
    assert rows(store) == [(1, *[None] * 9), (2, *[None] * 9)]
    assert fill_all(store, 1) == 0
    keep_prices(store, "2026-11-30", t587=100.0)
    assert fill_all(store, 1) == 2
    assert rows(store, "total, unpriced, priced_on") == [(100.0, 1, "2026-11-30")] * 2
    assert not values.any_waiting(store.conn)


def test_what_has_no_price_on_the_day_is_not_asked_about_again(store: Store) -> None:
    keep_prices(store, "2026-11-24", t1=1.0)
    keep(store, lost(1))
    assert rows(store, "total, unpriced, priced_on") == [(None, 2, "2026-11-24")]
    assert not values.any_to_fill(store.conn, NOW)


def test_values_do_not_change_when_other_prices_come(store: Store) -> None:
    keep_prices(store, "2026-11-23", t587=100.0)
    keep(store, lost(1))
    keep_prices(store, "2026-11-24", t587=200.0)
    assert fill_all(store, 10) == 0
    assert rows(store, "hull, priced_on") == [(100.0, "2026-11-23")]


def test_repricing_takes_the_prices_that_count_now(store: Store) -> None:
    keep_prices(store, "2026-11-23", t587=100.0)
    keep(store, lost(1), lost(2, ship=1))
    keep_prices(store, "2026-11-24", t587=200.0, t484=1.0)
    with store.transaction() as conn:
        step = revaluing.reprice(conn, NOW)
    assert (step.killmails, step.changed, step.before, step.after) == (2, 2, 100.0, 204.0)
    assert rows(store, "total, priced_on") == [(202.0, "2026-11-24"), (2.0, "2026-11-24")]
    with store.transaction() as conn:
        step = revaluing.reprice(conn, NOW)
        assert revaluing.reprice(conn, NOW, step.lowest).lowest is None
    assert (step.changed, step.before, step.after) == (0, 204.0, 204.0)


def test_two_databases_have_prices_of_their_own(tmp_path: Path) -> None:
    for number in (1, 2):
        directory = tmp_path / str(number)
        directory.mkdir()
        with closing(opened(directory)) as store:
            keep_prices(store, "2026-11-24", t587=100.0 * number)
            keep(store, lost(1))
            assert rows(store, "hull") == [(100.0 * number,)]


def test_skins_and_capsules_are_known_by_the_game_data(store: Store) -> None:
    with store.transaction() as conn:
        conn.execute(
            """INSERT INTO types VALUES (?, 'Gun?', 1950, 'Permanent SKIN', 91, 'SKINs'),
            (?, 'Capsule', 29, 'Capsule', 6, 'Ship')""",
            [GUN, RIFTER],
        )
    keep_prices(store, "2026-11-24", t587=5.0, t484=5.0)
    keep(store, lost(1))
    assert rows(store, "hull, fitted") == [(10_000.0, 0.02)]


cents = st.integers(0, 10**4) | st.integers(0, 2**43 * 100 // 4)


@given(parts=st.lists(cents, min_size=4, max_size=4))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_of_columns_are_equal_in_sql_once_rounded_to_the_cent(
    store: Store, parts: list[int]
) -> None:
    hull, *others = parts
    items = [(27, "destroyed"), (27, "dropped"), (5, "dropped")]
    body: dict[str, Any] = {
        "killmail_id": 1,
        "killmail_time": "2026-11-24T03:00:00Z",
        "solar_system_id": 1,
        "attackers": [],
        "victim": {"damage_taken": 1, "ship_type_id": RIFTER},
    }
    body["victim"]["items"] = [
        {"item_type_id": n, "flag": flag, "singleton": 0, f"quantity_{how}": 1}
        for n, (flag, how) in enumerate(items)
    ]
    killmail = decode(json.dumps(body).encode(), 1)
    found = value(killmail, {}, {n: c / 100 for n, c in enumerate(others)} | {RIFTER: hull / 100})
    if found.total is not None:
        asked = f"SELECT count(*) FROM (SELECT {', '.join(f':{n} AS {n}' for n in SUMMED)}) WHERE "
        ((equal,),) = store.conn.execute(asked + EQUAL, asdict(found)).fetchall()
        assert equal


# filling in after an upgrade


def test_an_upgraded_database_is_filled_in_by_bounded_steps(store: Store) -> None:
    keep_prices(store, "2026-11-24", t587=100.0)
    keep(store, *map(lost, range(1, 8)))
    before = rows(store)
    as_of_before_values(store)
    assert fill_all(store, 3) == 3
    assert rows(store) == before
    assert facts.values_below(store.conn) is None


def test_a_step_that_is_lost_is_done_again(store: Store) -> None:
    keep_prices(store, "2026-11-24", t587=100.0)
    keep(store, *map(lost, range(1, 8)))
    before = rows(store)
    as_of_before_values(store)
    for _ in range(3):
        with store.transaction() as conn:
            filling_in.fill_below(conn, NOW, 2)
        with suppress(KeyboardInterrupt), store.transaction() as conn:
            filling_in.fill_below(conn, NOW, 2)
            raise KeyboardInterrupt
    fill_all(store, 2)
    assert rows(store) == before


def test_what_is_valued_meanwhile_keeps_its_value(store: Store) -> None:
    keep(store, lost(1), lost(9))
    as_of_before_values(store)
    keep_prices(store, "2026-11-23", t587=100.0)
    keep(store, lost(5))
    keep_prices(store, "2026-11-24", t587=200.0)
    fill_all(store, 10)
    assert rows(store, "killmail_id, hull") == [(1, 200.0), (5, 100.0), (9, 200.0)]


def test_a_row_that_has_lost_its_killmail_is_not_looked_at_for_ever(store: Store) -> None:
    keep(store, lost(1))
    store.conn.execute("PRAGMA foreign_keys = OFF")
    store.conn.execute("DELETE FROM killmails")
    keep_prices(store, "2026-11-24", t587=100.0)
    fill_all(store, 10)
    assert rows(store) == []


def test_a_deleted_killmail_takes_its_value_with_it(store: Store) -> None:
    keep(store, lost(1))
    store.conn.execute("DELETE FROM killmails")
    assert rows(store) == []


@given(
    st.lists(
        bodies.filter(lambda body: body["killmail_id"] < 2**62),
        min_size=1,
        max_size=4,
        unique_by=lambda body: body["killmail_id"],
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_stored_killmail_adds_up_and_is_filled_in_as_it_is_stored(
    store: Store, made: list[Any]
) -> None:
    occurring = set(re.findall(r'"(?:item|ship)_type_id": (-?\d+)', json.dumps(made)))
    priced = [TypePrice(int(t), 10.0 + n) for n, t in enumerate(sorted(occurring)) if n % 4]
    conn = store.conn
    conn.execute("BEGIN")
    # what was looked up of a day is kept, whatever becomes of the transaction
    prices.record(conn, f"{next(YEARS)}-01-01", [*priced, TypePrice(1, 1.0)], NOW)
    storing.store(conn, list(map(stored_as, made)), NOW_ISO)
    before = rows(store)
    valued = [row for row in before if row[6] is not None]
    assert conn.execute(ADDS_UP).fetchone() == (len(valued),)
    conn.execute("DELETE FROM killmail_values")
    facts.set_values_below(conn, 2**62)
    while filling_in.fill_below(conn, NOW, 2):
        pass
    assert rows(store) == before
    assert len(before) == len(made)
    conn.execute("ROLLBACK")


# what is fast


def test_everything_goes_by_an_index(store: Store) -> None:
    keep(store, *map(lost, range(1, 5)))
    asked: list[str] = []
    store.conn.set_trace_callback(asked.append)
    keep_prices(store, "2026-11-24", t587=100.0, t484=1.0)
    keep(store, lost(7))
    fill_all(store, 2)
    as_of_before_values(store)
    values.any_to_fill(store.conn, NOW)
    asked = [sql for sql in asked if not re.search(r"max\(killmail_id|DELETE FROM \w+$", sql)]
    fill_all(store, 2)
    with store.transaction() as conn:
        revaluing.reprice(conn, NOW, 5)
    store.conn.set_trace_callback(None)
    assert any("INTO killmail_values" in sql for sql in asked)
    assert {table for sql in asked for table in walked(store.conn, sql)} == set()


def walked(conn: sqlite3.Connection, sql: str) -> list[str]:
    """Return the tables that a statement walks through without an index of a limit."""
    if not sql.lstrip().startswith(("SELECT", "INSERT", "DELETE", "UPDATE")):
        return []
    tables = r"SCAN (prices|price_days|killmails|items|attackers|killmail_values|types)\b"
    plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    return [f"{step}: {sql}" for step in plan if re.match(tables, step) and not LIMITED.search(sql)]
