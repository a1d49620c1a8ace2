"""ESI's buckets against an exact floating window: never a request too many, none too late."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killsync.errors import RateLimited
from killsync.esi.buckets import sso_bucket
from killsync.esi.ratelimit import LIKELY_COST, Bucket, Limits, believed_rest, cost, parse_limit
from killsync.times import DAY, HOUR

NOW = 1_800_000_000
GAP, BACKGROUND, MANUAL = 2, 3, 5
NO_HEADERS: Mapping[str, str] = {}


@dataclass
class ExactWindow:
    """The server's own count: what was spent comes back one window later, to the second."""

    limit: int
    window: int
    spent: list[tuple[int, int]] = field(default_factory=list)

    def remaining(self, now: int) -> int:
        return self.limit - sum(n for then, n in self.spent if now - self.window < then <= now)

    def spend(self, now: int, tokens: int) -> None:
        self.spent.append((now, tokens))


windows = st.sampled_from([60, 240, 900, 3600])
pauses = st.integers(0, 200)


def bucket(limit: int = 30, window: float = 900.0, key: str = "7") -> Bucket:
    return Bucket("char-killmail", key, limit, window)


def spent(*amounts: int, limit: int = 30) -> Bucket:
    """Return a bucket from which these were spent, a minute apart, the last one now."""
    full = bucket(limit)
    for minutes, tokens in zip(range(len(amounts) - 1, -1, -1), amounts, strict=True):
        full.spend(NOW - 60 * minutes, tokens)
    return full


# the window


@given(
    limit=st.integers(5, 60),
    window=windows,
    steps=st.lists(st.tuples(pauses, st.integers(1, 5)), max_size=60),
)
def test_nothing_is_allowed_that_an_exact_window_refuses(
    limit: int, window: int, steps: list[tuple[int, int]]
) -> None:
    ours, exact, now = bucket(limit, window), ExactWindow(limit, window), NOW
    for pause, tokens in steps:
        now += pause
        assert ours.remaining(now) <= exact.remaining(now)
        if ours.ready_at(now, tokens, 0.0) <= now:
            assert exact.remaining(now) >= tokens
            ours.spend(now, tokens)
            exact.spend(now, tokens)


