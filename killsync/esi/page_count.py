"""How many pages a list has, by all that was said of it: pure functions.

No single answer says where a list ends. One that names fewer pages than are known, or an empty
page 1 where there are more, ends nothing: the next page is asked for, as without X-Pages, and one
past the end bears it out. Where nothing was known, page 1 is believed that it is the only one;
what the next answer says of that decides.
"""

from killsync.model import Cursor, Page


def is_last(number: int, page: Page, known: int | None) -> bool:
    """Return whether the list ends with this page, of which so many pages are `known`.

    Without X-Pages, only an empty page ends it.
    """
    if page.past_end:
        return True
    if contradicts(number, page, known):
        return False
    return not page.refs if page.pages is None else number >= page.pages


def known_after(number: int, page: Page, known: int | None, *, promised: int | None) -> int | None:
    """Return how many pages are known after page `number`; `promised` is X-Pages before it."""
    found = said(page)
    if page.past_end:
        # it bears out what was said of fewer pages
        return min(n for n in (number - 1, promised, found) if n is not None)
    return max((n for n in (known, found) if n is not None), default=None)


def said(page: Page) -> int | None:
    """Return X-Pages, of which 0 means 1 as well."""
    return None if page.pages is None else max(1, page.pages)


def contradicts(number: int, page: Page, known: int | None) -> bool:
    """Return whether a page speaks of fewer pages than are known, or is empty before the last."""
    found = said(page)
    if page.past_end:
        return False
    if found is not None and known is not None and found < known:
        return True
    return not page.refs and not page.unchanged and max(found or 0, known or 0) > number


def was_not_whole(cursor: Cursor, page: Page, known: int | None) -> bool:
    """Return whether page 1 shows more pages than can have been added since the pass before.

    While the stored id is on page 1, no more than one can; if it is not, only a list whose end
    was known from a single answer tells.
    """
    found, old = said(page), cursor.last_killmail_id
    if found is None or known is None or old is None:
        return False
    if cursor.page is not None and cursor.until_id is None:
        return False  # it is being read to its end
    met = page.unchanged or any(ref.killmail_id == old for ref in page.refs)
    return found > known + 1 and (met or known == 0)


def left_known(page: Page, known: int | None, *, doubted: bool) -> int | None:
    """Return how many pages page 1 leaves known to the next pass; None if it is doubted."""
    return None if doubted else said(page) or known
