"""Which archives a lake reads, and the numbers of their killmails: pure decisions."""

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from killsync.archive.tar import MOST_MEMBERS
from killsync.lake.spark_plan import (
    FoundArchive,
    PlannedArchive,
    Version,
    largest_first,
    last_seq,
    month_number,
    number_of,
    partitions,
    plan,
)

DAYS = st.dates(date(2007, 12, 5), date(2027, 1, 1))
FOUND = st.builds(
    FoundArchive, DAYS, st.just(""), st.sampled_from("abc"), st.integers(0, 99), st.text("12")
)


def found(*days: str, version: str = "1") -> list[FoundArchive]:
    return [FoundArchive(date.fromisoformat(day), "", day, 1, version) for day in days]


def sequences(archives: Iterable[PlannedArchive]) -> list[range]:
    return [range(one.first_seq, one.first_seq + MOST_MEMBERS) for one in archives]


def test_an_archive_has_the_number_of_its_day() -> None:
    (first, second) = plan(found("1970-01-03", "1970-01-02"), (), 0)
    assert (first.day, first.first_seq) == ("1970-01-02", 1_000_000)
    assert (second.day, second.first_seq) == ("1970-01-03", 2_000_000)
    assert second.stored_at == "1970-01-03T00:00:00Z"


def test_an_archive_that_was_read_is_not_read_again_unless_it_has_changed() -> None:
    read = {Version("2016-02-01", "1"), Version("2016-02-02", "1")}
    again = found("2016-02-01") + found("2016-02-02", version="2")
    (changed,) = plan(again, read, 0)
    assert (changed.day, changed.version) == ("2016-02-02", "2")


@given(st.lists(st.lists(FOUND, min_size=1, max_size=5), min_size=1, max_size=4))
def test_no_number_is_used_twice_and_each_call_goes_on_behind_the_last(
    calls: list[list[FoundArchive]],
) -> None:
    """Whatever is read when: old days late, a day again that has changed, two archives of a day."""
    last, taken = 0, []
    for archives in calls:
        planned = plan(archives, (), last)
        assert all(numbers.start > last for numbers in sequences(planned))
        taken += sequences(planned)
        last = last_seq(planned)
    assert all(one.stop <= other.start for one, other in pairwise(taken))
    assert [number_of(numbers[-1]) for numbers in taken] == [
        number_of(numbers[0]) for numbers in taken
    ]


@given(st.lists(FOUND, min_size=1, max_size=9))
def test_the_largest_archives_are_read_first_and_none_is_left_out(
    archives: list[FoundArchive],
) -> None:
    planned = plan(archives, (), 0)
    ordered = largest_first(planned)
    assert sorted(one.number for one in ordered) == [one.number for one in planned]
    assert [one.size for one in ordered] == sorted((one.size for one in ordered), reverse=True)


@given(DAYS, st.integers(0, 700))
def test_each_month_of_several_in_a_row_is_written_by_itself(first: date, count: int) -> None:
    days = [first + timedelta(number) for number in range(count + 1)]
    planned = plan(found(*(day.isoformat() for day in days)), (), 0)
    months = {one.day[:7] for one in planned}
    assert partitions(planned) == len(months)
    assert len({month_number(month) % partitions(planned) for month in months}) == len(months)
