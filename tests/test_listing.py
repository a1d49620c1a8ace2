"""Which pages of a list are asked for, and that nothing on it is missed.

Every test is one of characters' lists and one of corporations', which the same code reads.
"""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from corporations import AsCorporations
from world import TIMEOUT, Killsync, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]


@pytest.fixture(params=["characters", "corporations"])
def killsync(request: pytest.FixtureRequest, killsync: Make) -> Make:
    """Make a killsync whose users are characters, or the same with corporations."""
    if request.param == "characters":
        return killsync

    def make(**options: Any) -> Killsync:
        if "list_tokens" in options:
            options["corp_list_tokens"] = options["list_tokens"]
        return AsCorporations(killsync(**options))

    return make


def with_characters(
    make: Make, *killmails: int, order: str = "newest", **options: Any
) -> tuple[Killsync, list[int]]:
    """Register a character for each of these numbers of killmails, five to a page."""
    program = make(users=False, **({"page_size": 5, "list_tokens": 0} | options))
    add = program.simulator.add_character
    logins = [add(killmails=count, order=order) for count in killmails]
    program.add_users()
    program.simulator.clear_log()
    return program, [login["character_id"] for login in logins]


def with_character(make: Make, killmails: int, **options: Any) -> tuple[Killsync, int]:
    program, (user_id,) = with_characters(make, killmails, **options)
    return program, user_id


def pages(program: Killsync, user_id: int | None = None) -> list[int]:
    """Return the pages asked for, of one user or of all, in order."""
    log = program.simulator.log("list")
    return [entry["page"] for entry in log if user_id in (None, entry["character_id"])]


def scan_later(program: Killsync, *arguments: str, **environment: str) -> list[int]:
    """Scan an hour later, when ESI's cache shows the present list; return the pages asked for."""
    program.make_due()
    program.simulator.thaw()
    program.simulator.clear_log()
    program.run("scan", *arguments, exit_code=0, **environment)
    return pages(program)


def row(program: Killsync, user_id: int, *columns: str) -> tuple[Any, ...]:
    """Return columns of a user."""
    sql = f"SELECT {', '.join(columns)} FROM users WHERE user_id = ?"
    (found,) = program.rows(sql, user_id)
    return found


def stored_id(program: Killsync, user_id: int) -> int | None:
    """Return the stored id, down to which later syncs read; the user must have been synced."""
    newest, synced = row(program, user_id, "last_killmail_id", "last_killmail_sync_at")
    assert synced is not None
    found: int | None = newest
    return found


def gap(program: Killsync, user_id: int) -> tuple[int, int | None] | None:
    """Return the page at which an open gap goes on, and down to which killmail; None: no gap."""
    page, until_id = row(program, user_id, "backfill_page", "backfill_until_id")
    return None if page is None else (page, until_id)


@contextmanager
def scanning_past(program: Killsync, page: int) -> Iterator[subprocess.Popen[str]]:
    """Scan; the block runs when this page has left ESI and has not arrived yet."""
    program.simulator.fault("list", page=page, delay=1, times=1)
    with program.start("scan") as process:
        wait_until(lambda: page in pages(program))
        yield process
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors


def take_off(program: Killsync, user_id: int, killmail_ids: list[int]) -> None:
    """Take killmails off a list, and let ESI show that at once."""
    program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=killmail_ids)
    program.simulator.thaw()


def test_the_first_sync_reads_every_page(killsync: Make) -> None:
    program, (several, exactly_one, none) = with_characters(killsync, 12, 5, 0)
    program.run("scan")
    assert pages(program, several) == [1, 2, 3]
    assert pages(program, exactly_one) == pages(program, none) == [1]
    program.assert_equals_truth()
    for user_id in (several, exactly_one):
        assert stored_id(program, user_id) == program.simulator.listed(user_id)[0]
        assert gap(program, user_id) is None


def test_a_later_sync_stops_at_the_page_that_holds_the_stored_id(killsync: Make) -> None:
    program, users = with_characters(killsync, 11, 11, 11, 11)
    program.run("scan")
    for user_id, new in zip(users, (1, 4, 5, 12), strict=True):
        program.simulator.add_killmails(user_id, new)
    scan_later(program)
    assert [pages(program, user_id) for user_id in users] == [[1], [1], [1, 2], [1, 2, 3]]
    program.assert_equals_truth()
    for user_id in users:
        assert stored_id(program, user_id) == program.simulator.listed(user_id)[0]


