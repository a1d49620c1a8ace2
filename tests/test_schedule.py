"""Who is due and how long a rest lasts; times are unix seconds."""

import pytest
from rows import NOW
from rows import some_user as user

from killsync.model import Cursor, Refusal, User, UserState
from killsync.sync import schedule
from killsync.sync.schedule import Waits
from killsync.times import DAY, HOUR, MINUTE

MIN_AGE = 15 * MINUTE
WEEK = 7 * DAY
A_GAP = Cursor(9, page=2)


def due(who: User, *, force: bool = False) -> bool:
    return schedule.is_due(who, NOW, MIN_AGE, force=force)


# due


def test_a_user_never_synced_is_due() -> None:
    assert due(user(last_sync_at=None))


@pytest.mark.parametrize(("age", "expected"), [(899, False), (900, True), (901, True)])
def test_a_user_is_due_when_the_last_sync_is_15_minutes_old(age: float, expected: bool) -> None:
    assert due(user(last_sync_at=NOW - age)) is expected


def test_a_disabled_user_is_never_due() -> None:
    who = user(state=UserState.DISABLED)
    assert not due(who, force=True)
    assert schedule.next_due_at(who, NOW, MIN_AGE) is None


def test_one_who_needs_a_login_is_due_when_the_token_is_to_be_tried_once_more() -> None:
    waits = user(state=UserState.NEEDS_LOGIN, not_before=NOW + 1)
    assert not due(waits, force=True)
    assert schedule.next_due_at(waits, NOW, MIN_AGE) == NOW + 1
    assert due(user(state=UserState.NEEDS_LOGIN, not_before=NOW))
    assert not due(user(state=UserState.NEEDS_LOGIN))


def test_one_who_needs_a_login_is_due_at_once_for_another_client_id() -> None:
    who = user(state=UserState.NEEDS_LOGIN, refusal=Refusal(NOW, "f" * 16, "app"))
    assert schedule.is_due(who, NOW, MIN_AGE, client_id="another app")
    assert not schedule.is_due(who, NOW, MIN_AGE, client_id="app")


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (user(last_sync_at=NOW - 1), Waits.SYNCED),
        (user(last_sync_at=NOW - 1, cached_until=NOW + 1), Waits.CACHED),
        (user(failures=1, not_before=NOW + 1), Waits.FAILED),
        (user(cursor=A_GAP, not_before=NOW + 1), Waits.LIMITED),
        (user(state=UserState.NEEDS_LOGIN), Waits.LOGIN),
        (user(state=UserState.DISABLED), Waits.DISABLED),
        (user(), None),
    ],
)
def test_why_a_user_is_not_due(who: User, why: Waits | None) -> None:
    assert schedule.why_not_due(who, NOW, MIN_AGE) is why


def test_a_user_with_an_open_gap_is_due_whatever_the_last_sync() -> None:
    assert due(user(cursor=A_GAP, last_sync_at=NOW, cached_until=NOW + 300))


def test_a_user_who_rests_is_not_due() -> None:
    assert not due(user(not_before=NOW + 1), force=True)
    assert not due(user(not_before=NOW + 1, cursor=A_GAP))
    assert due(user(not_before=NOW))


def test_a_user_whose_list_is_cached_is_not_due() -> None:
    assert not due(user(cached_until=NOW + 1))
    assert due(user(cached_until=NOW))


def test_force_ignores_the_minimum_age() -> None:
    assert due(user(last_sync_at=NOW - 1), force=True)


def test_force_does_not_ignore_the_cache_time() -> None:
    assert not due(user(last_sync_at=NOW - 1, cached_until=NOW + 1), force=True)


# next due


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (user(last_sync_at=None), NOW),
        (user(last_sync_at=NOW - 300), NOW + 600),
        (user(last_sync_at=NOW, cached_until=NOW + 1200), NOW + 1200),
        (user(last_sync_at=NOW, cached_until=NOW + 300), NOW + 900),
        (user(last_sync_at=NOW, not_before=NOW + HOUR), NOW + HOUR),
        (user(last_sync_at=NOW, cursor=A_GAP), NOW),
        (user(last_sync_at=NOW, cursor=A_GAP, not_before=NOW + 60), NOW + 60),
    ],
    ids=["never", "age", "cache", "age after cache", "rest", "gap", "resting gap"],
)
def test_next_due_is_the_first_moment_at_which_the_user_is_due(who: User, expected: float) -> None:
    assert schedule.next_due_at(who, NOW, MIN_AGE) == expected
    assert schedule.is_due(who, expected, MIN_AGE)
    assert expected == NOW or not schedule.is_due(who, expected - 1, MIN_AGE)


