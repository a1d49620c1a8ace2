"""When an alert that lasts is said again: a table."""

from pathlib import Path

import pytest
import stored

from killsync.sync import alerts
from killsync.sync.alerts import Unsynced

NOW = 1_800_000_000.0
MINUTE = 60.0
DAY = 24 * 60


@pytest.mark.parametrize(
    "course",
    [
        # minutes, how many are not synced, whether it is said
        [(0, 1, True), (DAY - 1, 1, False), (DAY, 1, True), (DAY + 10, 1, False)],
        [(0, 1, True), (10, 0, False), (20, 1, True)],
        [(0, 1, True), (30, 5, False), (90, 5, False)],
        [(0, 1, True), (90, 5, True), (100, 5, False)],
        [(0, 3, True), (90, 6, False)],
        # the rest have recovered, and are hit once more
        [(0, 1, True), (90, 5, True), (300, 1, False), (500, 5, True)],
    ],
)
def test_an_alert_is_said_again_after_a_day_or_when_it_has_grown(
    tmp_path: Path, course: list[tuple[int, int, bool]]
) -> None:
    with stored.database(tmp_path / "killsync.db", {}) as store:
        for minutes, number, said in course:
            alert = Unsynced(1, "Ada", None, number - 1, "2027-01-14T08:00:00Z")
            now = NOW + minutes * MINUTE
            assert alerts.take_note(store, alert if number else None, now) is said, minutes
