"""Walking a user's two lists of zKillboard's, a page at a time, each recorded at once.

A walk goes from the first page down to what an earlier one has recorded, or to the end if none
has got there. One that was broken off is gone on with: first from the first page down to where it
began, then from the last page that it did. What is new pushes the rest to later pages, so that
this overlaps and never skips.

An empty page after a full one may be the end, or a fault: it is the end once another walk, ten
minutes later or more, finds it as empty.
"""

import hashlib
import time
from collections.abc import Callable, Iterator

import msgspec

from killsync.archive.zkillboard import PAGE_SIZE, Side, ZkbPage, ZKillboard
from killsync.errors import ServerFault, UsageError
from killsync.model import User
from killsync.store import users, zkb_lists
from killsync.store.connection import Store
from killsync.store.zkb_lists import Position
from killsync.times import MINUTE

# far more than the largest corporation has: a list that is longer never ends
_MOST_PAGES = 100_000
_MOST_REPEATS = 3
# what is empty for so long is no passing fault
_EMPTY_FOR = 10 * MINUTE


class Walked(msgspec.Struct, frozen=True):
    """A page that is recorded: its killmails, how many of them were neither stored nor pending.

    `listed` counts the killmails that this walk has seen of the list so far.
    """

    side: Side
    page: int
    killmails: int
    new: int
    skipped: int
    listed: int


class EndDoubted(msgspec.Struct, frozen=True):
    """A page is empty, and the one before it was full: a later walk asks for it once more."""

    side: Side
    page: int


class Step(msgspec.Struct, frozen=True):
    """What follows from a page: how far the list is recorded, and the next page to read, if any.

    `above_gap` says whether that page lies above where an earlier walk was broken off.
    """

    position: Position
    next_page: int | None
    above_gap: bool


def after_page(
    before: Position, top: int, number: int, lowest: int | None, *, known: bool, above_gap: bool
) -> Step:
    """Return what follows from a page of this `number`.

    `before` is how far the list was recorded when the walk began, `top` the highest id on its
    first page, `lowest` that on this page; `known` says that all of the page was known already.
    It has met what was recorded before if it is known, and reaches down to where that began:
    other commands may have brought in the whole of a page above.
    """
    gap = before.page if above_gap and before.page is not None and number < before.page else None
    recorded_from = before.until if gap is None else before.top
    reaches = recorded_from is not None and lowest is not None and lowest <= recorded_from
    if not (known and reaches):
        return Step(Position(number, top, before.until), number + 1, gap is not None)
    if gap is not None:
        return Step(Position(gap, top, before.until), gap, above_gap=False)
    return Step(Position(until=top), None, above_gap=False)


def after_empty(
    found: Position, recorded: Position, number: int, now: float, *, is_short: bool
) -> Position:
    """Return how far a list is recorded that ends before the page of this `number`.

    `found` is what earlier walks have left, `recorded` what this one has recorded last;
    `is_short` says that the page before was not full, which is a second sign of the end.
    """
    if number == 1:
        # what is recorded stays, though nothing of it is shown
        return recorded
    empty_at = found.empty_at if found.page == number - 1 else None
    lasts = empty_at is not None and now - empty_at >= _EMPTY_FOR
    if is_short or lasts:
        return Position(until=recorded.top)
    # a time ahead was written by a wrong clock
    since = now if empty_at is None else min(empty_at, now)
    return msgspec.structs.replace(recorded, empty_at=since)


class Walk:
    """One list of a user's; with `full` every page is read, whatever is recorded."""

    def __init__(
        self,
        store: Store,
        zkb: ZKillboard,
        user: User,
        side: Side,
        *,
        full: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._zkb = zkb
        self._user = user
        self._side = side
        self._clock = clock
        self._found = zkb_lists.position(store.conn, user.user_id, side)
        self.before = Position() if full else self._found
        self._recorded = self._found
        self._listed = 0
        self._seen: set[bytes] = set()
        self._repeats = 0

    def pages(self) -> Iterator[Walked | EndDoubted]:
        """Read and record page after page, and yield each; last, whether its end is in doubt.

        Raises what the client raises, ServerFault if the list does not end, and UsageError if the
        user has been removed. What was yielded is recorded.
        """
        number: int | None = 1
        top, above_gap, is_short = 0, True, False
        while number is not None:
            page = self._read(number, is_short=is_short)
            if not page.entries:
                if self._end(number, is_short=is_short):
                    yield EndDoubted(self._side, number)
                return
            is_short = page.entries < PAGE_SIZE
            ids = [ref.killmail_id for ref in page.refs]
            if number == 1:
                top = max(ids)
            step, new = self._take(page, ids, top, number, above_gap=above_gap)
            yield Walked(self._side, number, len(ids), new, page.skipped, self._listed)
            number, above_gap = step.next_page, step.above_gap

    def _read(self, number: int, *, is_short: bool) -> ZkbPage:
        """Return a page; that a list has ended here needs a second sign.

        That is a page before that was not full, or the same answer once more.
        """
        if number > _MOST_PAGES:
            raise ServerFault(f"zKillboard's list does not end after {_MOST_PAGES:,} pages")
        user = self._user
        page = self._zkb.page(user.kind, user.user_id, self._side, number)
        if not page.entries and not is_short:
            page = self._zkb.page(user.kind, user.user_id, self._side, number)
        self._look_for_repeats(page)
        return page

    def _look_for_repeats(self, page: ZkbPage) -> None:
        ids = sorted(ref.killmail_id for ref in page.refs)
        digest = hashlib.blake2b(msgspec.json.encode(ids), digest_size=16).digest()
        self._repeats = self._repeats + 1 if page.entries and digest in self._seen else 0
        self._seen.add(digest)
        if self._repeats == _MOST_REPEATS:
            raise ServerFault("zKillboard's list repeats itself and does not end")

    def _take(
        self, page: ZkbPage, ids: list[int], top: int, number: int, *, above_gap: bool
    ) -> tuple[Step, int]:
        self._listed += len(ids)
        lowest = min(ids, default=None)
        with self._store.transaction() as conn:
            self._require_user()
            new = zkb_lists.record(conn, self._user.user_id, page.refs)
            step = after_page(self.before, top, number, lowest, known=new == 0, above_gap=above_gap)
            self._set_position(step.position)
        return step, new

    def _end(self, number: int, *, is_short: bool) -> bool:
        """Record that the list ends before this page; return whether that is in doubt."""
        position = after_empty(
            self._found, self._recorded, number, self._clock(), is_short=is_short
        )
        with self._store.transaction():
            self._require_user()
            self._set_position(position)
        return position != Position() if number == 1 else position.empty_at is not None

    def _require_user(self) -> None:
        if users.get(self._store.conn, self._user.user_id) is None:
            raise UsageError("the user has been removed meanwhile")

    def _set_position(self, position: Position) -> None:
        self._recorded = position
        zkb_lists.set_position(
            self._store.conn,
            self._user.user_id,
            self._side,
            position,
            self._listed,
            self._clock(),
        )
