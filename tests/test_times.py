"""Durations and rests as they are written, within bounds."""

import pytest

from killsync.times import DAY, is_within, parse_duration, retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("90s", 90), ("15m", 900), ("9h", 32400), ("7d", 604800), ("1.5h", 5400)],
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "-1s", "1w", "9" * 400 + "d", "999999d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("100000", DAY), ("9" * 400, DAY), ("soon", 60), (None, 60)]
)
def test_a_rest_lasts_a_day_at_most(text: str | None, seconds: float) -> None:
    assert retry_after(text, 60) == seconds


def test_what_is_still_to_come_or_never_was_lies_in_no_time_back() -> None:
    lies_within = {then: is_within(then, 100.0, 50.0) for then in (None, 50.0, 50.5, 100.0)}
    assert lies_within == {None: False, 50.0: False, 50.5: True, 100.0: True}
    assert not is_within(100.5, 100.0, 50.0)
