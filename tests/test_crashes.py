"""Runs struck down at one chosen moment; tests/run_campaign.py does so at many."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from campaign import power
from campaign.case import Case, case
from campaign.ledger import Launch, read
from campaign.moments import Moment
from campaign.power import PowerCuts
from campaign.score import Score
from world import TIMEOUT

pytestmark = pytest.mark.long

WORLD: dict[str, Any] = {
    "characters": 3,
    "killmails": 12,
    "page_size": 4,
    "list_max_age": 3000,
    "shared": 0,
}


@contextmanager
def scan_struck_at(kind: str, **options: Any) -> Iterator[Case]:
    """Kill the first scan of three users at a moment of this kind."""
    with case(random.Random(1), **WORLD | options) as program:
        program.simulator.clear_log()
        launch = Launch(1, program.launch("scan"), ("scan",))
        moment = Moment(program, [launch], 0)
        moment.wait_for(kind)
        launch.process.kill()
        launch.process.wait(TIMEOUT)
        moment.release()
        assert moment.seen
        yield program


def test_a_kill_before_a_rotated_token_is_stored_costs_that_user_alone_a_login() -> None:
    options = {"rotate": True, "access_lifetime": 30, "latency_sso": 0.3}
    with scan_struck_at("token not stored", **options) as program:
        characters = program.simulator.truth()["characters"]
        left = read(program, alive=False).tokens
        lost = {u for u, token in left.items() if characters[str(u)]["refresh_token"] != token}
        assert 1 <= len(lost) <= 2
        program.make_login_needed()
        states = dict(program.rows("SELECT user_id, state FROM users"))
        assert {user for user, state in states.items() if state == "needs_login"} == lost
        assert {user for user, state in states.items() if state == "active"} == states.keys() - lost
        program.renew_logins()
        program.run("scan")
        program.assert_equals_truth()


def test_a_kill_in_the_transaction_of_a_page_leaves_the_whole_page_or_nothing() -> None:
    with scan_struck_at("page's transaction", latency_body=0.5) as program:
        left = read(program, alive=False)
        for user_id, row in left.users.items():
            assert row["listed"] == sum(user == user_id for user, _ in left.recorded)
            assert row["listed"] % WORLD["page_size"] == 0
        program.simulator.options(latency_body=0)
        program.run("scan")
        program.assert_equals_truth()


def test_a_kill_in_the_transaction_of_a_batch_leaves_all_its_bodies_pending_or_stored() -> None:
    with scan_struck_at("batch's transaction") as program:
        left = read(program, alive=False)
        listed = {killmail_id for _, killmail_id in left.recorded}
        pending = {i for (i,) in program.rows("SELECT killmail_id FROM pending_killmails")}
        assert pending == listed - left.stored
        program.run("scan")
        program.assert_equals_truth()


@pytest.mark.skipif(bool(power.cannot_be_cut()), reason="SQLite's fsync cannot be seen here")
def test_what_an_export_could_show_outlives_a_power_cut() -> None:
    score = Score("power")
    with case(random.Random(1), users=False, **WORLD | {"latency_body": 0.02}) as program:
        cuts = PowerCuts(program, score)
        cuts.register(0)
        cuts.before_launch()
        launch = Launch(2, program.launch("scan", "--workers", "3"), ("scan",), 3)
        cuts.ledger.launched(launch)
        Moment(program, [launch], 0).wait_for("batch's transaction")
        cuts.fall([launch])
        cuts.ledger.look()
        assert launch.struck
        assert cuts.ledger.last.recorded
        assert score.problems == []
        program.run("scan")
        program.assert_equals_truth()
