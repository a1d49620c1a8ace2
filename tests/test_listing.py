"""Which pages of a list are asked for, and that nothing on it is missed."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from world import TIMEOUT, Killsync, wait_until

Make = Callable[..., Killsync]


def with_character(
    make: Make, killmails: int, *, page_size: int = 10, order: str = "newest", **options: Any
) -> tuple[Killsync, int]:
    """Register one character, with so many killmails on pages of so many."""
    program = make(users=False, page_size=page_size, list_tokens=0, **options)
    login = program.simulator.add_character(killmails=killmails, order=order)
    program.add_users()
    program.simulator.clear_log()
    return program, login["character_id"]


def pages(program: Killsync) -> list[int]:
    """Return the pages asked for, in order."""
    return [entry["page"] for entry in program.simulator.log("list")]


def scan_later(program: Killsync, *arguments: str, **environment: str) -> list[int]:
    """Scan an hour later, when ESI's cache shows the present list; return the pages asked for."""
    program.make_due()
    program.simulator.thaw()
    program.simulator.clear_log()
    program.run("scan", *arguments, exit_code=0, **environment)
    return pages(program)


def backfill(program: Killsync, user_id: int) -> Any:
    return program.user(user_id)["backfill"]


@contextmanager
def scanning_past(program: Killsync, page: int) -> Iterator[subprocess.Popen[str]]:
    """Scan; the block runs when this page has left ESI and has not arrived yet."""
    program.simulator.fault("list", page=page, delay=1, times=1)
    with program.start("scan") as process:
        wait_until(lambda: page in pages(program))
        yield process
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors


@pytest.mark.parametrize(("page_size", "expected"), [(50, [1, 2, 3]), (1000, [1])])
def test_the_first_sync_reads_every_page(
    killsync: Make, page_size: int, expected: list[int]
) -> None:
    program, user_id = with_character(killsync, 110, page_size=page_size)
    program.run("scan")
    assert pages(program) == expected
    program.assert_equals_truth()
    user = program.user(user_id)
    assert user["last_killmail_id"] == program.simulator.listed(user_id)[0]
    assert user["last_killmail_sync_at"] is not None
    assert user["backfill"] is None


@pytest.mark.parametrize(("new", "expected"), [(2, [1]), (9, [1]), (12, [1, 2]), (25, [1, 2, 3])])
def test_a_later_sync_stops_at_the_page_that_holds_the_stored_id(
    killsync: Make, new: int, expected: list[int]
) -> None:
    program, user_id = with_character(killsync, 55)
    program.run("scan")
    program.simulator.add_killmails(user_id, new)
    assert scan_later(program) == expected
    program.assert_equals_truth()
    assert program.user(user_id)["last_killmail_id"] == program.simulator.listed(user_id)[0]


def test_a_character_without_killmails_is_synced_too(killsync: Make) -> None:
    program, user_id = with_character(killsync, 0)
    program.run("scan")
    user = program.user(user_id)
    assert user["last_killmail_id"] is None
    assert user["last_killmail_sync_at"] is not None
    assert user["backfill"] is None


def test_the_first_killmail_of_a_character_without_any_is_found(killsync: Make) -> None:
    program, user_id = with_character(killsync, 0)
    program.run("scan")
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    program.assert_equals_truth()


def test_a_list_that_has_become_empty_is_no_error(killsync: Make) -> None:
    program, user_id = with_character(killsync, 3)
    program.run("scan")
    before = program.simulator.listed(user_id)
    program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=before)
    assert scan_later(program) == [1]
    assert program.recorded(user_id) == before
    assert program.user(user_id)["last_killmail_id"] == before[0]


def test_a_killmail_that_arrived_late_on_the_page_with_the_stored_id_is_taken(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 30)
    program.run("scan")
    stored_id = program.simulator.listed(user_id)[0]
    program.simulator.add_killmails(user_id, 1, killmail_id=stored_id - 1)
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    assert stored_id - 1 in program.recorded(user_id)
    program.assert_equals_truth()


def test_without_the_stored_id_on_any_page_the_list_is_read_to_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 30)
    program.run("scan")
    listed = program.simulator.listed(user_id)
    program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=[listed[0]])
    assert scan_later(program) == [1, 2, 3]
    assert program.recorded(user_id) == listed
    assert backfill(program, user_id) is None


