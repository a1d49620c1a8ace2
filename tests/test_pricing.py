"""Market prices and values as a user of scans meets them: when ESI is asked, and what follows."""

import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from world import Killsync, read_until, run_in_progress, wait_for_exit, wait_until

from killsync.store import lock
from killsync.sync.values_due import day_of, may_ask
from killsync.times import DAY, HOUR, unix

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

NOW = unix("2026-11-24T12:00:00Z")
WITH_PRICES = {"KILLSYNC_PRICES": "on"}
ADDS_UP = """
round(hull + fitted + cargo, 2) = round(total, 2)
AND round(dropped + destroyed, 2) = round(total, 2)
"""


@pytest.fixture
def priced(killsync: Make) -> Make:
    """Make a killsync that asks for prices."""

    def make(**options: Any) -> Killsync:
        program = killsync(**({"characters": 1, "killmails": 5} | options))
        program.environment |= WITH_PRICES
        return program

    return make


def asked(program: Killsync) -> int:
    """Return how often prices were asked for."""
    return len(program.simulator.log("prices"))


def valued(program: Killsync) -> tuple[int, int]:
    """Return how many killmails are stored, and how many of them are valued by some day."""
    ((stored, priced),) = program.rows(
        """SELECT count(*), count(priced_on)
        FROM killmails LEFT JOIN killmail_values USING (killmail_id)"""
    )
    return stored, priced


def more(program: Killsync, count: int = 2) -> None:
    """Let some killmails appear, and everybody be due."""
    user = program.simulator.logins[0]["character_id"]
    program.simulator.add_killmails(user, count)
    program.simulator.thaw()
    program.make_due()


def a_day_later(program: Killsync) -> None:
    """Make the prices that are there those of the day before, at a tenth of what they were."""
    program.execute("UPDATE prices SET day = date(day, '-1 day'), average = average / 10")
    program.execute("UPDATE price_days SET day = date(day, '-1 day')")
    program.execute("UPDATE killmail_values SET priced_on = date(priced_on, '-1 day')")


def wait_an_hour(program: Killsync) -> None:
    program.execute(
        """UPDATE facts SET value = strftime('%Y-%m-%dT%H:%M:%SZ', value, '-1 hour', '-1 second')
        WHERE name = 'prices_not_before'"""
    )


# when ESI is asked


@pytest.mark.sample
@pytest.mark.parametrize(
    ("is_fetched", "not_before", "may"),
    [
        (False, None, True),
        (True, None, False),
        (False, NOW - 1, True),
        (False, NOW + 1, False),
        (False, NOW + 6 * HOUR, False),
        (False, NOW + DAY, True),  # a wrong clock's
        (True, NOW - 1, False),
    ],
)
def test_prices_are_asked_for_once_a_day_and_not_before_a_failure_is_an_hour_old(
    is_fetched: bool, not_before: float | None, may: bool
) -> None:
    assert may_ask(NOW, is_fetched=is_fetched, not_before=not_before) is may


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert day_of(unix("2026-11-24T23:59:59Z")) == "2026-11-24"
    assert day_of(unix("2026-11-25T00:00:00Z")) == "2026-11-25"


@pytest.mark.sample
def test_many_scans_of_a_day_ask_once(priced: Make) -> None:
    program = priced()
    for _ in range(3):
        program.run("scan")
        more(program)
    assert asked(program) == 1
    assert valued(program) == (9, 9)
    assert program.rows(f"SELECT count(*) FROM killmail_values WHERE {ADDS_UP}")[0][0] > 5


def test_the_next_day_asks_again_and_leaves_known_values_alone(priced: Make) -> None:
    program = priced()
    program.run("scan")
    a_day_later(program)
    before = program.rows("SELECT * FROM killmail_values")
    more(program)
    program.run("scan")
    assert asked(program) == 2
    assert set(before) < set(program.rows("SELECT * FROM killmail_values"))
    assert len(program.rows("SELECT DISTINCT day FROM price_days")) == 2


def test_a_scan_with_nothing_to_value_does_not_ask(priced: Make) -> None:
    program = priced()
    program.run("scan")
    a_day_later(program)
    program.make_due()
    program.run("scan")
    assert asked(program) == 1


def test_prices_that_are_switched_off_are_not_asked_for(priced: Make) -> None:
    program = priced()
    program.run("scan", KILLSYNC_PRICES="off")
    assert asked(program) == 0
    assert program.rows("SELECT * FROM killmail_values WHERE unpriced IS NOT NULL") == []
    assert valued(program) == (5, 0)
    # nothing is left to be done either
    assert "nothing is due" in program.run("scan", KILLSYNC_PRICES="off").stdout


def test_a_manual_sync_does_not_ask(priced: Make) -> None:
    program = priced()
    program.run("sync", str(program.simulator.logins[0]["character_id"]))
    assert asked(program) == 0
    assert valued(program) == (5, 0)


