"""Where a list stops, where a gap goes on: the decisions about one page, by example."""

import pytest

from killsync.esi.paging import (
    Pass,
    Stamp,
    Step,
    after_head,
    after_page,
    after_unchanged,
    newest_first,
    resume_at,
    resumed,
)
from killsync.model import Cursor, KillmailRef, Page

MONDAY = "Mon, 23 Nov 2026 03:00:00 GMT"
TUESDAY = "Tue, 24 Nov 2026 03:00:00 GMT"
ON_MONDAY = Pass(stamp=Stamp(MONDAY, 3))


def page(
    *ids: int,
    pages: int | None = 3,
    modified: str | None = MONDAY,
    past_end: bool = False,
    unchanged: bool = False,
) -> Page:
    refs = [KillmailRef(killmail_id, f"{killmail_id:040x}") for killmail_id in ids]
    return Page(refs, pages, None, modified, 0.0, past_end=past_end, unchanged=unchanged)


def head(cursor: Cursor, first: Page, *, full: bool = False, cached: bool = False) -> Step:
    return after_head(cursor, first, Pass(), full=full, cached=cached)


# page 1


def test_a_first_sync_opens_a_gap_to_the_end_of_the_list() -> None:
    step = head(Cursor(), page(9, 8))
    assert step.cursor == Cursor(9, page=2, until_id=None)
    assert step.next_page == 2


def test_a_list_of_one_page_is_done_with_page_1() -> None:
    step = head(Cursor(), page(9, 8, pages=1))
    assert step.cursor == Cursor(9)
    assert step.next_page is None


def test_an_empty_list_leaves_no_stored_id_and_no_gap() -> None:
    step = head(Cursor(), page(pages=1))
    assert step.cursor == Cursor()
    assert step.next_page is None


def test_an_empty_list_keeps_the_stored_id() -> None:
    assert head(Cursor(7), page(pages=1)).cursor == Cursor(7)


def test_a_second_sync_stops_at_the_stored_id_on_page_1() -> None:
    step = head(Cursor(8), page(9, 8))
    assert step.cursor == Cursor(9)
    assert step.next_page is None
    assert step.met == 8


def test_a_stored_id_that_is_not_on_page_1_becomes_the_end_of_a_gap() -> None:
    step = head(Cursor(5), page(9, 8))
    assert step.cursor == Cursor(9, page=2, until_id=5)
    assert step.next_page == 2
    assert step.met is None


def test_an_id_lower_than_the_stored_one_is_no_reason_to_stop() -> None:
    step = head(Cursor(8), page(9, 7))
    assert step.cursor == Cursor(9, page=2, until_id=8)


def test_the_stored_id_becomes_the_highest_on_the_page_whatever_the_order() -> None:
    assert head(Cursor(3), page(7, 9, 8)).cursor.last_killmail_id == 9


def test_a_page_1_out_of_order_is_no_place_to_stop() -> None:
    step = head(Cursor(8), page(8, 9))
    assert step.met is None
    assert step.cursor == Cursor(9, page=2, until_id=8)
    assert not step.progress.ordered


def test_a_full_pass_goes_past_the_stored_id_to_the_end() -> None:
    step = head(Cursor(9), page(9, 8), full=True)
    assert step.cursor == Cursor(9, page=2, until_id=None)
    assert step.met is None


# page 1 while a gap is open


def test_a_head_pass_that_meets_the_stored_id_goes_on_with_the_gap() -> None:
    step = head(Cursor(8, page=3, until_id=2), page(9, 8))
    assert step.cursor == Cursor(9, page=3, until_id=2)
    assert step.next_page == 2, "the last page done is read again"
    assert step.met == 8


def test_a_gap_whose_last_page_is_cached_goes_on_at_the_page_after_it() -> None:
    step = head(Cursor(9, page=3, until_id=2), page(9, 8), cached=True)
    assert step.next_page == 3


