"""Reading a list that changes under the reader, interrupted anywhere: nothing listed is missed.

The model is ESI's list of one character: newest first, served in pages of a frozen snapshot.
The reader is what `killsync.sync.list_pass` does with the decisions of `killsync.esi.paging`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from killsync.esi import paging
from killsync.esi.paging import Pass
from killsync.model import Cursor, KillmailRef, Page

pytestmark = pytest.mark.long

# what one answer may claim: nothing is on the page, and its headers are as they were or missing;
# it is the last one; there is but one; it does not say how many there are; there is no such page
Claim = Literal["empty", "nothing", "last", "only", "silent", "missing"]


@dataclass
class EsiList:
    """Ids are multiples of 1000 when they arrive in time, so that late ones fit in between."""

    size: int = 2
    ids: list[int] = field(default_factory=list)
    newest: int = 0
    version: int = 0
    used: set[int] = field(default_factory=set)
    # which answer from now on is wrong, None: none is
    wrong_in: int | None = None
    claim: Claim = "empty"
    says_pages_in_304: bool = True

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.ids) // self.size))

    def page(self, number: int) -> Page:
        ids = self.ids[(number - 1) * self.size : number * self.size]
        refs = [KillmailRef(killmail_id, "0" * 40) for killmail_id in ids]
        past_end = number > self.pages
        pages = None if past_end else self.pages
        return Page(refs, pages, None, str(self.version), 0.0, past_end=past_end)

    def answer(self, number: int, etag: tuple[int, ...] | None) -> Page:
        """Answer a request, once wrongly."""
        page = self.page(number)
        if self.wrong_in is not None:
            self.wrong_in -= 1
            if self.wrong_in < 0:
                self.wrong_in = None
                return self._wrong(number, page)
        if number == 1 and etag is not None and etag == ids_on(page):
            pages = page.pages if self.says_pages_in_304 else None
            return msgspec.structs.replace(page, refs=[], pages=pages, unchanged=True)
        return page

    def _wrong(self, number: int, page: Page) -> Page:
        wrong = msgspec.structs.replace
        match self.claim:
            case "empty":
                return wrong(page, refs=[], past_end=number > 1)
            case "nothing":
                return wrong(page, refs=[], pages=None, modified=None, past_end=number > 1)
            case "last":
                return wrong(page, pages=number)
            case "only":
                return wrong(page, pages=1)
            case "silent":
                return wrong(page, pages=None)
            case "missing" if number > 1:
                return wrong(page, refs=[], pages=None, modified=None, past_end=True)
        return page

    def arrive(self, count: int) -> None:
        for _ in range(count):
            self.newest += 1000
            self.ids.insert(0, self.newest)
            self.used.add(self.newest)
        self.version += 1

    def insert_late(self, position: int) -> None:
        below = self.ids[position]
        lower = self.ids[position + 1] if position + 1 < len(self.ids) else below - 1000
        late = (below + lower) // 2
        if late not in self.used:
            self.ids.insert(position + 1, late)
            self.used.add(late)
            self.version += 1

    def remove(self, position: int) -> None:
        del self.ids[position]
        self.version += 1

    def expire(self, count: int) -> None:
        del self.ids[max(0, len(self.ids) - count) :]
        self.version += 1


def ids_on(page: Page) -> tuple[int, ...]:
    """Return what makes up the ETag of a page."""
    return tuple(ref.killmail_id for ref in page.refs)


Change = tuple[Callable[[EsiList, int], None], int]


class Reader:
    """One user's row, and the pass of the run in progress, which a crash forgets."""

    def __init__(self, esi: EsiList) -> None:
        self.esi = esi
        self.cursor = Cursor()
        self.floor: int | None = None
        self.recorded: set[int] = set()
        # what an incremental pass must find: listed above the stored id when page 1 was read
        self.owed: set[int] = set()
        self.head_version: int | None = None
        self.gap_version: int | None = None
        self.known_pages: int | None = None
        self.etag: tuple[int, ...] | None = None
        self.next_page: int | None = None
        self.progress = Pass()
        self.full = False
        self.requests = 0
        self.most_requests = 0
        # whether every answer is right
        self.honest = True

    def begin(self, *, full: bool, in_cache_time: bool) -> None:
        self.progress = Pass(floor=self.floor, known=self.known_pages)
        self.head_done = False
        self.requests = self.most_requests = 0
        self.in_cache_time = in_cache_time
        head_cached = in_cache_time and self.head_version == self.esi.version
        self.full = full and not head_cached
        self.next_page = 1
        if head_cached:
            cached = self._gap_cached()
            self.head_done = True
            self.next_page = paging.resume_at(self.cursor, pages=self.known_pages, cached=cached)
            self.progress = paging.resumed(self.progress, self.cursor, self.next_page)

    def read(self) -> None:
        """Ask for the next page, and record it with the step of the cursor."""
        number = self.next_page
        assert number is not None
        page = self.esi.answer(number, None if self.full or self.head_done else self.etag)
        self.requests += 1
        self.most_requests = max(self.most_requests, 5 * self.esi.pages + 5)
        assert self.requests <= self.most_requests, "the pass does not end"
        if page.unchanged:
            self._read_unchanged(page)
        elif number == 1:
            self._read_head(page)
        else:
            self._read_gap(number, page)
        self.recorded |= {ref.killmail_id for ref in page.refs}

    def _read_unchanged(self, page: Page) -> None:
        step = paging.after_unchanged(self.cursor, page, self.progress, cached=self._gap_cached())
        self._take_head(step, self.etag)

    def _take_head(self, step: paging.Step, etag: tuple[int, ...] | None) -> None:
        if step.cursor.page != self.cursor.page:
            self.gap_version = None
        self.head_done = True
        self.head_version, self.known_pages = self.esi.version, step.known
        self.etag = etag if step.keep_etag else None
        self._move(step)

    def _read_head(self, page: Page) -> None:
        old = self.cursor.last_killmail_id
        cached = self._gap_cached()
        step = paging.after_head(self.cursor, page, self.progress, full=self.full, cached=cached)
        whole = self.full or old is None
        self.owed |= {i for i in self.esi.ids if whole or i > (old or 0)}
        if step.cursor.page is None and self.honest:
            assert step.met == old or self.esi.pages == 1
        self._take_head(step, ids_on(page))

    def _read_gap(self, number: int, page: Page) -> None:
        until = self.cursor.until_id
        step = paging.after_page(self.cursor, number, page, self.progress)
        if step.cursor.page is None and not step.contradicted and self.honest:
            met = step.met is not None and step.met == until
            assert met or number >= self.esi.pages, "stopped neither at the id nor at the end"
            if met:
                assert until in self.esi.ids
        on = step.cursor.page == number + 1
        self.gap_version = self.esi.version if on else None
        self._move(step)

    def _move(self, step: paging.Step) -> None:
        self.cursor, self.progress, self.next_page = step.cursor, step.progress, step.next_page
        self.floor = None if self.cursor.page is None else self.progress.floor

    def _gap_cached(self) -> bool:
        return self.in_cache_time and self.gap_version == self.esi.version


