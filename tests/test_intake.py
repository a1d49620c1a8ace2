"""What becomes of killmails from elsewhere: what is wanted, believed, counted and claimed."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import attacker, body, database, pilot, row, rows

from killsync.archive.intake import BATCH, MOST_BYTES, Counts, Intake
from killsync.archive.refusals import Refusal
from killsync.killmail.body import decode
from killsync.killmail.hash import expected_hash
from killsync.model import KillmailRef, Origin, Priority, UserState
from killsync.store import imports, pending, removing, users
from killsync.store.connection import Store
from killsync.store.imports import Archive

NOW = 1_800_000_000.0
ANNA, CORPORATION, STRANGER, OTHER = 90_000_001, 98_000_001, 2_112_000_001, 2_112_000_002


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with database(tmp_path / "killsync.db", {ANNA: "Anna", CORPORATION: "Corporation"}) as store:
        yield store


@pytest.fixture
def intake(store: Store) -> Callable[..., Intake]:
    def make(*, everything: bool = False, **options: Any) -> Intake:
        return Intake(store, Origin.EVEREF, everything=everything, now=lambda: NOW, **options)

    return make


def loss(killmail_id: int, victim: int = ANNA, corporation: int = 1, **more: Any) -> dict[str, Any]:
    ours = pilot(victim, corporation)
    return body(killmail_id, ours, [attacker(STRANGER, 5, final_blow=True)]) | more


def raw(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def hash_of(content: dict[str, Any]) -> str:
    return expected_hash(decode(raw(content)))


def show(store: Store, content: dict[str, Any], killmail_hash: str) -> None:
    """Let a list of ESI's show a killmail."""
    ref = KillmailRef(content["killmail_id"], killmail_hash)
    with store.transaction() as conn:
        pending.record(conn, ANNA, [ref], Priority.BACKGROUND, NOW)


def stored(store: Store) -> list[int]:
    return [i for (i,) in rows(store, "SELECT killmail_id FROM killmails ORDER BY 1")]


def taken(intake: Intake, *contents: dict[str, Any]) -> Counts:
    for content in contents:
        intake.take(raw(content))
    intake.store()
    return intake.counts


@pytest.mark.parametrize(
    ("victim", "shooters"),
    [
        (pilot(ANNA, 1), [attacker(STRANGER, 5, final_blow=True)]),
        (pilot(STRANGER, 5), [attacker(OTHER, 6, final_blow=True), attacker(ANNA, 1)]),
        (pilot(STRANGER, CORPORATION), [attacker(OTHER, 6, final_blow=True)]),
        (pilot(None, CORPORATION), [attacker(OTHER, 6, final_blow=True)]),
        (pilot(STRANGER, 5), [attacker(None, 6, final_blow=True), attacker(None, CORPORATION)]),
    ],
)
def test_whatever_a_user_takes_part_in_is_stored(
    intake: Callable[..., Intake], store: Store, victim: Any, shooters: Any
) -> None:
    assert taken(intake(), body(7, victim, shooters)).stored == 1
    assert stored(store) == [7]


def test_a_disabled_users_killmails_are_wanted_too(
    intake: Callable[..., Intake], store: Store
) -> None:
    with store.transaction() as conn:
        users.set_state(conn, ANNA, UserState.DISABLED)
    assert taken(intake(), loss(7)).stored == 1


def test_what_nobody_of_ours_takes_part_in_is_counted_and_not_stored(
    intake: Callable[..., Intake], store: Store
) -> None:
    counts = taken(intake(), loss(7, victim=OTHER), loss(8))
    assert (counts.others, counts.stored, counts.read) == (1, 1, 2)
    assert stored(store) == [8]


def test_everything_is_stored_where_that_is_wanted(
    intake: Callable[..., Intake], store: Store
) -> None:
    assert taken(intake(everything=True), loss(7, victim=OTHER)).stored == 1