def test_the_first_killmail_of_a_character_without_any_is_found(killsync: Make) -> None:
    program, user_id = with_character(killsync, 0)
    program.run("scan")
    assert stored_id(program, user_id) is None
    assert gap(program, user_id) is None
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    program.assert_equals_truth()


def test_a_list_that_has_become_empty_is_no_error(killsync: Make) -> None:
    program, user_id = with_character(killsync, 3)
    program.run("scan")
    before = program.simulator.listed(user_id)
    take_off(program, user_id, before)
    assert scan_later(program) == [1]
    assert program.recorded(user_id) == before
    assert stored_id(program, user_id) == before[0]


def test_a_killmail_that_arrived_late_on_the_page_with_the_stored_id_is_taken(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 12)
    program.run("scan")
    before = program.simulator.listed(user_id)[0]
    program.simulator.add_killmails(user_id, 1, killmail_id=before - 1)
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    assert before - 1 in program.recorded(user_id)
    program.assert_equals_truth()


def test_without_the_stored_id_on_any_page_the_list_is_read_to_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 15)
    program.run("scan")
    listed = program.simulator.listed(user_id)
    take_off(program, user_id, listed[:1])
    assert scan_later(program) == [1, 2, 3]
    assert program.recorded(user_id) == listed
    assert gap(program, user_id) is None


def test_what_another_character_has_stored_is_no_reason_to_stop(killsync: Make) -> None:
    program, (first, second) = with_characters(killsync, 4, 12)
    program.simulator.add_killmails(first, 3, shared_with=second)
    program.run("sync", str(first))
    program.run("sync", str(second))
    program.assert_equals_truth()


def test_a_gap_goes_on_at_the_next_page_while_the_last_one_is_cached(killsync: Make) -> None:
    program, user_id = with_character(killsync, 24)
    listed = program.simulator.listed(user_id)
    for expected, left in (([1, 2], (3, None)), ([3, 4], (5, None)), ([5], None)):
        program.simulator.clear_log()
        program.run("scan", KILLSYNC_MAX_PAGES="2")
        assert pages(program) == expected
        assert gap(program, user_id) == left
        assert program.recorded(user_id) == listed[: expected[-1] * 5]
        assert stored_id(program, user_id) == listed[0]
    program.assert_equals_truth()


def test_a_gap_goes_on_with_the_last_page_done_once_its_cache_time_is_over(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 25)
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    program.simulator.add_killmails(user_id, 4)
    assert scan_later(program) == [1, 3, 4, 5, 6]
    program.assert_equals_truth()


def test_an_unchanged_page_1_does_not_end_an_open_gap(killsync: Make) -> None:
    program, user_id = with_character(killsync, 25)
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    assert scan_later(program) == [1, 3, 4, 5]
    assert program.simulator.log("list")[0]["status"] == 304
    assert gap(program, user_id) is None
    program.assert_equals_truth()


def test_an_incremental_sync_cut_short_leaves_a_gap_down_to_the_old_stored_id(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 15)
    program.run("scan")
    before = stored_id(program, user_id)
    program.simulator.add_killmails(user_id, 17)
    assert scan_later(program, KILLSYNC_MAX_PAGES="2") == [1, 2]
    assert gap(program, user_id) == (3, before)
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [3, 4]
    program.assert_equals_truth()


def test_a_gap_and_more_than_a_page_of_new_killmails_become_one_gap(killsync: Make) -> None:
    program, (user_id, first) = with_characters(killsync, 15, 0)
    program.run("scan")
    before = stored_id(program, user_id)
    program.simulator.add_killmails(user_id, 17)
    # the other one's gap is that of a first sync, down to the end of the list
    program.simulator.add_killmails(first, 20)
    scan_later(program, KILLSYNC_MAX_PAGES="2")
    assert gap(program, first) == (3, None)
    for user in (user_id, first):
        program.simulator.add_killmails(user, 7)
    scan_later(program, KILLSYNC_MAX_PAGES="1")
    assert pages(program, user_id) == pages(program, first) == [1]
    assert (gap(program, user_id), gap(program, first)) == ((2, before), (2, None))
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program, user_id) == [2, 3, 4, 5]
    assert pages(program, first) == [2, 3, 4, 5, 6]
    assert gap(program, user_id) is gap(program, first) is None
    program.assert_equals_truth()