@pytest.mark.parametrize(
    ("open_until", "joined_until"),
    [(2, 2), (None, None)],
    ids=["the deeper id", "the end of the list"],
)
def test_two_gaps_become_one_with_the_shallower_page_and_the_deeper_end(
    open_until: int | None, joined_until: int | None
) -> None:
    step = head(Cursor(6, page=3, until_id=open_until), page(9, 8))
    assert step.cursor == Cursor(9, page=2, until_id=joined_until)
    assert step.next_page == 2


def test_a_full_pass_takes_an_open_gap_with_it() -> None:
    step = head(Cursor(8, page=3, until_id=2), page(9, 8), full=True)
    assert step.cursor == Cursor(9, page=2, until_id=None)


def test_a_list_that_has_shrunk_to_one_page_closes_an_open_gap() -> None:
    step = head(Cursor(6, page=3, until_id=2), page(9, 8, pages=1))
    assert step.cursor == Cursor(9)
    assert step.next_page is None


# the pages of a gap


def test_a_page_without_the_end_of_the_gap_leads_to_the_next_page() -> None:
    step = after_page(Cursor(9, page=2, until_id=2), 2, page(7, 6), ON_MONDAY)
    assert step.cursor == Cursor(9, page=3, until_id=2)
    assert step.next_page == 3


def test_the_page_that_holds_the_end_of_the_gap_closes_it() -> None:
    step = after_page(Cursor(9, page=2, until_id=6), 2, page(7, 6), ON_MONDAY)
    assert step.cursor == Cursor(9)
    assert step.next_page is None
    assert step.met == 6


def test_the_last_page_by_x_pages_closes_the_gap() -> None:
    step = after_page(Cursor(9, page=3, until_id=1), 3, page(5, 4), ON_MONDAY)
    assert step.cursor == Cursor(9)
    assert step.next_page is None
    assert step.met is None


def test_an_id_lower_than_the_end_of_the_gap_is_no_reason_to_stop() -> None:
    step = after_page(Cursor(9, page=2, until_id=6), 2, page(7, 5), ON_MONDAY)
    assert step.next_page == 3


def test_a_page_out_of_order_does_not_close_the_gap() -> None:
    step = after_page(Cursor(9, page=2, until_id=6), 2, page(6, 7), ON_MONDAY)
    assert step.next_page == 3
    assert not step.progress.ordered


def test_after_a_page_out_of_order_the_pass_reads_to_the_end() -> None:
    seen = Pass(stamp=Stamp(MONDAY, 3), ordered=False)
    step = after_page(Cursor(9, page=2, until_id=6), 2, page(7, 6), seen)
    assert step.next_page == 3


def test_a_page_1_read_again_does_not_make_a_disordered_pass_ordered() -> None:
    gap = Cursor(10, page=2, until_id=6)
    first = after_page(gap, 2, page(7, 8, modified=TUESDAY), ON_MONDAY)
    assert first.next_page == 1
    again = after_head(first.cursor, page(10, 9, modified=TUESDAY), first.progress, full=False)
    second = after_page(again.cursor, 2, page(8, 6, modified=TUESDAY), again.progress)
    assert second.next_page == 3


def test_without_x_pages_only_a_page_past_the_end_is_the_end() -> None:
    first = head(Cursor(), page(9, 8, pages=None))
    assert first.next_page == 2
    second = after_page(first.cursor, 2, page(7, 6, pages=None), first.progress)
    assert second.next_page == 3


def test_without_x_pages_the_end_is_asked_for_once() -> None:
    before = Pass(stamp=Stamp(MONDAY, None))
    end = page(past_end=True, pages=None, modified=None)
    step = after_page(Cursor(9, page=3), 3, end, before)
    assert step.next_page is None
    assert step.cursor == Cursor(9)


# a list that changes between two pages


@pytest.mark.parametrize(
    "changed", [page(7, 6, modified=TUESDAY), page(7, 6, pages=4)], ids=["modified", "x-pages"]
)
def test_a_list_that_changed_is_read_from_one_page_back(changed: Page) -> None:
    step = after_page(Cursor(9, page=3), 3, changed, ON_MONDAY)
    assert step.next_page == 2
    assert step.cursor == Cursor(9, page=2)


