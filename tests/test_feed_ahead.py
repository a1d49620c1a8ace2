"""The next batch of a feed is read while PostgreSQL stores the one before: nothing comes amiss."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from both import SCHEMA, feed
from fed import ask, assert_equal
from new_store import new_store
from stored import attacker, body, pilot, put, set_value

from killsync.lake.postgres_feed import Report
from killsync.lake.postgres_rows import SUMMARY, Reader
from killsync.store import changes, killmails, users
from killsync.store.changes import Place
from killsync.store.connection import Store

ANNA, FOE, NPC, CONCORD = 90000001, 90000002, 3019000, 1000125
# what a killmail has that no column has; so long that two are a batch
LONG = "x" * 320_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with three batches."""
    with closing(new_store(tmp_path / "killsync.db")) as opened:
        users.add(opened.conn, ANNA, "Anna", 1_800_000_000.0)
        keep(opened, 1, 2, 3, 4, 5, 6)
        yield opened


def keep(store: Store, *killmail_ids: int) -> None:
    item = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 2}
    shot = [attacker(FOE, final_blow=True)]
    bodies = [body(n, pilot(ANNA), shot, items=[item] * 3) for n in killmail_ids]
    put(store, [one | {"said": LONG} for one in bodies])


def delete(store: Store, *killmail_ids: int) -> None:
    with store.transaction() as conn:
        killmails.remove(conn, list(killmail_ids))


def test_what_is_deleted_and_stored_meanwhile_comes_with_a_later_batch(
    store: Store, database: str
) -> None:
    shown: list[int] = []

    def change(stored_seq: int) -> None:
        if not shown:
            # of this batch, of the one that is read ahead, of the last
            delete(store, 2, 3, 6)
            keep(store, 3, 7)
        shown.append(stored_seq)

    feed(store, database, show=change)
    assert shown[:2] == [2, 4]
    feed(store, database)
    assert_equal(database, store.path)


def test_what_another_feed_has_brought_meanwhile_is_not_brought_again(
    store: Store, database: str
) -> None:
    others: list[Report] = []
    shown: list[int] = []

    def overtake() -> None:
        if shown and not others:
            others.append(feed(store, database))

    report = feed(store, database, show=shown.append, between=overtake)
    assert (report.stored, report.stored_seq, report.complete) == (2, 6, True)
    assert others[0].stored == 4
    assert_equal(database, store.path)


def test_what_was_written_again_is_not_missed_where_another_feed_has_gone_past_it(
    store: Store, database: str
) -> None:
    shown: list[int] = []

    def overtake() -> None:
        if len(shown) == 1:
            shown.append(0)
            set_value(store, 3, 7.0)
            with store.transaction() as conn:
                changes.note_rewritten(conn, [3])
            # as one that had copied all there was, and found killmail 3 not there yet
            with closing(psycopg.connect(database, autocommit=True)) as there:
                there.execute(
                    f"UPDATE {SCHEMA}.places SET rewritten_seq = %s",
                    [changes.last_rewritten(store.conn)],
                )

    feed(store, database, show=shown.append, between=overtake)
    assert_equal(database, store.path)


def test_an_error_of_what_is_read_ahead_comes_after_the_batch_before(
    store: Store, database: str
) -> None:
    with store.transaction() as conn:
        # no text that PostgreSQL would take
        conn.execute(
            "UPDATE killmails SET extra = extra || CAST(x'80' AS TEXT) WHERE killmail_id = 5"
        )
    with pytest.raises(Exception, match="decode to UTF-8"):
        feed(store, database)
    assert ask(database, "SELECT killmail_id FROM killmails ORDER BY 1") == [(1,), (2,), (3,), (4,)]
    with store.transaction() as conn:
        conn.execute("UPDATE killmails SET extra = NULL WHERE killmail_id = 5")
    feed(store, database)
    assert_equal(database, store.path)


def test_the_attackers_of_a_killmail_are_summed_up(tmp_path: Path, database: str) -> None:
    rows = {
        1: [attacker(FOE, ship_type_id=587), attacker(ANNA, final_blow=True, ship_type_id=593)],
        2: [attacker(NPC, CONCORD, ship_type_id=3), attacker(None, CONCORD, ship_type_id=3)],
        3: [attacker(None, 98000001), attacker(None, final_blow=True), attacker(None)],
        4: [],
    }
    with closing(new_store(tmp_path / "killsync.db")) as store:
        put(store, [body(n, pilot(ANNA), shot) for n, shot in rows.items()])
        feed(store, database)
    found = ask(
        database,
        """SELECT killmail_id, players, npc, final_blow_ordinal, ship_type_ids
        FROM killmail_attackers ORDER BY killmail_id""",
    )
    assert [(*row[:4], sorted(row[4])) for row in found] == [
        (1, 2, False, 1, [587, 593]),
        (2, 0, True, None, [3]),
        (3, 0, False, 1, []),
        (4, 0, True, None, []),
    ]


def test_rows_of_known_killmails_are_left_out_whatever_stands_in_them(tmp_path: Path) -> None:
    with closing(new_store(tmp_path / "killsync.db")) as store:
        shot = [attacker(FOE) | {"said": "tab\t and\n2\tline"}]
        put(store, [body(n, pilot(ANNA), shot) for n in (1, 2, 12)])
        batch = Reader(store.conn, "main", with_hash=False).next_batch(Place())
        for table in ("killmails", "attackers", SUMMARY):
            lines = batch.rows(table, {2, 7}).splitlines()
            assert [int(line.split(b"\t")[0]) for line in lines] == [1, 12]
        assert batch.rows("killmails", {1, 2, 12}) == b""


def test_a_batch_is_found_by_indexes(store: Store) -> None:
    asked: list[str] = []
    store.conn.set_trace_callback(asked.append)
    Reader(store.conn, "main", with_hash=True).next_batch(Place(stored_seq=2))
    store.conn.set_trace_callback(None)
    questions = [sql for sql in asked if "SELECT" in sql]
    assert len(questions) > 5
    for sql in questions:
        plan = [row[3] for row in store.conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
        read = [step for step in plan if step.startswith("SCAN")]
        through = ("json_each", "(subquery", "USING INDEX killmails_stored_seq")
        assert all(any(one in step for one in through) for step in read), (sql, plan)
        assert "USE TEMP B-TREE FOR GROUP BY" not in plan
