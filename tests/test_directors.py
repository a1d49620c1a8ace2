"""Whose token reads a corporation's list next, and what a refusal makes of a director."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killsync.model import Director
from killsync.sync.directors import (
    Ask,
    Wait,
    after_refusal,
    are_all_confirmed,
    choose,
    describe,
    may_be_asked,
    try_again_at,
)
from killsync.times import DAY, HOUR, MINUTE

NOW = 1_800_000_000.0
LONG_AGO = NOW - 400 * DAY
A, B, C = 90000001, 90000002, 90000003
NOBODY_WAITS: Mapping[int, float] = {}


def director(character_id: int = A, **values: Any) -> Director:
    return msgspec.convert(
        {"corporation_id": 98700001, "character_id": character_id, "name": "Boss"} | values,
        Director,
    )


def line(*asked: float | None) -> list[Director]:
    """Return directors of ids A, B, ... who were asked so many seconds ago, None: never."""
    return [
        director(A + n, asked_at=None if ago is None else NOW - ago) for n, ago in enumerate(asked)
    ]


def refused_first(ago: float, **values: Any) -> Director:
    return director(refused_at=NOW - ago, **values)


def confirmed(ago: float, character_id: int = A) -> Director:
    """Return a director who was confirmed as refused so many seconds ago."""
    at = NOW - ago
    return director(
        character_id, asked_at=at, refused_at=at - HOUR, confirmed=True, not_before=at + DAY
    )


# whose turn it is


def test_of_two_asked_within_a_second_the_refused_one_was_asked_before_the_other() -> None:
    other, refused = line(1200, 1200)
    refused = msgspec.structs.replace(refused, refused_at=NOW - 1200)
    assert choose([other, refused], NOW, NOBODY_WAITS) == Ask(refused)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((1.0, 2.0, 3.0), C),
        ((3.0, 2.0, 1.0), A),
        ((3.0, None, 1.0), B),
        ((None, None), A),
        ((5.0, 5.0), A),
        # a wrong clock has written the second: it is asked, and that is corrected
        ((5.0, -366 * DAY), B),
    ],
)
def test_whoever_was_asked_least_recently_is_asked(
    asked: tuple[float | None, ...], expected: int
) -> None:
    chosen = choose(line(*asked), NOW, NOBODY_WAITS)
    assert isinstance(chosen, Ask)
    assert chosen.director.character_id == expected


def test_whose_bucket_is_empty_lets_the_others_go_first() -> None:
    chosen = choose(line(3, 2, 1), NOW, {A: NOW + MINUTE, B: NOW, C: NOW})
    assert isinstance(chosen, Ask)
    assert chosen.director.character_id == B


def test_where_all_buckets_are_empty_the_first_that_fills_is_waited_for() -> None:
    ready_at = {A: NOW + 9, B: NOW + 5, C: NOW + 7}
    assert choose(line(3, 2, 1), NOW, ready_at) == Wait(NOW + 5)


def test_whoever_was_refused_in_this_run_is_not_asked_again() -> None:
    chosen = choose(line(3, 2, 1), NOW, NOBODY_WAITS, refused={A, B})
    assert isinstance(chosen, Ask)
    assert chosen.director.character_id == C
    assert choose(line(3, 2, 1), NOW, NOBODY_WAITS, refused={A, B, C}) is None


def test_where_all_others_were_refused_an_empty_bucket_is_waited_for() -> None:
    assert choose(line(2, 1), NOW, {A: NOW + 5}, refused={B}) == Wait(NOW + 5)


def test_without_directors_there_is_nobody_to_ask() -> None:
    assert choose([], NOW, NOBODY_WAITS, everyone=True) is None


@pytest.mark.parametrize(("ago", "asked"), [(0, False), (DAY - 1, False), (DAY, True)])
def test_one_confirmed_as_refused_is_asked_once_a_day(ago: float, asked: bool) -> None:
    assert may_be_asked(confirmed(ago), NOW) is asked
    assert (choose([confirmed(ago)], NOW, NOBODY_WAITS) is not None) is asked


def test_a_wait_that_only_a_wrong_clock_can_have_written_is_over() -> None:
    ahead = msgspec.structs.replace(confirmed(0), not_before=NOW + 366 * DAY)
    assert may_be_asked(ahead, NOW)


def test_who_may_be_asked_goes_before_those_of_whom_it_is_not_the_day_yet() -> None:
    working = director(B, asked_at=NOW - 1)
    chosen = choose([confirmed(HOUR), working], NOW, NOBODY_WAITS, everyone=True)
    assert isinstance(chosen, Ask)
    assert chosen.director == working
    only = choose([confirmed(HOUR)], NOW, NOBODY_WAITS, everyone=True)
    assert isinstance(only, Ask)


# what a refusal means


@pytest.mark.parametrize(
    ("before", "counts", "is_confirmed"),
    [
        (director(), True, False),
        (refused_first(0), True, False),
        (refused_first(10 * MINUTE - 1), True, False),
        (refused_first(10 * MINUTE), True, True),
        (refused_first(10 * MINUTE), False, False),
        (refused_first(DAY - 1), False, False),
        (refused_first(DAY), False, True),
        # written by a wrong clock: this is the first one
        (refused_first(-1), True, False),
        (refused_first(-366 * DAY), True, False),
        # what is known needs no more evidence
        (confirmed(DAY), False, True),
    ],
    ids=str,
)
def test_two_refusals_ten_minutes_apart_confirm_one_another(
    before: Director, counts: bool, is_confirmed: bool
) -> None:
    after = after_refusal(before, "403", NOW, counts=counts)
    assert after.confirmed is is_confirmed
    assert after.not_before == (NOW + DAY if is_confirmed else None)
    assert after.error == "403"


def test_the_first_refusal_stays_the_first() -> None:
    first = after_refusal(director(), "403", NOW - HOUR, counts=True)
    again = after_refusal(first, "401", NOW, counts=False)
    assert (first.refused_at, again.refused_at) == (NOW - HOUR, NOW - HOUR)


def test_a_first_refusal_in_the_future_becomes_this_one() -> None:
    assert after_refusal(refused_first(-DAY), "403", NOW, counts=True).refused_at == NOW


# all of them


def test_all_are_confirmed_only_if_each_is() -> None:
    assert are_all_confirmed([confirmed(0), confirmed(DAY, B)])
    assert not are_all_confirmed([confirmed(0), director(B)])
    assert not are_all_confirmed([confirmed(0), refused_first(HOUR, character_id=B)])
    assert are_all_confirmed([])


def test_all_are_tried_again_when_the_day_of_the_last_is_over() -> None:
    assert try_again_at([confirmed(HOUR), confirmed(0, B)], NOW) == NOW + DAY
    assert try_again_at([confirmed(3 * HOUR), confirmed(2 * HOUR, B)], NOW) == NOW + 22 * HOUR
    assert try_again_at([], NOW) == NOW + DAY
    ahead = msgspec.structs.replace(confirmed(0), not_before=NOW + 366 * DAY)
    assert try_again_at([ahead], NOW) == NOW + DAY


def test_the_words_name_the_directors_and_why() -> None:
    one = director(name="Boss", error="ESI says 403: no role")
    assert describe([one], "log in") == (
        "its director cannot read its list; log in; Boss: ESI says 403: no role"
    )
    many = [director(A + n, name=f"Boss {n}", error="revoked") for n in range(5)]
    assert describe(many, "log in") == (
        "none of its 5 directors can read its list; log in; Boss 0: revoked; Boss 1: revoked; "
        "Boss 2: revoked; and 2 more"
    )
    assert describe([]) == ("has no director left: log one in with `killsync login --corporation`")


# any history


times = st.none() | st.floats(LONG_AGO, NOW + 400 * DAY)
some_directors = st.lists(
    st.builds(
        director,
        st.integers(A, A + 5),
        asked_at=times,
        refused_at=times,
        confirmed=st.booleans(),
        not_before=times,
    ),
    max_size=5,
    unique_by=lambda one: one.character_id,
)


@given(some_directors, st.dictionaries(st.integers(A, A + 5), st.sampled_from([NOW - 1, NOW + 60])))
def test_somebody_is_asked_if_anybody_may_be(
    some: list[Director], ready_at: dict[int, float]
) -> None:
    may = [one for one in some if may_be_asked(one, NOW)]
    able = [one for one in may if ready_at.get(one.character_id, NOW) <= NOW]
    chosen = choose(some, NOW, ready_at)
    if able:
        assert isinstance(chosen, Ask)
        assert chosen.director in able
    else:
        assert chosen == (Wait(NOW + 60) if may else None)


@given(some_directors, st.lists(st.integers(1, 3600), min_size=12, max_size=12))
def test_each_who_works_is_asked_in_turn(some: list[Director], waits: list[int]) -> None:
    """Whatever a wrong clock has written: nobody is left out for more than one round."""
    now, turns = NOW, []
    working = [msgspec.structs.replace(one, confirmed=False) for one in some]
    for wait in waits:
        chosen = choose(working, now, NOBODY_WAITS)
        if not isinstance(chosen, Ask):
            break
        turns.append(chosen.director.character_id)
        working = [
            msgspec.structs.replace(one, asked_at=now) if one == chosen.director else one
            for one in working
        ]
        now += wait
    number = len(working)
    for start in range(len(turns) - number + 1):
        assert len(set(turns[start : start + number])) == number


@given(
    st.builds(director, asked_at=times, refused_at=times, confirmed=st.just(False)),
    st.booleans(),
)
def test_one_refusal_confirms_nothing_without_an_earlier_one(one: Director, counts: bool) -> None:
    after = after_refusal(one, "403", NOW, counts=counts)
    earlier = one.refused_at is not None and one.refused_at <= NOW - 10 * MINUTE
    assert earlier or not after.confirmed
    assert after.refused_at is not None
    assert after.refused_at <= NOW
    assert after.not_before is None or after.not_before == NOW + DAY
