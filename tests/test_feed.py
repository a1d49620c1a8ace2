"""`killsync feed postgres`: everything once, as it is in the database, and nothing that is gone."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from commands import TIMEOUT, start
from fed import ask, assert_accounted_for, assert_equal, fed, stored
from here import Done, run_here
from hostile_bodies import generated
from new_store import new_store
from psycopg import sql
from stored import RIFTER, attacker, body, pilot, put

from killsync.killmail.body import decode
from killsync.model import HashSource, KillmailRef, Origin, TypePrice
from killsync.store import (
    confirming,
    connection,
    killmails,
    prices,
    removing,
    revaluing,
    storing,
    users,
)
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail

pytestmark = pytest.mark.long

ANNA, BELA, FOE = 90000001, 90000002, 90000009
NOW = 1_800_000_000.0
STORED_AT = "2027-01-15T08:00:00Z"
DAY = "2026-11-23"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with _database(tmp_path / "killsync.db", ANNA, "Anna") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """Another database, of somebody else."""
    with _database(tmp_path / "other.db", BELA, "Bela") as opened:
        yield opened


def _database(path: Path, user_id: int, name: str) -> closing[Store]:
    store = new_store(path)
    users.add(store.conn, user_id, name, NOW)
    return closing(store)


def feed(store: Store, url: str, *options: str, exit_code: int = 0) -> Done:
    environment = {"HOME": str(store.path.parent), "PATH": os.environ["PATH"]}
    words = ("--db", str(store.path), "feed", "postgres", url, *options)
    done = run_here(*words, environment=environment)
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done


def loss(killmail_id: int, *, items: int = 1, victim: int = ANNA) -> dict[str, Any]:
    item = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 2}
    shot = [attacker(FOE, final_blow=True), attacker(BELA)]
    return body(killmail_id, pilot(victim), shot, items=[item] * items)


def keep(store: Store, *killmail_ids: int) -> None:
    put(store, [loss(killmail_id) for killmail_id in killmail_ids])


def delete(store: Store, *killmail_ids: int) -> None:
    with store.transaction() as conn:
        killmails.remove(conn, list(killmail_ids))


def keep_prices(store: Store, price: float, day: str = DAY) -> None:
    with store.transaction() as conn:
        found = [TypePrice(RIFTER, average=price), TypePrice(34, average=1.1)]
        prices.record(conn, day, found, NOW)


def reprice(store: Store) -> None:
    with store.transaction() as conn:
        revaluing.reprice(conn, NOW)


def ids(url: str) -> list[int]:
    return [
        killmail_id for (killmail_id,) in ask(url, "SELECT killmail_id FROM killmails ORDER BY 1")
    ]


def owners(url: str) -> dict[int, tuple[str, int]]:
    """Return whose killmails there are, and by which `stored_seq`."""
    rows = ask(url, "SELECT killmail_id, source, stored_seq FROM killmails")
    return {killmail_id: (source, seq) for killmail_id, source, seq in rows}


def also(url: str) -> list[Any]:
    return ask(url, "SELECT killmail_id, source, stored_seq FROM also_stored ORDER BY 1, 2")


# what arrives


@pytest.mark.sample
def test_everything_arrives_as_it_is(store: Store, database: str) -> None:
    keep_prices(store, 0.1 + 0.2)
    put(store, generated(60))
    keep(store, *range(1, 30))
    done = feed(store, database)
    assert_equal(database, store.path)
    assert f"{len(stored(store.path)['killmails'])} new killmails" in done.stdout
    assert {type(row["victim_x"]) for row in fed(database)["killmails"]} == {float, type(None)}


@pytest.mark.sample
def test_doubles_arrive_to_the_last_bit(store: Store, database: str) -> None:
    odd = [5e-324, 1.7976931348623157e308, 0.1, 1 / 3, -2563670081119.68, 123456789012345678, -0.0]
    odd += [0.29, -1.15, 4.35, 0.005, 1.005, 99_999_999_999.99, -(1e13 + 0.01), 1e13 - 0.01, 3.0]
    odd += [n / 100 for n in range(-1_000, 1_000, 7)]
    bodies = []
    for number, value in enumerate(odd):
        place = {"x": value, "y": -value, "z": value / 3}
        bodies.append(body(number, pilot(ANNA, position=place), [attacker(FOE)]))
    put(store, bodies)
    feed(store, database)
    assert_equal(database, store.path)
    assert [row["victim_x"].hex() for row in fed(database)["killmails"]] == [
        float(value).hex() for value in odd
    ]


@pytest.mark.sample
def test_what_no_column_has_arrives_as_json(store: Store, database: str) -> None:
    odd = {
        "nul": "a\0b",
        "tab\t\n\r": "\\N \\ \t \n",
        "quote": "\"'",
        "n": 10**400,
        "e": "\U0001f680",
    }
    put(store, [loss(1) | odd])
    feed(store, database)
    assert fed(database)["killmails"][0]["extra"] == odd


def test_a_second_call_adds_what_is_new(store: Store, database: str) -> None:
    keep(store, 5, 6)
    feed(store, database)
    before = fed(database)["killmails"]
    keep(store, 1, 9)
    assert feed(store, database).stdout.startswith("2 new killmails")
    assert_equal(database, store.path)
    assert all(row in fed(database)["killmails"] for row in before)
    assert feed(store, database).stdout.startswith("0 new killmails")


def test_an_empty_database_is_fed(store: Store, database: str) -> None:
    feed(store, database)
    assert_equal(database, store.path)


def test_killmails_with_very_many_rows_come_in_batches_of_their_own(
    store: Store, database: str
) -> None:
    put(store, [loss(1, items=40_000), loss(2), loss(3, items=40_000), loss(4)])
    feed(store, database)
    assert_equal(database, store.path)
    # that of each row is the transaction that brought it
    brought = ask(database, "SELECT xmin::text FROM killmails ORDER BY stored_seq")
    assert len(set(brought)) == 2


def test_a_hash_leaves_only_if_asked_for(store: Store, database: str) -> None:
    keep(store, 1)
    feed(store, database)
    assert fed(database)["killmails"][0]["killmail_hash"] is None
    keep(store, 2)
    feed(store, database, "--with-hash")
    assert fed(database) == stored(store.path, with_hash=True)
    keep(store, 3)
    feed(store, database)
    assert_equal(database, store.path)


def test_a_schema_may_have_any_name(store: Store, database: str) -> None:
    keep(store, 1)
    name = 'o"; DROP SCHEMA public; -- é'
    feed(store, database, "--schema", name)
    assert_equal(database, store.path, schema=name)
    feed(store, database, "--schema", "public")
    assert_equal(database, store.path, schema="public")


def test_quiet_says_nothing(store: Store, database: str) -> None:
    keep(store, 1)
    done = feed(store, database, "--quiet")
    assert (done.stdout, done.stderr) == ("", "")


def test_what_was_done_is_an_event_where_lines_are_json(store: Store, database: str) -> None:
    keep(store, 1, 2)
    environment = {"HOME": str(store.path.parent), "PATH": os.environ["PATH"]}
    words = ("--log-format", "json", "--db", str(store.path), "feed", "postgres", database)
    done = run_here(*words, environment=environment)
    event = json.loads(done.stdout)
    assert event["event"] == "PostgresFed"
    assert (event["killmails"], event["users"], event["stored_seq"]) == (2, 1, 2)


@pytest.mark.sample
def test_the_address_may_stand_in_libpqs_environment(
    store: Store, database: str, tmp_path: Path
) -> None:
    keep(store, 1)
    host, _, rest = database.partition("@")[2].partition(":")
    port, _, name = rest.partition("/")
    service = tmp_path / "services"
    service.write_text(f"[board]\nhost={host}\nport={port}\ndbname={name}\nuser=postgres\n")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    environment |= {"PGSERVICEFILE": str(service), "PGSERVICE": "board"}
    words = ("--db", str(store.path), "feed", "postgres")
    assert run_here(*words, environment=environment).returncode == 0
    assert_equal(database, store.path)


# what a database is set to


def set_for_all(url: str, setting: str, value: str) -> None:
    """Give a database a default, for whoever connects next."""
    name = sql.Identifier(url.rpartition("/")[2])
    statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(statement.format(name, sql.Identifier(setting), value))


def test_what_a_database_is_set_to_changes_nothing(store: Store, database: str) -> None:
    set_for_all(database, "datestyle", "SQL, DMY")
    set_for_all(database, "array_nulls", "off")
    set_for_all(database, "timezone", "Asia/Tokyo")
    set_for_all(database, "search_path", "nowhere")
    keep_prices(store, 5.0)
    keep(store, 1, 2)
    feed(store, database)
    assert_equal(database, store.path)
    assert feed(store, database).stdout.startswith("0 new killmails: PostgreSQL has everything")


def test_two_first_feeds_at_once_wait_for_one_another_whatever_is_set(
    store: Store, database: str
) -> None:
    set_for_all(database, "default_transaction_isolation", "repeatable read")
    keep(store, *range(50))
    with ExitStack() as stack:
        environment = {"HOME": str(store.path.parent), "PATH": os.environ["PATH"]}
        words = ("--db", str(store.path), "feed", "postgres", database)
        feeds = [stack.enter_context(start(*words, environment=environment)) for _ in range(3)]
        heard = [one.communicate(timeout=TIMEOUT) for one in feeds]
        assert [one.returncode for one in feeds] == [0, 0, 0], heard
    assert_equal(database, store.path)


# what changes later


def test_values_that_were_filled_in_or_computed_again_arrive(store: Store, database: str) -> None:
    keep(store, 1, 2)
    feed(store, database)
    assert fed(database)["killmails"][0]["total"] is None
    keep_prices(store, 5.0)
    reprice(store)
    assert "2 with other values" in feed(store, database).stdout
    assert fed(database)["killmails"][0]["total"] == 7.2
    keep(store, 3)
    feed(store, database)
    keep_prices(store, 6.0, "2026-11-22")
    with store.transaction() as conn:
        conn.execute("DELETE FROM price_days WHERE day = ?", [DAY])
    reprice(store)
    assert "3 with other values" in feed(store, database).stdout
    assert_equal(database, store.path)
    assert "other values" not in feed(store, database).stdout


def keep_imported(store: Store, killmail_id: int) -> KillmailRef:
    """Store a killmail as an import does; return how ESI lists it."""
    made = decode(json.dumps(loss(killmail_id)).encode(), killmail_id)
    imported = FetchedKillmail.computed(made, Origin.EVEREF)
    with store.transaction() as conn:
        storing.store(conn, [imported], STORED_AT)
    return KillmailRef(killmail_id, imported.killmail_hash)


def confirm(store: Store, ref: KillmailRef) -> None:
    with store.transaction() as conn:
        confirming.compare(conn, [ref])


def test_a_hash_that_esi_confirms_is_confirmed_there(store: Store, database: str) -> None:
    listed = keep_imported(store, 7)
    feed(store, database)
    assert fed(database)["killmails"][0]["hash_source"] == HashSource.COMPUTED
    confirm(store, listed)
    feed(store, database)
    assert fed(database)["killmails"][0]["hash_source"] == HashSource.ESI
    assert_equal(database, store.path)


def test_only_what_was_written_again_is_brought_again(store: Store, database: str) -> None:
    listed = keep_imported(store, 7)
    keep(store, 1)
    feed(store, database)
    # as nothing but a feed of everything would put right
    ask(database, "UPDATE killmails SET total = 5 WHERE killmail_id = 1 RETURNING 1")
    confirm(store, listed)
    assert "1 with other values" in feed(store, database).stdout
    assert [row["total"] for row in fed(database)["killmails"]] == [5.0, None]


def test_what_was_written_again_and_deleted_goes(store: Store, database: str) -> None:
    listed = [keep_imported(store, killmail_id) for killmail_id in (7, 8)]
    feed(store, database)
    for one in listed:
        confirm(store, one)
    delete(store, 8)
    assert "1 deleted, 1 with other values" in feed(store, database).stdout
    assert_equal(database, store.path)
    keep_prices(store, 5.0)
    reprice(store)
    delete(store, 7)
    assert "other values" not in feed(store, database).stdout
    assert_equal(database, store.path)


def copy_of(store: Store, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as copy:
        store.conn.backup(copy)
    return path


def test_values_of_before_a_restore_come_back(store: Store, database: str, tmp_path: Path) -> None:
    keep(store, 1, 2)
    feed(store, database)
    backup = copy_of(store, tmp_path / "copy.db")
    keep_prices(store, 5.0)
    reprice(store)
    feed(store, database)
    store.close()
    words = ("--db", str(store.path), "restore", "--yes", str(backup))
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    assert run_here(*words, environment=environment).returncode == 0
    with closing(connection.connect(store.path)) as restored:
        # as many are written again as in what is lost
        keep_prices(restored, 6.0)
        reprice(restored)
        assert "2 with other values" in feed(restored, database).stdout
        assert fed(database)["killmails"][0]["total"] == 8.2
        assert_equal(database, restored.path)


def test_values_of_before_a_copy_was_put_back_by_hand_come_back(
    store: Store, database: str, tmp_path: Path
) -> None:
    keep(store, 1, 2)
    feed(store, database)
    backup = copy_of(store, tmp_path / "copy.db")
    keep_prices(store, 5.0)
    reprice(store)
    feed(store, database)
    with closing(sqlite3.connect(backup)) as copy:
        copy.backup(store.conn)
    feed(store, database)
    assert fed(database)["killmails"][0]["total"] is None
    assert_equal(database, store.path)


# what is deleted


@pytest.mark.sample
def test_what_is_deleted_is_deleted_there(store: Store, database: str) -> None:
    keep(store, 1, 2, 3)
    feed(store, database)
    delete(store, 2)
    assert "1 deleted" in feed(store, database).stdout
    assert_equal(database, store.path)
    assert ids(database) == [1, 3]
    assert ask(database, "SELECT removed_seq, killmail_id, stored_seq FROM removed_killmails") == [
        (1, 2, 2)
    ]


def test_the_killmails_of_a_purged_user_go(store: Store, database: str) -> None:
    users.add(store.conn, BELA, "Bela", NOW)
    put(store, [loss(1), loss(2, victim=FOE)])
    feed(store, database)
    with store.transaction() as conn:
        assert removing.remove(conn, BELA, purge=True) == 1
    feed(store, database)
    assert ids(database) == [1]
    assert_equal(database, store.path)


def test_what_was_deleted_before_it_was_fed_is_accounted_for(store: Store, database: str) -> None:
    keep(store, 1, 2)
    delete(store, 1, 2)
    keep(store, 3)
    feed(store, database)
    assert_equal(database, store.path)


def test_what_comes_back_after_it_was_deleted_is_there_again(store: Store, database: str) -> None:
    keep(store, 1, 2)
    feed(store, database)
    delete(store, 1)
    feed(store, database)
    keep(store, 1)
    feed(store, database)
    assert owners(database) == {1: ("main", 3), 2: ("main", 2)}
    assert_equal(database, store.path)


def test_what_comes_back_between_two_feeds_is_replaced(store: Store, database: str) -> None:
    keep(store, 1, 2)
    feed(store, database)
    delete(store, 1)
    put(store, [loss(1, items=3)])
    feed(store, database)
    assert owners(database) == {1: ("main", 3), 2: ("main", 2)}
    assert_equal(database, store.path)


def test_thousands_of_deleted_killmails_go(store: Store, database: str) -> None:
    keep(store, *range(2_500))
    feed(store, database)
    delete(store, *range(2_500))
    put(store, [loss(1, items=3)])
    feed(store, database)
    assert_equal(database, store.path)


def test_a_killmail_replaced_by_hand_is_replaced_there(store: Store, database: str) -> None:
    keep(store, 1, 2)
    feed(store, database)
    with store.transaction() as conn:
        conn.execute("DROP TRIGGER killmails_removed")
    delete(store, 1)
    put(store, [loss(1, items=2)])
    feed(store, database)
    assert fed(database) == stored(store.path)


# two sources


def test_of_a_killmail_that_two_sources_have_the_first_stays(
    store: Store, other: Store, database: str
) -> None:
    keep(store, 1, 2)
    keep(other, 3, 2)
    feed(store, database)
    done = feed(other, database, "--source", "bela")
    assert "1 new killmail, 1 that another source had brought" in done.stdout
    assert owners(database) == {1: ("main", 1), 2: ("main", 2), 3: ("bela", 2)}
    assert also(database) == [(2, "bela", 1)]
    for one, source in ((store, "main"), (other, "bela")):
        assert_accounted_for(database, one.path, source)


def test_what_the_first_source_deletes_stays_as_the_seconds(
    store: Store, other: Store, database: str
) -> None:
    keep_prices(store, 5.0)
    keep(store, 1, 2)
    keep_prices(other, 8.0)
    keep(other, 8, 9, 2)
    feed(store, database)
    feed(other, database, "--source", "bela")
    delete(store, 1, 2)
    feed(store, database)
    assert owners(database) == {2: ("bela", 1), 8: ("bela", 2), 9: ("bela", 3)}
    assert also(database) == []
    # with what the second has to say of it
    feed(other, database, "--source", "bela")
    assert fed(database) == stored(other.path)
    for one, source in ((store, "main"), (other, "bela")):
        assert_accounted_for(database, one.path, source)


def test_what_the_second_source_deletes_stays_as_the_firsts(
    store: Store, other: Store, database: str
) -> None:
    for one, source in ((store, "main"), (other, "bela")):
        keep(one, 1, 2)
        feed(one, database, "--source", source)
    delete(other, 2)
    feed(other, database, "--source", "bela")
    assert fed(database) == stored(store.path)
    assert also(database) == [(1, "bela", 1)]
    # and goes with the last that has it
    delete(store, 1, 2)
    feed(store, database)
    assert owners(database) == {1: ("bela", 1)}
    for one, source in ((store, "main"), (other, "bela")):
        assert_accounted_for(database, one.path, source)


def test_what_comes_back_is_the_seconds_where_another_has_it(
    store: Store, other: Store, database: str
) -> None:
    for one, source in ((store, "main"), (other, "bela")):
        keep(one, 1)
        feed(one, database, "--source", source)
    delete(store, 1)
    keep(store, 1)
    feed(store, database)
    assert owners(database) == {1: ("bela", 1)}
    assert also(database) == [(1, "main", 2)]
    assert_accounted_for(database, store.path)


def test_values_are_those_of_the_source_whose_killmail_it_is(
    store: Store, other: Store, database: str
) -> None:
    for one, source, price in ((store, "main", 5.0), (other, "bela", 8.0)):
        keep(one, 1)
        feed(one, database, "--source", source)
        keep_prices(one, price)
        reprice(one)
        feed(one, database, "--source", source)
    assert fed(database)["killmails"][0]["hull"] == 5.0


def test_another_database_is_refused(store: Store, other: Store, database: str) -> None:
    keep(store, 1)
    keep(other, 2, 3)
    feed(store, database)
    done = feed(other, database, exit_code=2)
    assert "was fed from another database as the source main" in done.stderr
    assert_equal(database, store.path)


def test_a_database_from_before_the_last_feed_is_refused(
    store: Store, database: str, tmp_path: Path
) -> None:
    keep(store, 1)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        store.conn.backup(copy)
    keep(store, 2)
    feed(store, database)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        copy.backup(store.conn)
    assert "this one was restored from before" in feed(store, database, exit_code=2).stderr
    assert ids(database) == [1, 2]
