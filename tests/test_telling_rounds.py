"""One call of telling, within the test's own process: what it claims, sends and gives up."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from new_store import new_store
from test_queueing import MATE, US, complete, list_page, store_bodies

from killsync.events import Event
from killsync.outbox import events, telling
from killsync.settings.channels import Channel, Subject
from killsync.settings.config import Settings
from killsync.store import channels, outbox, removing, users
from killsync.store.channels import ChannelState
from killsync.store.connection import Store
from killsync.times import DAY, iso

NOW = 1_800_000_000.0
KEEPS = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read())"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("time.time", lambda: NOW)
    with closing(new_store(tmp_path / "k.db")) as opened:
        with opened.transaction() as conn:
            users.add(conn, US, "Zo", NOW)
        complete(opened, US)
        yield opened


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Return where the channel `corp` keeps what it is told."""
    return tmp_path / "told"


def corp(told: Path) -> Channel:
    return Channel("corp", command=(sys.executable, "-c", KEEPS, str(told)))


def tell(store: Store, *to: Channel) -> list[Event]:
    reported: list[Event] = []
    telling.tell(store, Settings(tell=to), reported.append, threading.Event())
    return reported


def queue(store: Store, *ids: int) -> None:
    list_page(store, US, *ids)
    store_bodies(store, *ids)


def rows(store: Store) -> list[tuple[int, str]]:
    return store.conn.execute("SELECT killmail_id, state FROM outbox ORDER BY id").fetchall()


def heard(told: Path) -> list[int]:
    lines = told.read_text().splitlines() if told.exists() else []
    return [json.loads(line)["killmail_id"] for line in lines]


def test_the_oldest_goes_out_first_and_at_most_a_hundred_at_once(store: Store, told: Path) -> None:
    queue(store, *range(1, 121))
    reported = tell(store, corp(told))
    assert heard(told) == list(range(1, 121))
    assert reported == [events.Delivered("corp", 100, 0), events.Delivered("corp", 20, 0)]


def test_a_deleted_killmail_is_given_up(store: Store, told: Path) -> None:
    queue(store, 7, 8)
    store.conn.execute("DELETE FROM killmails WHERE killmail_id = 7")
    tell(store, corp(told))
    assert heard(told) == [8]
    assert rows(store) == [(7, "expired"), (8, "told")]


@pytest.mark.parametrize(
    "asks",
    [{"users": ("Somebody else",)}, {"what": (Subject.LOSSES,)}, {"min_value": 1e12}],
)
def test_what_a_channel_does_not_ask_for_any_more_is_given_up(
    store: Store, told: Path, asks: dict[str, Any]
) -> None:
    queue(store, 7)
    channel = msgspec.structs.replace(corp(told), **asks)
    tell(store, channel)
    assert heard(told) == []
    assert rows(store) == [(7, "expired")]


@pytest.mark.parametrize(("removed", "state"), [((US,), "told"), ((US, MATE), "expired")])
def test_what_nobody_of_ours_is_on_any_more_is_given_up(
    store: Store, told: Path, removed: tuple[int, ...], state: str
) -> None:
    with store.transaction() as conn:
        users.add(conn, MATE, "Mate", NOW)
    queue(store, 7)
    with store.transaction() as conn:
        for user_id in removed:
            removing.remove(conn, user_id, purge=False)
    tell(store, corp(told))
    assert rows(store) == [(7, state)]


def test_what_waits_for_a_channel_that_is_gone_is_given_up_after_a_day(
    store: Store, told: Path
) -> None:
    queue(store, 7)
    assert tell(store) == []
    assert rows(store) == [(7, "waiting")]
    store.conn.execute("UPDATE outbox SET not_before = ?", [iso(NOW - DAY)])
    assert tell(store) == [events.DeliveriesExpired(channel="corp", number=1)]
    assert rows(store) == [(7, "expired")]
    tell(store, corp(told))
    assert heard(told) == []


def test_a_time_that_a_wrong_clock_wrote_delays_nothing(store: Store, told: Path) -> None:
    queue(store, 7)
    store.conn.execute("UPDATE outbox SET not_before = '2099-01-01T00:00:00Z'")
    tell(store, corp(told))
    assert heard(told) == [7]


