"""When everything pending will be there, against a plain model of ticks."""

from hypothesis import given
from hypothesis import strategies as st

from killsync.esi.ratelimit import LIKELY_COST, Bucket, kept_share
from killsync.model import Priority
from killsync.sync.forecast import TICK, fetched_at

NOW = 1_800_000_000.0
KEEP = kept_share(Priority.GAP, 0.2)
WINDOW = 900.0


def bodies_bucket(*spent: tuple[float, int], retry_at: float | None = None) -> Bucket:
    return Bucket("killmail", "", 3600, WINDOW, list(spent), retry_at)


def test_what_fits_into_the_limit_is_there_at_once() -> None:
    assert fetched_at(1296, bodies_bucket(), KEEP, NOW) == NOW


def test_what_does_not_fit_comes_when_tokens_come_back_at_the_next_tick() -> None:
    at = fetched_at(1297, bodies_bucket(), KEEP, NOW)
    assert NOW + WINDOW <= at <= NOW + WINDOW + TICK


def test_a_spent_bucket_is_waited_for() -> None:
    at = fetched_at(1, bodies_bucket((NOW, 3600)), KEEP, NOW)
    assert NOW + WINDOW <= at <= NOW + WINDOW + TICK


def test_a_rest_is_waited_for() -> None:
    assert fetched_at(1, bodies_bucket(retry_at=NOW + 3000), KEEP, NOW) == NOW + 3000


def test_a_backlog_of_years_has_a_time_too() -> None:
    months = 10_000_000 / (3600 * (1 - KEEP) / LIKELY_COST) * WINDOW
    assert 0.5 * months < fetched_at(10_000_000, bodies_bucket(), KEEP, NOW) - NOW < 2 * months


@given(bodies=st.integers(1, 40_000), spent=st.integers(0, 3600))
def test_the_time_is_that_of_ticks_played_one_by_one(bodies: int, spent: int) -> None:
    """Play each tick as a scan does: it spends what the limit leaves, then waits for the next."""
    bucket = bodies_bucket(*([(NOW, spent)] if spent else []))
    expected, left = NOW, bodies
    played = bodies_bucket(*bucket.spent)
    at = NOW
    while left:
        ready = played.ready_at(at, LIKELY_COST, KEEP)
        if ready > at:
            at = max(ready, at)
        room = int(played.remaining(at) - KEEP * 3600) // LIKELY_COST
        taken = min(left, room)
        if taken:
            played.spend(at, taken * LIKELY_COST)
            left -= taken
            expected = at
        at += TICK
    assert abs(fetched_at(bodies, bucket, KEEP, NOW) - expected) <= TICK


@given(bodies=st.integers(1, 20_000), more=st.integers(0, 20_000))
def test_more_is_never_there_sooner(bodies: int, more: int) -> None:
    sooner = fetched_at(bodies, bodies_bucket(), KEEP, NOW)
    assert sooner <= fetched_at(bodies + more, bodies_bucket(), KEEP, NOW)
