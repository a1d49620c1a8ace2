"""Who takes part in which killmail: the roles in `user_killmails`, and the rows that carry them."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from new_store import new_store
from world import Killsync

from killsync.killmail.body import decode
from killsync.killmail.sides import Role, roles
from killsync.model import KillmailRef, Priority
from killsync.store import killmails, pending, storing, users
from killsync.store import roles as stored_roles
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.times import iso, unix

NOW = unix("2026-11-24T12:00:00Z")
ANNA, BOB, CORPORATION, STRANGER = 90_000_001, 90_000_002, 98_000_001, 2_112_000_001
TIME = "2026-11-20T18:30:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path / "killsync.db")) as opened:
        yield opened


def attacker(character: int | None, *, final_blow: bool = False, **more: Any) -> dict[str, Any]:
    named = {} if character is None else {"character_id": character}
    return {"damage_done": 1, "final_blow": final_blow, "security_status": 0, **named, **more}


def arrival(killmail_id: int, victim: int, *attackers: dict[str, Any]) -> FetchedKillmail:
    content = {
        "killmail_id": killmail_id,
        "killmail_time": TIME,
        "solar_system_id": 30000142,
        "victim": {"character_id": victim, "damage_taken": 1, "ship_type_id": 587},
        "attackers": list(attackers),
    }
    return FetchedKillmail.compared(decode(msgspec.json.encode(content), killmail_id), "0" * 40)


def register(store: Store, *user_ids: int) -> None:
    with store.transaction() as conn:
        for user_id in user_ids:
            users.add(conn, user_id, f"Pilot {user_id}", NOW)


def listed(store: Store, user_id: int, *killmail_ids: int) -> int:
    refs = [KillmailRef(killmail_id, "0" * 40) for killmail_id in killmail_ids]
    with store.transaction() as conn:
        return pending.record(conn, user_id, refs, Priority.BACKGROUND, NOW)


def stored(store: Store, *arrivals: FetchedKillmail) -> None:
    ids = [fetched.killmail.killmail_id for fetched in arrivals]
    with store.transaction() as conn:
        pending.done(conn, ids, storing.store(conn, arrivals, iso(NOW)))


def rows(conn: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        """SELECT user_id, killmail_id, listed, role, killmail_time FROM user_killmails
        ORDER BY user_id, killmail_id"""
    ).fetchall()


def counted(store: Store, user_id: int) -> tuple[int, int]:
    row = store.conn.execute(
        "SELECT listed, killmails FROM users WHERE user_id = ?", [user_id]
    ).fetchone()
    return int(row[0]), int(row[1])


ids = st.sampled_from([None, ANNA, BOB, CORPORATION, STRANGER])


@given(
    victim=st.tuples(ids, ids),
    attackers=st.lists(st.tuples(st.tuples(ids, ids), st.booleans()), max_size=5),
)
def test_each_of_ours_has_the_role_that_counts_most(
    victim: tuple[int | None, int | None],
    attackers: list[tuple[tuple[int | None, int | None], bool]],
) -> None:
    attacks = [(*party, final_blow) for party, final_blow in attackers]
    found = roles(victim, attacks, {ANNA, BOB, CORPORATION})
    for user in (ANNA, BOB, CORPORATION):
        shots = [final_blow for party, final_blow in attackers if user in party]
        if user in victim:
            assert found[user] is Role.VICTIM
        elif shots:
            assert found[user] is (Role.FINAL_BLOW if any(shots) else Role.ATTACKER)
        else:
            assert user not in found
    assert STRANGER not in found


def test_a_killmail_gives_everybody_who_is_registered_a_role(store: Store) -> None:
    register(store, ANNA, BOB)
    listed(store, ANNA, 1)
    stored(store, arrival(1, STRANGER, attacker(ANNA, final_blow=True), attacker(BOB)))
    assert rows(store.conn) == [(ANNA, 1, 1, "final_blow", TIME), (BOB, 1, 0, "attacker", TIME)]


def test_who_takes_part_without_a_list_that_shows_it_counts_as_nothing_listed(
    store: Store,
) -> None:
    register(store, ANNA, BOB)
    listed(store, ANNA, 1)
    stored(store, arrival(1, STRANGER, attacker(ANNA, final_blow=True), attacker(BOB)))
    assert (counted(store, ANNA), counted(store, BOB)) == ((1, 1), (0, 0))


def test_a_list_that_shows_it_later_makes_the_row_listed(store: Store) -> None:
    register(store, ANNA, BOB)
    listed(store, ANNA, 1)
    stored(store, arrival(1, BOB, attacker(ANNA, final_blow=True)))
    assert listed(store, BOB, 1) == 1
    assert listed(store, BOB, 1) == 0
    assert rows(store.conn)[1] == (BOB, 1, 1, "victim", TIME)
    assert counted(store, BOB) == (1, 1)
    assert not pending.any_ready(store.conn)


def test_a_list_that_shows_what_is_stored_already_gives_the_role_at_once(store: Store) -> None:
    register(store, ANNA)
    listed(store, ANNA, 1)
    stored(store, arrival(1, STRANGER, attacker(ANNA, final_blow=True), attacker(BOB)))
    with store.transaction() as conn:
        conn.execute(
            "INSERT INTO users (user_id, name, added_at) VALUES (?, 'Bob', ?)", [BOB, TIME]
        )
    listed(store, BOB, 1)
    assert rows(store.conn)[1] == (BOB, 1, 1, "attacker", TIME)


def test_a_user_who_is_listed_but_does_not_appear_has_no_role(store: Store) -> None:
    register(store, ANNA)
    listed(store, ANNA, 1)
    stored(store, arrival(1, STRANGER, attacker(STRANGER, final_blow=True)))
    assert rows(store.conn) == [(ANNA, 1, 1, None, TIME)]


def test_before_the_body_is_stored_there_is_no_role(store: Store) -> None:
    register(store, ANNA)
    listed(store, ANNA, 1)
    assert rows(store.conn) == [(ANNA, 1, 1, None, None)]


def test_a_body_that_is_deleted_takes_its_roles_with_it(store: Store) -> None:
    register(store, ANNA, BOB)
    listed(store, ANNA, 1)
    stored(store, arrival(1, BOB, attacker(ANNA, final_blow=True)))
    with store.transaction() as conn:
        killmails.remove(conn, [1])
    assert rows(store.conn) == [(ANNA, 1, 1, None, None)]


@settings(deadline=None, max_examples=25)
@given(
    parties=st.lists(st.tuples(ids, ids, ids), min_size=1, max_size=9),
    at_once=st.integers(1, 4),
    late=st.sampled_from([[BOB], [BOB, CORPORATION], [ANNA, BOB]]),
)
def test_users_who_come_later_get_the_roles_that_they_would_have_had(
    tmp_path_factory: pytest.TempPathFactory,
    parties: list[tuple[int | None, int | None, int | None]],
    at_once: int,
    late: list[int],
) -> None:
    arrivals = [
        arrival(
            number,
            victim or STRANGER,
            attacker(shooter, final_blow=number % 2 == 0),
            attacker(None) | ({"corporation_id": corporation} if corporation else {}),
        )
        for number, (victim, shooter, corporation) in enumerate(parties, 1)
    ]

    def after(early: list[int]) -> list[tuple[Any, ...]]:
        path = tmp_path_factory.mktemp("roles") / "killsync.db"
        with closing(new_store(path)) as store:
            register(store, *early)
            stored(store, *arrivals)
            register(store, *late)
            while stored_roles.any_to_look_up(store.conn):
                with store.transaction() as conn:
                    stored_roles.look_up_next(conn, at_once)
            return rows(store.conn)

    assert after([]) == after(late)


def test_a_scan_looks_at_what_was_stored_before_a_user_came(
    killsync: Callable[..., Killsync],
) -> None:
    program = killsync(characters=2, killmails=30, shared=0.5)
    program.run("scan")
    everything = "SELECT * FROM user_killmails ORDER BY user_id, killmail_id"
    before = program.rows(everything)
    assert {row[3] for row in before} >= {"victim", "final_blow"}
    program.execute("UPDATE user_killmails SET role = NULL, killmail_time = NULL")
    program.execute("UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails)")
    program.run("scan")
    assert program.rows(everything) == before
    assert program.rows("SELECT roles_below FROM users") == [(None,), (None,)]
    assert "nothing is due" in program.run("scan").stdout