def test_a_killmail_that_is_stored_is_known(intake: Callable[..., Intake]) -> None:
    taken(intake(), loss(7))
    counts = taken(intake(), loss(7), loss(8), loss(8))
    assert (counts.stored, counts.known, counts.read) == (1, 2, 3)


@pytest.mark.parametrize("given", [{}, {"killmail_hash": None}])
def test_a_hash_that_nobody_gives_is_computed(
    intake: Callable[..., Intake], store: Store, given: dict[str, None]
) -> None:
    taken(intake(), loss(7) | given)
    found = row(store, "SELECT killmail_hash, hash_ok, hash_source, origin FROM killmails")
    assert found == {
        "killmail_hash": hash_of(loss(7)),
        "hash_ok": 1,
        "hash_source": "computed",
        "origin": "everef",
    }


def test_a_hash_that_is_given_and_fits_is_the_archives(
    intake: Callable[..., Intake], store: Store
) -> None:
    taken(intake(), loss(7) | {"killmail_hash": hash_of(loss(7))})
    assert row(store, "SELECT hash_source FROM killmails") == {"hash_source": "archive"}


def test_a_hash_that_does_not_fit_is_refused(intake: Callable[..., Intake], store: Store) -> None:
    refused: list[tuple[Refusal, str]] = []
    taking = intake(refused=lambda reason, what: refused.append((reason, what)))
    counts = taken(taking, loss(7) | {"killmail_hash": "0" * 40}, loss(8))
    assert counts.refused == {Refusal.WRONG_HASH: 1}
    assert refused == [(Refusal.WRONG_HASH, "killmail 7")]
    assert stored(store) == [8]


def test_what_is_no_killmail_or_cannot_be_stored_is_refused_and_the_rest_goes_on(
    intake: Callable[..., Intake], store: Store
) -> None:
    taking = intake()
    taking.take(b"<html>")
    taking.take(raw(loss(7) | {"solar_system_id": "Jita"}))
    taking.take(raw(loss(7)), 8)
    counts = taken(taking, loss(9))
    assert counts.refused == {Refusal.NOT_A_KILLMAIL: 1, Refusal.NOT_STORABLE: 2}
    assert stored(store) == [9]


def test_nothing_is_claimed_of_lists(intake: Callable[..., Intake], store: Store) -> None:
    before = row(store, "SELECT * FROM users WHERE user_id = ?", ANNA)
    taken(intake(), loss(7))
    assert row(store, "SELECT * FROM users WHERE user_id = ?", ANNA) == before
    assert rows(store, "SELECT user_id, listed, role FROM user_killmails") == [(ANNA, 0, "victim")]


def test_a_pending_killmail_that_is_imported_is_pending_no_longer(
    intake: Callable[..., Intake], store: Store
) -> None:
    show(store, loss(7), hash_of(loss(7)))
    taken(intake(), loss(7))
    assert pending.total(store.conn) == 0
    user = users.get(store.conn, ANNA)
    assert user is not None
    assert (user.listed, user.killmails, user.pending) == (1, 1, 0)
    assert row(store, "SELECT origin, hash_source FROM killmails") == {
        "origin": "everef",
        "hash_source": "esi",
    }


def test_a_killmail_that_esi_lists_with_another_hash_stays_pending(
    intake: Callable[..., Intake], store: Store
) -> None:
    show(store, loss(7), "a" * 40)
    counts = taken(intake(), loss(7))
    assert counts.refused == {Refusal.OTHER_HASH: 1}
    assert (stored(store), pending.total(store.conn)) == ([], 1)


def test_what_esi_lists_later_becomes_listed_without_a_request(
    intake: Callable[..., Intake], store: Store
) -> None:
    taken(intake(), loss(7))
    show(store, loss(7), hash_of(loss(7)))
    assert pending.total(store.conn) == 0
    user = users.get(store.conn, ANNA)
    assert user is not None
    assert (user.listed, user.killmails) == (1, 1)