def test_a_changed_list_that_holds_the_end_is_still_read_one_page_back_first() -> None:
    step = after_page(Cursor(9, page=3, until_id=6), 3, page(7, 6, modified=TUESDAY), ON_MONDAY)
    assert step.next_page == 2
    assert step.met is None


def test_a_change_seen_on_page_2_leads_back_to_page_1() -> None:
    step = after_page(Cursor(9, page=2), 2, page(7, 6, modified=TUESDAY), ON_MONDAY)
    assert step.next_page == 1
    assert step.cursor == Cursor(9, page=2), "the gap itself begins no earlier than page 2"


def test_a_list_that_changes_at_every_page_does_not_keep_the_pass_for_ever() -> None:
    step, reads = head(Cursor(), page(1000, pages=9, modified="0")), 1
    while (number := step.next_page) is not None and reads < 100:
        changed = page(1000 - number, pages=9, modified=str(reads))
        if number == 1:
            step = after_head(step.cursor, changed, step.progress, full=False)
        else:
            step = after_page(step.cursor, number, changed, step.progress)
        reads += 1
    assert reads <= 5 * 9


def test_a_list_that_changes_again_while_one_page_back_is_read_hides_nothing() -> None:
    gap = Cursor(2, page=2)
    back = after_page(gap, 2, page(2, pages=3, modified="3 2 1"), Pass(Stamp("2 1", 2)))
    first = after_head(back.cursor, page(4, pages=4, modified="4 3 2 1"), back.progress, full=False)
    # killmail 4 is removed, and 3, not recorded yet, moves to page 1
    second = after_page(first.cursor, 2, page(2, pages=3, modified="3 2 1 again"), first.progress)
    assert second.cursor.page == 2
    assert second.next_page in (1, None)


def test_a_page_past_the_end_is_not_believed_before_the_one_above_it_was_read_again() -> None:
    step = after_page(Cursor(9, page=3), 3, page(past_end=True), ON_MONDAY)
    assert step.next_page == 2
    last = after_page(step.cursor, 2, page(7, 6, pages=2), step.progress)
    assert last.next_page is None
    assert last.cursor == Cursor(9)


def test_after_two_pages_past_the_end_page_1_says_where_the_list_ends() -> None:
    promised = Pass(stamp=Stamp(MONDAY, 4))
    first = after_page(Cursor(9, page=4), 4, page(past_end=True, pages=None), promised)
    second = after_page(first.cursor, 3, page(past_end=True, pages=None), first.progress)
    assert second.next_page == 1
    third = after_head(second.cursor, page(9, 8, pages=2), second.progress, full=False)
    last = after_page(third.cursor, 2, page(7, pages=2), third.progress)
    assert (last.next_page, last.cursor) == (None, Cursor(9))


def test_a_killmail_taken_off_between_two_pages_hides_no_other() -> None:
    # the picture in killsync.esi.paging
    first = head(Cursor(), page(9, 8))
    second = after_page(first.cursor, 2, page(7, 6), first.progress)
    third = after_page(second.cursor, 3, page(4, modified=TUESDAY), second.progress)
    assert third.next_page == 2
    found = after_page(third.cursor, 2, page(6, 5, modified=TUESDAY), third.progress)
    assert found.next_page == 3
    end = after_page(found.cursor, 3, page(4, modified=TUESDAY), found.progress)
    assert (end.next_page, end.cursor) == (None, Cursor(9))


# pages that must overlap with what was read before


DONE_DOWN_TO_6 = Pass(stamp=Stamp(MONDAY, 9), floor=6)


def test_a_page_read_again_that_reaches_up_to_the_floor_leads_on() -> None:
    changed = page(3, 2, pages=9, modified=TUESDAY)
    back = after_page(Cursor(9, page=4), 4, changed, DONE_DOWN_TO_6)
    overlapping = page(7, 5, pages=9, modified=TUESDAY)
    again = after_page(back.cursor, 3, overlapping, back.progress)
    assert (again.next_page, again.cursor.page, again.progress.floor) == (4, 4, 5)