def test_a_run_killed_between_two_pages_leaves_the_same_gap_as_one_cut_short(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 25)
    program.simulator.fault("list", page=3, hang=60, times=1)
    with program.start("scan") as process:
        wait_until(lambda: 3 in pages(program))
        process.send_signal(signal.SIGKILL)
    assert gap(program, user_id) == (3, None)
    assert stored_id(program, user_id) == program.simulator.listed(user_id)[0]
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [3, 4, 5]
    program.assert_equals_truth()


def test_a_list_that_changes_between_two_pages_is_read_from_one_page_back(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 22)
    with scanning_past(program, 2):
        program.simulator.add_killmails(user_id, 1)
        program.simulator.thaw()
    assert pages(program) == [1, 2, 3, 2, 3, 4, 5]
    assert set(program.simulator.listed(user_id)[1:]) == set(program.recorded(user_id))


@pytest.mark.parametrize("removed", [3, 12], ids=["part of a page", "more than a page"])
def test_killmails_removed_between_two_pages_hide_no_other(killsync: Make, removed: int) -> None:
    program, user_id = with_character(killsync, 32)
    before = program.simulator.listed(user_id)
    with scanning_past(program, 3):
        take_off(program, user_id, before[:removed])
    assert program.recorded(user_id) == before
    assert gap(program, user_id) is None


def test_killmails_removed_between_two_runs_hide_no_other(killsync: Make) -> None:
    program, user_id = with_character(killsync, 32)
    before = program.simulator.listed(user_id)
    program.run("scan", KILLSYNC_MAX_PAGES="4")
    take_off(program, user_id, before[3:15])
    scan_later(program)
    assert program.recorded(user_id) == before
    assert gap(program, user_id) is None


def test_a_list_that_shrinks_below_the_page_asked_for_has_ended_there(killsync: Make) -> None:
    program, user_id = with_character(killsync, 16)
    before = program.simulator.listed(user_id)
    with scanning_past(program, 3):
        take_off(program, user_id, before[:3])
    assert pages(program) == [1, 2, 3, 4, 3]
    assert program.recorded(user_id) == before
    assert gap(program, user_id) is None
    assert row(program, user_id, "failures", "error") == (0, None)


def test_a_gap_below_the_end_of_a_list_that_has_shrunk_is_closed(killsync: Make) -> None:
    program, user_id = with_character(killsync, 20, past_end="empty")
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    listed = program.simulator.listed(user_id)
    take_off(program, user_id, listed[3:18])
    scan_later(program)
    assert gap(program, user_id) is None
    assert set(program.simulator.listed(user_id)) <= set(program.recorded(user_id))
    assert row(program, user_id, "failures") == (0,)


def test_a_list_refreshed_at_every_page_is_read_to_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 22, refresh_between_pages=True)
    with scanning_past(program, 2):
        program.simulator.add_killmails(user_id, 6)
    scan_later(program)
    program.assert_equals_truth()


def test_a_list_whose_pages_have_times_of_their_own_is_read_to_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 22)
    listed = program.simulator.control("truth?bodies=0")["characters"][str(user_id)]["list"]
    for number, start in enumerate(range(0, 22, 5), 1):
        page = [{"killmail_id": i, "killmail_hash": h} for i, h in listed[start : start + 5]]
        modified = f"Tue, 24 Nov 2026 03:00:0{number} GMT"
        program.simulator.fault(
            "list",
            page=number,
            wrong_json=json.dumps(page),
            headers={"Last-Modified": modified},
        )
    program.run("scan")
    program.assert_equals_truth()


def test_a_list_in_no_order_is_read_to_its_end_every_time(killsync: Make) -> None:
    program, user_id = with_character(killsync, 20, order="shuffled")
    program.run("scan")
    program.assert_equals_truth()
    program.simulator.add_killmails(user_id, 3)
    assert scan_later(program) == [1, 2, 3, 4, 5]
    program.assert_equals_truth()


def test_what_arrived_late_on_a_deep_page_is_found_by_a_full_pass_only(killsync: Make) -> None:
    program, user_id = with_character(killsync, 20)
    program.run("scan")
    late_id = program.simulator.listed(user_id)[-3] + 1
    program.simulator.add_killmails(user_id, 1, killmail_id=late_id)
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    assert late_id not in program.recorded(user_id)
    program.make_due()
    program.run("sync", str(user_id), "--full")
    program.assert_equals_truth()