@given(window=windows, amounts=st.lists(st.tuples(pauses, st.integers(1, 5)), min_size=1))
def test_tokens_are_back_a_sixtieth_of_the_window_late_at_most(
    window: int, amounts: list[tuple[int, int]]
) -> None:
    ours, exact, now = bucket(1000, window), ExactWindow(1000, window), NOW
    for pause, tokens in amounts:
        now += pause
        ours.spend(now, tokens)
        exact.spend(now, tokens)
    for later in range(now, now + window + window // 60 + 1, window // 60):
        assert ours.remaining(later + window // 60) >= exact.remaining(later)


@given(
    limit=st.integers(5, 60),
    reserve=st.floats(0, 0.9),
    steps=st.lists(st.tuples(pauses, st.integers(1, 5)), max_size=40),
    tokens=st.integers(1, 5),
)
def test_what_is_not_allowed_now_is_allowed_when_it_says(
    limit: int, reserve: float, steps: list[tuple[int, int]], tokens: int
) -> None:
    ours, now = bucket(limit), float(NOW)
    for pause, amount in steps:
        now += pause
        ours.spend(now, amount)
    at = ours.ready_at(now, tokens, reserve)
    assert now <= at <= now + 900 + 15
    assert ours.ready_at(at, tokens, reserve) == at


def test_many_requests_are_remembered_in_few_entries() -> None:
    ours = bucket(3600)
    for second in range(1800):
        ours.spend(NOW + second, 2)
    ours.remaining(NOW + 1800)
    assert len(ours.spent) <= 61


def test_tokens_taken_back_are_the_newest() -> None:
    ours = spent(4, 5)
    ours.spend(NOW, -6)
    assert ours.remaining(NOW) == 27
    assert ours.remaining(NOW + 900 - 60 + 15) == 30


def test_more_taken_back_than_was_spent_leaves_a_full_bucket() -> None:
    ours = spent(4)
    ours.spend(NOW, -100)
    assert ours.remaining(NOW) == 30


# the reserve


@given(
    reserve=st.floats(0, 0.9),
    steps=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=60),
)
def test_background_work_never_goes_below_the_reserve(
    reserve: float, steps: list[tuple[int, int]]
) -> None:
    ours, now = bucket(100), NOW
    for pause, tokens in steps:
        now += pause
        if ours.ready_at(now, tokens, reserve) <= now:
            ours.spend(now, tokens)
            assert ours.remaining(now) >= reserve * 100


def test_the_reserve_is_left_to_manual_work() -> None:
    limits = Limits(reserve=0.2)
    limits.add([spent(24)])
    assert limits.ready_at(bucket(), BACKGROUND, NOW) > NOW
    assert limits.ready_at(bucket(), MANUAL, NOW) == NOW


def test_history_leaves_a_further_share_for_what_is_new() -> None:
    limits = Limits(reserve=0.2)
    limits.add([spent(22)])
    assert limits.ready_at(bucket(), GAP, NOW) > NOW
    assert limits.ready_at(bucket(), BACKGROUND, NOW) == NOW


@pytest.mark.parametrize("reserve", [0.2, 0.9])
def test_a_reserve_never_stops_background_work_for_ever(reserve: float) -> None:
    tiny = Bucket("tiny", "", 2, 60.0)
    assert tiny.ready_at(NOW, 2, reserve) == NOW


# rests, and clocks that were wrong


def test_a_bucket_rests_as_long_as_it_was_asked_to() -> None:
    ours = bucket()
    ours.rest(NOW, 100)
    assert ours.ready_at(NOW, 2, 0.0) == NOW + 100
    assert ours.ready_at(NOW + 100, 2, 0.0) == NOW + 100


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    ours = bucket()
    ours.rest(NOW, 100)
    ours.rest(NOW, 10)
    assert ours.ready_at(NOW, 2, 0.0) == NOW + 100


def test_a_stored_rest_further_ahead_than_six_hours_is_a_wrong_clocks() -> None:
    assert Bucket("g", "k", 30, 900.0, [], NOW + 6 * HOUR).ready_at(NOW, 2, 0.0) == NOW + 6 * HOUR
    assert Bucket("g", "k", 30, 900.0, [], NOW + 6 * HOUR + 1).ready_at(NOW, 2, 0.0) == NOW


# what cannot be believed


def test_a_rest_of_an_hour_or_less_is_believed() -> None:
    assert [believed_rest(seconds, 9) for seconds in (0, 1, 900, HOUR)] == [0, 1, 900, HOUR]


def test_a_longer_rest_counts_as_an_hour_and_doubles_up_to_six() -> None:
    hours = [believed_rest(99_999_999, rests) / HOUR for rests in range(6)]
    assert hours == [1, 2, 4, 6, 6, 6]
    assert believed_rest(2 * HOUR, 5) == 2 * HOUR


def test_a_long_rest_that_is_asked_for_again_after_it_doubles() -> None:
    ours, now = bucket(), float(NOW)
    for hours in (1, 2, 4, 6, 6):
        assert ours.rest(now, 99_999_999) == now + hours * HOUR
        now += hours * HOUR


def test_several_answers_of_the_same_moment_are_one_rest() -> None:
    ours = bucket()
    for _ in range(8):
        assert ours.rest(NOW, 99_999_999) == NOW + HOUR


def test_after_a_long_rest_one_request_at_a_time_asks_again() -> None:
    limits = Limits(reserve=0.0)
    limits.rest(bucket(), NOW, 99_999_999)
    later = NOW + HOUR
    limits.book(bucket(), MANUAL, later)
    with pytest.raises(RateLimited):
        limits.book(bucket(), MANUAL, later)
    limits.settle(bucket(), later, 200, {})
    limits.answered(bucket(), later)
    for _ in range(2):
        limits.book(bucket(), MANUAL, later)


def test_an_answer_of_ssos_says_nothing_of_esis_limit_on_errors() -> None:
    limits = Limits(reserve=0.0)
    limits.rest_all(NOW, 99_999_999)
    limits.rest(sso_bucket(), NOW, 99_999_999)
    limits.answered(sso_bucket(), NOW + HOUR)
    rests = {b.group: b.long_rests for b in limits.take_changed()}
    assert rests == {"error-limit": 1, "sso": 0}


def test_after_a_long_rest_of_everything_one_request_at_a_time_asks_again() -> None:
    limits = Limits(reserve=0.0)
    limits.rest_all(NOW, 99_999_999)
    later = NOW + HOUR
    limits.book(bucket(key="7"), MANUAL, later)
    with pytest.raises(RateLimited):
        limits.book(bucket(key="8"), MANUAL, later)
    limits.settle(bucket(key="7"), later, 200, {})
    limits.answered(bucket(key="7"), later)
    limits.book(bucket(key="8"), MANUAL, later)


@pytest.mark.parametrize(
    ("header", "limit", "window"),
    [
        ("1/7d", 3, HOUR),
        ("2/15m", 3, 900.0),
        ("3/1h", 3, HOUR),
        ("60/2h", 60, HOUR),
        ("30/300d", 30, HOUR),
        ("1/1s", 3, 1.0),
    ],
)
def test_a_limit_far_from_the_documented_is_believed_within_reason(
    header: str, limit: int, window: float
) -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 200, X_Ratelimit_Limit=header)
    [learnt] = limits.take_changed()
    assert (learnt.limit, learnt.window) == (limit, window)


