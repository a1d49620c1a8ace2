"""Whatever happens to a database, each feed makes every view in PostgreSQL the same as its own."""

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from both import SCHEMA, ask_sqlite, assert_same_views, feed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_killmails import (
    ALT,
    CORPORATION,
    FOE,
    ME,
    NOW,
    NPC_PILOT,
    SKIN,
    THEIRS,
    TRITANIUM,
    Body,
    leave_few_types,
    set_prices,
)
from stored import (
    ASTRAHUS,
    CAPSULE,
    CONCORD,
    GURISTAS,
    IBIS,
    RIFTER,
    SHUTTLE,
    attacker,
    body,
    database,
    pilot,
    put,
)

from killsync.esi.universe import Named
from killsync.store import connection, names, removing, revaluing, roles, users
from killsync.store import killmails as stored
from killsync.store.connection import Store
from killsync.times import DAY, iso

CHARACTERS, CORPORATIONS = [ME, ALT, FOE, NPC_PILOT, None], [CORPORATION, THEIRS, CONCORD, None]
SHIPS = st.sampled_from([RIFTER, CAPSULE, SHUTTLE, IBIS, ASTRAHUS, 1])
parties = st.builds(pilot, st.sampled_from(CHARACTERS), st.sampled_from(CORPORATIONS))
attackers = st.builds(
    lambda party, final_blow, more: attacker(None, final_blow=final_blow) | party | more,
    parties,
    st.booleans(),
    st.fixed_dictionaries({}, optional={"ship_type_id": SHIPS, "faction_id": st.just(GURISTAS)}),
)


def items_in(inside: st.SearchStrategy[list[Body]]) -> st.SearchStrategy[list[Body]]:
    items = st.fixed_dictionaries(
        {
            "item_type_id": st.sampled_from([TRITANIUM, SKIN, CAPSULE, 1]),
            "flag": st.sampled_from([0, 5, 11, 179, 200]),
            "singleton": st.integers(0, 2),
        },
        optional={
            "quantity_dropped": st.integers(-1, 10**6),
            "quantity_destroyed": st.integers(-1, 10**6),
            "items": inside,
        },
    )
    return st.lists(items, max_size=3)


made = st.builds(
    lambda victim, others, ship, hours, items: {
        "victim": victim,
        "attackers": others,
        "ship": ship,
        "time": iso(NOW + hours * 3600),
        "items": items,
    },
    parties,
    st.lists(attackers, max_size=3),
    SHIPS,
    st.integers(-30, 30),
    items_in(items_in(st.just([]))),
)
acts = st.one_of(
    st.tuples(st.just("put"), st.lists(made, min_size=1, max_size=6)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("add"), st.sampled_from([ME, ALT, FOE, CORPORATION])),
    st.tuples(st.just("remove"), st.sampled_from([ME, ALT, FOE, CORPORATION]), st.booleans()),
    st.tuples(st.just("name"), st.sampled_from([ME, FOE, THEIRS]), st.text(max_size=9)),
    st.tuples(st.just("price"), st.floats(0, 1e13)),
    st.tuples(st.just("reprice")),
)


class World:
    """A database, and what may happen to it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids = itertools.count(1)
        self.days = itertools.count(1)

    def put(self, given: list[Body]) -> None:
        put(self.store, [body(next(self.ids), **killmail) for killmail in given])

    def delete(self, first: int) -> None:
        ids = [row["killmail_id"] for row in ask_sqlite(self.store, "SELECT * FROM killmails")]
        with self.store.transaction() as conn:
            stored.remove(conn, ids[first : first + 3])

    def add(self, user: int) -> None:
        with self.store.transaction() as conn:
            users.add(conn, user, f"User {user}", time.time())
            while roles.any_to_look_up(conn):
                roles.look_up_next(conn)

    def remove(self, user: int, purge: bool) -> None:
        with self.store.transaction() as conn:
            removing.remove(conn, user, purge=purge)

    def name(self, id_: int, called: str) -> None:
        with self.store.transaction() as conn:
            names.named(conn, [Named(id_, called, "character")], time.time())

    def reprice(self) -> None:
        with self.store.transaction() as conn:
            revaluing.reprice(conn, NOW)

    def price(self, isk: float) -> None:
        set_prices(self.store, iso(NOW - next(self.days) * DAY)[:10], t34=isk, t587=isk / 3)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of two users with hardly any game data."""
    path = tmp_path_factory.mktemp("small") / "killsync.db"
    with database(path, {ME: "Maru", ALT: "Alt"}) as store:
        leave_few_types(store)
        store.conn.execute("VACUUM")
    return path.read_bytes()


@contextmanager
def copy_of(small: bytes) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "killsync.db"
        path.touch(mode=0o600)
        path.write_bytes(small)
        with closing(connection.connect(path)) as store:
            yield World(store)


@pytest.mark.long
@given(rounds=st.lists(st.lists(acts, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_each_feed_makes_every_view_the_same(
    small: bytes, database: str, rounds: list[list[tuple[Any, ...]]]
) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    with copy_of(small) as world:
        for some in rounds:
            for what, *given in some:
                getattr(world, what)(*given)
            feed(world.store, database)
            assert_same_views(world.store, database)