def test_an_archive_is_recorded_with_its_last_killmails(
    intake: Callable[..., Intake], store: Store
) -> None:
    taking = intake()
    archive = Archive(
        Origin.EVEREF,
        "2026-11-23",
        "etag",
        everything=False,
        users_added=taking.users_added,
        killmails=1,
    )
    taking.take(raw(loss(7)))
    assert (stored(store), imports.is_read(store.conn, archive)) == ([], False)
    taking.store(archive)
    assert (stored(store), imports.is_read(store.conn, archive)) == ([7], True)


def test_what_is_asked_of_earlier_imports_and_of_pending_killmails_uses_an_index(
    intake: Callable[..., Intake], store: Store
) -> None:
    taking = intake()
    archive = Archive(Origin.EVEREF, "2026-11-23", "etag", False, taking.users_added, 1)
    asked: set[str] = set()
    store.conn.set_trace_callback(asked.add)
    imports.is_read(store.conn, archive)
    imports.version_fetched(
        store.conn, archive.source, archive.name, everything=False, users_added=1
    )
    pending.hashes_shown(store.conn, [7, 8])
    imports.record(store.conn, archive, NOW)
    store.conn.set_trace_callback(None)
    plans = [step for sql in asked for *_, step in store.conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    searched = ("SEARCH imports USING PRIMARY KEY", "SEARCH pending_killmails USING")
    assert all(any(step.startswith(one) for step in plans) for one in searched)
    assert [step for step in plans if step.startswith(("SCAN imports", "SCAN pending"))] == []


@pytest.mark.parametrize("killmail_id", [0, -7])
def test_an_id_that_no_killmail_has_is_refused(
    intake: Callable[..., Intake], killmail_id: int
) -> None:
    counts = taken(intake(), loss(killmail_id))
    assert (counts.stored, counts.refused[Refusal.NOT_STORABLE]) == (0, 1)


def remove_anna(store: Store) -> None:
    with store.transaction() as conn:
        removing.remove(conn, ANNA, purge=True)


def test_who_is_removed_meanwhile_has_nothing_stored_any_more(
    intake: Callable[..., Intake], store: Store
) -> None:
    taking = intake()
    taking.take(raw(loss(7)))
    taking.take(raw(loss(8, corporation=CORPORATION)))
    remove_anna(store)
    taking.store()
    assert stored(store) == [8]
    assert (taking.counts.stored, taking.counts.others) == (1, 1)


@pytest.mark.parametrize("again", [False, True])
def test_an_archive_is_not_read_for_everybody_if_some_of_it_was_purged_meanwhile(
    intake: Callable[..., Intake], store: Store, again: bool
) -> None:
    taking = intake(everything=True)
    archive = Archive(
        Origin.EVEREF,
        "2026-11-23",
        "etag",
        everything=True,
        users_added=taking.users_added,
        killmails=1,
    )
    assert taken(taking, loss(7)).stored == 1
    remove_anna(store)
    if again:
        with store.transaction() as conn:
            users.add(conn, ANNA, "Anna", int(NOW))
    taking.store(archive)
    assert not imports.is_read(store.conn, archive)


def test_a_batch_is_stored_once_it_is_full_or_large(
    intake: Callable[..., Intake], store: Store
) -> None:
    taking = intake(everything=True)
    for killmail_id in range(1, BATCH + 1):
        taking.take(raw(loss(killmail_id)))
    assert len(stored(store)) == BATCH
    taking.offer(decode(raw(loss(1_001))), None, MOST_BYTES - 1)
    assert len(stored(store)) == BATCH
    taking.offer(decode(raw(loss(1_002))), None, 1)
    assert len(stored(store)) == BATCH + 2


def test_counts_add_up(intake: Callable[..., Intake]) -> None:
    taking = intake()
    before = taken(taking, loss(1), loss(1), loss(2, victim=OTHER)).copy()
    taking.take(b"[]")
    assert taken(taking, loss(3)).since(before) == Counts(
        stored=1, refused=Counter({Refusal.NOT_A_KILLMAIL: 1})
    )
    assert taking.counts.read == 5