def test_a_limit_that_was_stored_is_believed_within_reason_too() -> None:
    limits = Limits(reserve=0.0)
    limits.add([Bucket("char-killmail", "7", 1, 7 * DAY, [(NOW, 1)])])
    assert limits.ready_at(bucket(), MANUAL, NOW + HOUR) == NOW + HOUR


def test_spending_further_ahead_than_a_window_is_a_wrong_clocks() -> None:
    assert Bucket("g", "k", 30, 900.0, [(NOW + 1000.0, 30)]).remaining(NOW) == 30


def test_a_clock_that_is_set_back_frees_nothing() -> None:
    ours = bucket()
    ours.spend(NOW, 10)
    ours.spend(NOW - 300, 10)
    assert ours.remaining(NOW - 300) == 10
    assert ours.remaining(NOW) == 10


# what answers cost, and what they say


COSTS = {2: [200, 204], 1: [301, 304], 5: [400, 404, 420, 422], 0: [429, 500, 502, 503, 520]}


@pytest.mark.parametrize(
    ("status", "tokens"), [(status, tokens) for tokens, all_ in COSTS.items() for status in all_]
)
def test_an_answer_costs_by_its_status(status: int, tokens: int) -> None:
    assert cost(status) == tokens


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("30/15m", (30, 900.0)),
        ("3600/15m", (3600, 900.0)),
        ("10/20s", (10, 20.0)),
        ("600/1h", (600, 3600.0)),
        ("5/2d", (5, 172800.0)),
        (" 30/15m ", (30, 900.0)),
    ],
)
def test_a_limit_is_read_with_the_unit_that_the_header_names(
    text: str, limit: tuple[int, float]
) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", [None, "", "30", "30/15", "30/15w", "/15m", "0/15m", "30/0m", "-3/15m", "30/15m;x"]
)
def test_what_is_no_limit_is_ignored(text: str | None) -> None:
    assert parse_limit(text) is None


# all buckets of a run


def send(limits: Limits, now: float, status: int | None, **headers: str) -> None:
    limits.book(bucket(), MANUAL, now)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    limits.settle(bucket(), now, status, named)


def left(limits: Limits, now: float = NOW) -> int:
    changed = limits.take_changed()
    return changed[0].remaining(now)


@given(steps=st.lists(st.tuples(pauses, st.sampled_from([200, 304, 404, 502, None])), max_size=80))
def test_no_request_is_booked_that_the_server_refuses(
    steps: list[tuple[int, int | None]],
) -> None:
    limits, server, now = Limits(reserve=0.2), ExactWindow(30, 900), NOW
    for pause, status in steps:
        now += pause
        try:
            limits.book(bucket(), BACKGROUND, now)
        except RateLimited:
            continue
        assert server.remaining(now) >= LIKELY_COST
        server.spend(now, LIKELY_COST if status is None else cost(status))
        limits.settle(bucket(), now, status, NO_HEADERS)


