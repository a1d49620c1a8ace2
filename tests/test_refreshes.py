"""How many refreshes go at a time: from one to four, by what SSO answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import Killsync

from killsync.errors import (
    ApplicationError,
    KillsyncError,
    LoginNeeded,
    NotSent,
    RateLimited,
    Refused,
    TokenBusy,
    TooManyAtOnce,
    Unavailable,
)
from killsync.sync.refreshes import (
    BORNE,
    FEWEST,
    MOST,
    URGENT,
    Refreshes,
    after,
    after_refusal,
    after_success,
    room,
)
from killsync.sync.slots import Kind, Request, Slots

Make = Callable[..., Killsync]

AT_A_TIME = st.integers(FEWEST, MOST)
# what a run may see: a success or a refusal
ANSWERS = st.lists(st.sampled_from([None, TooManyAtOnce("500"), RateLimited("429", 0.0)]))


# what is decided


def test_a_run_starts_with_two_at_a_time() -> None:
    assert Refreshes().at_a_time == 2


@pytest.mark.parametrize(("before", "afterwards"), [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_a_refusal_halves_them_and_leaves_one(before: int, afterwards: int) -> None:
    refused = after_refusal(Refreshes(before, succeeded=19))
    assert (refused.at_a_time, refused.succeeded) == (afterwards, 0)


@pytest.mark.parametrize(("before", "afterwards"), [(1, 2), (2, 3), (3, 4), (4, 4)])
def test_the_twentieth_success_adds_one_up_to_four(before: int, afterwards: int) -> None:
    nineteen = Refreshes(before)
    for _ in range(19):
        nineteen = after_success(nineteen)
    assert nineteen.at_a_time == before
    assert after_success(nineteen) == Refreshes(afterwards)


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("SSO says 502"),
        Unavailable("no answer"),
        LoginNeeded("invalid_grant"),
        ApplicationError("invalid_client"),
        Refused("403"),
        TokenBusy("another process"),
        NotSent(),
        KillsyncError("x"),
        ZeroDivisionError("a bug"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}",
)
def test_what_says_nothing_about_load_changes_nothing(error: Exception) -> None:
    before = Refreshes(3, succeeded=7)
    assert after(before, before, error) == before


@pytest.mark.parametrize("error", [TooManyAtOnce("500"), RateLimited("429", 0.0)])
def test_those_that_were_in_flight_when_one_was_refused_do_not_count_again(
    error: Exception,
) -> None:
    sent = Refreshes(4)
    refused = after(sent, sent, error)
    assert after(refused, sent, error) == refused
    assert after(refused, refused, error).at_a_time == 1


def test_successes_that_were_in_flight_at_a_refusal_do_not_count_after_it() -> None:
    sent = Refreshes(4)
    refused = after(sent, sent, TooManyAtOnce("500"))
    assert after(refused, sent, None) == refused
    assert after(refused, refused, None).succeeded == 1


def play(answers: list[Any]) -> list[Refreshes]:
    """Return what holds before and after each answer, if each is sent after the one before."""
    return list(accumulate(answers, lambda now, error: after(now, now, error), initial=Refreshes()))


@given(ANSWERS)
def test_there_are_never_fewer_than_one_or_more_than_four(answers: list[Any]) -> None:
    assert all(FEWEST <= state.at_a_time <= MOST for state in play(answers))


@given(ANSWERS)
def test_twenty_successes_since_the_last_change_are_needed_for_one_more(answers: list[Any]) -> None:
    changed = 0
    for number, (before, now) in enumerate(pairwise(play(answers)), 1):
        if now.at_a_time > before.at_a_time:
            assert now.at_a_time == before.at_a_time + 1
            assert answers[changed:number] == [None] * (number - changed)
            assert number - changed >= 20
        if now.at_a_time != before.at_a_time or answers[number - 1] is not None:
            changed = number


@given(AT_A_TIME, st.lists(st.tuples(st.booleans(), st.booleans())))
def test_a_person_waits_for_nobody_and_sso_never_gets_more_than_it_bears(
    at_a_time: int, moves: list[tuple[bool, bool]]
) -> None:
    busy = {True: 0, False: 0}
    for urgent, starts in moves:
        free = room(at_a_time, sum(busy.values()), busy[True], urgent=urgent)
        assert free >= 0
        if starts and free:
            busy[urgent] += 1
        elif not starts and busy[urgent]:
            busy[urgent] -= 1
        assert sum(busy.values()) <= min(at_a_time + URGENT, BORNE)
        assert busy[False] <= at_a_time
        # one of them at least goes at once
        assert busy[True] or room(at_a_time, sum(busy.values()), 0, urgent=True) >= 1


# which of them can be blamed


@contextmanager
def one_at_a_time(workers: int = 8) -> Iterator[tuple[Slots, Callable[..., None], Event]]:
    """Yield slots after a refusal, what sends a refresh of a character, and what answers all."""
    slots, answers = Slots({Kind.LIST: workers}), Event()

    def refuse() -> None:
        raise TooManyAtOnce("500")

    def send(character_id: int, by: Callable[[], Any] = answers.wait, *, urgent: bool) -> None:
        slots.start(
            Request(
                *(Kind.REFRESH, character_id, urgent),
                failed_before=False,
                send=by,
                answered=lambda answer, now: None,
                failed=lambda error, now: None,
            )
        )

    try:
        send(99, refuse, urgent=False)
        assert len(slots.wait(60)) == 1
        assert slots.free(Kind.REFRESH, urgent=False) == 1
        yield slots, send, answers
    finally:
        answers.set()
        slots.close()


def test_a_refresh_that_nothing_is_beside_is_alone_while_one_may_go() -> None:
    with one_at_a_time() as (slots, send, answers):
        send(1, urgent=False)
        assert slots.is_alone(1)
        answers.set()
        slots.wait(60)
        send(2, urgent=True)
        assert slots.is_alone(2)


def test_what_a_person_waits_for_is_not_alone_beside_another() -> None:
    with one_at_a_time() as (slots, send, _):
        send(1, urgent=False)
        assert slots.free(Kind.REFRESH, urgent=True) == URGENT
        send(2, urgent=True)
        send(3, urgent=True)
        assert not any(map(slots.is_alone, (1, 2, 3)))


def test_a_refresh_is_alone_no_more_once_another_was_beside_it() -> None:
    with one_at_a_time() as (slots, send, _):
        send(1, urgent=False)
        send(2, lambda: None, urgent=True)
        assert [returned.of for returned in slots.wait(60)] == [2]
        assert not slots.is_alone(1)


def test_a_refresh_is_not_alone_while_more_may_go() -> None:
    with one_at_a_time() as (slots, send, _):
        for character_id in range(20):
            send(character_id, lambda: None, urgent=False)
            slots.wait(60)
        send(1, urgent=False)
        assert not slots.is_alone(1)


# what SSO sees


def with_expired_tokens(make: Make, users: int, **options: Any) -> Killsync:
    """Register users who all need a refresh, which takes SSO a tenth of a second."""
    program = make(characters=users, killmails=0, list_tokens=0, access_lifetime=30, **options)
    program.environment["KILLSYNC_WORKERS"] = "8"
    program.simulator.options(access_lifetime=1200, latency_sso=0.1)
    program.simulator.clear_log()
    return program


def refreshes(program: Killsync) -> list[dict[str, Any]]:
    return program.simulator.log("token")


def assert_all_synced(program: Killsync) -> None:
    """All users are synced, and nobody is blamed for anything."""
    never = "SELECT user_id FROM users WHERE last_killmail_sync_at IS NULL"
    assert program.rows(never) == []
    blamed = "failures > 0 OR error IS NOT NULL OR state != 'active' OR not_before IS NOT NULL"
    assert program.rows(f"SELECT user_id, error FROM users WHERE {blamed}") == []


@pytest.mark.long
def test_two_go_at_a_time_at_first_and_more_while_sso_can_bear_it(killsync: Make) -> None:
    program = with_expired_tokens(killsync, 60)
    program.run("scan")
    in_flight = [entry["in_flight"] for entry in refreshes(program)]
    assert len(in_flight) == 60
    assert max(in_flight[:20]) == 2
    assert max(in_flight[:40]) == 3
    assert max(in_flight) == MOST
    assert_all_synced(program)


@pytest.mark.long
@pytest.mark.parametrize(("limit", "rest"), [(1, 0), (3, 0), (3, 1)], ids=str)
def test_where_sso_refuses_fewer_go_and_all_are_synced_in_the_end(
    killsync: Make, limit: int, rest: int
) -> None:
    program = with_expired_tokens(killsync, 60, refresh_limit=limit, refresh_rest=rest)
    program.run("scan")
    entries = refreshes(program)
    refused = [number for number, entry in enumerate(entries) if entry["status"] != 200]
    assert refused
    assert {entries[number]["status"] for number in refused} == {429 if rest else 500}
    assert max(entry["in_flight"] for entry in entries) <= MOST
    for number in refused:
        # but for those that were sent before killsync had seen the refusal
        following = entries[number + MOST : number + 20]
        assert all(entry["in_flight"] <= MOST // 2 for entry in following)
    assert_all_synced(program)


def test_what_was_refused_in_one_run_says_nothing_of_the_next(killsync: Make) -> None:
    program = with_expired_tokens(killsync, 6, refresh_limit=1)
    program.run("scan")
    assert {entry["status"] for entry in refreshes(program)} == {200, 500}
    program.simulator.options(refresh_limit=5)
    program.simulator.clear_log()
    program.make_due()
    program.expire_access()
    program.run("scan")
    assert max(entry["in_flight"] for entry in refreshes(program)) == 2
    assert_all_synced(program)


def test_a_user_whose_refresh_always_fails_keeps_nobody_else_waiting(killsync: Make) -> None:
    program = with_expired_tokens(killsync, 8)
    first = program.simulator.logins[0]["character_id"]
    program.simulator.fault("token", character_id=first, status=500)
    program.run("scan", exit_code=None)
    never = program.rows("SELECT user_id FROM users WHERE last_killmail_sync_at IS NULL")
    assert never == [(first,)]
    # once beside others, and then three times alone
    assert [entry["character_id"] for entry in refreshes(program)].count(first) == 4


def test_an_sso_that_only_fails_is_asked_little_and_blames_nobody(killsync: Make) -> None:
    program = with_expired_tokens(killsync, 12)
    program.simulator.fault("token", status=500)
    program.run("scan", exit_code=75)
    # two at once, and then three users three times each
    assert len(refreshes(program)) == 2 + 3 * 3
    program.simulator.clear_faults()
    program.run("scan")
    assert_all_synced(program)
