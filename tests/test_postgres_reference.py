"""What killmails are read with follows the database: names, game data, prices, users."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from both import SCHEMA, ask_postgres, ask_sqlite, assert_same_views, feed
from odd_killmails import (
    ALT,
    CORPORATION,
    FINAL,
    FOE,
    FRIEND,
    HELP,
    ITEMS,
    ME,
    MINE,
    THEIRS,
    UNKNOWN,
    Body,
    fill,
    leave_few_types,
    set_prices,
)
from stored import CONCORD, GURISTAS, RIFTER, TRISTAN, attacker, body, database, pilot, put

from killsync.esi.universe import Named
from killsync.gamedata.game_data import GameData
from killsync.lake import postgres_roles
from killsync.lake.postgres import connected
from killsync.model import ItemType, UserKind
from killsync.store import game_data, names, reference, removing, roles, users
from killsync.store.connection import Store
from killsync.times import DAY, iso

pytestmark = pytest.mark.long

NOW = 1_795_521_600.0  # 2026-11-24T12:00:00Z
TABLES = ("names", "types", "systems", "factions")


def with_few_game_data(path: Path, ours: dict[int, str]) -> Iterator[Store]:
    with database(path, ours) as store:
        leave_few_types(store)
        yield store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with two users and hardly any game data."""
    yield from with_few_game_data(tmp_path / "killsync.db", {ME: "Maru", ALT: "Alt"})


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """Another database with one of the same users."""
    yield from with_few_game_data(tmp_path / "other.db", {ALT: "Alt"})


def kill(number: int, *attackers: Body, **more: Any) -> Body:
    return body(number, pilot(FOE, THEIRS), [*attackers], **more)


def loss(number: int, **more: Any) -> Body:
    return body(number, pilot(ME, CORPORATION), [FINAL], **more)


def assert_same_tables(store: Store, url: str) -> None:
    for table in TABLES:
        asked = f"SELECT * FROM {table} ORDER BY 1"
        assert ask_postgres(url, asked) == ask_sqlite(store, asked)
    asked = "SELECT type_id, day, average, adjusted FROM prices ORDER BY 1, 2"
    assert ask_postgres(url, asked) == ask_sqlite(store, asked)


# names


def name(store: Store, id_: int, called: str, at: float) -> None:
    """Name somebody as ESI does."""
    with store.transaction() as conn:
        names.named(conn, [Named(id_, called, "character")], at)


def named(url: str, *ids: int) -> list[str]:
    listed = ", ".join(map(str, ids))
    rows = ask_postgres(url, f"SELECT name FROM names WHERE id IN ({listed}) ORDER BY id")
    return [row["name"] for row in rows]


def test_a_name_that_comes_late_and_one_that_changes_are_in_every_view(
    store: Store, database: str
) -> None:
    put(store, [kill(1, MINE), loss(2)])
    feed(store, database)
    assert_same_views(store, database)
    name(store, FOE, "Foe", time.time())
    assert feed(store, database).brought.names == 1
    assert_same_views(store, database)
    name(store, FOE, "Renamed", time.time() + 1)
    assert feed(store, database).brought.names == 1
    assert feed(store, database).brought.names == 0
    assert [row["victim"] for row in ask_postgres(database, "SELECT victim FROM kills")] == [
        "Renamed",
        "Maru",
    ]
    assert_same_views(store, database)


def test_names_come_though_the_clock_was_behind_for_a_time(store: Store, database: str) -> None:
    now = time.time()
    name(store, FOE, "Foe", now)
    feed(store, database)
    name(store, FRIEND, "An hour behind", now - 3600)
    feed(store, database)
    assert named(database, FOE, FRIEND) == ["Foe", "An hour behind"]
    name(store, UNKNOWN, "A year behind", now - 365 * DAY)
    assert feed(store, database).brought.names == 0
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        # a week later
        conn.execute(f"UPDATE {SCHEMA}.reference_places SET names_whole_at = names_whole_at - 7e5")
    assert feed(store, database).brought.names == 1
    assert_same_tables(store, database)


def test_names_come_though_the_clock_was_ahead_for_a_time(store: Store, database: str) -> None:
    now = time.time()
    name(store, FOE, "From the future", now + 365 * DAY)
    feed(store, database)
    name(store, FRIEND, "Friend", now)
    feed(store, database)
    assert named(database, FOE, FRIEND) == ["From the future", "Friend"]


