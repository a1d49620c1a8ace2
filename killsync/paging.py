"""Where a list stops, what is next, where a gap resumes: pure functions over cursors and pages.

ESI returns a character's killmails newest first in practice and promises it nowhere; entries
move to later pages when new ones arrive, and to earlier ones only when one is removed.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from killsync.model import Cursor, KillmailRef, Page

_MOST_RECHECKS = 2


class Pass(msgspec.Struct, frozen=True):
    """What one pass over a list must remember between its pages.

    `snapshot` is (Last-Modified, X-Pages) of the page read before; `rechecked` the deepest page
    from which the pass went one back, and `rechecks` how often; `ordered` whether every page so
    far was newest first.
    """

    snapshot: tuple[str | None, int | None] | None = None
    rechecked: int = 0
    rechecks: int = 0
    ordered: bool = True


class Step(msgspec.Struct, frozen=True):
    """What follows from a page: the cursor to record with it, and the page to read next.

    `next_page` is None when the pass has met its end; `met` is the id it stopped at, if any.
    `contradicted` says that a page does not exist which X-Pages has just promised.
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
    return Step(after, moved, resume_at(after, pages=page.pages, cached=cached), met)


def after_page(cursor: Cursor, number: int, page: Page, progress: Pass) -> Step:
    """Decide after page `number` (2 or higher) of the gap: go on, go one back, or close it."""
    ordered = progress.ordered and newest_first(page.refs)
    snapshot = _snapshot(page)
    if _moved(progress.snapshot, page) and _may_recheck(number, progress):
        rechecks = progress.rechecks + 1 if number == progress.rechecked else 1
        moved = Pass(snapshot, number, rechecks, ordered)
        back = msgspec.structs.replace(cursor, page=max(2, number - 1))
        return Step(back, moved, number - 1)
    promised = progress.snapshot[1] if progress.snapshot is not None else None
    if page.past_end and promised is not None and number <= promised:
        return Step(cursor, progress, None, contradicted=True)
    moved = msgspec.structs.replace(progress, snapshot=snapshot, ordered=ordered)
    until = cursor.until_id
    met = until if ordered and any(ref.killmail_id == until for ref in page.refs) else None
    if met is not None or is_last(number, page):
        return Step(Cursor(cursor.last_killmail_id), moved, None, met)
    return Step(msgspec.structs.replace(cursor, page=number + 1), moved, number + 1)


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


def _moved(before: tuple[str | None, int | None] | None, page: Page) -> bool:
    """Tell whether entries may have moved since the page read before this one."""
    if page.past_end:
        # no surprise where X-Pages never told how many there are
        return before is None or before[1] is not None
    return before is not None and before != _snapshot(page)


def _may_recheck(number: int, progress: Pass) -> bool:
    """A list that changes at every request must not keep the pass for ever."""
    again = number == progress.rechecked and progress.rechecks < _MOST_RECHECKS
    return number > progress.rechecked or again


def _deeper(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else min(a, b)


def _snapshot(page: Page) -> tuple[str | None, int | None]:
    return page.modified, page.pages