def test_a_page_read_again_below_the_floor_leads_further_back() -> None:
    back = after_page(Cursor(9, page=4), 4, page(2, 1, modified=TUESDAY), DONE_DOWN_TO_6)
    again = after_page(back.cursor, 3, page(4, 3, modified=TUESDAY), back.progress)
    assert (again.next_page, again.cursor.page) == (2, 2)
    assert again.progress.floor == 6, "4 and 3 are recorded, but not what lies above them"


def test_a_gap_resumed_below_the_floor_goes_back() -> None:
    found = resumed(Pass(floor=6), Cursor(9, page=4), 3)
    assert after_page(Cursor(9, page=4), 3, page(5, 4), found).next_page == 2


def test_a_gap_resumed_at_a_page_not_yet_done_needs_no_overlap() -> None:
    found = resumed(Pass(floor=6), Cursor(9, page=4), 4)
    assert after_page(Cursor(9, page=4), 4, page(5, 4, pages=9), found).next_page == 5


def test_a_list_that_will_not_keep_still_is_left_to_a_later_run() -> None:
    step = after_page(Cursor(9, page=4), 4, page(5, 4, pages=9, modified="1"), DONE_DOWN_TO_6)
    for number, ids in ((3, (7, 6)), (4, (4, 3)), (3, (7, 6)), (4, (3, 2))):
        again = page(*ids, pages=9, modified=str(ids) + str(step.progress.rereads.times))
        step = after_page(step.cursor, number, again, step.progress)
    assert (step.next_page, step.cursor.page, step.contradicted) == (None, 4, False)


def test_pages_with_times_of_their_own_that_stay_the_same_are_read_on() -> None:
    third, fourth = page(7, 6, pages=9, modified="3rd"), page(3, 2, pages=9, modified="4th")
    step = after_page(Cursor(9, page=4), 4, fourth, DONE_DOWN_TO_6)
    step = after_page(step.cursor, 3, third, step.progress)
    step = after_page(step.cursor, 4, fourth, step.progress)
    assert (step.next_page, step.cursor.page) == (5, 5)


def test_page_1_is_the_floor_of_a_gap_that_begins_below_it() -> None:
    assert head(Cursor(5), page(9, 8)).progress.floor == 8


def test_two_gaps_that_become_one_forget_the_floor_of_the_deeper() -> None:
    known = Pass(floor=3)
    step = after_head(Cursor(6, page=3, until_id=1), page(9, 8), known, full=False)
    assert step.progress.floor == 8


# a single answer that speaks of fewer pages than are known


def test_fewer_pages_than_are_known_end_nothing_on_page_1() -> None:
    known = Pass(known=60)
    step = after_head(Cursor(5), page(9, 8, pages=1), known, full=False)
    assert (step.next_page, step.cursor) == (2, Cursor(9, page=2, until_id=5))
    assert (step.known, step.keep_etag) == (None, False), "the next answer is believed"


def test_fewer_pages_than_are_known_leave_an_open_gap_where_it_was() -> None:
    gap, known = Cursor(8, page=13), Pass(known=60)
    step = after_head(gap, page(9, 8, pages=1), known, full=False, cached=True)
    assert (step.next_page, step.cursor) == (12, Cursor(9, page=13))
    assert step.progress.doubtful


def test_an_empty_page_1_of_several_is_read_again_after_page_2() -> None:
    first = after_head(Cursor(9), page(pages=None, modified=None), Pass(known=3), full=False)
    assert (first.next_page, first.known, first.keep_etag) == (2, None, False)
    second = after_page(first.cursor, 2, page(7, 6), first.progress)
    assert second.next_page == 1
    again = after_head(second.cursor, page(10, 9), second.progress, full=False)
    assert (again.next_page, again.cursor) == (None, Cursor(10)), "the gap's end is on page 1"


def test_a_page_past_the_end_bears_out_that_there_are_fewer() -> None:
    first = after_head(Cursor(5), page(9, 8, pages=1), Pass(known=60), full=False)
    step = after_page(first.cursor, 2, page(past_end=True, pages=None), first.progress)
    assert (step.next_page, step.cursor) == (None, Cursor(9))