def test_more_names_than_a_batch_come(store: Store, database: str) -> None:
    with store.transaction() as conn:
        conn.executemany(
            "INSERT INTO names VALUES (?, 'character', 'N' || ?, ?)",
            [(10**9 + n, n, iso(NOW + n // 7)) for n in range(reference.BATCH * 2 + 5)],
        )
    feed(store, database)
    assert_same_tables(store, database)


def test_of_two_sources_the_newer_name_wins(store: Store, other: Store, database: str) -> None:
    now = time.time()
    for id_, at in ((FOE, now - 60), (FRIEND, now)):
        name(store, id_, "of the first", at)
        name(other, id_, "of the other", now - 30)
    for _ in range(2):
        feed(store, database, source="first")
        feed(other, database, source="other")
        assert named(database, FOE, FRIEND) == ["of the other", "of the first"]


# game data


def test_types_systems_and_factions_that_esi_names_come_as_they_are_named(
    store: Store, database: str
) -> None:
    feed(store, database)
    given = [(1, "inventory_type"), (2, "solar_system"), (3, "faction")]
    for text in ("New", "Newer"):
        with store.transaction() as conn:
            names.named(conn, [Named(id_, f"{text} {id_}", kind) for id_, kind in given], NOW)
        feed(store, database)
        assert_same_tables(store, database)


def load(store: Store, build: int, **types: str) -> None:
    """Load game data in which `t587="Rifter II"` names type 587 and factions have a number."""
    data = GameData(
        build=build,
        released_at="2026-11-24",
        types=[ItemType(int(t[1:]), n, 237, "Corvette", 6, "Ship") for t, n in types.items()],
        systems=[],
        factions={GURISTAS: f"Guristas {build}"},
        corporations={CONCORD: f"CONCORD {build}"},
    )
    with store.transaction() as conn:
        game_data.load(conn, data)


def test_other_game_data_replace_what_there_was(store: Store, database: str) -> None:
    name(store, CONCORD, "As ESI had it", NOW)
    put(store, [kill(1, MINE, attacker(None, CONCORD, final_blow=True)), loss(2)])
    feed(store, database)
    load(store, 2**40, t587="Rifter II")
    assert feed(store, database).brought.game_data == 2**40
    assert feed(store, database).brought.game_data is None
    assert_same_views(store, database)
    assert_same_tables(store, database)


def test_of_two_sources_the_newer_game_data_win(store: Store, other: Store, database: str) -> None:
    load(store, 2**40, t587="Rifter II")
    load(other, 2**40 - 1, t587="Rifter I", t593="Tristan I")
    for _ in range(2):
        feed(store, database, source="first")
        feed(other, database, source="other")
        found = ask_postgres(
            database, "SELECT type_id, name FROM types WHERE type_id IN (587, 593)"
        )
        assert {row["type_id"]: row["name"] for row in found} == {
            RIFTER: "Rifter II",
            TRISTAN: "Tristan",
        }


# prices


def test_days_with_prices_come_in_whatever_order_they_were_fetched(
    store: Store, database: str
) -> None:
    for day, price in ((20, 1.0), (24, 4.0), (22, 2.5), (21, 2.5), (23, 1e16)):
        set_prices(store, f"2026-11-{day}", t34=price, t587=10.0 + price, **{f"t{day}": price})
        put(store, [loss(day, items=ITEMS, time=f"2026-11-{day}T20:00:00Z")])
        assert feed(store, database).brought.price_days == 1
        assert_same_tables(store, database)
        assert_same_views(store, database)


def test_prices_of_a_time_before_a_restore_go(store: Store, database: str, tmp_path: Path) -> None:
    for day, price in ((20, 1.0), (24, 4.0)):
        set_prices(store, f"2026-11-{day}", t34=price, t587=price)
        put(store, [loss(day, items=ITEMS, time=f"2026-11-{day}T20:00:00Z")])
    feed(store, database)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        store.conn.backup(copy)
        for day in (22, 25):
            set_prices(store, f"2026-11-{day}", t34=7.0, t587=1.0)
        feed(store, database)
        copy.backup(store.conn)
    assert feed(store, database).brought.price_days == 1
    assert_same_tables(store, database)
    assert_same_views(store, database)
    # a day that was fetched before, and now is otherwise
    set_prices(store, "2026-11-25", at=NOW + 60, t34=8.0, t587=1.0)
    feed(store, database)
    assert_same_tables(store, database)
    assert feed(store, database).brought.price_days == 0


def test_a_day_that_was_fetched_again_replaces_what_is_there(
    store: Store, database: str, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        store.conn.backup(copy)
        set_prices(store, "2026-11-25", t34=7.0, t587=1.0)
        feed(store, database)
        copy.backup(store.conn)
    set_prices(store, "2026-11-25", at=NOW + 60, t34=8.0)
    feed(store, database)
    assert_same_tables(store, database)


@pytest.mark.long
def test_another_feed_at_any_moment_of_one_after_a_restore_takes_no_prices_away(
    store: Store, database: str, tmp_path: Path
) -> None:
    asked = "SELECT type_id, day, average FROM prices {} ORDER BY 1, 2"
    set_prices(store, "2026-11-20", t34=1.0)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        store.conn.backup(copy)
        moment = steps = 0
        while steps >= moment:
            moment, steps = moment + 1, 0
            source = f"moment-{moment}"
            set_prices(store, "2026-11-22", t34=2.0, t587=2.0)
            feed(store, database, source=source)
            copy.backup(store.conn)
            set_prices(store, "2026-11-22", at=NOW + 60, t34=3.0, t587=3.0)

            def overtake(moment: int = moment, source: str = source) -> None:
                nonlocal steps
                steps += 1
                if steps == moment:
                    set_prices(store, "2026-11-24", t34=4.0)
                    feed(store, database, source=source)

            feed(store, database, source=source, between=overtake)
            found = ask_postgres(database, asked.format(f"WHERE source = '{source}'"))
            assert found == ask_sqlite(store, asked.format("")), moment
            copy.backup(store.conn)
    assert moment > 10


def test_of_many_days_all_come_at_once(store: Store, database: str) -> None:
    for day in range(1, 29):
        set_prices(store, f"2026-10-{day:02}", t34=float(day), t587=float(day // 5))
    assert feed(store, database).brought.price_days == 28
    assert_same_tables(store, database)
    assert feed(store, database).brought.price_days == 0


def test_what_a_day_changed_is_found_without_reading_all_prices(store: Store) -> None:
    set_prices(store, "2026-11-20", t34=1.0)
    asked: list[str] = []
    store.conn.set_trace_callback(asked.append)
    assert [len(rows) for rows in reference.prices_on(store.conn, {"2026-11-20"})] == [1]
    store.conn.set_trace_callback(None)
    plan = [row[3] for row in store.conn.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    assert not [step for step in plan if step in ("SCAN p", "SCAN prices")], plan
    assert [step for step in plan if "type_id=? AND day=?" in step], plan


def test_two_sources_have_prices_of_their_own(store: Store, other: Store, database: str) -> None:
    for number, one in enumerate((store, other), 1):
        set_prices(one, "2026-11-20", t34=float(number), t587=1.0)
        put(one, [kill(number, HELP, items=ITEMS[1:2])])
        feed(one, database, source=f"source {number}")
    found = ask_postgres(database, "SELECT price FROM item_lines ORDER BY killmail_id")
    assert [row["price"] for row in found] == [1.0, 2.0]


# users, and who takes part


def add_user(store: Store, id_: int, called: str, kind: UserKind = UserKind.CHARACTER) -> None:
    with store.transaction() as conn:
        users.add(conn, id_, called, NOW, kind)
        while roles.any_to_look_up(conn):
            roles.look_up_next(conn)


def remove_user(store: Store, id_: int, *, purge: bool = False) -> None:
    with store.transaction() as conn:
        removing.remove(conn, id_, purge=purge)


def test_users_come_and_go_with_their_roles(store: Store, database: str) -> None:
    put(store, [kill(1, MINE, HELP), kill(2, MINE), kill(3, HELP), loss(4), kill(5, FINAL)])
    feed(store, database)
    add_user(store, CORPORATION, "Corporation", UserKind.CORPORATION)
    add_user(store, FOE, "Foe")
    assert feed(store, database).brought.users == 2
    assert_same_views(store, database)
    add_user(store, ALT, "Renamed")
    remove_user(store, ME)
    report = feed(store, database)
    assert (report.brought.users, report.brought.users_gone, report.removed) == (1, 1, 0)
    assert_same_views(store, database)
    remove_user(store, FOE, purge=True)
    remove_user(store, ALT, purge=True)
    assert feed(store, database).removed == 1
    assert_same_views(store, database)


def test_who_is_new_is_looked_for_step_by_step(store: Store, database: str) -> None:
    put(store, [kill(number, MINE, HELP) for number in range(1, 12)])
    remove_user(store, ALT)
    feed(store, database)
    add_user(store, ALT, "Alt")
    steps = 0
    with connected(database, SCHEMA) as target:
        with target.transaction() as conn:
            postgres_roles.add(conn, "main", [(ALT, "character", "Alt")])
        more = True
        while more:
            with target.transaction() as conn:
                more = postgres_roles.look_up_next(conn, 4)
            steps += 1
    assert steps == 4
    assert_same_views(store, database)


def test_a_user_of_two_sources_is_there_once_until_both_have_removed_it(
    store: Store, other: Store, database: str
) -> None:
    put(store, [kill(1, MINE, HELP)])
    put(other, [kill(2, MINE, HELP)])
    feed(store, database, source="first")
    feed(other, database, source="other")
    asked = 'SELECT killmail_id, "user" FROM kills ORDER BY 1, 2'
    found = [tuple(row.values()) for row in ask_postgres(database, asked)]
    assert found == [(1, "Alt"), (1, "Maru"), (2, "Alt"), (2, "Maru")]
    remove_user(store, ALT)
    feed(store, database, source="first")
    assert [tuple(row.values()) for row in ask_postgres(database, asked)] == found
    remove_user(other, ALT)
    feed(other, database, source="other")
    assert [tuple(row.values()) for row in ask_postgres(database, asked)] == found[1::2]


# broken off


def test_a_feed_that_is_broken_off_anywhere_is_made_whole_by_the_next(
    store: Store, database: str
) -> None:
    fill(store)
    steps = 0
    while not feed(store, database, steps=steps).complete:
        steps += 1
    assert steps > 9
    assert_same_views(store, database)
    assert_same_tables(store, database)