def test_requests_in_flight_are_counted_before_they_are_answered() -> None:
    limits = Limits(reserve=0.0)
    for _ in range(15):
        limits.book(bucket(), BACKGROUND, NOW)
    with pytest.raises(RateLimited):
        limits.book(bucket(), MANUAL, NOW)


def test_an_answer_that_cost_less_than_was_booked_gives_the_rest_back() -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 304)
    assert left(limits) == 29


def test_an_answer_that_was_lost_costs_what_was_booked() -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, None)
    assert left(limits) == 30 - LIKELY_COST


def test_what_somebody_else_spent_counts() -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 200, X_Ratelimit_Remaining="11")
    assert left(limits) == 11


def test_what_esi_has_forgotten_already_does_not_count_as_new() -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 200, X_Ratelimit_Remaining="30")
    assert left(limits) == 28


def test_requests_in_flight_are_not_mistaken_for_somebody_elses() -> None:
    limits = Limits(reserve=0.0)
    limits.book(bucket(), MANUAL, NOW)
    send(limits, NOW, 200, X_Ratelimit_Remaining="26")
    assert left(limits) == 28


def test_the_limit_that_esi_names_is_obeyed() -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 200, X_Ratelimit_Limit="4/10s")
    send(limits, NOW, 200)
    assert limits.ready_at(bucket(), MANUAL, NOW) == pytest.approx(NOW + 10, abs=1)


@pytest.mark.parametrize("remaining", ["", "-1", "many"])
def test_a_remaining_that_is_no_number_is_ignored(remaining: str) -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 200, X_Ratelimit_Remaining=remaining)
    assert left(limits) == 28


def test_a_refusal_says_which_limit_and_until_when() -> None:
    limits = Limits(reserve=0.2)
    limits.rest(bucket(), NOW, 60)
    with pytest.raises(RateLimited, match=r"char-killmail of 7.*2027-01-15T08:01:00Z") as refused:
        limits.book(bucket(), MANUAL, NOW)
    assert refused.value.until == NOW + 60


def test_a_resting_bucket_does_not_stop_the_others() -> None:
    limits = Limits(reserve=0.2)
    limits.rest(bucket(key="7"), NOW, 60)
    assert limits.ready_at(bucket(key="8"), BACKGROUND, NOW) == NOW


def test_a_used_up_error_limit_stops_every_bucket() -> None:
    limits = Limits(reserve=0.2)
    limits.rest_all(NOW, 60)
    assert limits.ready_at(bucket(key="7"), MANUAL, NOW) == NOW + 60
    assert limits.ready_at(bucket(key="8"), BACKGROUND, NOW) == NOW + 60


def test_what_an_earlier_run_spent_counts() -> None:
    limits = Limits(reserve=0.0)
    limits.add([spent(30)])
    assert limits.ready_at(bucket(), MANUAL, NOW) > NOW


def test_what_an_earlier_run_spent_does_not_hide_what_this_one_did() -> None:
    limits = Limits(reserve=0.0)
    for _ in range(15):
        send(limits, NOW, 200)
    limits.add([bucket()])
    assert limits.ready_at(bucket(), MANUAL, NOW) > NOW


def test_only_buckets_that_changed_are_stored_again() -> None:
    limits = Limits(reserve=0.0)
    limits.add([bucket(key="8")])
    send(limits, NOW, 200)
    assert [(b.key, b.remaining(NOW)) for b in limits.take_changed()] == [("7", 28)]
    assert limits.take_changed() == []


def test_a_bucket_taken_to_be_stored_does_not_change_any_more() -> None:
    limits = Limits(reserve=0.0)
    send(limits, NOW, 200)
    taken = limits.take_changed()[0]
    send(limits, NOW, 200)
    assert taken.remaining(NOW) == 28