@pytest.mark.parametrize("sending_at", [iso(NOW - 301), "2099-01-01T00:00:00Z"])
def test_what_was_sending_for_too_long_is_uncertain(
    store: Store, told: Path, sending_at: str
) -> None:
    queue(store, 7)
    store.conn.execute("UPDATE outbox SET state = 'sending', sending_at = ?", [sending_at])
    (lost,) = tell(store, corp(told))
    assert isinstance(lost, events.DeliveryUncertain)
    assert lost.killmail_ids == [7]
    assert tell(store, corp(told)) == []
    assert heard(told) == []


def test_what_another_process_sends_now_is_left_to_it(store: Store, told: Path) -> None:
    queue(store, 7)
    store.conn.execute("UPDATE outbox SET state = 'sending', sending_at = ?", [iso(NOW - 60)])
    assert tell(store, corp(told)) == []
    assert rows(store) == [(7, "sending")]


def test_a_run_that_was_stopped_sends_nothing(store: Store, told: Path) -> None:
    queue(store, 7)
    stopping = threading.Event()
    stopping.set()
    telling.tell(store, Settings(tell=(corp(told),)), lambda event: None, stopping)
    assert rows(store) == [(7, "waiting")]


def test_old_rows_are_deleted_in_small_batches_but_not_what_waits(store: Store, told: Path) -> None:
    queue(store, *range(1, 702))
    long_ago = iso(NOW - 91 * DAY)
    store.conn.execute("UPDATE outbox SET state = 'told', ended_at = ?", [long_ago])
    store.conn.execute("UPDATE outbox SET state = 'sending', ended_at = NULL, sending_at = ?"
        " WHERE killmail_id = 1", [iso(NOW)])  # fmt: skip
    left = []
    for _ in range(3):
        tell(store, corp(told))
        left.append(len(rows(store)))
    assert left == [201, 1, 1]
    assert not outbox.any_to_prune(store.conn, NOW)


def test_what_has_no_answer_in_time_is_ended_before_the_round_is(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "MOST_SECONDS", 6.5)
    pid = tmp_path / "pid"
    hangs = Channel("corp", command=("sh", "-c", f"echo $$ > {pid}; exec sleep 60"))
    queue(store, 7)
    (uncertain, failed) = tell(store, hangs)
    assert isinstance(uncertain, events.DeliveryUncertain)
    assert "was killed" in uncertain.reason
    assert isinstance(failed, events.DeliveryFailed)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_users_that_mean_nobody_are_warned_of_and_once_a_day_of_a_quiet_run(
    store: Store, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = msgspec.structs.replace(corp(told), users=("Zo", "Zoo"))
    queue(store, 7)

    def warnings() -> list[bool]:
        found = [one for one in tell(store, channel) if isinstance(one, events.UsersUnclear)]
        assert [one.words for one in found] == [["Zoo"]]
        return [one.first for one in found]

    assert warnings() == [True]
    assert heard(told) == [7]
    assert warnings() == [False]
    monkeypatch.setattr("time.time", lambda: NOW + DAY)
    assert warnings() == [True]


def test_a_warning_undoes_nothing_that_another_process_has_noted(store: Store) -> None:
    with store.transaction() as conn:
        channels.save(conn, ChannelState("corp", failures=3, failing_since=NOW - DAY, error="gone"))
        failing = channels.get(conn, "corp")
        channels.save(conn, ChannelState("corp", told_at=NOW))
        assert not channels.note_warned(conn, failing, NOW)
        assert channels.get(conn, "corp") == ChannelState("corp", told_at=NOW)
        channels.save(conn, failing)
        assert channels.note_warned(conn, failing, NOW)
        # once for all processes
        assert not channels.note_warned(conn, failing, NOW)
        assert channels.get(conn, "corp") == msgspec.structs.replace(failing, warned_at=NOW)


def test_a_channel_that_is_gone_is_forgotten_with_its_last_row(store: Store, told: Path) -> None:
    queue(store, 7)
    tell(store, corp(told))
    assert channels.known(store.conn) == ["corp"]
    tell(store)
    assert channels.known(store.conn) == ["corp"]
    store.conn.execute("UPDATE outbox SET ended_at = ?", [iso(NOW - 91 * DAY)])
    tell(store)
    assert channels.known(store.conn) == []
