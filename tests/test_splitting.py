"""Splitting refused batches of ids, against a model of what ESI names."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from killsync.sync.splitting import KNOWN_ID, MOST_REFUSALS, Splitting

BATCH = 1000


class Service:
    """Names every id but the bad ones, which cost the batch; counts what it was asked."""

    def __init__(self, bad: set[int], *, down: bool = False) -> None:
        self.bad = bad
        self.down = down
        self.requests = 0
        self.refusals = 0

    def refuses(self, ids: tuple[int, ...]) -> bool:
        assert 1 <= len(ids) <= BATCH
        assert len(set(ids)) == len(ids)
        self.requests += 1
        refused = self.down or not self.bad.isdisjoint(ids)
        self.refusals += refused
        return refused


def run(service: Service, batches: Iterator[list[int]]) -> tuple[set[int], set[int]]:
    """Ask as a run does; return the ids that were named and those that are unknown."""
    splitting, named, unknown = Splitting(), set[int](), set[int]()
    while not splitting.is_over:
        ids = splitting.next_ids()
        if not ids:
            batch = next(batches, [])
            if not batch:
                break
            splitting.add(batch)
        elif service.refuses(ids):
            unknown |= set(splitting.refused())
        else:
            named |= set(ids)
            unknown |= set(splitting.answered(ids))
    return named - {KNOWN_ID}, unknown


def batches_of(ids: list[int], size: int = BATCH) -> Iterator[list[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def test_ten_thousand_good_ids_are_named_in_ten_requests() -> None:
    service = Service(set())
    ids = list(range(1, 10_001))
    assert run(service, batches_of(ids)) == (set(ids), set())
    assert service.requests == 10


@given(st.integers(0, 999))
@settings(max_examples=50)
def test_one_bad_id_of_a_thousand_costs_no_other_name(place: int) -> None:
    ids = list(range(1, 1001))
    service = Service({ids[place]})
    assert run(service, batches_of(ids)) == (set(ids) - service.bad, service.bad)
    assert service.refusals <= 11
    assert service.requests <= 22


@given(st.sets(st.integers(0, 2999), max_size=60), st.integers(1, 3000))
@settings(max_examples=40)
def test_no_name_is_lost_whatever_is_bad(places: set[int], count: int) -> None:
    bad = {place for place in places if place < count}
    left, named, unknown = list(range(count)), set[int](), set[int]()
    while left:
        service = Service(bad)
        new, found = run(service, batches_of(left))
        assert service.refusals <= MOST_REFUSALS
        assert service.requests <= len(left) // BATCH + 2 + 12 * service.refusals
        assert new or found, "a run must come further"
        named |= new
        unknown |= found
        left = [i for i in left if i not in named and i not in unknown]
    assert (named, unknown) == (set(range(count)) - bad, bad)


@given(st.sets(st.integers(1, 30), min_size=1))
@settings(max_examples=30)
def test_every_id_may_be_bad(bad: set[int]) -> None:
    service = Service(bad)
    named, unknown = run(service, iter([sorted(bad)]))
    assert named == set()
    assert unknown <= bad
    assert len(unknown) >= min(len(bad), 5)


def test_a_service_that_refuses_everything_makes_nothing_unknown() -> None:
    service = Service(set(), down=True)
    assert run(service, batches_of(list(range(1, 2001)))) == (set(), set())
    assert service.requests == service.refusals == 2


def test_what_an_answer_leaves_out_is_unknown() -> None:
    splitting = Splitting()
    splitting.add([1, 2, 3])
    assert splitting.next_ids() == (1, 2, 3)
    assert splitting.answered([1, 3]) == [2]
    assert splitting.next_ids() == ()


def test_an_id_refused_on_its_own_is_unknown_only_beside_an_answer() -> None:
    splitting = Splitting()
    splitting.add([7])
    assert splitting.next_ids() == (7,)
    assert splitting.refused() == []
    assert splitting.next_ids() == (KNOWN_ID,)
    assert splitting.answered([KNOWN_ID]) == [7]


def test_a_failure_without_a_reason_is_no_ids_where_a_known_one_fails_too() -> None:
    splitting = Splitting()
    splitting.add([1])
    splitting.next_ids()
    splitting.answered([1])
    splitting.add([7])
    assert splitting.next_ids() == (7,)
    assert splitting.refused(is_reasoned=False) == []
    assert splitting.next_ids() == (KNOWN_ID,)
    assert splitting.refused(is_reasoned=False) == []
    assert splitting.is_over


def test_an_id_that_fails_on_its_own_is_put_off_where_a_known_one_is_named() -> None:
    splitting = Splitting()
    splitting.add([7, 8])
    assert splitting.next_ids() == (7, 8)
    assert splitting.refused(is_reasoned=False) == []
    assert splitting.next_ids() == (KNOWN_ID,)
    assert splitting.answered([KNOWN_ID]) == []
    assert splitting.next_ids() == (7,)
    assert splitting.refused(is_reasoned=False) == []
    assert splitting.answered([KNOWN_ID]) == [7]
    assert splitting.next_ids() == (8,)


def test_nothing_more_is_asked_after_a_stop() -> None:
    splitting = Splitting()
    splitting.add([1])
    splitting.stop()
    assert splitting.next_ids() == ()
