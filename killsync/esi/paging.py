"""Where a list stops, what is next, where a gap resumes: pure functions over cursors and pages.

ESI returns a character's killmails newest first in practice and promises it nowhere; entries
move to later pages when new ones arrive, and to earlier ones only when one is removed. So a page
hides nothing if it follows another of the same snapshot, or if it overlaps with what was read
before: if it reaches up to the floor, the lowest id of the pages done. Pages that ESI stamps with
times of their own fit together if both are the same when they are read again.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from killsync.model import Cursor, KillmailRef, Page

_MOST_RECHECKS = 2


class Pass(msgspec.Struct, frozen=True):
    """What one pass over a list must remember between its pages.

    `snapshot` is (Last-Modified, X-Pages) of the page read before; `floor` the lowest id of the
    pages done (None: not known); `doubtful` says that the next page must overlap with them.
    `seam` is where the list was seen to have changed: the page, the floor above it, its highest id.
    `rechecked` is the deepest page at which the list was seen to have changed, and `rechecks`
    how often since; `ordered` whether every page so far was newest first.
    """

    snapshot: tuple[str | None, int | None] | None = None
    floor: int | None = None
    doubtful: bool = False
    seam: tuple[int, int | None, int] | None = None
    rechecked: int = 0
    rechecks: int = 0
    ordered: bool = True


class Step(msgspec.Struct, frozen=True):
    """What follows from a page: the cursor to record with it, and the page to read next.

    `next_page` is None when the pass has met its end, or must leave the gap to a later run;
    `met` is the id it stopped at, if any. `contradicted` says that a page does not exist which
    X-Pages has just promised.
    """

    cursor: Cursor
    progress: Pass
    next_page: int | None
    met: int | None = None
    contradicted: bool = False


def newest_first(refs: Sequence[KillmailRef]) -> bool:
    """Tell whether the ids descend."""
    return all(a.killmail_id > b.killmail_id for a, b in pairwise(refs))


def after_head(
    cursor: Cursor, page: Page, progress: Pass, *, full: bool, cached: bool = False
) -> Step:
    """Decide after page 1: move the stored id up, and open, widen or close the gap below it.

    With `full` the stored id is no reason to stop: the gap goes to the end of the list.
    `cached` is as in `resume_at`.
    """
    ids = [ref.killmail_id for ref in page.refs]
    ordered = progress.ordered and newest_first(page.refs)
    old = cursor.last_killmail_id
    met = old if old in ids and ordered and not full else None
    newest = max(ids, default=old)
    if is_last(1, page):
        after = Cursor(newest)
    elif met is not None:
        after = msgspec.structs.replace(cursor, last_killmail_id=newest)
    else:
        until = None if full else old
        if cursor.page is not None:
            until = _deeper(until, cursor.until_id)
        after = Cursor(newest, 2, until)
    moved = msgspec.structs.replace(progress, snapshot=_snapshot(page), ordered=ordered)
    if after.page == 2:
        floor = None if met is None else progress.floor
        moved = msgspec.structs.replace(moved, floor=_lower(floor, page))
    next_page = resume_at(after, pages=page.pages, cached=cached)
    return Step(after, resumed(moved, after, next_page), next_page, met)


def after_page(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    """Decide after page `number` (2 or higher) of the gap: go on, go back, or close it."""
    ordered = progress.ordered and newest_first(page.refs)
    seen = msgspec.structs.replace(progress, snapshot=_snapshot(page), ordered=ordered)
    if progress.doubtful:
        decide = _forward if _overlaps(page, seen) else _back
        return decide(cursor, number, page, seen)
    if not _moved(progress.snapshot, page):
        return _forward(cursor, number, page, seen)
    seam = _seam(number, page, seen)
    if seam is not None and seam == progress.seam:
        return _forward(cursor, number, page, seen)
    broken = _breaks_promise(number, page, progress)
    rechecks = progress.rechecks + 1 if number <= progress.rechecked else 1
    # asking past the end costs most of all
    if rechecks <= (1 if broken else _MOST_RECHECKS):
        deepest = max(number, progress.rechecked)
        noted = msgspec.structs.replace(seen, rechecked=deepest, rechecks=rechecks, seam=seam)
        return _back(cursor, number, page, noted)
    if _overlaps(page, seen):
        return _forward(cursor, number, page, seen)
    return Step(cursor, progress, None, contradicted=broken)


def _back(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    # of a list that has shrunk by more than a page, page 1 says by how much
    before = 1 if page.past_end and progress.doubtful else number - 1
    doubtful = msgspec.structs.replace(progress, doubtful=True)
    return Step(msgspec.structs.replace(cursor, page=max(2, before)), doubtful, before)


def _forward(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    done = msgspec.structs.replace(progress, doubtful=False, floor=_lower(progress.floor, page))
    until = cursor.until_id
    met = until if done.ordered and any(ref.killmail_id == until for ref in page.refs) else None
    if met is not None or is_last(number, page):
        return Step(Cursor(cursor.last_killmail_id), done, None, met)
    return Step(msgspec.structs.replace(cursor, page=number + 1), done, number + 1)


def is_last(number: int, page: Page) -> bool:
    """Tell whether the list ends with this page; without X-Pages only an empty one is the end."""
    return page.past_end or (not page.refs if page.pages is None else number >= page.pages)


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


def _overlaps(page: Page, progress: Pass) -> bool:
    """Tell whether a page reaches up to the pages done, so that nothing lies between."""
    if progress.floor is None or not progress.ordered:
        return not page.past_end
    return any(ref.killmail_id >= progress.floor for ref in page.refs)


def _seam(number: int, page: Page, progress: Pass) -> tuple[int, int | None, int] | None:
    if not page.refs or not progress.ordered:
        return None
    return number, progress.floor, page.refs[0].killmail_id


def _lower(floor: int | None, page: Page) -> int | None:
    return min(
        [ref.killmail_id for ref in page.refs] + ([] if floor is None else [floor]), default=None
    )


def _breaks_promise(number: int, page: Page, progress: Pass) -> bool:
    promised = progress.snapshot[1] if progress.snapshot is not None else None
    return page.past_end and promised is not None and number <= promised


def _moved(before: tuple[str | None, int | None] | None, page: Page) -> bool:
    """Tell whether entries may have moved since the page read before this one."""
    if page.past_end:
        # no surprise where X-Pages never told how many there are
        return before is None or before[1] is not None
    return before is not None and before != _snapshot(page)


def _deeper(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else min(a, b)


def _snapshot(page: Page) -> tuple[str | None, int | None]:
    return page.modified, page.pages
