"""How long a failing channel rests, and which troubles are told: tables and properties."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import stored
from hypothesis import given
from hypothesis import strategies as st

from killsync.outbox import resting, troubles
from killsync.outbox.notes import TroubleKind
from killsync.outbox.troubles import Current, Evidence
from killsync.settings.config import Settings
from killsync.store import facts
from killsync.store.channels import ChannelState
from killsync.store.outbox import OutboxState
from killsync.store.troubles import NOBODY, OpenTrouble

NOW = 1_800_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SINCE = "2027-01-14T08:00:00Z"


# rests


@pytest.mark.parametrize(
    ("failures", "retry_after", "seconds"),
    [
        (1, None, MINUTE),
        (2, None, 2 * MINUTE),
        (8, None, 128 * MINUTE),
        (12, None, DAY),
        (10_000, None, DAY),
        (1, 2.5, 2.5),
        (1, 0.0, 1.0),
        (1, 30 * DAY, HOUR),
        (3, 2.5, 4 * MINUTE),
        (3, 600.0, 600.0),
    ],
)
def test_a_channel_rests_longer_each_time(
    failures: int, retry_after: float | None, seconds: float
) -> None:
    assert resting.rest(failures, retry_after) == seconds


def failing(since: float, failures: int = 3, warned_at: float | None = None) -> ChannelState:
    return ChannelState("c", failures=failures, failing_since=since, warned_at=warned_at)


def test_a_success_forgets_all_failures() -> None:
    state = resting.after_failure(ChannelState("c"), "gone", None, NOW)
    assert resting.is_resting(state, NOW + MINUTE - 1)
    assert not resting.is_resting(state, NOW + MINUTE)
    # the clock was wrong when that was written: no first failure brings so long a rest
    assert not resting.is_resting(state, NOW - DAY / 2)
    assert resting.after_success(state, NOW) == ChannelState("c", told_at=NOW)


def test_a_rest_that_a_wrong_clock_wrote_is_over() -> None:
    assert not resting.is_resting(ChannelState("c", not_before=NOW + 2 * DAY), NOW)


@pytest.mark.parametrize(
    ("state", "gives_up"),
    [
        (ChannelState("c"), False),
        (failing(NOW - DAY), True),
        (failing(NOW - DAY + 1), False),
        # one answer, however long ago, is no proof
        (failing(NOW - 9 * DAY, failures=1), False),
    ],
)
def test_what_waits_is_given_up_when_the_channel_has_failed_for_a_day(
    state: ChannelState, gives_up: bool
) -> None:
    assert resting.gives_up(state, NOW) is gives_up


@pytest.mark.parametrize(
    ("state", "news"),
    [
        (ChannelState("c"), False),
        (failing(NOW - 2 * HOUR), False),
        (failing(NOW - 3 * HOUR), True),
        (failing(NOW - 9 * HOUR, warned_at=NOW - HOUR), False),
        (failing(NOW - 2 * DAY, warned_at=NOW - DAY), True),
        (failing(NOW - 9 * HOUR, warned_at=NOW + HOUR), True),
    ],
)
def test_a_quiet_run_warns_of_a_failing_channel_once_a_day(state: ChannelState, news: bool) -> None:
    assert resting.is_news(state, 3 * HOUR, NOW) is news


# troubles


def login(user_id: int) -> Current:
    return Current(TroubleKind.NEEDS_LOGIN, user_id, f"User {user_id}", "log in", SINCE)


def opened(of: Current, state: OutboxState = OutboxState.TOLD) -> OpenTrouble:
    return OpenTrouble(of.what.value, of.user_id, of.name, of.since, of.user_id + 1, state, SINCE)


UNSYNCED = Current(TroubleKind.UNSYNCED, NOBODY, None, "nothing has succeeded", SINCE)
ALL = [UNSYNCED, *map(login, range(1, 8))]
ALL_PASSES = Evidence(frozenset((one.what.value, one.user_id) for one in ALL), False)


def told(still_open: list[OpenTrouble], there: list[Current]) -> list[tuple[str, bool, int]]:
    """Return what is told: kind, whether it is over, of how many."""
    messages = troubles.decide(still_open, there, ALL_PASSES, NOW).announcements
    return [(message.note.what.value, message.note.over, len(message.of)) for message in messages]


def test_each_is_told_when_it_begins_and_when_it_is_over() -> None:
    assert told([], [UNSYNCED, login(1)]) == [("unsynced", False, 1), ("needs_login", False, 1)]
    assert told([opened(UNSYNCED), opened(login(1))], [login(1)]) == [("unsynced", True, 1)]
    assert told([opened(UNSYNCED)], [UNSYNCED]) == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "Ada needs a new login: it was refused; run `killsync login`"),
        ("invalid_grant", "Ada needs a new login: invalid_grant; run `killsync login`"),
        (
            "refused; `killsync login` renews it",
            "Ada needs a new login: refused; `killsync login` renews it",
        ),
        (
            "has no director left: log one in with `killsync login --corporation`",
            "Ada needs a new login: has no director left: log one in with "
            "`killsync login --corporation`",
        ),
    ],
)
def test_what_to_do_about_a_login_is_said_once(error: str | None, text: str) -> None:
    assert troubles.login_needed("Ada", error) == text


def test_many_logins_are_one_note_that_names_the_number() -> None:
    many = [login(user_id) for user_id in range(1, 8)]
    (message,) = troubles.decide([], many, ALL_PASSES, NOW).announcements
    assert message.note.user is None
    assert message.note.text.startswith("7 users need a new login: User 1, ")
    assert "and 2 more" in message.note.text
    (message,) = troubles.decide([opened(one) for one in many], [], ALL_PASSES, NOW).announcements
    assert message.note.text.startswith("7 users no longer need a new login")


@pytest.mark.parametrize(
    ("state", "ends"),
    [
        (OutboxState.TOLD, [("unsynced", True, 1)]),
        (OutboxState.UNCERTAIN, [("unsynced", True, 1)]),
        (OutboxState.WAITING, []),
        (OutboxState.EXPIRED, []),
        # not known yet
        (OutboxState.SENDING, []),
    ],
)
def test_only_the_end_of_what_was_told_is_told(
    state: OutboxState, ends: list[tuple[str, bool, int]]
) -> None:
    assert told([opened(UNSYNCED, state)], []) == ends


@pytest.mark.parametrize(
    ("what", "name", "needs_login", "ends"),
    [
        ("unsynced", None, [], "everybody is synced again"),
        ("unsynced", None, ["Ada"], "everybody whose login works is synced again"),
        ("unsynced", "Bo", ["Ada"], "everybody whose login works is synced again"),
        ("unsynced", None, ["Ada", "Bo"], None),
        ("unsynced", "Ada", ["Ada"], None),
        ("unsynced", "Somebody removed", [], None),
        ("unfetched", None, [], None),
    ],
)
def test_no_end_is_told_of_a_trouble_that_another_has_followed(
    tmp_path: Path, what: str, name: str | None, needs_login: list[str], ends: str | None
) -> None:
    known = OpenTrouble(what, NOBODY, name, SINCE, 1, OutboxState.TOLD, SINCE)
    with stored.database(tmp_path / "killsync.db", {1: "Ada", 2: "Bo"}) as store:
        with store.transaction() as conn:
            # what could not be fetched was set aside
            facts.set_bodies_fail_since(conn, NOW - DAY)
            for one in needs_login:
                conn.execute("UPDATE users SET state = 'needs_login' WHERE name = ?", [one])
        there = troubles.current(store, Settings(), NOW)
        decision = troubles.decide([known], [], troubles.evidence(store, [known], there), NOW)
    assert decision.closed == [known]
    assert [message.note.text.partition(",")[0] for message in decision.announcements] == (
        [] if ends is None else [ends]
    )


def test_a_trouble_that_has_grown_much_is_told_once_more() -> None:
    grown = msgspec.structs.replace(UNSYNCED, grew_at="2027-01-14T09:00:00Z")
    waits = opened(UNSYNCED, OutboxState.WAITING)
    decision = troubles.decide([waits], [grown], ALL_PASSES, NOW)
    assert [message.of for message in decision.announcements] == [[grown]]
    assert decision.closed == decision.unsent == [waits]
    known = msgspec.structs.replace(opened(UNSYNCED), queued_at="2027-01-14T09:00:00Z")
    assert told([known], [grown]) == []


def test_what_was_given_up_is_told_if_it_is_still_there() -> None:
    assert told([opened(UNSYNCED, OutboxState.EXPIRED)], [UNSYNCED]) == [("unsynced", False, 1)]


@given(st.lists(st.lists(st.sampled_from(ALL), unique=True)), st.data())
def test_each_end_follows_its_beginning(steps: list[list[Current]], data: st.DataObject) -> None:
    known: dict[tuple[str, int], OpenTrouble] = {}
    heard: dict[tuple[str, int], bool] = {}
    for there in [*steps, []]:
        decision = troubles.decide(list(known.values()), there, ALL_PASSES, NOW)
        for one in decision.closed:
            del known[one.what, one.user_id]
        for key, over in _of(decision):
            state = data.draw(st.sampled_from(list(OutboxState)))
            if over:
                assert heard.pop(key), "an end without a beginning"
            elif state in (OutboxState.TOLD, OutboxState.UNCERTAIN):
                heard[key] = True
            if not over:
                known[key] = OpenTrouble(key[0], key[1], "User", SINCE, 1, state, SINCE)
    assert not [one for one in known.values() if one.state is not OutboxState.SENDING]
    assert not heard


def _of(decision: troubles.Decision) -> Iterator[tuple[tuple[str, int], bool]]:
    for message in decision.announcements:
        for one in message.of:
            yield (one.what.value, one.user_id), message.note.over