def test_what_another_character_has_stored_is_no_reason_to_stop(killsync: Make) -> None:
    program = killsync(characters=2, killmails=0, page_size=5, list_tokens=0)
    first, second = (login["character_id"] for login in program.simulator.logins)
    program.simulator.add_killmails(first, 4)
    program.simulator.add_killmails(second, 12)
    program.simulator.add_killmails(first, 3, shared_with=second)
    program.run("sync", str(first))
    program.run("sync", str(second))
    program.assert_equals_truth()


def test_a_first_sync_cut_short_leaves_a_gap_below_the_newest_pages(killsync: Make) -> None:
    program, user_id = with_character(killsync, 50)
    program.run("scan", KILLSYNC_MAX_PAGES="2")
    assert pages(program) == [1, 2]
    user = program.user(user_id)
    assert user["backfill"] == {"page": 3, "until_id": None}
    assert program.recorded(user_id) == program.simulator.listed(user_id)[:20]
    assert user["last_killmail_id"] == program.simulator.listed(user_id)[0]
    assert user["last_killmail_sync_at"] is not None


def test_a_gap_goes_on_at_the_next_page_while_the_last_one_is_cached(killsync: Make) -> None:
    program, user_id = with_character(killsync, 50)
    for expected in ([1, 2], [3, 4], [5]):
        program.simulator.clear_log()
        program.run("scan", KILLSYNC_MAX_PAGES="2")
        assert pages(program) == expected
    assert backfill(program, user_id) is None
    program.assert_equals_truth()


def test_a_gap_goes_on_with_the_last_page_done_once_its_cache_time_is_over(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 50)
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    program.simulator.add_killmails(user_id, 8)
    assert scan_later(program) == [1, 3, 4, 5, 6]
    program.assert_equals_truth()


def test_an_unchanged_page_1_does_not_end_an_open_gap(killsync: Make) -> None:
    program, user_id = with_character(killsync, 50)
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    assert scan_later(program) == [1, 3, 4, 5]
    assert program.simulator.log("list")[0]["status"] == 304
    assert backfill(program, user_id) is None
    program.assert_equals_truth()


def test_an_incremental_sync_cut_short_leaves_a_gap_down_to_the_old_stored_id(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 30)
    program.run("scan")
    stored_id = program.simulator.listed(user_id)[0]
    program.simulator.add_killmails(user_id, 35)
    assert scan_later(program, KILLSYNC_MAX_PAGES="2") == [1, 2]
    assert backfill(program, user_id) == {"page": 3, "until_id": stored_id}
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [3, 4]
    program.assert_equals_truth()


def test_a_gap_and_more_than_a_page_of_new_killmails_become_one_gap(killsync: Make) -> None:
    program, user_id = with_character(killsync, 30)
    program.run("scan")
    stored_id = program.simulator.listed(user_id)[0]
    program.simulator.add_killmails(user_id, 35)
    scan_later(program, KILLSYNC_MAX_PAGES="2")
    program.simulator.add_killmails(user_id, 15)
    assert scan_later(program, KILLSYNC_MAX_PAGES="1") == [1]
    assert backfill(program, user_id) == {"page": 2, "until_id": stored_id}
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [2, 3, 4, 5, 6]
    assert backfill(program, user_id) is None
    program.assert_equals_truth()


def test_a_first_gap_that_meets_new_killmails_still_goes_to_the_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 40)
    program.run("scan", KILLSYNC_MAX_PAGES="2")
    program.simulator.add_killmails(user_id, 15)
    assert scan_later(program, KILLSYNC_MAX_PAGES="1") == [1]
    assert backfill(program, user_id) == {"page": 2, "until_id": None}
    program.run("scan")
    program.assert_equals_truth()


def test_a_run_killed_between_two_pages_leaves_the_same_gap_as_one_cut_short(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 50)
    program.simulator.fault("list", page=3, hang=60, times=1)
    with program.start("scan") as process:
        wait_until(lambda: 3 in pages(program))
        process.send_signal(signal.SIGKILL)
    assert backfill(program, user_id) == {"page": 3, "until_id": None}
    assert program.user(user_id)["last_killmail_id"] == program.simulator.listed(user_id)[0]
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [3, 4, 5]
    program.assert_equals_truth()


def test_a_list_that_changes_between_two_pages_is_read_from_one_page_back(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 45)
    with scanning_past(program, 2):
        program.simulator.add_killmails(user_id, 1)
        program.simulator.thaw()
    assert pages(program) == [1, 2, 3, 2, 3, 4, 5]
    assert set(program.simulator.listed(user_id)[1:]) == set(program.recorded(user_id))


