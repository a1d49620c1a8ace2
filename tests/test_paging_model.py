"""Reading a list that changes under the reader, interrupted anywhere: nothing listed is missed.

The model is ESI's list of one character: newest first, served in pages of a frozen snapshot.
The reader is what `killsync.sync.listing` does with the decisions of `killsync.paging`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from killsync.esi import paging
from killsync.esi.paging import Pass
from killsync.model import Cursor, KillmailRef, Page


@dataclass
class EsiList:
    """Ids are multiples of 1000 when they arrive in time, so that late ones fit in between."""

    size: int = 2
    ids: list[int] = field(default_factory=list)
    newest: int = 0
    version: int = 0
    used: set[int] = field(default_factory=set)

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.ids) // self.size))

    def page(self, number: int) -> Page:
        ids = self.ids[(number - 1) * self.size : number * self.size]
        refs = [KillmailRef(killmail_id, "0" * 40) for killmail_id in ids]
        past_end = number > self.pages
        pages = None if past_end else self.pages
        return Page(refs, pages, None, str(self.version), 0.0, past_end=past_end)

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
        self.next_page: int | None = None
        self.progress = Pass()
        self.full = False
        self.requests = 0
        self.most_requests = 0

    def begin(self, *, full: bool, in_cache_time: bool) -> None:
        self.progress = Pass(floor=self.floor)
        self.requests = self.most_requests = 0
        self.in_cache_time = in_cache_time
        head_cached = in_cache_time and self.head_version == self.esi.version
        self.full = full and not head_cached
        self.next_page = 1
        if head_cached:
            cached = self._gap_cached()
            self.next_page = paging.resume_at(self.cursor, pages=self.known_pages, cached=cached)
            self.progress = paging.resumed(self.progress, self.cursor, self.next_page)

    def read(self) -> None:
        """Ask for the next page, and record it with the step of the cursor."""
        number = self.next_page
        assert number is not None
        page = self.esi.page(number)
        self.requests += 1
        self.most_requests = max(self.most_requests, 5 * self.esi.pages)
        assert self.requests <= self.most_requests, "the pass does not end"
        if number == 1:
            self._read_head(page)
        else:
            self._read_gap(number, page)
        self.recorded |= {ref.killmail_id for ref in page.refs}

    def _read_head(self, page: Page) -> None:
        old = self.cursor.last_killmail_id
        cached = self._gap_cached()
        step = paging.after_head(self.cursor, page, self.progress, full=self.full, cached=cached)
        whole = self.full or old is None
        self.owed |= {i for i in self.esi.ids if whole or i > (old or 0)}
        if step.cursor.page != self.cursor.page:
            self.gap_version = None
        if step.cursor.page is None:
            assert step.met == old or self.esi.pages == 1
        self.head_version, self.known_pages = self.esi.version, page.pages
        self._move(step)

    def _read_gap(self, number: int, page: Page) -> None:
        until = self.cursor.until_id
        step = paging.after_page(self.cursor, number, page, self.progress)
        if step.cursor.page is None:
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
    @initialize(size=st.integers(1, 4), count=st.integers(0, 16))
    def a_list_is_there(self, size: int, count: int) -> None:
        self.esi = EsiList(size)
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
