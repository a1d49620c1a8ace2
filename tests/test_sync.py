"""`killsync sync`: whom it syncs, what it waits for, what it says, and its exit code."""

import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import pytest
from world import TIMEOUT, Killsync, read_until, run_in_progress, wait_until

from killsync.times import iso

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]


def outcome(process: Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


def ids(program: Killsync) -> list[int]:
    return [login["character_id"] for login in program.simulator.logins]


def queue_everyone_in_the_background(program: Killsync) -> None:
    """Queue every due user at priority 3, in a scan that has no time to work."""
    program.run("scan", "--max-runtime", "0s")


def pages_asked(program: Killsync, user_id: int) -> list[int]:
    return [e["page"] for e in program.simulator.log("list") if e["character_id"] == user_id]


def stored(program: Killsync, user_id: int) -> int:
    """Return how many killmails of a user are stored."""
    ((count,),) = program.rows("SELECT killmails FROM users WHERE user_id = ?", user_id)
    return int(count)


def open_jobs(program: Killsync) -> list[tuple[Any, ...]]:
    return program.rows(
        "SELECT user_id, priority, full, state FROM jobs WHERE state IN ('queued', 'running')"
        " ORDER BY user_id"
    )


def let_the_cache_time_pass(program: Killsync) -> None:
    program.make_due()
    program.execute("UPDATE jobs SET not_before = '2020-01-01T00:00:00Z' WHERE not_before > ''")
    program.simulator.thaw()


def test_a_user_is_named_by_id_or_by_name_in_any_case(killsync: Start) -> None:
    program = killsync(users=False)
    program.simulator.add_character(name="Aino Halla")
    program.simulator.add_character(name="Other One")
    program.add_users()
    user, _ = ids(program)
    for words in (
        (str(user),),
        ("Aino Halla",),
        ("AINO HALLA",),
        ("aino halla",),
        ("--user", str(user)),
        ("--user=AINO HALLA",),
    ):
        program.run("sync", "--no-wait", *words)
        assert [job[0] for job in open_jobs(program)] == [user], words
        program.execute("DELETE FROM jobs")


def test_several_users_are_synced_by_one_command(killsync: Start) -> None:
    program = killsync(characters=3, killmails=2, shared=0)
    first, second, third = program.simulator.logins
    done = program.run("sync", str(first["character_id"]), "--user", third["name"])
    for login, count in ((first, 2), (second, 0), (third, 2)):
        assert stored(program, login["character_id"]) == count
        assert (login["name"] in done.stdout) == (count > 0)


def test_a_user_named_twice_is_synced_once(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    (login,) = program.simulator.logins
    done = program.run("sync", str(login["character_id"]), login["name"])
    assert len(done.stdout.splitlines()) == 1
    assert pages_asked(program, login["character_id"]) == [1]


def test_an_unknown_user_exits_2_names_the_nearest_and_queues_no_one(killsync: Start) -> None:
    program = killsync(users=False)
    program.simulator.add_character(name="Aino Halla")
    program.simulator.add_character(name="Zed Quux")
    program.add_users()
    program.simulator.clear_log()
    done = program.run("sync", str(ids(program)[1]), "Aino Hala", exit_code=2)
    assert "Aino Halla" in done.stderr
    assert "Zed Quux" not in done.stderr
    assert open_jobs(program) == []
    assert program.simulator.log() == []


def test_a_name_of_several_users_exits_2_and_names_their_ids(killsync: Start) -> None:
    program = killsync(users=False)
    for name in ("Twin", "TWIN"):
        program.simulator.add_character(name=name)
    program.add_users()
    done = program.run("sync", "twin", exit_code=2)
    assert all(str(user) in done.stderr for user in ids(program))


def test_wrong_usage_exits_2_and_queues_no_one(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1)
    user = str(ids(program)[0])
    for words in ((), (user, "--timeout", "soon"), (user, "--timeout", "-1s")):
        assert program.run("sync", *words, exit_code=2).stderr
    assert open_jobs(program) == []


def test_a_disabled_user_is_refused_with_the_command_that_enables_it(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1)
    user = str(ids(program)[0])
    program.run("users", "disable", user)
    program.simulator.clear_log()
    done = program.run("sync", user, exit_code=2)
    assert f"killsync users enable {user}" in done.stderr
    assert program.simulator.log() == []


def test_a_user_who_needs_a_login_fails_with_the_command_that_renews_it(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1, access_lifetime=30)
    (user,) = ids(program)
    program.simulator.control("revoke", "POST", character_id=user)
    assert "killsync login" in program.run("sync", str(user), exit_code=75).stderr
    # the first refusal was ten minutes ago
    program.execute("UPDATE users SET refused_at = ?", iso(time.time() - 600))
    assert "killsync login" in program.run("sync", str(user), exit_code=1).stderr
    program.simulator.clear_log()
    done = program.run("sync", str(user), exit_code=1)
    assert "killsync login" in done.stderr
    assert program.simulator.log() == []


def test_a_cached_list_is_not_asked_for_and_sync_says_until_when(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    (login,) = program.simulator.logins
    program.run("sync", login["name"])
    program.simulator.clear_log()
    done = program.run("sync", login["name"])
    ((until,),) = program.rows("SELECT list_cached_until FROM users")
    (line,) = (line for line in done.stderr.splitlines() if "cached until" in line)
    assert f"{login['name']}: ESI's list is cached until {until}" in line
    assert program.simulator.log() == []


def test_a_sync_within_the_cache_time_fetches_the_bodies_that_are_pending(
    killsync: Start,
) -> None:
    program = killsync(characters=1, killmails=3)
    (user,) = ids(program)
    program.simulator.fault("body", status=500)
    program.run("sync", str(user), exit_code=1)
    assert stored(program, user) == 0
    program.simulator.clear_faults()
    program.simulator.clear_log()
    program.run("sync", str(user))
    assert program.simulator.log("list") == []
    program.assert_equals_truth()


@pytest.mark.sample
def test_full_reads_every_page_and_finds_what_appeared_late(killsync: Start) -> None:
    program = killsync(characters=1, killmails=12, page_size=5)
    (user,) = ids(program)
    program.run("sync", str(user))
    oldest = program.simulator.listed(user)[-1]
    program.simulator.add_killmails(user, 1, killmail_id=oldest - 1)
    let_the_cache_time_pass(program)
    program.simulator.clear_log()
    program.run("sync", str(user), "--full")
    assert pages_asked(program, user) == [1, 2, 3]
    assert [e["if_none_match"] for e in program.simulator.log("list")] == [None] * 3
    program.assert_equals_truth()


def test_full_within_the_cache_time_queues_the_full_pass_for_the_next_run(
    killsync: Start,
) -> None:
    program = killsync(characters=1, killmails=12, page_size=5)
    (user,) = ids(program)
    program.run("sync", str(user))
    oldest = program.simulator.listed(user)[-1]
    program.simulator.add_killmails(user, 1, killmail_id=oldest - 1)
    program.simulator.clear_log()
    done = program.run("sync", str(user), "--full")
    assert "cached until" in done.stdout
    assert program.simulator.log() == []
    assert open_jobs(program) == [(user, 5, 1, "queued")]
    let_the_cache_time_pass(program)
    program.run("scan")
    assert pages_asked(program, user) == [1, 2, 3]
    program.assert_equals_truth()


@pytest.mark.sample
def test_no_wait_only_queues_and_the_next_scan_does_it(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    (user,) = ids(program)
    program.simulator.clear_log()
    program.run("sync", str(user), "--no-wait")
    assert program.simulator.log() == []
    assert open_jobs(program) == [(user, 5, 0, "queued")]
    program.run("scan")
    program.assert_equals_truth()


def test_a_queued_user_is_raised_and_neither_doubled_nor_lowered(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1)
    (user,) = ids(program)
    queue_everyone_in_the_background(program)
    assert open_jobs(program) == [(user, 3, 0, "queued")]
    for words in ((), ("--full",), ()):
        program.run("sync", str(user), "--no-wait", *words)
    queue_everyone_in_the_background(program)
    assert open_jobs(program) == [(user, 5, 1, "queued")]


def test_sync_works_off_its_own_job_and_leaves_other_jobs_queued(killsync: Start) -> None:
    program = killsync(characters=3, killmails=3, shared=0)
    first, second, third = ids(program)
    queue_everyone_in_the_background(program)
    program.run("sync", str(second))
    assert open_jobs(program) == [(first, 3, 0, "queued"), (third, 3, 0, "queued")]
    assert {e["character_id"] for e in program.simulator.log("list")} == {second}
    assert [stored(program, u) for u in (first, second, third)] == [0, 3, 0]


def test_sync_leaves_the_pending_bodies_of_others_alone(killsync: Start) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    first, second = ids(program)
    program.simulator.fault("body", status=500)
    program.run("sync", str(first), exit_code=1)
    program.simulator.clear_faults()
    program.simulator.clear_log()
    program.run("sync", str(second))
    assert {e["killmail_id"] for e in program.simulator.log("body")} == set(
        program.simulator.listed(second)
    )
    assert stored(program, first) == 0


def test_a_manual_list_overtakes_the_background_backfill(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(users=False, page_size=2)
    busy = program.simulator.add_character(name="Busy", killmails=10)["character_id"]
    asked = program.simulator.add_character(name="Asked", killmails=2)["character_id"]
    program.add_users()
    program.simulator.fault("list", character_id=busy, page=2, delay=2)
    scan = background(program, "scan")
    wait_until(lambda: 2 in pages_asked(program, busy))
    done = program.run("sync", "Asked")
    assert "2 killmails stored" in done.stdout
    assert outcome(scan)[0] == 0
    lists = [(e["character_id"], e["page"]) for e in program.simulator.log("list")]
    rest = [(busy, page) for page in (3, 4, 5)]
    assert lists == [(busy, 1), (busy, 2), (asked, 1), *rest]
    program.assert_equals_truth()


def test_a_worker_that_waits_for_a_limit_begins_with_a_manual_job_at_once(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    resting, asked = ids(program)
    program.run("users", "disable", str(asked))
    program.simulator.fault("list", character_id=resting, status=429, headers={"Retry-After": "55"})
    scan = background(program, "scan")
    read_until(scan, "waiting")
    program.run("users", "enable", str(asked))
    done = program.run("sync", str(asked))
    assert f"(pid {scan.pid})" in done.stderr
    assert "2 killmails stored" in done.stdout
    assert [e["character_id"] for e in program.simulator.log("list")] == [resting, asked]


def test_manual_bodies_overtake_the_bodies_of_the_background(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(users=False, latency_body=0.1)
    busy = program.simulator.add_character(name="Busy", killmails=150)["character_id"]
    program.add_users()
    background(program, "scan", KILLSYNC_CONNECTIONS="1")
    wait_until(lambda: program.simulator.log("body"))
    asked = program.simulator.add_character(name="Asked", killmails=4)["character_id"]
    token = program.simulator.logins[-1]["refresh_token"]
    program.run("users", "add", given=f"{token}\n")
    program.run("sync", "Asked")
    assert stored(program, asked) == 4
    assert stored(program, busy) < 150
    (listed,) = (e for e in program.simulator.log("list") if e["character_id"] == asked)
    wanted = set(program.simulator.listed(asked))
    after = [
        e["killmail_id"] in wanted for e in program.simulator.log("body") if e["n"] > listed["n"]
    ]
    last = len(after) - 1 - after[::-1].index(True)
    # what was in flight or on its way when the list was answered is not called back
    assert after[: last + 1].count(False) <= 3


def test_a_waiting_sync_shows_the_run_it_waits_for_and_the_outcome(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(characters=1, killmails=5, latency_list=1)
    (user,) = ids(program)
    scan = background(program, "scan")
    wait_until(lambda: pages_asked(program, user))
    done = program.run("sync", str(user))
    assert f"waiting for scan (pid {scan.pid})" in done.stderr
    assert "5 killmails stored" in done.stdout
    assert pages_asked(program, user) == [1]
    assert outcome(scan)[0] == 0


def test_a_waiting_sync_exits_75_with_the_reason_when_the_run_cannot_have_the_list(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(characters=1, killmails=5)
    (user,) = ids(program)
    program.simulator.fault("list", status=403, body='{"error":"No such thing"}', delay=1.5)
    background(program, "scan")
    wait_until(lambda: pages_asked(program, user))
    assert "No such thing" in program.run("sync", str(user), exit_code=75).stderr
    assert set(pages_asked(program, user)) == {1}


@pytest.mark.sample
def test_a_waiting_sync_takes_over_when_the_run_is_killed(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(characters=2, killmails=5, shared=0)
    first, second = ids(program)
    program.simulator.fault("list", character_id=first, hang=60, times=1)
    scan = background(program, "scan")
    wait_until(lambda: pages_asked(program, first))
    sync = background(program, "sync", str(second))
    read_until(sync, "waiting for scan")
    scan.kill()
    assert outcome(sync)[0] == 0, "the sync did not take over"
    assert (stored(program, first), stored(program, second)) == (0, 5)
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.sample
def test_a_waiting_sync_takes_the_lock_as_soon_as_it_is_free(
    killsync: Start, background: Callable[..., Popen[str]]
) -> None:
    program = killsync(characters=1, killmails=2)
    with run_in_progress(program):
        sync = background(program, "sync", str(ids(program)[0]))
        read_until(sync, "waiting for")
    code, said, _ = outcome(sync)
    assert code == 0
    assert "2 killmails stored" in said
    program.assert_equals_truth()


def test_a_sync_that_waits_too_long_exits_75_and_its_job_stays_queued(killsync: Start) -> None:
    program = killsync(characters=1, killmails=2)
    (user,) = ids(program)
    program.simulator.clear_log()
    with run_in_progress(program):
        done = program.run("sync", str(user), "--timeout", "1s", exit_code=75)
    assert "queued" in done.stderr
    assert open_jobs(program) == [(user, 5, 0, "queued")]
    assert program.simulator.log() == []
    program.run("scan")
    program.assert_equals_truth()


def test_the_timeout_covers_the_list_that_sync_reads_itself(killsync: Start) -> None:
    program = killsync(characters=1, killmails=3, page_size=1, latency_list=0.6)
    (user,) = ids(program)
    program.run("sync", str(user), "--timeout", "1s", exit_code=75)
    assert open_jobs(program) == [(user, 5, 0, "queued")]
    assert len(pages_asked(program, user)) < 3
    program.run("sync", str(user))
    program.assert_equals_truth()


def test_the_timeout_covers_the_bodies_that_sync_fetches_itself(killsync: Start) -> None:
    program = killsync(characters=1, killmails=12, latency_body=0.2)
    (user,) = ids(program)
    words = ("sync", str(user), "--timeout", "1s")
    program.run(*words, exit_code=75, KILLSYNC_CONNECTIONS="1")
    assert stored(program, user) < 12
    program.simulator.options(latency_body=0)
    program.run("scan")
    program.assert_equals_truth()


def test_esi_down_exits_75_and_is_no_users_failure(killsync: Start) -> None:
    program = killsync(characters=3, killmails=2)
    program.simulator.fault("list", status=504)
    words = [str(user) for user in ids(program)]
    assert program.run("sync", *words, exit_code=75, KILLSYNC_WORKERS="3").stderr
    assert program.rows("SELECT DISTINCT failures, state FROM users") == [(0, "active")]
    assert open_jobs(program) == [(user, 5, 0, "queued") for user in ids(program)]
    program.simulator.clear_faults()
    program.run("sync", *words)
    program.assert_equals_truth()


def test_a_user_who_fails_exits_1_with_the_reason_and_the_others_are_done(
    killsync: Start,
) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    bad, good = ids(program)
    program.simulator.fault(
        "list", character_id=bad, status=403, body='{"error":"Character does not have a heart"}'
    )
    for exit_code, expected in ((75, 0), (1, 1)):
        done = program.run("sync", str(bad), str(good), exit_code=exit_code)
        assert "Character does not have a heart" in done.stderr
        ((failures, error),) = program.rows(
            "SELECT failures, error FROM users WHERE user_id = ?", bad
        )
        assert failures == expected
        assert "heart" in error
        assert stored(program, good) == 2


def test_a_killmail_that_fails_exits_1_and_says_which(killsync: Start) -> None:
    program = killsync(characters=1, killmails=3)
    (user,) = ids(program)
    failing = program.simulator.listed(user)[1]
    program.simulator.fault("body", killmail_id=failing, status=422)
    done = program.run("sync", str(user), exit_code=1)
    assert str(failing) in done.stderr
    assert "1 killmail put off" in done.stdout
    assert stored(program, user) == 2


@pytest.mark.parametrize("page", [1, 2])
def test_full_over_a_running_job_makes_it_full(
    killsync: Start, background: Callable[..., Popen[str]], page: int
) -> None:
    program = killsync(characters=1, killmails=12, page_size=5)
    (user,) = ids(program)
    program.run("scan")
    oldest = program.simulator.listed(user)[-1]
    program.simulator.add_killmails(user, 1, killmail_id=oldest - 1)
    # the stored id is now on page 2, what appeared late on page 4
    program.simulator.add_killmails(user, 7)
    let_the_cache_time_pass(program)
    program.simulator.clear_log()
    program.simulator.fault("list", page=page, delay=2, times=1)
    scan = background(program, "scan")
    wait_until(lambda: page in pages_asked(program, user))
    program.run("sync", str(user), "--full", "--no-wait")
    assert [(job[0], job[1]) for job in open_jobs(program)] == [(user, 5)]
    assert outcome(scan)[0] == 0
    assert set(pages_asked(program, user)) == {1, 2, 3, 4}
    assert open_jobs(program) == []
    program.assert_equals_truth()


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("list", {"hang": 60}),
        ("list", {"drip": 60}),
        ("token", {"hang": 60}),
        ("body", {"hang": 60}),
    ],
    ids=["list hangs", "list drips", "refresh hangs", "bodies hang"],
)
def test_a_sync_does_not_wait_for_what_hangs_in_the_background(
    killsync: Start,
    background: Callable[..., Popen[str]],
    route: str,
    fault: dict[str, Any],
) -> None:
    program = killsync(characters=2, killmails=9, shared=0)
    hanging, other = ids(program)
    if route == "body":
        for killmail_id in program.simulator.listed(hanging):
            program.simulator.fault("body", killmail_id=killmail_id, **fault)
    else:
        program.simulator.fault(route, character_id=hanging, **fault)
    if route == "token":
        program.expire_access(hanging)
    program.run("users", "disable", str(other))
    scan = background(program, "scan")
    wait_until(
        lambda: any(
            route == "body" or entry["character_id"] == hanging
            for entry in program.simulator.log(route)[-1:]
        )
    )
    program.run("users", "enable", str(other))
    assert program.run("sync", str(other)).stdout
    assert stored(program, other) == 9
    # the request that hangs has not ended meanwhile
    assert scan.poll() is None
