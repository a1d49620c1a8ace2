"""ESI's rate limits: obeyed before they are hit, and remembered from run to run."""

import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from subprocess import Popen
from typing import Any

import pytest
from world import TIMEOUT, Killsync, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
Background = Callable[..., Popen[str]]


def with_character(make: Make, killmails: int, **options: Any) -> tuple[Killsync, int]:
    program = make(characters=1, killmails=killmails, **options)
    program.simulator.clear_log()
    return program, program.simulator.logins[0]["character_id"]


def pages(program: Killsync) -> list[int]:
    return [entry["page"] for entry in program.simulator.log("list")]


def pending(program: Killsync, user_id: int) -> int:
    """Return how many bodies of a user's killmails are missing."""
    ((count,),) = program.rows("SELECT listed - killmails FROM users WHERE user_id = ?", user_id)
    return int(count)


def statuses(program: Killsync) -> set[int]:
    """Return every status that ESI has answered."""
    return {entry["status"] for entry in program.simulator.log()}


def bucket(program: Killsync, group: str, key: str = "") -> dict[str, Any]:
    limits = program.status()["rate_limits"]
    return next(b for b in limits if (b["group"], b["key"]) == (group, key))


def let_users_be_tried(program: Killsync) -> None:
    """An hour later every user and job may be tried, whatever it was put off for."""
    program.make_due()
    program.execute("UPDATE users SET not_before = NULL")
    program.execute("UPDATE jobs SET not_before = NULL")


def rests_for(program: Killsync, group: str, key: str = "") -> float:
    until = datetime.fromisoformat(bucket(program, group, key)["retry_at"])
    return (until - datetime.now(UTC)).total_seconds()


@pytest.mark.sample
def test_a_first_sync_of_26_pages_under_30_tokens_completes_without_a_429(
    killsync: Make,
) -> None:
    program, _ = with_character(killsync, 26, page_size=1, list_tokens=30, list_window=1)
    program.run("scan")
    assert pages(program) == list(range(1, 27))
    assert statuses(program) == {200}
    program.assert_equals_truth()


def test_over_several_runs_a_first_sync_completes_without_a_429(killsync: Make) -> None:
    program, _ = with_character(killsync, 20, page_size=1, list_tokens=30, list_window=2)
    runs = 0
    while runs == 0 or program.rows("SELECT 1 FROM users WHERE backfill_page IS NOT NULL"):
        program.run("scan", "--max-runtime", "1s")
        program.execute("UPDATE users SET not_before = NULL")
        runs += 1
        assert runs < 20
    assert runs > 1
    assert pages(program) == list(range(1, 21))
    assert statuses(program) == {200}
    program.run("scan")
    program.assert_equals_truth()


def test_max_pages_bounds_a_run_that_had_to_wait_for_tokens_too(killsync: Make) -> None:
    program, _ = with_character(killsync, 20, page_size=1, list_tokens=30, list_window=1)
    program.run("scan", KILLSYNC_MAX_PAGES="15")
    assert pages(program) == list(range(1, 16))


def test_a_first_sync_that_fills_its_window_leaves_a_gap_for_later_runs(killsync: Make) -> None:
    program, _ = with_character(killsync, 20, page_size=1, list_tokens=30)
    program.run("scan")
    assert pages(program) == list(range(1, 13))
    assert program.rows(
        "SELECT backfill_page, backfill_until_id, listed, killmails FROM users"
    ) == [(13, None, 12, 12)]
    program.run("scan")
    assert len(pages(program)) == 12
    assert statuses(program) == {200}


def test_background_work_leaves_the_reserve_to_a_manual_sync(killsync: Make) -> None:
    program, user_id = with_character(killsync, 6, page_size=1, list_tokens=10)
    program.run("scan")
    assert pages(program) == [1, 2, 3, 4]
    done = program.run("sync", str(user_id), exit_code=75)
    assert "1 list is still being read, from " in done.stdout
    assert pages(program) == [1, 2, 3, 4, 5]
    assert statuses(program) == {200}


def test_reserve_says_what_share_background_work_leaves(killsync: Make) -> None:
    program, _ = with_character(killsync, 6, page_size=1, list_tokens=10)
    for reserve, expected in (("0.5", 2), ("0", 5)):
        program.run("scan", KILLSYNC_RESERVE=reserve)
        assert len(pages(program)) == expected
        program.execute("UPDATE users SET not_before = NULL")
    assert statuses(program) == {200}