def full_pass_days_ago(program: Killsync, user_id: int, days: float) -> None:
    program.execute(
        "UPDATE users SET last_full_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)"
        " WHERE user_id = ?",
        f"-{days} days",
        user_id,
    )


def test_a_scan_reads_the_whole_list_by_itself_every_7_days(killsync: Make) -> None:
    program, (not_yet, due) = with_characters(killsync, 15, 15)
    program.run("scan")
    full_pass_days_ago(program, not_yet, 6)
    full_pass_days_ago(program, due, 8)
    scan_later(program)
    assert pages(program, not_yet) == [1]
    assert pages(program, due) == [1, 2, 3]


def test_full_every_says_how_often_a_scan_reads_the_whole_list(killsync: Make) -> None:
    program, user_id = with_character(killsync, 15)
    program.run("scan")
    full_pass_days_ago(program, user_id, 0.1)
    assert scan_later(program, KILLSYNC_FULL_EVERY="1h") == [1, 2, 3]
    assert {entry["if_none_match"] for entry in program.simulator.log("list")} == {None}
    assert scan_later(program, KILLSYNC_FULL_EVERY="1h") == [1]


def test_an_interrupted_full_pass_goes_on_to_the_end_of_the_list(killsync: Make) -> None:
    program, user_id = with_character(killsync, 20)
    program.run("scan")
    late_id = program.simulator.listed(user_id)[-3] + 1
    program.simulator.add_killmails(user_id, 1, killmail_id=late_id)
    program.make_due()
    program.simulator.thaw()
    program.run("sync", str(user_id), "--full", KILLSYNC_MAX_PAGES="2")
    assert gap(program, user_id) == (3, None)
    program.run("scan")
    program.assert_equals_truth()


def test_an_unchanged_list_costs_one_conditional_request(killsync: Make) -> None:
    program, user_id = with_character(killsync, 15)
    program.run("scan")
    (before,) = row(program, user_id, "last_killmail_sync_at")
    assert scan_later(program) == [1]
    (entry,) = program.simulator.log()
    assert entry["if_none_match"]
    assert entry["status"] == 304
    synced, cached = row(program, user_id, "last_killmail_sync_at", "list_cached_until")
    assert before <= synced < cached


def test_a_removed_user_who_returns_is_read_without_the_old_etag(killsync: Make) -> None:
    program, user_id = with_character(killsync, 15)
    program.run("scan")
    program.run("users", "remove", str(user_id))
    if isinstance(program, AsCorporations):
        program.add_users()
    else:
        token = program.simulator.control("tokens", "POST", character_id=user_id)
        program.run("users", "add", given=token["refresh_token"])
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [1, 2, 3]
    assert program.simulator.log("list")[0]["if_none_match"] is None
    program.assert_equals_truth()


def test_within_the_cache_time_a_scan_asks_for_nothing(killsync: Make) -> None:
    program, user_id = with_character(killsync, 2)
    program.run("scan")
    program.simulator.add_killmails(user_id, 1)
    program.simulator.clear_log()
    for words in (("scan",), ("scan", "--force")):
        program.run(*words, KILLSYNC_MIN_AGE="0s")
        assert program.simulator.log() == []


def test_without_x_pages_a_page_is_the_last_one_when_the_next_is_missing(killsync: Make) -> None:
    program, user_id = with_character(killsync, 3)
    listed = program.simulator.truth()["characters"][str(user_id)]["list"]
    body = ",".join(f'{{"killmail_id":{i},"killmail_hash":"{h}"}}' for i, h in listed)
    program.simulator.fault("list", status=200, body=f"[{body}]", page=1)
    program.run("scan")
    program.assert_equals_truth()
    assert row(program, user_id, "failures") == (0,)


def test_between_two_pages_of_one_list_lies_the_page_delay(killsync: Make) -> None:
    program, _ = with_character(killsync, 15)
    program.run("scan", KILLSYNC_PAGE_DELAY="300ms")
    first, second, third = program.simulator.log("list")
    assert second["start"] - first["end"] >= 0.29
    assert third["start"] - second["end"] >= 0.29


