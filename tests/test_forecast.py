"""When everything pending will be there, against a plain model of ticks."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killsync.esi.ratelimit import LIKELY_COST, Bucket, kept_share
from killsync.model import Priority
from killsync.settings.config import Settings
from killsync.sync.ticks import (
    TICK,
    USUAL_RATE,
    Bodies,
    OpenList,
    Running,
    Scans,
    next_scan,
    stored_at,
)

NOW = 1_800_000_000.0
KEEP = kept_share(Priority.GAP, 0.2)
WINDOW = 900.0
# what history may fetch in a window
FITS = 1296
AT_ONCE = 1e12


USUAL = Scans(
    next_at=NOW,
    every=TICK,
    max_runtime=Settings().max_runtime,
    max_pages=Settings().max_pages,
    rate=USUAL_RATE,
    reserve=Settings().reserve,
)


def coming(**changes: float) -> Scans:
    """Return scans as they come with the settings as they are, but for what is changed."""
    return msgspec.structs.replace(USUAL, **changes)


SCANS = coming(rate=AT_ONCE)


def bodies_bucket(*spent: tuple[float, int], retry_at: float | None = None) -> Bucket:
    return Bucket("killmail", "", 3600, WINDOW, list(spent), retry_at)


def pages_bucket() -> Bucket:
    return Bucket("char-killmail", "1", 30, WINDOW)


def history(number: int, bucket: Bucket | None = None, scans: Scans = SCANS) -> float:
    """Return after how many seconds so many bodies of a first sync are stored."""
    return stored_at([Bodies(number, KEEP)], [], bucket or bodies_bucket(), scans, NOW) - NOW


@pytest.mark.parametrize(
    ("number", "ticks"), [(1, 0), (FITS, 0), (FITS + 1, 2), (2 * FITS, 2), (5_000, 6)]
)
def test_every_second_tick_of_ten_minutes_finds_a_whole_window(number: int, ticks: int) -> None:
    assert history(number) == pytest.approx(ticks * TICK, abs=1)


def test_a_tick_of_fifteen_minutes_waits_the_seconds_that_the_window_is_longer() -> None:
    scans = coming(next_at=NOW, every=WINDOW, rate=AT_ONCE)
    assert history(3 * FITS, scans=scans) == pytest.approx(2 * WINDOW, abs=30)


def test_what_a_person_asked_for_takes_the_whole_window() -> None:
    at = stored_at([Bodies(3_600, 0.0, 3_600)], [], bodies_bucket(), SCANS, NOW)
    assert at == pytest.approx(NOW + 2 * TICK)


def test_a_run_in_progress_goes_on_before_the_next_scan() -> None:
    running = Running(NOW + 300)
    scans = coming(next_at=NOW + TICK, rate=AT_ONCE)
    many = [Bodies(FITS + 1, KEEP)]
    assert stored_at(many, [], bodies_bucket(), scans, NOW, running=running) == NOW + 2 * TICK


def test_a_sync_in_progress_leaves_what_is_not_its_own_to_scans() -> None:
    running = Running(NOW + 300, own_only=True)
    scans = coming(next_at=NOW + TICK, rate=AT_ONCE)
    both = [Bodies(10, 0.0, 10), Bodies(1, KEEP)]
    assert stored_at(both, [], bodies_bucket(), scans, NOW, running=running) == NOW + TICK


def test_a_run_stores_no_faster_than_esi_answers_and_ends_in_time() -> None:
    scans = coming(next_at=NOW, max_runtime=60, rate=2.0)
    assert history(300, scans=scans) == pytest.approx(2 * TICK + 30, abs=10)


def test_a_spent_bucket_is_waited_for() -> None:
    assert history(1, bodies_bucket((NOW, 3600))) == pytest.approx(2 * TICK)


def test_a_rest_is_waited_for() -> None:
    assert history(1, bodies_bucket(retry_at=NOW + 3000)) == 3000


def test_what_was_put_off_waits_for_its_time() -> None:
    bodies = [Bodies(1, KEEP), Bodies(1, KEEP, ready_at=NOW + 700)]
    assert stored_at(bodies, [], bodies_bucket(), SCANS, NOW) == NOW + 2 * TICK


def test_a_list_gives_ten_pages_at_every_second_tick() -> None:
    """A scan may ask for twelve: page 1, the last page done once more, and ten others."""
    pages = [OpenList(30, 50, [pages_bucket()])]
    assert stored_at([], pages, bodies_bucket(), SCANS, NOW) == pytest.approx(NOW + 4 * TICK)


def test_each_director_brings_pages_of_its_own() -> None:
    pages = [OpenList(44, 10, [pages_bucket(), pages_bucket()])]
    assert stored_at([], pages, bodies_bucket(), SCANS, NOW) == pytest.approx(NOW + 2 * TICK)


def test_max_pages_bounds_what_a_scan_reads_of_a_list() -> None:
    scans = coming(next_at=NOW, max_pages=5, rate=AT_ONCE)
    pages = [OpenList(6, 10, [pages_bucket()])]
    assert stored_at([], pages, bodies_bucket(), scans, NOW) == pytest.approx(NOW + TICK)


def test_a_backlog_of_years_has_a_time_too() -> None:
    months = 10_000_000 / FITS * 2 * TICK
    assert 0.9 * months < history(10_000_000) < 1.1 * months


def test_nothing_pending_is_there_now() -> None:
    assert history(0) == 0


@given(bodies=st.integers(1, 40_000), spent=st.integers(0, 3600), tick=st.sampled_from([300, TICK]))
def test_the_time_is_that_of_ticks_played_one_by_one(bodies: int, spent: int, tick: float) -> None:
    """Play each tick as a scan does: it spends what the limit leaves, then waits for the next."""
    played = bodies_bucket(*([(NOW, spent)] if spent else []))
    expected = history(bodies, played, coming(next_at=NOW, every=tick, rate=AT_ONCE))
    left, at = bodies, NOW
    while True:
        room = int(played.remaining(at) - KEEP * 3600) // LIKELY_COST
        taken = min(left, max(0, room))
        if taken:
            played.spend(at, taken * LIKELY_COST)
            left -= taken
        if not left:
            break
        at += tick
    # a scan waits for a minute if that is all that it must wait
    assert at - NOW - tick <= expected <= at - NOW + 60


@given(
    bodies=st.integers(1, 20_000),
    more=st.integers(0, 20_000),
    pages=st.integers(0, 40),
    late=st.floats(0, TICK),
)
def test_more_is_never_there_sooner_and_nothing_before_now(
    bodies: int, more: int, pages: int, late: float
) -> None:
    def at(number: int, left: int) -> float:
        lists = [OpenList(left, 50, [pages_bucket()])] if left else []
        scans = coming(next_at=NOW + late)
        return stored_at([Bodies(number, KEEP)], lists, bodies_bucket(), scans, NOW)

    assert NOW <= at(bodies, 0) <= at(bodies + more, 0) <= at(bodies + more, pages)


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        ([], (NOW // TICK * TICK + TICK, TICK, False)),
        # one scan tells nothing of the time between two
        ([100.0], (NOW + 500, TICK, True)),
        ([100.0, 400.0, 700.0], (NOW + 200, 300.0, True)),
        # one that came late, and one by hand
        ([100.0, 130.0, 700.0, 1300.0, 1900.0], (NOW + 500, TICK, True)),
        # the next one is late itself, but not by much
        ([630.0, 1230.0, 1830.0], (NOW, TICK, True)),
        ([900.0, 1500.0, 2100.0], (NOW + 300, TICK, True)),
        # none has come for hours
        ([9000.0, 9600.0, 10200.0], (NOW // TICK * TICK + TICK, TICK, False)),
        # the clock was wrong
        ([-5000.0, 100.0], (NOW + 500, TICK, True)),
    ],
)
def test_the_next_scan_comes_as_those_before_it_have(
    ago: list[float], expected: tuple[float, float, bool]
) -> None:
    assert next_scan([NOW - seconds for seconds in ago], NOW) == pytest.approx(expected)