def test_the_reserve_of_the_bodies_bucket_is_left_too(killsync: Make) -> None:
    program, user_id = with_character(killsync, 260, body_tokens=400, page_size=500)
    # the limit is learnt from the first answer, so let that one be alone; a first sync is history,
    # which leaves a further share to what is new
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    assert len(program.simulator.log("body")) in (143, 144)
    done = program.run("sync", str(user_id), exit_code=75)
    assert len(program.simulator.log("body")) in (199, 200)
    left = r"; (199|200) of 260 stored; the rest by about .*; ESI's rate limit lets them go on at "
    assert re.search(left, done.stdout)
    assert statuses(program) == {200}


def test_a_user_whose_limit_is_used_up_keeps_no_other_waiting(killsync: Make) -> None:
    program = killsync(characters=2, killmails=4, list_tokens=10, shared=0)
    first, second = (login["character_id"] for login in program.simulator.logins)
    program.execute(
        """INSERT INTO rate_limits ("group", "key", "limit", window_s, spent)
        VALUES ('char-killmail', ?, 10, 900, json_array(json_array(?, 9)))""",
        str(first),
        time.time(),
    )
    program.run("scan")
    assert [entry["character_id"] for entry in program.simulator.log("list")] == [second]
    assert pending(program, second) == 0


def test_what_was_spent_is_known_to_the_next_process(killsync: Make) -> None:
    program, user_id = with_character(killsync, 4, page_size=2, list_tokens=10, list_window=60)
    program.run("scan")
    known = bucket(program, "char-killmail", str(user_id))
    assert (known["limit"], known["window_s"], known["remaining"]) == (10, 60, 6)
    assert bucket(program, "killmail")["remaining"] == 3600 - 8


def test_what_somebody_else_has_spent_is_believed(killsync: Make) -> None:
    program, _ = with_character(killsync, 10, page_size=2)
    program.simulator.fault("list", page=1, wrong_json="[]", headers={"X-Ratelimit-Remaining": "3"})
    program.run("scan")
    assert pages(program) == [1]


def test_what_a_killed_run_may_have_spent_counts_as_spent(killsync: Make) -> None:
    program, user_id = with_character(killsync, 4)
    program.simulator.fault("list", hang=60, times=1)
    program.simulator.fault("any", keep_limit_headers=False)
    with program.start("scan") as process:
        wait_until(lambda: pages(program))
        process.send_signal(signal.SIGKILL)
    program.run("scan")
    assert bucket(program, "char-killmail", str(user_id))["remaining"] == 30 - 2 - 2


def test_bodies_that_a_killed_run_may_have_asked_for_count_as_spent(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=12, body_tokens=0)
    program.simulator.fault("body", hang=60)
    scan = background(program, "scan", KILLSYNC_CONNECTIONS="4")
    wait_until(lambda: len(program.simulator.log("body")) == 4)
    scan.kill()
    scan.communicate(timeout=TIMEOUT)
    program.simulator.clear_faults()
    program.run("scan", KILLSYNC_CONNECTIONS="4")
    (bodies,) = (b for b in program.status()["rate_limits"] if b["group"] == "killmail")
    assert bodies["limit"] - bodies["remaining"] >= 2 * (4 + 12)
    program.assert_equals_truth()


def test_the_rest_that_a_429_asks_for_is_kept_in_later_runs(killsync: Make) -> None:
    program, user_id = with_character(killsync, 4)
    program.simulator.fault("list", status=429, headers={"Retry-After": "200"}, times=1)
    program.run("scan")
    assert 100 < rests_for(program, "char-killmail", str(user_id)) <= 201
    assert program.rows("SELECT state FROM jobs") == [("queued",)]
    assert program.rows("SELECT failures FROM users") == [(0,)]
    for command in (["scan"], ["scan", "--force"], ["sync", str(user_id)]):
        let_users_be_tried(program)
        program.run(*command, exit_code=75 if command[0] == "sync" else 0)
    assert len(pages(program)) == 1