# a clock that was wrong


@pytest.mark.parametrize(
    "wrong",
    [
        {"last_sync_at": NOW + 1},
        {"last_sync_at": NOW + 10 * DAY},
        {"cached_until": NOW + HOUR + 1},
        {"not_before": NOW + DAY + 1},
    ],
    ids=["last sync", "last sync by far", "cache time", "rest"],
)
def test_a_time_further_ahead_than_is_legal_counts_as_passed(wrong: dict[str, float]) -> None:
    assert due(user(**wrong))


@pytest.mark.parametrize(
    "legal", [{"cached_until": NOW + HOUR}, {"not_before": NOW + DAY}], ids=["cache time", "rest"]
)
def test_the_longest_legal_time_is_waited_for(legal: dict[str, float]) -> None:
    assert not due(user(**legal))


def test_a_page_of_a_gap_is_cached_until_its_time_is_over() -> None:
    assert schedule.gap_cached(user(gap_cached_until=NOW + 1), NOW)
    assert not schedule.gap_cached(user(gap_cached_until=NOW), NOW)
    assert not schedule.gap_cached(user(gap_cached_until=None), NOW)


def test_a_page_of_a_gap_is_not_cached_by_a_wrong_clock() -> None:
    assert not schedule.gap_cached(user(gap_cached_until=NOW + HOUR + 1), NOW)


# the whole list once in a while


@pytest.mark.parametrize(
    ("last_full_at", "expected"),
    [(None, True), (NOW - WEEK + 1, False), (NOW - WEEK, True), (NOW, False), (NOW + 1, True)],
    ids=["never", "younger", "a week", "now", "wrong clock"],
)
def test_a_full_pass_is_due_every_seven_days(last_full_at: float | None, expected: bool) -> None:
    assert schedule.full_is_due(user(last_full_at=last_full_at), NOW, WEEK) is expected


def test_a_list_with_entries_that_were_no_references_is_read_again_after_a_day() -> None:
    assert schedule.full_is_due(user(last_full_at=NOW - DAY, skipped=1), NOW, WEEK)
    assert not schedule.full_is_due(user(last_full_at=NOW - DAY + 1, skipped=1), NOW, WEEK)


def test_no_full_pass_is_due_while_a_gap_is_open() -> None:
    assert not schedule.full_is_due(user(cursor=A_GAP), NOW, WEEK)


def test_a_first_sync_needs_no_full_pass() -> None:
    assert not schedule.full_is_due(user(cursor=Cursor()), NOW, WEEK)


# backing off


def test_a_users_failures_back_off_from_min_age_doubling_to_six_hours() -> None:
    waits = [schedule.user_backoff(MIN_AGE, failures) / MINUTE for failures in range(1, 8)]
    assert waits == [15, 30, 60, 120, 240, 360, 360]


def test_a_body_backs_off_doubling_to_six_hours() -> None:
    waits = [schedule.body_backoff(attempts) / MINUTE for attempts in range(1, 10)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 360, 360]


@pytest.mark.parametrize("failures", [1_000, 10**6])
def test_a_backoff_never_exceeds_six_hours(failures: int) -> None:
    assert schedule.user_backoff(MIN_AGE, failures) == 6 * HOUR
    assert schedule.body_backoff(failures) == 6 * HOUR


def test_a_min_age_of_nothing_still_backs_off() -> None:
    assert schedule.user_backoff(0, 1) == MINUTE


@pytest.mark.parametrize(
    ("workers", "done", "left", "needed"),
    [(1, 10, 10, 2), (1, 10, 1, 2), (2, 10, 30, 8), (1, 0, 5, 5)],
)
def test_workers_needed_would_have_done_all_users_in_the_same_time(
    workers: int, done: int, left: int, needed: int
) -> None:
    assert schedule.workers_needed(workers, done, left) == needed