def test_what_was_stored_without_prices_is_valued_by_the_next_scan_though_nobody_is_due(
    priced: Make,
) -> None:
    program = priced()
    program.run("scan", KILLSYNC_PRICES="off")
    program.run("scan")
    assert (asked(program), valued(program)) == (1, (5, 5))
    assert "nothing is due" in program.run("scan").stdout


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"status": 404},
        {"status": 429, "headers": {"Retry-After": "60"}},
        {"cut": True},
        {"wrong_json": '{"error": "no luck"}'},
        {"wrong_json": "[]"},
        {"huge": 9_000_000},
        {"close": True},
    ],
    ids=lambda fault: "-".join(map(str, fault.values()))[:20],
)
def test_a_failure_costs_no_killmail_blames_nobody_and_is_tried_again_after_an_hour(
    priced: Make, fault: dict[str, Any]
) -> None:
    program = priced()
    program.simulator.fault("prices", **fault)
    assert "prices" not in program.run("scan").stderr
    assert valued(program) == (5, 0)
    assert program.rows("SELECT exit_code, errors FROM runs") == [(0, 0)]
    program.simulator.clear_faults()
    more(program)
    program.run("scan")
    assert (asked(program), valued(program)) == (1, (7, 0))
    wait_an_hour(program)
    program.run("scan")
    assert (asked(program), valued(program)) == (2, (7, 7))


def test_who_asks_for_more_is_told_what_became_of_the_prices(priced: Make) -> None:
    program = priced()
    program.simulator.fault("prices", status=500)
    assert "market prices: ESI says 500" in program.run("scan", "--verbose").stderr
    wait_an_hour(program)
    program.simulator.clear_faults()
    done = program.run("scan", "--verbose").stderr
    assert re.search(r"market prices of 20\d\d-\d\d-\d\d: [\d,]+ types, [\d,]+ changed", done)


def test_no_killmail_waits_for_prices_and_a_killed_run_does_not_ask_twice(
    priced: Make, background: Callable[..., subprocess.Popen[str]]
) -> None:
    program = priced(killmails=20)
    program.simulator.fault("prices", hang=60)
    run = background(program, "scan")
    wait_until(lambda: asked(program) and valued(program) == (20, 0))
    assert run.poll() is None
    run.kill()
    run.wait()
    program.simulator.clear_faults()
    more(program)
    program.run("scan")
    assert (asked(program), valued(program)) == (1, (22, 0))


def test_a_run_that_is_killed_amid_the_request_asks_no_second_time(priced: Make) -> None:
    program = priced()
    program.simulator.fault("prices", delay=20, times=1)
    process = program.start("scan")
    wait_until(lambda: asked(program))
    process.kill()
    process.communicate()
    more(program)
    program.run("scan")
    assert asked(program) == 1
    wait_an_hour(program)
    more(program)
    program.run("scan")
    assert asked(program) == 2


def test_data_says_whether_there_are_prices(priced: Make) -> None:
    program = priced()
    assert "prices:  none yet" in program.run("data").stdout
    program.run("scan")
    assert re.search(r"(?m)^prices:  of \d{4}-\d\d-\d\d$", program.run("data").stdout)
    a_day_later(program)
    program.simulator.fault("prices", status=500)
    more(program)
    program.run("scan")
    said = program.run("data").stdout
    assert re.search(r"(?m)^ +requests have failed since 20.*: ESI says 500: simulated$", said)
    found = json.loads(program.run("data", "--json").stdout)["prices"]
    assert found["failure"]["reason"] == "ESI says 500: simulated"
    assert found["day"] == program.rows("SELECT max(day) FROM price_days")[0][0]


# what an older database gets


def test_an_older_database_is_filled_in_by_the_next_scan(priced: Make) -> None:
    program = priced(killmails=8)
    program.run("scan")
    before = program.rows("SELECT * FROM killmail_values")
    program.execute("DELETE FROM killmail_values")
    program.execute("INSERT INTO facts SELECT 'values_below', max(killmail_id) + 1 FROM killmails")
    program.run("scan")
    assert program.rows("SELECT * FROM killmail_values") == before
    assert program.rows("SELECT * FROM facts WHERE name = 'values_below'") == []
    assert "nothing is due" in program.run("scan").stdout


# `killsync data reprice`


def reprice(program: Killsync, exit_code: int = 0) -> str:
    return program.run("data", "reprice", exit_code=exit_code).stdout


def test_repricing_changes_values_and_says_how_many(priced: Make) -> None:
    program = priced()
    program.run("scan")
    before = program.rows("SELECT * FROM killmail_values")
    assert "5 killmails valued again, none changed" in reprice(program)
    program.execute("UPDATE prices SET average = average * 2")
    said = reprice(program)
    assert re.search(
        r"5 killmails valued again, [45] changed: [\d.]+[kmbt] ISK in all, [\d.]+[kmbt] more", said
    )
    program.execute("UPDATE prices SET average = average / 2")
    reprice(program)
    assert program.rows("SELECT * FROM killmail_values") == before


def test_repricing_without_any_prices_changes_nothing(priced: Make) -> None:
    program = priced()
    program.run("scan", KILLSYNC_PRICES="off")
    assert "there are no prices yet" in reprice(program)
    assert valued(program) == (5, 0)


def test_repricing_waits_for_a_run_until_it_is_told_to_stop(priced: Make) -> None:
    program = priced()
    program.run("scan")
    with run_in_progress(program):
        waiting = program.start("data", "reprice")
        read_until(waiting, "waiting for another run to end")
        assert wait_for_exit(waiting, signal.SIGINT) == 130
    assert "none changed" in reprice(program)


def test_repricing_stops_though_another_program_keeps_the_database_locked(priced: Make) -> None:
    program = priced()
    program.run("scan")
    program.execute("UPDATE prices SET average = average * 2")
    before = program.rows("SELECT * FROM killmail_values")
    with closing(sqlite3.connect(program.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        blocked = program.start("data", "reprice")
        wait_until(lambda: lock.is_held(program.database))
        assert wait_for_exit(blocked, signal.SIGTERM) == 143
    assert program.rows("SELECT * FROM killmail_values") == before