def test_a_killmail_removed_between_two_pages_hides_no_other(killsync: Make) -> None:
    program, user_id = with_character(killsync, 45)
    before = program.simulator.listed(user_id)
    with scanning_past(program, 2):
        program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=before[:3])
        program.simulator.thaw()
    assert program.recorded(user_id) == before
    assert backfill(program, user_id) is None


def test_more_killmails_removed_than_a_page_holds_hide_no_other(killsync: Make) -> None:
    program, user_id = with_character(killsync, 65)
    before = program.simulator.listed(user_id)
    with scanning_past(program, 3):
        program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=before[:25])
        program.simulator.thaw()
    assert program.recorded(user_id) == before
    assert backfill(program, user_id) is None


def test_killmails_removed_between_two_runs_hide_no_other(killsync: Make) -> None:
    program, user_id = with_character(killsync, 65)
    before = program.simulator.listed(user_id)
    program.run("scan", KILLSYNC_MAX_PAGES="4")
    program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=before[5:30])
    scan_later(program)
    assert program.recorded(user_id) == before
    assert backfill(program, user_id) is None


@pytest.mark.parametrize("past_end", ["404", "empty"])
def test_a_list_that_shrinks_below_the_page_asked_for_has_ended_there(
    killsync: Make, past_end: str
) -> None:
    program, user_id = with_character(killsync, 32, past_end=past_end)
    before = program.simulator.listed(user_id)
    with scanning_past(program, 3):
        program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=before[:5])
        program.simulator.thaw()
    assert pages(program) == [1, 2, 3, 4, 3]
    assert program.recorded(user_id) == before
    user = program.user(user_id)
    assert (user["backfill"], user["failures"], user["error"]) == (None, 0, None)


@pytest.mark.parametrize("past_end", ["404", "empty"])
def test_a_gap_below_the_end_of_a_list_that_has_shrunk_is_closed(
    killsync: Make, past_end: str
) -> None:
    program, user_id = with_character(killsync, 40, past_end=past_end)
    program.run("scan", KILLSYNC_MAX_PAGES="3")
    listed = program.simulator.listed(user_id)
    program.simulator.control("remove", "POST", character_id=user_id, killmail_ids=listed[5:35])
    scan_later(program)
    assert backfill(program, user_id) is None
    assert set(program.simulator.listed(user_id)) <= set(program.recorded(user_id))
    assert program.user(user_id)["failures"] == 0


def test_a_list_refreshed_at_every_page_is_read_to_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 45, refresh_between_pages=True)
    with scanning_past(program, 2):
        program.simulator.add_killmails(user_id, 12)
    scan_later(program)
    program.assert_equals_truth()


def test_a_list_whose_pages_have_times_of_their_own_is_read_to_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 45)
    listed = program.simulator.control("truth?bodies=0")["characters"][str(user_id)]["list"]
    for number, start in enumerate(range(0, 45, 10), 1):
        page = [{"killmail_id": i, "killmail_hash": h} for i, h in listed[start : start + 10]]
        modified = f"Tue, 24 Nov 2026 03:00:0{number} GMT"
        program.simulator.fault(
            "list",
            page=number,
            wrong_json=json.dumps(page),
            headers={"Last-Modified": modified},
        )
    program.run("scan")
    program.assert_equals_truth()


def test_404_on_page_1_is_an_error_and_no_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 5)
    program.simulator.fault("list", status=404, body='{"error":"Requested page does not exist!"}')
    program.run("scan", exit_code=1)
    user = program.user(user_id)
    assert user["failures"] == 1
    assert "404" in user["error"]
    assert user["last_killmail_sync_at"] is None


def test_a_list_in_no_order_is_read_to_its_end_every_time(killsync: Make) -> None:
    program, user_id = with_character(killsync, 40, order="shuffled")
    program.run("scan")
    program.assert_equals_truth()
    program.simulator.add_killmails(user_id, 5)
    assert scan_later(program) == [1, 2, 3, 4, 5]
    program.assert_equals_truth()


def test_what_arrived_late_on_a_deep_page_is_found_by_a_full_pass_only(killsync: Make) -> None:
    program, user_id = with_character(killsync, 40)
    program.run("scan")
    late_id = program.simulator.listed(user_id)[-3] + 1
    program.simulator.add_killmails(user_id, 1, killmail_id=late_id)
    program.simulator.add_killmails(user_id, 1)
    assert scan_later(program) == [1]
    assert late_id not in program.recorded(user_id)
    program.make_due()
    program.run("sync", str(user_id), "--full")
    program.assert_equals_truth()


