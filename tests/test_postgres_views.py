"""The views in PostgreSQL: each answers what SQLite's answers."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from both import KEYS, ONLY_IN_SQLITE, ask_postgres, ask_sqlite, assert_same_views, feed, rows_of
from odd_killmails import ME, filled_database
from postgres_server import Server
from stored import (
    database,
)

from killsync.store.connection import Store
from killsync.store.views import SECURITY


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with filled_database(tmp_path_factory.mktemp("filled") / "killsync.db") as store:
        yield store


@pytest.fixture(scope="module")
def fed(filled: Store, postgres: Server) -> Iterator[str]:
    """A database of PostgreSQL's with everything."""
    with postgres.new_database() as url:
        feed(filled, url)
        yield url


def test_the_killmails_are_of_every_kind(filled: Store) -> None:
    for truth in ("solo", "npc", "awox", "value IS NULL", "unpriced > 0", "final_blow IS NULL"):
        assert ask_sqlite(filled, f"SELECT 1 FROM kills WHERE {truth}")
        assert ask_sqlite(filled, f"SELECT 1 FROM kills WHERE NOT ({truth})")
    prices = ask_sqlite(filled, "SELECT DISTINCT price FROM item_lines")
    assert {row["price"] for row in prices} >= {None, 0.0, 0.01, 2.68, 0.13, 10_000.0}


@pytest.mark.parametrize("view", KEYS)
def test_a_view_has_the_columns_of_sqlites_in_their_order(
    filled: Store, fed: str, view: str
) -> None:
    ours, theirs = ask_sqlite(filled, rows_of(view)), ask_postgres(fed, rows_of(view))
    assert [*theirs[0]] == [name for name in ours[0] if (view, name) not in ONLY_IN_SQLITE]


def test_every_view_has_the_rows_of_sqlites(filled: Store, fed: str) -> None:
    assert_same_views(filled, fed)


@pytest.mark.parametrize("truth", ["solo", "npc", "awox", "NOT solo", "NOT npc AND NOT awox"])
def test_what_is_a_truth_is_asked_as_in_sqlite(filled: Store, fed: str, truth: str) -> None:
    asked = f"SELECT killmail_id FROM kills WHERE {truth} ORDER BY 1"
    assert ask_postgres(fed, asked) == ask_sqlite(filled, asked)


def test_the_security_of_every_system_of_the_game_is_rounded_as_in_sqlite(
    tmp_path_factory: pytest.TempPathFactory, fed: str
) -> None:
    path = tmp_path_factory.mktemp("systems") / "killsync.db"
    with database(path, {}) as store:
        known = ask_sqlite(
            store, f"SELECT security, {SECURITY.format('security')} AS shown FROM systems"
        )
    expected = {row["security"]: row["shown"] for row in known} | {
        None: None,
        0.04: 0.1,
        -0.04: 0.0,
    }
    assert len(known) > 8_000
    with closing(psycopg.connect(fed, options="-c search_path=killsync")) as conn:
        given = [[-n for n in range(1, len(expected) + 1)], [*expected]]
        conn.execute(
            """INSERT INTO systems (system_id, name, security)
            SELECT id, '', security FROM unnest(%s::bigint[], %s::float8[]) AS t (id, security)""",
            given,
        )
        conn.execute(
            """INSERT INTO killmails (killmail_id, source, stored_seq, solar_system_id)
            SELECT system_id, 'systems', -system_id, system_id FROM systems WHERE system_id < 0""",
        )
        conn.execute(
            """INSERT INTO user_killmails SELECT %s, killmail_id, 'victim', now() FROM killmails
            WHERE source = 'systems'""",
            [ME],
        )
        shown: dict[int, float] = dict(
            conn.execute("SELECT system_id, security FROM kills WHERE system_id < 0")
        )
        conn.rollback()
    assert [repr(shown[id_]) for id_ in given[0]] == [repr(one) for one in expected.values()]