def nothing(_esi: EsiList, _place: int) -> None:
    return None


def arrive(esi: EsiList, count: int) -> None:
    esi.arrive(count + 1)


def arrive_late(esi: EsiList, place: int) -> None:
    if esi.ids:
        esi.insert_late(place % len(esi.ids))


def remove(esi: EsiList, place: int) -> None:
    if esi.ids:
        esi.remove(place % len(esi.ids))


def remove_many(esi: EsiList, count: int) -> None:
    for _ in range(min(count + 1, len(esi.ids))):
        esi.remove(0)


def expire(esi: EsiList, count: int) -> None:
    esi.expire(count + 1)


CHANGES = st.tuples(
    st.sampled_from([nothing, nothing, arrive, arrive_late, remove, remove_many, expire]),
    st.integers(0, 9),
)


class ListReading(RuleBasedStateMachine):
    @initialize(size=st.integers(1, 4), count=st.integers(0, 16), told=st.booleans())
    def a_list_is_there(self, size: int, count: int, told: bool) -> None:
        self.esi = EsiList(size, says_pages_in_304=told)
        self.esi.arrive(count)
        self.reader = Reader(self.esi)

    @rule(changes=st.lists(CHANGES, max_size=4))
    def time_passes(self, changes: list[Change]) -> None:
        for change, number in changes:
            change(self.esi, number)

    @rule(full=st.booleans(), in_cache_time=st.booleans(), changes=st.lists(CHANGES, max_size=8))
    def a_run_is_interrupted(self, full: bool, in_cache_time: bool, changes: list[Change]) -> None:
        """As many pages as there are changes, each read after its change."""
        self._read_while(changes, full=full, in_cache_time=in_cache_time)

    @rule(full=st.booleans(), changes=st.lists(CHANGES, max_size=8))
    def a_run_ends(self, full: bool, changes: list[Change]) -> None:
        self._read_while([(nothing, 0), *changes], full=full, in_cache_time=False)
        self._read_on()
        if self.reader.cursor.page is not None:
            # the list would not keep still
            self.reader.begin(full=False, in_cache_time=False)
            self._read_on()
        assert self.reader.cursor.page is None

    @rule()
    def an_undisturbed_full_run_ends(self) -> None:
        self.reader.begin(full=True, in_cache_time=False)
        self._read_on()
        assert set(self.esi.ids) <= self.reader.recorded

    # what must hold after every step

    @invariant()
    def without_a_gap_nothing_owed_is_missing(self) -> None:
        if self.reader.cursor.page is None:
            assert self._missing() == set()

    @invariant()
    def at_or_above_the_gap_nothing_owed_is_missing(self) -> None:
        if self.reader.cursor.page is not None and self.reader.floor is not None:
            assert not any(i >= self.reader.floor for i in self._missing())

    def _read_on(self) -> None:
        while self.reader.next_page is not None:
            self.reader.read()

    def _read_while(self, changes: list[Change], *, full: bool, in_cache_time: bool) -> None:
        """Read a page after each change; ESI refreshes a list twice at most during a run."""
        refreshes = 0
        for place, (change, number) in enumerate(changes):
            before = self.esi.version
            if refreshes < 2:
                change(self.esi, number)
            refreshes += place > 0 and self.esi.version != before
            if place == 0:
                self.reader.begin(full=full, in_cache_time=in_cache_time)
            if self.reader.next_page is not None:
                self.reader.read()

    def _missing(self) -> set[int]:
        return (self.reader.owed & set(self.esi.ids)) - self.reader.recorded


