"""Exports to Parquet killed amid scans and purges, as the campaign does more of them."""

import pytest
from campaign import lake

pytestmark = pytest.mark.long


def test_killed_exports_leave_each_killmail_in_the_lake_once() -> None:
    score = lake.play_case(seed=1, kills=10, number=0)
    assert score.problems == []
    assert (score.lost, score.duplicated, score.kills) == (0, 0, 10)