def test_after_the_rest_the_list_is_asked_for_and_not_before(killsync: Make) -> None:
    program, _ = with_character(killsync, 4)
    program.simulator.fault("list", status=429, headers={"Retry-After": "1"}, times=1)
    program.run("scan")
    refused, answered = program.simulator.log("list")
    assert answered["start"] - refused["start"] >= 1
    program.assert_equals_truth()


def test_a_resting_list_does_not_stop_other_users(killsync: Make) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    resting, *others = (login["character_id"] for login in program.simulator.logins)
    program.simulator.fault(
        "list", character_id=resting, status=429, headers={"Retry-After": "300"}
    )
    program.run("scan")
    assert program.recorded(resting) == []
    for user_id in others:
        assert program.recorded(user_id) == program.simulator.listed(user_id)
        assert pending(program, user_id) == 0


def test_resting_bodies_do_not_stop_the_lists(killsync: Make) -> None:
    program = killsync(characters=2, killmails=4, page_size=2, shared=0)
    program.simulator.fault("body", status=429, headers={"Retry-After": "300"})
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    assert len(program.simulator.log("body")) == 1
    assert len(pages(program)) == 4
    assert program.rows("SELECT count(*) FROM pending_killmails") == [(8,)]
    program.run("scan")
    assert len(program.simulator.log("body")) == 1


def test_a_420_stops_every_request_until_the_reset_in_later_runs_too(killsync: Make) -> None:
    program = killsync(characters=3, killmails=2)
    program.simulator.control("error_limit", "POST", seconds=200)
    program.simulator.clear_log()
    program.run("scan", exit_code=None)
    assert [entry["status"] for entry in program.simulator.log()] == [420]
    assert program.rows("SELECT DISTINCT failures FROM users") == [(0,)]
    let_users_be_tried(program)
    program.run("scan", exit_code=None)
    assert len(program.simulator.log()) == 1


def test_after_the_reset_of_a_420_everything_goes_on(killsync: Make) -> None:
    program = killsync(characters=2, killmails=2)
    program.simulator.control("error_limit", "POST", seconds=2)
    program.simulator.clear_log()
    program.run("scan")
    refused, answered, *_ = (e for e in program.simulator.log() if e["route"] in ("list", "body"))
    assert (refused["status"], answered["status"]) == (420, 200)
    program.assert_equals_truth()


def test_a_420_among_the_bodies_stops_the_lists(killsync: Make) -> None:
    program = killsync(characters=1, killmails=6, page_size=3)
    program.simulator.fault("body", status=420, headers={"X-ESI-Error-Limit-Reset": "200"}, times=1)
    program.simulator.clear_log()
    program.run("scan", exit_code=None, KILLSYNC_CONNECTIONS="1", KILLSYNC_PAGE_DELAY="1s")
    assert [entry["route"] for entry in program.simulator.log()] == ["list", "body"]


@pytest.mark.sample
def test_every_request_names_its_sender_and_its_compatibility_date(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2)
    program.simulator.control("expire_access", "POST")
    program.simulator.clear_log()
    program.run("scan", KILLSYNC_CONTACT="ops@example.com")
    log = program.simulator.log()
    assert {entry["route"] for entry in log} >= {"token", "list", "body"}
    for entry in log:
        assert re.match(r"killsync/\d\S* \(.*ops@example\.com.*\)", entry["user_agent"])
    for entry in (e for e in log if e["route"] in ("list", "body")):
        assert date.fromisoformat(entry["compatibility_date"]) <= datetime.now(UTC).date()


def test_a_list_that_has_used_up_its_window_does_not_end_the_run_for_the_others(
    killsync: Make,
) -> None:
    program = killsync(characters=2, killmails=6, shared=0, page_size=1, list_tokens=10)
    # all bodies are there when the next page would be due
    program.run("scan", KILLSYNC_PAGE_DELAY="300ms")
    assert program.rows("SELECT backfill_page FROM users") == [(5,), (5,)]


def test_what_never_reached_esi_costs_no_tokens(killsync: Make) -> None:
    program, user_id = with_character(killsync, 2)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        for _ in range(3):
            program.run("scan", exit_code=75, KILLSYNC_ESI_URL=address)
    spent = program.rows("SELECT spent FROM rate_limits WHERE key = ?", str(user_id))
    assert spent in ([], [("[]",)])
    program.run("scan")
    program.assert_equals_truth()