TestListReading = ListReading.TestCase
TestListReading.settings = settings(max_examples=250, stateful_step_count=8, deadline=None)


# one pass: what arrives and what goes at the end of the list before it, the most pages it reads,
# whether it reads the whole list, and whether this is before its cache time is over
PASSES = st.tuples(
    st.integers(0, 9), st.integers(0, 2), st.integers(1, 30), st.booleans(), st.booleans()
)


@given(
    size=st.integers(1, 4),
    passes=st.lists(PASSES, min_size=1, max_size=5),
    wrong_in=st.integers(0, 20),
    claim=st.sampled_from(get_args(Claim)),
    told=st.booleans(),
)
@settings(max_examples=1000)
def test_one_wrong_answer_costs_nothing_that_two_more_passes_do_not_make_good(
    size: int,
    passes: list[tuple[int, int, int, bool, bool]],
    wrong_in: int,
    claim: Claim,
    told: bool,
) -> None:
    esi = EsiList(size, says_pages_in_304=told, wrong_in=wrong_in, claim=claim)
    reader = Reader(esi)
    reader.honest = False
    for arriving, expiring, most, full, in_cache_time in passes:
        esi.arrive(arriving)
        esi.expire(expiring)
        reader.begin(full=full, in_cache_time=in_cache_time)
        for _ in range(most):
            if reader.next_page is not None:
                reader.read()
    esi.wrong_in = None
    for _ in range(2):
        reader.begin(full=False, in_cache_time=False)
        while reader.next_page is not None:
            reader.read()
    assert set(esi.ids) <= reader.recorded
    assert reader.cursor.page is None


@given(
    size=st.integers(1, 3),
    pages=st.integers(2, 6),
    most=st.integers(1, 6),
    passes=st.lists(PASSES, min_size=1, max_size=3),
    wrong_in=st.integers(0, 8),
    claim=st.sampled_from(get_args(Claim)),
)
@settings(max_examples=1000)
def test_one_wrong_answer_closes_no_gap_of_a_list_known_to_be_longer(
    size: int,
    pages: int,
    most: int,
    passes: list[tuple[int, int, int, bool, bool]],
    wrong_in: int,
    claim: Claim,
) -> None:
    esi = EsiList(size)
    esi.arrive(size * pages)
    reader = Reader(esi)
    for number, (arriving, _, reads, full, in_cache_time) in enumerate(
        [(0, 0, most, False, False), *passes]
    ):
        esi.arrive(arriving)
        if number == 1:
            esi.wrong_in, esi.claim, reader.honest = wrong_in, claim, False
        reader.begin(full=full, in_cache_time=in_cache_time)
        for _ in range(reads):
            if reader.next_page is not None:
                reader.read()
            if reader.cursor.page is None and reader.next_page is None:
                assert reader.owed <= reader.recorded
