"""Feeds, connections and PostgreSQL killed at random moments; tests/run_campaign.py does more."""

import pytest
from campaign import feed
from postgres_server import skip_without

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("kinds", "strikes"),
    [(("feeder",), 20), (("server", "connection"), 4), (("two feeders", "signal"), 4)],
    ids=["feeder", "server", "others"],
)
def test_after_any_kill_everything_is_there_once(kinds: tuple[str, ...], strikes: int) -> None:
    skip_without()
    score = feed.play_case(1, kinds, strikes, 0)
    assert (score.kills, score.problems, score.lost, score.duplicated) == (strikes, [], 0, 0)
