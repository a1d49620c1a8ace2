"""`killsync retry`: what was set aside or put off is tried again at the next run."""

from collections.abc import Callable

import pytest
from world import Killsync

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]


def with_two_failing_bodies(killsync: Make) -> tuple[Killsync, list[int]]:
    """Return a killsync with a refused body of each of two users, and who they are."""
    program = killsync(characters=2, killmails=3, shared=0)
    users = [login["character_id"] for login in program.simulator.logins]
    for user in users:
        first = program.simulator.listed(user)[0]
        program.simulator.fault("body", killmail_id=first, status=422)
    program.run("scan", exit_code=1)
    program.execute("UPDATE pending_killmails SET set_aside_at = not_before")
    program.simulator.clear_faults()
    return program, users


@pytest.mark.sample
def test_what_is_set_aside_is_fetched_by_the_next_run(killsync: Make) -> None:
    program, _ = with_two_failing_bodies(killsync)
    program.run("scan")
    assert program.status()["pending_killmails"] == 2
    said = program.run("retry").stdout
    assert said == "the next run tries 2 killmails and 0 users again: `killsync scan`\n"
    program.run("scan")
    program.assert_equals_truth()


def test_of_one_user_alone(killsync: Make) -> None:
    program, [first, second] = with_two_failing_bodies(killsync)
    program.run("retry", "--user", str(first))
    program.run("scan")
    assert (program.user(first)["pending"], program.user(second)["pending"]) == (0, 1)


def test_users_who_wait_after_failures_or_for_a_login_are_tried_too(killsync: Make) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    failed, refused = (login["character_id"] for login in program.simulator.logins)
    program.execute(
        """UPDATE users SET failures = 3, error = '403', not_before = '2999-01-01T00:00:00Z'
        WHERE user_id = ?""",
        failed,
    )
    program.execute("UPDATE users SET state = 'needs_login' WHERE user_id = ?", refused)
    assert "0 killmails and 2 users" in program.run("retry").stdout
    program.run("scan")
    program.assert_equals_truth()
    assert {user["state"] for user in program.status()["users"]} == {"active"}


def test_where_nothing_waits_it_says_so(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    program.run("scan")
    assert program.run("retry").stdout == "nothing is set aside or put off\n"