def test_a_full_sync_reads_every_page_and_sends_no_etag(killsync: Make) -> None:
    program, user_id = with_character(killsync, 40)
    program.run("scan")
    program.make_due()
    program.simulator.clear_log()
    program.run("sync", str(user_id), "--full")
    assert pages(program) == [1, 2, 3, 4]
    assert {entry["if_none_match"] for entry in program.simulator.log("list")} == {None}


def test_a_full_sync_within_the_cache_time_is_queued_for_its_end(killsync: Make) -> None:
    program, user_id = with_character(killsync, 20)
    program.run("scan")
    program.simulator.clear_log()
    done = program.run("sync", str(user_id), "--full")
    assert "cached until" in done.stdout
    assert program.simulator.log() == []
    assert program.rows("SELECT state, full FROM jobs WHERE state = 'queued'") == [("queued", 1)]


@pytest.mark.parametrize(("days", "expected"), [(6, [1]), (8, [1, 2, 3])])
def test_a_scan_reads_the_whole_list_by_itself_every_7_days(
    killsync: Make, days: int, expected: list[int]
) -> None:
    program, _ = with_character(killsync, 30)
    program.run("scan")
    program.execute(
        "UPDATE users SET last_full_at = strftime('%Y-%m-%dT%H:%M:%SZ', last_full_at, ?)",
        f"-{days} days",
    )
    assert scan_later(program) == expected


def test_full_every_says_how_often_a_scan_reads_the_whole_list(killsync: Make) -> None:
    program, _ = with_character(killsync, 30)
    program.run("scan")
    assert scan_later(program, KILLSYNC_FULL_EVERY="1h") == [1]
    program.execute("UPDATE users SET last_full_at = '2026-01-01T00:00:00Z'")
    assert scan_later(program, KILLSYNC_FULL_EVERY="1h") == [1, 2, 3]
    assert {entry["if_none_match"] for entry in program.simulator.log("list")} == {None}
    assert scan_later(program, KILLSYNC_FULL_EVERY="1h") == [1]


def test_an_interrupted_full_pass_goes_on_to_the_end_of_the_list(killsync: Make) -> None:
    program, user_id = with_character(killsync, 40)
    program.run("scan")
    late_id = program.simulator.listed(user_id)[-3] + 1
    program.simulator.add_killmails(user_id, 1, killmail_id=late_id)
    program.make_due()
    program.simulator.thaw()
    program.run("sync", str(user_id), "--full", KILLSYNC_MAX_PAGES="2")
    assert backfill(program, user_id) == {"page": 3, "until_id": None}
    program.run("scan")
    program.assert_equals_truth()


def test_an_unchanged_list_costs_one_conditional_request(killsync: Make) -> None:
    program, user_id = with_character(killsync, 30)
    program.run("scan")
    assert scan_later(program) == [1]
    entry = program.simulator.log("list")[0]
    assert entry["if_none_match"]
    assert entry["status"] == 304
    assert program.user(user_id)["next_due_at"] > program.user(user_id)["last_killmail_sync_at"]


def test_a_removed_user_who_returns_is_read_without_the_old_etag(killsync: Make) -> None:
    program, user_id = with_character(killsync, 30)
    program.run("scan")
    program.run("users", "remove", str(user_id))
    token = program.simulator.control("tokens", "POST", character_id=user_id)["refresh_token"]
    program.run("users", "add", given=token)
    program.simulator.clear_log()
    program.run("scan")
    assert pages(program) == [1, 2, 3]
    assert program.simulator.log("list")[0]["if_none_match"] is None
    program.assert_equals_truth()


@pytest.mark.parametrize("arguments", [["scan"], ["scan", "--force"]])
def test_within_the_cache_time_a_scan_asks_for_nothing(
    killsync: Make, arguments: list[str]
) -> None:
    program, user_id = with_character(killsync, 5)
    program.run("scan")
    program.simulator.add_killmails(user_id, 1)
    program.simulator.clear_log()
    program.run(*arguments, KILLSYNC_MIN_AGE="0s")
    assert program.simulator.log() == []


def test_within_the_cache_time_a_sync_says_until_when_and_asks_for_nothing(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 5)
    program.run("scan")
    program.simulator.clear_log()
    done = program.run("sync", str(user_id))
    (until,) = program.rows("SELECT list_cached_until FROM users")[0]
    assert f"cached until {until}" in done.stdout + done.stderr
    assert program.simulator.log() == []


