"""Which killmails are queued for which channel: news that it wants, once each."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from new_store import new_store

from killsync.killmail.audience import News, wants
from killsync.killmail.body import decode
from killsync.killmail.sides import Role
from killsync.model import KillmailRef, Origin
from killsync.settings.channels import Channel, Subject
from killsync.settings.values import Duration
from killsync.store import news, outbox, pending, queueing, storing, users
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.times import iso

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 86400.0
US, MATE, COMPANY, THEM = 90_000_001, 90_000_002, 98_000_001, 2_112_000_001
CORP = Channel("corp")

# deciding

KILL, LOSS = {US: Role.ATTACKER}, {US: Role.VICTIM}


@pytest.mark.parametrize(
    ("channel", "users", "news", "wanted"),
    [
        (CORP, None, News(1, 60, None, KILL), True),
        (CORP, None, News(1, 60, None, LOSS), True),
        (CORP, None, News(1, 60, None, {}), False),
        (CORP, None, News(1, 3599, None, KILL), True),
        (CORP, None, News(1, 3600, None, KILL), False),
        (Channel("c", what=(Subject.KILLS,)), None, News(1, 60, None, LOSS), False),
        (Channel("c", what=(Subject.LOSSES,)), None, News(1, 60, None, LOSS), True),
        (Channel("c", what=(Subject.LOSSES,)), None, News(1, 60, None, KILL), False),
        (Channel("c", what=(Subject.TROUBLE,)), None, News(1, 60, None, KILL), False),
        (Channel("c", min_value=100.0), None, News(1, 60, 100.0, KILL), True),
        (Channel("c", min_value=100.0), None, News(1, 60, 99.9, KILL), False),
        (Channel("c", min_value=100.0), None, News(1, 60, None, KILL), False),
        (CORP, frozenset({MATE}), News(1, 60, None, KILL), False),
        (CORP, frozenset({MATE, US}), News(1, 60, None, KILL), True),
        # whom a channel names decides what it is to them
        (
            Channel("c", what=(Subject.KILLS,)),
            frozenset({US}),
            News(1, 60, None, KILL | {MATE: Role.VICTIM}),
            True,
        ),
        (
            Channel("c", what=(Subject.KILLS,)),
            None,
            News(1, 60, None, KILL | {MATE: Role.VICTIM}),
            False,
        ),
        # names that mean nobody do not mean everybody
        (CORP, frozenset(), News(1, 60, None, KILL), False),
    ],
)
def test_a_channel_wants_what_its_table_says(
    channel: Channel, users: frozenset[int] | None, news: News, wanted: bool
) -> None:
    assert wants(channel, users, news) is wanted


# queueing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path / "k.db")) as opened:
        with opened.transaction() as conn:
            for user_id in (US, MATE, COMPANY):
                users.add(conn, user_id, f"User {user_id}", NOW)
        yield opened


def complete(store: Store, *user_ids: int) -> None:
    with store.transaction() as conn:
        for user_id in user_ids:
            news.note_complete(conn, user_id, NOW)


def list_page(store: Store, user_id: int, *ids: int, channels: tuple[Channel, ...] = ()) -> None:
    refs = [KillmailRef(i, f"{i:040x}") for i in ids]
    with store.transaction() as conn:
        pending.record(conn, user_id, refs, 3, NOW, channels)


def body(killmail_id: int, age: float, origin: Origin) -> FetchedKillmail:
    attackers = [
        {"character_id": who, "damage_done": 1, "final_blow": who == US, "security_status": 0.1}
        for who in (US, MATE)
    ]
    text = {
        "killmail_id": killmail_id,
        "killmail_time": iso(NOW - age),
        "solar_system_id": 30_000_142,
        "victim": {"character_id": THEM, "damage_taken": 1, "ship_type_id": 587},
        "attackers": attackers,
    }
    killmail = decode(json.dumps(text).encode(), killmail_id)
    return FetchedKillmail.compared(killmail, f"{killmail_id:040x}", origin)


def store_bodies(
    store: Store, *ids: int, age: float = 60, origin: Origin = Origin.ESI, channel: Channel = CORP
) -> None:
    """Store bodies as a run does."""
    with store.transaction() as conn:
        storing.store(conn, [body(i, age, origin) for i in ids], iso(NOW))
        queueing.queue(conn, news.among(conn, ids), [channel], NOW)
        pending.done(conn, ids, ids)


def queued(store: Store) -> list[tuple[str, int, str, str]]:
    return store.conn.execute(
        "SELECT channel, killmail_id, state, not_before FROM outbox ORDER BY id"
    ).fetchall()


def test_what_a_complete_list_shows_later_is_queued_when_it_is_stored(store: Store) -> None:
    complete(store, US)
    list_page(store, US, 8, 7)
    assert queued(store) == []
    store_bodies(store, 8, 7)
    waits = ("waiting", iso(NOW))
    assert queued(store) == [("corp", 7, *waits), ("corp", 8, *waits)]


def test_a_first_pass_queues_nothing(store: Store) -> None:
    list_page(store, US, 7)
    complete(store, US)
    store_bodies(store, 7)
    assert queued(store) == []


def test_what_the_first_pass_has_listed_is_no_news_to_the_second(store: Store) -> None:
    list_page(store, US, 7)
    complete(store, US)
    list_page(store, US, 7)
    store_bodies(store, 7)
    assert queued(store) == []


def test_an_open_gap_keeps_the_first_pass_open(store: Store) -> None:
    store.conn.execute("UPDATE users SET backfill_page = 3")
    complete(store, US)
    list_page(store, US, 7)
    store_bodies(store, 7)
    assert queued(store) == []


def test_a_member_makes_news_of_what_its_new_corporation_has_listed(store: Store) -> None:
    complete(store, US)
    list_page(store, COMPANY, 7)
    list_page(store, US, 7)
    store_bodies(store, 7)
    assert [row[1] for row in queued(store)] == [7]


def test_a_member_makes_news_of_what_its_new_corporation_has_stored(store: Store) -> None:
    complete(store, US)
    list_page(store, COMPANY, 7)
    store_bodies(store, 7)
    assert queued(store) == []
    list_page(store, US, 7, channels=(CORP, Channel("other", what=(Subject.LOSSES,))))
    list_page(store, US, 7, channels=(CORP,))
    assert [row[:2] for row in queued(store)] == [("corp", 7)]


@pytest.mark.parametrize("age", [HOUR, 5 * DAY])
def test_what_is_older_than_max_age_is_not_queued(store: Store, age: float) -> None:
    complete(store, US)
    list_page(store, US, 7)
    store_bodies(store, 7, age=age)
    assert queued(store) == []


@pytest.mark.parametrize("origin", [Origin.EVEREF, Origin.ZKB, Origin.JSON])
def test_what_was_imported_is_not_queued_even_if_a_list_shows_it_later(
    store: Store, origin: Origin
) -> None:
    complete(store, US)
    store_bodies(store, 7, origin=origin)
    list_page(store, US, 7, channels=(CORP,))
    assert queued(store) == []


def test_what_was_queued_once_is_never_queued_again(store: Store) -> None:
    complete(store, US, MATE)
    list_page(store, US, 7)
    store_bodies(store, 7)
    with store.transaction() as conn:
        conn.execute("UPDATE outbox SET state = 'told'")
        conn.execute("DELETE FROM killmails")
    list_page(store, MATE, 7, channels=(CORP,))
    store_bodies(store, 7)
    assert [row[:3] for row in queued(store)] == [("corp", 7, "told")]


def test_a_delay_counts_from_when_it_was_stored(store: Store) -> None:
    complete(store, US)
    list_page(store, US, 7)
    store_bodies(store, 7, channel=Channel("corp", delay=Duration(72 * HOUR)))
    assert queued(store) == [("corp", 7, "waiting", iso(NOW + 72 * HOUR))]
    assert outbox.next_due(store.conn, "corp", NOW + 72 * HOUR - 1, 10) == []
    assert outbox.next_due(store.conn, "corp", NOW + 72 * HOUR, 10) == [7]


def test_a_restored_backup_tells_nothing_that_may_have_been_told_since(store: Store) -> None:
    complete(store, US)
    list_page(store, US, 9, 8, 7)
    store_bodies(store, 7, 8)
    with store.transaction() as conn:
        outbox.claim(conn, "corp", NOW, 1, killmails=True)
        outbox.start_over(conn, NOW)
    store_bodies(store, 9)
    list_page(store, US, 10)
    store_bodies(store, 10)
    assert [row[1:3] for row in queued(store)] == [(7, "uncertain"), (8, "expired")]


# whom a channel is about

NAMES = {1: "Zoe Ray", 2: "Zoe Ray II", 3: "Åsa Berg", 90_000_001: "1 Zero"}


@pytest.mark.parametrize(
    ("words", "ours", "unclear"),
    [
        (["zoe ray"], {1}, []),
        (["Zoe"], set(), ["Zoe"]),
        (["åsa"], {3}, []),
        # composed otherwise, as a Mac types it
        (["A\u030asa Berg"], {3}, []),
        ([90_000_001, "2"], {90_000_001, 2}, []),
        (["nobody", "ZOE RAY II"], {2}, ["nobody"]),
    ],
)
def test_users_of_a_channel_are_ids_names_or_beginnings(
    store: Store, words: list[int | str], ours: set[int], unclear: list[str]
) -> None:
    with store.transaction() as conn:
        for user_id, name in NAMES.items():
            users.add(conn, user_id, name, NOW)
    channel = Channel("c", users=tuple(words))
    assert queueing.users_of(store.conn, channel) == frozenset(ours)
    assert queueing.unclear_users(store.conn, channel) == unclear