def test_page_1_is_believed_once_a_page_past_the_end_has_borne_it_out() -> None:
    gap, known = Cursor(9, page=13), Pass(known=60, floor=6)
    first = after_head(gap, page(9, 8, pages=3), known, full=False)
    assert first.next_page == 12
    deep = after_page(first.cursor, 12, page(past_end=True, pages=None), first.progress)
    assert deep.next_page == 1
    again = after_head(deep.cursor, page(9, 8, pages=3), deep.progress, full=False)
    assert (again.next_page, again.known, again.keep_etag) == (2, 3, True)


def test_a_page_read_again_that_claims_to_be_the_last_of_more_is_not() -> None:
    again = Pass(floor=6, doubtful=True, known=60)
    step = after_page(Cursor(9, page=13), 12, page(7, 5, pages=12), again)
    assert step.next_page == 13


def test_that_page_1_is_the_only_one_rests_on_one_answer_until_the_next() -> None:
    first = head(Cursor(), page(9, 8, pages=1))
    assert (first.known, first.keep_etag) == (0, True)
    second = after_head(Cursor(9), page(9, 8, pages=1), Pass(known=first.known), full=False)
    assert second.known == 1


@pytest.mark.parametrize(("known", "pages"), [(0, 2), (1, 3), (3, 60)])
def test_more_pages_than_can_have_been_added_have_the_whole_list_read(
    known: int, pages: int
) -> None:
    step = after_head(Cursor(8), page(9, 8, pages=pages), Pass(known=known), full=False)
    assert (step.next_page, step.cursor, step.whole) == (2, Cursor(9, page=2), True)
    same = page(pages=pages, unchanged=True)
    unchanged = after_unchanged(Cursor(9), same, Pass(known=known), cached=False)
    assert (unchanged.next_page, unchanged.cursor) == (2, Cursor(9, page=2))
    assert unchanged.whole


@pytest.mark.parametrize(("known", "pages"), [(0, 1), (1, 2), (3, 4), (None, 60)])
def test_a_page_more_is_no_reason_to_read_the_whole_list(known: int | None, pages: int) -> None:
    step = after_head(Cursor(8), page(9, 8, pages=pages), Pass(known=known), full=False)
    assert (step.next_page, step.cursor, step.whole) == (None, Cursor(9), pages == 1)


def test_a_304_without_x_pages_leaves_a_doubt_to_the_next_answer() -> None:
    silent = page(pages=None, unchanged=True)
    assert not after_unchanged(Cursor(9), silent, Pass(known=0), cached=False).keep_etag
    assert after_unchanged(Cursor(9), silent, Pass(known=1), cached=False).keep_etag


# a gap that an earlier run left


def test_without_a_gap_nothing_is_resumed() -> None:
    assert resume_at(Cursor(9), pages=5, cached=False) is None


def test_a_gap_resumes_at_the_last_page_done() -> None:
    assert resume_at(Cursor(9, page=4), pages=5, cached=False) == 3


def test_a_gap_resumes_at_the_next_page_while_the_last_one_is_cached() -> None:
    assert resume_at(Cursor(9, page=4), pages=5, cached=True) == 4


def test_a_gap_that_begins_at_page_2_resumes_there() -> None:
    assert resume_at(Cursor(9, page=2), pages=5, cached=False) == 2


def test_a_gap_below_a_list_that_has_shrunk_resumes_at_its_last_page() -> None:
    assert resume_at(Cursor(9, page=7), pages=3, cached=False) == 3


def test_a_gap_resumes_when_the_number_of_pages_is_unknown() -> None:
    assert resume_at(Cursor(9, page=7), pages=None, cached=False) == 6


@pytest.mark.parametrize(
    ("ids", "descending"),
    [((), True), ((1,), True), ((3, 2, 1), True), ((3, 1, 2), False), ((2, 2), False)],
)
def test_newest_first_means_that_ids_descend(ids: tuple[int, ...], descending: bool) -> None:
    assert newest_first(page(*ids).refs) is descending
