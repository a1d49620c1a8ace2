"""What a wrong clock has left in the database delays no user."""

import time
from collections.abc import Callable

import pytest
from world import Killsync

from killsync.times import DAY, iso

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

# just more than what is believed, which is what is hardest to notice
AHEAD = 32 * DAY


def one_user(killsync: Make) -> tuple[Killsync, int]:
    program = killsync(characters=1, killmails=3)
    return program, program.simulator.logins[0]["character_id"]


@pytest.mark.parametrize(
    ("columns", "ahead"),
    [
        (["not_before"], AHEAD),
        (["last_killmail_sync_at", "list_cached_until"], AHEAD),
        (["last_killmail_sync_at", "list_cached_until", "not_before", "last_full_at"], AHEAD),
        (["last_killmail_sync_at", "list_cached_until", "not_before", "last_full_at"], 366 * DAY),
    ],
    ids=["rest", "head", "all", "all by a year"],
)
def test_the_times_of_a_user_do_not_delay_its_sync(
    killsync: Make, columns: list[str], ahead: float
) -> None:
    program, user = one_user(killsync)
    program.run("scan")
    program.simulator.add_killmails(user, 2)
    program.simulator.thaw()
    program.make_due()
    for column in columns:
        program.execute(f"UPDATE users SET {column} = ?", iso(time.time() + ahead))
    program.run("scan")
    program.assert_equals_truth()


def test_the_cache_time_of_a_gap_hides_no_page(killsync: Make) -> None:
    program = killsync(characters=1, killmails=20, page_size=5)
    program.run("scan", KILLSYNC_MAX_PAGES="2")
    program.execute("UPDATE users SET backfill_cached_until = ?", iso(time.time() + AHEAD))
    program.simulator.clear_log()
    program.run("scan")
    assert [entry["page"] for entry in program.simulator.log("list")] == [2, 3, 4]
    program.assert_equals_truth()


def test_a_job_that_was_put_off_is_taken(killsync: Make) -> None:
    program, user = one_user(killsync)
    program.run("sync", str(user), "--no-wait")
    program.execute("UPDATE jobs SET not_before = ?", iso(time.time() + AHEAD))
    program.run("scan")
    program.assert_equals_truth()
    assert program.status()["jobs"]["queued"] == 0


def test_a_body_that_was_put_off_is_fetched(killsync: Make) -> None:
    program, _ = one_user(killsync)
    program.simulator.fault("body", status=500)
    program.run("scan", exit_code=1)
    program.simulator.clear_faults()
    program.execute("UPDATE pending_killmails SET not_before = ?", iso(time.time() + AHEAD))
    program.run("scan")
    program.assert_equals_truth()


def test_a_resting_or_spent_bucket_is_used(killsync: Make) -> None:
    program, user = one_user(killsync)
    program.run("scan")
    program.simulator.add_killmails(user, 2)
    program.simulator.thaw()
    program.make_due()
    program.execute(
        'UPDATE rate_limits SET retry_at = ?, spent = json_array(json_array(?, "limit"))',
        *(time.time() + AHEAD,) * 2,
    )
    program.run("scan")
    program.assert_equals_truth()


def test_a_used_up_error_limit_or_a_resting_sso_stops_nothing(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3, access_lifetime=30)
    program.simulator.options(access_lifetime=1200)
    for group in ("error-limit", "sso"):
        program.execute(
            "INSERT INTO rate_limits VALUES (?, '', 100, 60, '[]', ?, 0)",
            group,
            time.time() + AHEAD,
        )
    program.run("scan")
    program.assert_equals_truth()


@pytest.mark.sample
def test_an_access_token_that_seems_to_last_is_renewed(killsync: Make) -> None:
    program, _ = one_user(killsync)
    until = time.time() + AHEAD
    assert program.execute_on_tokens("UPDATE tokens SET access_expires_at = ?", until)
    program.simulator.clear_log()
    program.run("scan")
    assert len(program.simulator.log("token")) == 1
    program.assert_equals_truth()


def test_a_claim_of_another_host_is_over(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3, access_lifetime=30)
    assert program.execute_on_tokens(
        "UPDATE tokens SET claimed_by = 'elsewhere:1', claimed_until = ?", time.time() + AHEAD
    )
    program.run("scan")
    program.assert_equals_truth()


def test_what_sso_publishes_is_read_again(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3, access_lifetime=30)
    fetched = time.time() + AHEAD
    assert program.execute_on_tokens("UPDATE sso_documents SET fetched_at = ?", fetched)
    program.simulator.clear_log()
    program.run("scan")
    assert len(program.simulator.log("metadata")) == len(program.simulator.log("jwks")) == 1
    program.assert_equals_truth()


def test_an_alert_in_the_future_does_not_silence_a_quiet_scan(killsync: Make) -> None:
    program, _ = one_user(killsync)
    program.run("scan")
    program.execute("INSERT INTO facts VALUES ('alerted_of', 'unsynced')")
    program.execute("INSERT INTO facts VALUES ('alerted_at', ?)", iso(time.time() + AHEAD))
    program.execute("UPDATE users SET last_killmail_sync_at = ?", iso(time.time() - 4 * 3600))
    program.execute("UPDATE users SET list_cached_until = NULL")
    program.simulator.fault("list", status=503)
    said = program.run("scan", "--quiet", exit_code=75).stderr
    assert "nothing has succeeded for" in said
    assert "for 4 h" in said
