"""Faults that concern more than one request: outages, vanished addresses, endless answers."""

from collections.abc import Callable

import pytest
from world import Killsync, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

# what killsync reads of an answer, and what the system buffers on both sides
MOST_OF_AN_ANSWER = 32 << 20


def ids(program: Killsync) -> list[int]:
    return sorted(login["character_id"] for login in program.simulator.logins)


def let_users_be_tried(program: Killsync) -> None:
    program.make_due()
    for table in ("users", "jobs", "pending_killmails"):
        program.execute(f"UPDATE {table} SET not_before = NULL")


def is_back(program: Killsync) -> bool:
    try:
        return bool(program.simulator.control("options"))
    except OSError:
        return False


@pytest.mark.sample
def test_an_outage_costs_few_requests_however_many_users_are_due(killsync: Make) -> None:
    program = killsync(characters=12, killmails=1, shared=0)
    error = '{"error":"The datasource tranquility is temporarily unavailable"}'
    program.simulator.fault("any", status=503, body=error)
    program.simulator.clear_log()
    said = program.run("scan", exit_code=75).stderr
    assert "temporarily unavailable" in said
    assert len(program.simulator.log()) <= 9
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert program.status()["jobs"] == {"queued": 12, "running": 0, "failed": 0}
    program.simulator.clear_faults()
    let_users_be_tried(program)
    program.run("scan")
    program.assert_equals_truth()


def test_an_address_that_vanishes_in_the_middle_of_a_list_blames_no_user(killsync: Make) -> None:
    # three, since three requests in a row without an answer end a run
    program = killsync(characters=3, killmails=5, page_size=2, shared=0)
    program.simulator.fault("list", page=2, times=1, refuse=8)
    program.run("scan", exit_code=75)
    users = program.rows("SELECT state, failures, backfill_page FROM users ORDER BY user_id")
    assert users == [("active", 0, 2), ("active", 0, None), ("active", 0, None)]
    wait_until(lambda: is_back(program))
    let_users_be_tried(program)
    program.run("scan")
    program.assert_equals_truth()


def test_an_answer_without_end_is_not_read_to_its_end_and_fails_its_user(killsync: Make) -> None:
    program = killsync(characters=2, killmails=2, shared=0)
    ill, healthy = ids(program)
    program.simulator.fault("list", character_id=ill, huge=1 << 30)
    program.run("scan")
    ((error,),) = program.rows("SELECT error FROM users WHERE user_id = ?", ill)
    assert "larger than" in error
    assert program.rows("SELECT killmails FROM users WHERE user_id = ?", healthy) == [(2,)]
    asked = [e for e in program.simulator.log("list") if e["character_id"] == ill]
    assert len(asked) == 1
    assert 0 < max(entry["sent"] for entry in asked) < MOST_OF_AN_ANSWER


@pytest.mark.sample
def test_a_redirect_is_never_followed(killsync: Make) -> None:
    program = killsync(characters=2, killmails=1, shared=0)
    of_list, of_body = ids(program)
    elsewhere = f"{program.simulator.url}/elsewhere"
    program.simulator.fault("list", character_id=of_list, redirect=elsewhere)
    program.simulator.fault("body", redirect=elsewhere)
    program.run("scan", exit_code=1)
    errors = program.rows(
        """SELECT error FROM users WHERE user_id = ?
        UNION ALL SELECT error FROM pending_killmails""",
        of_list,
    )
    assert len(errors) == 2
    assert all("never followed" in error for (error,) in errors)
    assert program.rows("SELECT failures FROM users WHERE user_id = ?", of_body) == [(0,)]
    assert [e for e in program.simulator.log() if e["path"] == "/elsewhere"] == []
