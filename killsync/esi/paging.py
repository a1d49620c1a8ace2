"""Where a list stops, what is next, where a gap resumes: pure functions over cursors and pages.

ESI returns a character's killmails newest first in practice and promises it nowhere. Entries move
to later pages when new ones arrive, which repeats some and hides none; they move to earlier ones
only when a killmail is taken off the list, and then one may be hidden:

    killmails 9 to 4, two a page; 8 is taken off between the reading of page 2 and of page 3

               page 1   page 2   page 3
    at first   [9 8]    [7 6]    [5 4]
    8 is gone  [9 7]    [6 5]    [4]        page 2 was read as [7 6], page 3 as [4]: where is 5?

    The stamp of page 3 is another one than that of page 2, so page 2 is read again: [6 5]. It
    holds 6, the floor (the lowest id of the pages done), so nothing lies between: 5 is found,
    and page 3 follows. Had it not reached up to the floor, page 1 would have been read again.

So a page hides nothing if it bears the stamp of the page before it, or if it overlaps with what
was read before. Where ESI stamps each page with a time of its own, two pages fit together if both
are the same when they are read again: if their seam is.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from killsync.esi.page_count import (
    contradicts,
    is_last,
    known_after,
    left_known,
    said,
    was_not_whole,
)
from killsync.model import Cursor, KillmailRef, Page

_MOST_REREADS = 2


class Stamp(msgspec.Struct, frozen=True):
    """What ESI says of the list with each page: Last-Modified and X-Pages, None if absent."""

    modified: str | None
    pages: int | None

    @classmethod
    def from_page(cls, page: Page) -> "Stamp":
        """Return the stamp that a page bears."""
        return cls(page.modified, page.pages)


class Seam(msgspec.Struct, frozen=True):
    """Where two pages meet whose stamps differ: the floor above, the highest id below it."""

    page: int
    floor: int | None
    highest: int


class Rereads(msgspec.Struct, frozen=True):
    """How often pages were read again, since the list was seen to have changed at a deeper one."""

    deepest: int = 0
    times: int = 0

    def another(self, number: int) -> "Rereads":
        """Return the count after the list was seen to have changed at page `number`."""
        times = self.times + 1 if number <= self.deepest else 1
        return Rereads(max(number, self.deepest), times)


class Pass(msgspec.Struct, frozen=True):
    """What one pass over a list must remember between its pages.

    `stamp` is that of the page read before; `floor` the lowest id of the pages done (None: not
    known); `doubtful` says that the next page must overlap with them. `seam` is where the list
    was last seen to have changed, `ordered` whether every page so far was newest first.
    `known` is how many pages the list has by all that has been said: by what the pass before has
    left (`Step.known`), and by its own pages since. Only a page past the end lowers it.
    """

    stamp: Stamp | None = None
    floor: int | None = None
    doubtful: bool = False
    seam: Seam | None = None
    rereads: Rereads = Rereads()
    ordered: bool = True
    known: int | None = None


class Step(msgspec.Struct, frozen=True):
    """What follows from a page: the cursor to record with it, and the page to read next.

    `next_page` is None when the pass has met its end, or must leave the gap to a later run;
    `met` is the id it stopped at, if any. `contradicted` says that a page does not exist which
    X-Pages has just promised.

    After page 1, `whole` says that a reading of the whole list begins with it, and may end there;
    `known` is how many pages the next pass may rely on: None if the answer contradicted what was
    known, 0 if it alone says that page 1 is the only one. With `keep_etag` a 304 may stand for
    the page next time; without, the next answer must say more.
    """

    cursor: Cursor
    progress: Pass
    next_page: int | None
    met: int | None = None
    contradicted: bool = False
    whole: bool = False
    known: int | None = None
    keep_etag: bool = True


def after_head(
    cursor: Cursor, page: Page, progress: Pass, *, full: bool, cached: bool = False
) -> Step:
    """Decide after page 1: move the stored id up, and open, widen or close the gap below it.

    With `full` the stored id is no reason to stop: the gap goes to the end of the list. So it is
    if there are more pages than a list can have that was whole before.
    `cached` is as in `resume_at`.
    """
    ids = [ref.killmail_id for ref in page.refs]
    seen = _seen(1, page, progress)
    old = cursor.last_killmail_id
    full = full or was_not_whole(cursor, page, progress.known)
    met = old if old in ids and seen.ordered and not full else None
    newest = max(ids, default=old)
    doubted = contradicts(1, page, seen.known)
    ended = is_last(1, page, seen.known)
    if ended or (met is not None and cursor.until_id in ids):
        after = Cursor(newest)
    elif met is not None:
        after = msgspec.structs.replace(cursor, last_killmail_id=newest)
    else:
        until = None if full else old
        if cursor.page is not None:
            until = _deeper(until, cursor.until_id)
        after = Cursor(newest, 2, until)
    if after.page == 2:
        floor = None if met is None else progress.floor
        seen = msgspec.structs.replace(seen, floor=_lower(floor, page))
    if doubted and not ids:
        # whatever page 2 shows, page 1 must be read again
        seen = msgspec.structs.replace(seen, stamp=Stamp(None, None))
    pages = None if doubted else page.pages
    next_page = resume_at(after, pages=pages, cached=cached and not doubted)
    alone = ended and old not in ids and (progress.known is None or newest != old)
    return Step(
        after,
        resumed(seen, after, next_page),
        next_page,
        met,
        whole=full or ended or old is None,
        known=0 if alone else left_known(page, progress.known, doubted=doubted),
        keep_etag=not doubted,
    )


def after_unchanged(cursor: Cursor, page: Page, progress: Pass, *, cached: bool) -> Step:
    """Decide after a 304 for page 1: go on with the gap, or open one if X-Pages shows a need."""
    known = progress.known
    after = cursor
    whole = was_not_whole(cursor, page, progress.known)
    if whole:
        after = Cursor(cursor.last_killmail_id, 2, None)
        progress = msgspec.structs.replace(progress, floor=None)
    doubted = contradicts(1, page, known)
    seen = msgspec.structs.replace(
        progress,
        stamp=Stamp(page.modified, said(page) or known),
        known=_known_after(1, page, progress),
    )
    pages = None if doubted else said(page) or known
    next_page = resume_at(after, pages=pages, cached=cached and not doubted)
    return Step(
        after,
        resumed(seen, after, next_page),
        next_page,
        whole=whole,
        known=left_known(page, known, doubted=doubted),
        keep_etag=not doubted and (known != 0 or page.pages is not None),
    )


def after_page(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    """Decide after page `number` (2 or higher) of the gap: go on, go back, or close it."""
    seen = _seen(number, page, progress)
    if progress.doubtful:
        decide = _forward if _overlaps(page, seen) else _back
        return decide(cursor, number, page, seen)
    if not _changed(number, progress.stamp, page):
        return _forward(cursor, number, page, seen)
    seam = _seam(number, page, seen)
    if seam is not None and seam == progress.seam:
        return _forward(cursor, number, page, seen)
    broken = _breaks_promise(number, page, progress)
    rereads = progress.rereads.another(number)
    # asking past the end costs most of all
    if rereads.times <= (1 if broken else _MOST_REREADS):
        noted = msgspec.structs.replace(seen, rereads=rereads, seam=seam)
        return _back(cursor, number, page, noted)
    if _overlaps(page, seen):
        return _forward(cursor, number, page, seen)
    return Step(cursor, progress, None, contradicted=broken)


def resume_at(cursor: Cursor, *, pages: int | None, cached: bool) -> int | None:
    """Return the page at which a gap left by an earlier run goes on, None if there is no gap.

    The last page done is read again, since what was on it may have moved below it, unless its
    cache time still runs. `pages` is X-Pages of page 1 as known now.
    """
    if cursor.page is None:
        return None
    page = cursor.page if cached else cursor.page - 1
    return max(2, page if pages is None else min(page, pages))


def resumed(progress: Pass, cursor: Cursor, next_page: int | None) -> Pass:
    """Return what a pass knows that goes on with a gap at `next_page`.

    Above the first page not yet done it must find what an earlier run has recorded.
    """
    again = next_page is not None and cursor.page is not None and next_page < cursor.page
    return msgspec.structs.replace(progress, doubtful=again)


def newest_first(refs: Sequence[KillmailRef]) -> bool:
    """Return whether the ids descend."""
    return all(a.killmail_id > b.killmail_id for a, b in pairwise(refs))


def _back(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    """Read the page before once more; it must overlap with the pages done."""
    # of a list that has shrunk by more than a page, page 1 says by how much
    before = 1 if page.past_end and progress.doubtful else number - 1
    doubtful = msgspec.structs.replace(progress, doubtful=True)
    return Step(msgspec.structs.replace(cursor, page=max(2, before)), doubtful, before)


def _forward(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    """Count the page as done, and read the next one unless the gap ends here."""
    done = msgspec.structs.replace(progress, doubtful=False, floor=_lower(progress.floor, page))
    until = cursor.until_id
    met = until if done.ordered and any(ref.killmail_id == until for ref in page.refs) else None
    if met is not None or is_last(number, page, done.known):
        return Step(Cursor(cursor.last_killmail_id), done, None, met)
    return Step(msgspec.structs.replace(cursor, page=number + 1), done, number + 1)


def _seen(number: int, page: Page, progress: Pass) -> Pass:
    return msgspec.structs.replace(
        progress,
        stamp=Stamp.from_page(page),
        ordered=progress.ordered and newest_first(page.refs),
        known=_known_after(number, page, progress),
    )


def _known_after(number: int, page: Page, progress: Pass) -> int | None:
    promised = progress.stamp.pages if progress.stamp is not None else None
    return known_after(number, page, progress.known, promised=promised)


def _overlaps(page: Page, progress: Pass) -> bool:
    """Return whether a page reaches up to the pages done, so that nothing lies between."""
    if progress.floor is None or not progress.ordered:
        return not page.past_end
    return any(ref.killmail_id >= progress.floor for ref in page.refs)


def _changed(number: int, before: Stamp | None, page: Page) -> bool:
    """Return whether entries may have moved since the page before this one was read."""
    if page.past_end:
        # no surprise where X-Pages did not tell of it
        return before is None or (before.pages is not None and number <= before.pages)
    return before is not None and before != Stamp.from_page(page)


def _seam(number: int, page: Page, progress: Pass) -> Seam | None:
    if not page.refs or not progress.ordered:
        return None
    return Seam(number, progress.floor, page.refs[0].killmail_id)


def _breaks_promise(number: int, page: Page, progress: Pass) -> bool:
    promised = progress.stamp.pages if progress.stamp is not None else None
    return page.past_end and promised is not None and number <= promised


def _lower(floor: int | None, page: Page) -> int | None:
    ids = [ref.killmail_id for ref in page.refs]
    return min(ids if floor is None else [floor, *ids], default=None)


def _deeper(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else min(a, b)