def test_within_the_cache_time_a_sync_still_fetches_pending_bodies(killsync: Make) -> None:
    program, user_id = with_character(killsync, 5)
    program.simulator.fault("body", killmail_id=program.simulator.listed(user_id)[2], status=500)
    program.run("scan", exit_code=1)
    program.simulator.clear_faults()
    program.simulator.clear_log()
    program.run("sync", str(user_id))
    assert [entry["route"] for entry in program.simulator.log()] == ["body"]
    program.assert_equals_truth()


def test_max_age_alone_says_the_cache_time_too(killsync: Make) -> None:
    program, user_id = with_character(killsync, 5)
    listed = program.simulator.truth()["characters"][str(user_id)]["list"]
    body = ",".join(f'{{"killmail_id":{i},"killmail_hash":"{h}"}}' for i, h in listed)
    program.simulator.fault(
        "list",
        times=1,
        status=200,
        body=f"[{body}]",
        headers={"X-Pages": "1", "Cache-Control": "public, max-age=600"},
    )
    program.run("scan")
    assert program.rows(
        "SELECT list_cached_until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '500 seconds'),"
        " list_cached_until <= strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '601 seconds') FROM users"
    ) == [(1, 1)]


def test_without_x_pages_a_page_is_the_last_one_when_the_next_is_missing(killsync: Make) -> None:
    program, user_id = with_character(killsync, 5)
    listed = program.simulator.truth()["characters"][str(user_id)]["list"]
    body = ",".join(f'{{"killmail_id":{i},"killmail_hash":"{h}"}}' for i, h in listed)
    program.simulator.fault("list", status=200, body=f"[{body}]", page=1)
    program.run("scan")
    program.assert_equals_truth()
    assert program.user(user_id)["failures"] == 0


def test_the_first_sync_tells_its_pages_and_the_total(killsync: Make) -> None:
    program, _ = with_character(killsync, 25)
    lines = program.run("scan").stderr
    assert "full sync" in lines
    for page, count in ((1, 10), (2, 10), (3, 5)):
        assert re.search(rf"page {page} of 3, {count} killmails", lines)
    assert "25 new killmails on 3 pages" in lines


def test_the_second_sync_tells_the_id_it_stops_at_and_where_it_was_met(killsync: Make) -> None:
    program, user_id = with_character(killsync, 25)
    program.run("scan")
    stored_id = program.simulator.listed(user_id)[0]
    program.simulator.add_killmails(user_id, 3)
    program.make_due()
    program.simulator.thaw()
    lines = program.run("scan").stderr
    assert f"incremental sync, down to killmail {stored_id}" in lines
    assert re.search(rf"page 1 of 3, 10 killmails, 3 new; met killmail {stored_id}", lines)
    assert "3 new killmails on 1 page" in lines


def test_between_two_pages_of_one_list_lies_the_page_delay(killsync: Make) -> None:
    program, _ = with_character(killsync, 30)
    program.run("scan", KILLSYNC_PAGE_DELAY="300ms")
    first, second, third = program.simulator.log("list")
    assert second["start"] - first["end"] >= 0.29
    assert third["start"] - second["end"] >= 0.29


# an ESI that contradicts itself


@pytest.mark.parametrize("fault", [{"status": 404}, {"wrong_json": "[]"}])
def test_a_page_that_x_pages_promises_and_is_not_there_does_not_close_the_gap(
    killsync: Make, fault: dict[str, Any]
) -> None:
    program, user_id = with_character(killsync, 40)
    program.simulator.fault("list", page=2, **fault)
    program.run("scan", exit_code=1)
    assert backfill(program, user_id) == {"page": 2, "until_id": None}
    program.simulator.clear_faults()
    program.execute("UPDATE users SET not_before = NULL")
    scan_later(program)
    program.assert_equals_truth()


def test_a_304_that_nobody_asked_for_is_no_answer(killsync: Make) -> None:
    program, user_id = with_character(killsync, 40)
    program.simulator.fault("list", page=2, status=304)
    program.run("scan", exit_code=1)
    assert backfill(program, user_id) == {"page": 2, "until_id": None}
    assert pages(program).count(2) == 3


@pytest.mark.parametrize("max_pages", ["1", "2"])
def test_a_gap_moves_on_however_few_pages_a_run_may_list(killsync: Make, max_pages: str) -> None:
    program, _ = with_character(killsync, 40)
    for _ in range(6):
        scan_later(program, KILLSYNC_MAX_PAGES=max_pages)
    program.assert_equals_truth()