def test_a_promised_page_that_is_not_there_fails_its_user_and_leaves_the_gap_open(
    killsync: Make,
) -> None:
    program, users = with_characters(killsync, 20, 20, 20)
    faults: tuple[dict[str, Any], ...] = (
        {"status": 404},
        {"wrong_json": "[]"},
        # an answer to a condition that was not set
        {"status": 304},
    )
    for user_id, fault in zip(users, faults, strict=True):
        program.simulator.fault("list", character_id=user_id, page=2, **fault)
    program.run("scan", "--workers", "3")
    assert [gap(program, user_id) for user_id in users] == [(2, None)] * 3
    errors = [row(program, user_id, "error")[0] for user_id in users]
    for error, words in zip(errors, ("promises page 2", "promises page 2", "304"), strict=True):
        assert words in error
    for user_id in users:
        assert pages(program, user_id).count(2) <= 3
    program.simulator.clear_faults()
    program.execute("UPDATE users SET not_before = NULL")
    scan_later(program)
    program.assert_equals_truth()


@pytest.mark.parametrize(("max_pages", "runs"), [("1", 3), ("2", 3)])
def test_a_gap_moves_on_however_few_pages_a_run_may_list(
    killsync: Make, max_pages: str, runs: int
) -> None:
    program, _ = with_character(killsync, 15)
    for _ in range(runs):
        scan_later(program, KILLSYNC_MAX_PAGES=max_pages)
    program.assert_equals_truth()


# one answer that claims to be the end of a list that goes on

WRONG_ENDS: dict[str, dict[str, Any]] = {
    "X-Pages 1": {"headers": {"X-Pages": "1"}},
    "an empty page": {"status": 200, "body": "[]"},
    "an empty page of 1": {"status": 200, "body": "[]", "headers": {"X-Pages": "1"}},
    "an empty page of as many": {"wrong_json": "[]"},
}


@pytest.mark.parametrize("page", [1, 2, 4])
@pytest.mark.parametrize("fault", WRONG_ENDS.values(), ids=WRONG_ENDS.keys())
def test_one_answer_does_not_end_a_first_sync(
    killsync: Make, page: int, fault: dict[str, Any]
) -> None:
    program, user_id = with_character(killsync, 29)
    program.simulator.fault("list", page=page, times=1, **fault)
    program.run("scan", exit_code=None)
    scan_later(program)
    assert gap(program, user_id) is None
    program.assert_equals_truth()


@pytest.mark.parametrize("fault", WRONG_ENDS.values(), ids=WRONG_ENDS.keys())
def test_one_answer_does_not_close_an_open_gap(killsync: Make, fault: dict[str, Any]) -> None:
    program, user_id = with_character(killsync, 29)
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    program.simulator.add_killmails(user_id, 1)
    program.simulator.fault("list", page=1, times=1, **fault)
    scan_later(program, KILLSYNC_MAX_PAGES="1")
    assert gap(program, user_id) is not None
    scan_later(program)
    assert gap(program, user_id) is None
    program.assert_equals_truth()


@pytest.mark.parametrize("fault", WRONG_ENDS.values(), ids=WRONG_ENDS.keys())
def test_one_answer_does_not_end_the_reading_of_several_new_pages(
    killsync: Make, fault: dict[str, Any]
) -> None:
    program, user_id = with_character(killsync, 19)
    program.run("scan")
    program.simulator.add_killmails(user_id, 16)
    program.simulator.fault("list", page=1, times=1, **fault)
    assert len(scan_later(program)) <= 7, "page 1 and 2 are read once more"
    program.assert_equals_truth()


def test_one_answer_that_is_not_believed_costs_an_idle_user_one_token_more(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 29)
    program.run("scan")
    program.simulator.add_killmails(user_id, 1)
    program.simulator.fault("list", page=1, times=1, headers={"X-Pages": "1"})
    assert scan_later(program) == [1]
    for status in (200, 304):
        assert scan_later(program) == [1]
        assert [entry["status"] for entry in program.simulator.log()].count(status) == 1
    program.assert_equals_truth()


def test_a_list_that_has_shrunk_to_one_page_costs_one_request_past_its_end(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 19)
    program.run("scan")
    take_off(program, user_id, program.simulator.listed(user_id)[:18])
    assert scan_later(program) == [1, 2]
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    assert gap(program, user_id) is None


def test_a_list_that_grows_by_its_second_page_is_read_to_its_end_once(killsync: Make) -> None:
    program, user_id = with_character(killsync, 5)
    program.run("scan")
    reads = []
    for _ in range(3):
        program.simulator.add_killmails(user_id, 1)
        reads.append(scan_later(program))
    assert reads == [[1, 2], [1], [1]]
    program.assert_equals_truth()
