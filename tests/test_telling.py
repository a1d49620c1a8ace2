"""Telling, end to end: what is new is told once by each channel, and nothing else is."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import commands
import pytest
from campaign.clock import Clock
from tellers import Teller, configure, states
from world import Killsync, run_in_progress, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
def told(killsync: Make) -> tuple[Killsync, Teller]:
    """Make a program that has told nothing yet, after its first sync."""
    program = killsync(characters=1, killmails=4)
    teller = Teller(program)
    configure(program, teller.table())
    program.run("scan")
    return program, teller


def happen(program: Killsync, number: int, owner: int | None = None) -> list[int]:
    """Let killmails happen that the next scan finds; return their ids, oldest first."""
    owner = owner or int(program.simulator.logins[0]["character_id"])
    made = [killmail_id for killmail_id, _ in program.simulator.add_killmails(owner, number)]
    program.simulator.thaw()
    program.make_due()
    return sorted(made)


def test_a_first_sync_and_an_import_tell_nothing(killsync: Make, tmp_path: Path) -> None:
    program = killsync(characters=1, killmails=300, corporations=0)
    teller = Teller(program)
    configure(program, teller.table())
    other = tmp_path / "export.jsonl"
    program.run("scan")
    program.run("export", "-o", str(other))
    for table in ("killmail_values", "items", "attackers", "killmails"):
        program.execute(f"DELETE FROM {table}")
    program.run("import", "json", str(other))
    assert program.rows("SELECT count(*) FROM killmails") == [(300,)]
    program.run("scan", "--force")
    assert teller.calls == []
    assert program.rows("SELECT count(*) FROM outbox") == [(0,)]


@pytest.mark.sample
def test_what_is_new_is_told_once_and_in_one_call(told: tuple[Killsync, Teller]) -> None:
    program, teller = told
    ids = happen(program, 12)
    said = program.run("scan").stderr
    assert "tell 'corp': told 12 killmails" in said
    assert teller.killmails == ids
    assert teller.calls == [12]
    (kill, *_) = program.rows("SELECT count(*) FROM outbox WHERE state = 'told'")
    assert kill == (12,)
    program.run("scan", "--force", "--quiet")
    assert teller.calls == [12]


def test_a_sync_shows_its_result_before_it_tells(told: tuple[Killsync, Teller]) -> None:
    program, teller = told
    teller.fail()
    happen(program, 2)
    user = str(program.simulator.logins[0]["character_id"])
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = commands.start("sync", user, environment=program.environment, **streams)
    said = process.communicate()[0]
    assert said.index("2 killmails stored") < said.index("tell 'corp': ")


def test_a_late_killmail_older_than_max_age_tells_nothing(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    configure(program, teller.table(max_age="1h"))
    owner = program.simulator.logins[0]["character_id"]
    program.simulator.add_killmails(owner, 1, late=True)
    program.simulator.thaw()
    program.make_due()
    program.run("sync", str(owner), "--full")
    assert program.rows("SELECT count(*) FROM killmails") == [(5,)]
    assert program.rows("SELECT * FROM outbox") == []


def test_a_channel_is_told_only_what_it_asks_for(told: tuple[Killsync, Teller]) -> None:
    program, teller = told
    losses = Teller(program, "losses")
    somebody = Teller(program, "somebody")
    name = program.simulator.logins[0]["name"]
    configure(
        program,
        teller.table(users=[name]),
        losses.table(what=["losses"]),
        somebody.table(users=["Nobody Known"]),
        Teller(program, "rich").table(min_value="1t"),
    )
    ids = happen(program, 8)
    program.run("scan")
    assert teller.killmails == ids
    sides = {line["killmail_id"]: line["side"] for line in teller.lines}
    assert losses.killmails == [i for i in ids if sides[i] == "loss"]
    assert somebody.calls == []


def test_a_failing_channel_rests_and_costs_no_killmail_and_no_exit_code(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    other = Teller(program, "other")
    configure(program, teller.table(), other.table())
    teller.fail()
    ids = happen(program, 2)
    said = program.run("scan").stderr
    assert "tell 'corp': " in said
    assert "no such room" in said
    assert other.killmails == ids
    assert states(program) == {"waiting": 2, "told": 2}
    # it rests
    assert program.run("scan", "--quiet").stderr == ""
    assert teller.refusals == 1
    teller.fail(fails=False)
    program.execute("UPDATE channels SET not_before = '2026-01-01T00:00:00Z'")
    program.run("scan")
    assert teller.killmails == ids
    assert program.rows("SELECT failures, error FROM channels WHERE name = 'corp'") == [(0, None)]


def lie_back(program: Killsync, **times: timedelta) -> None:
    """Make times of the outbox or of channels lie further back."""
    for name, by in times.items():
        table, _, column = name.partition("__")
        program.execute(
            f"UPDATE {table} SET {column} = strftime('%Y-%m-%dT%H:%M:%SZ', {column},"
            f" '-{int(by.total_seconds())} seconds')"
        )


def test_what_a_channel_could_not_tell_for_a_day_is_given_up_and_counted(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    teller.fail()
    happen(program, 3)
    program.run("scan")
    day = timedelta(days=1, minutes=1)
    lie_back(program, channels__not_before=day, channels__failing_since=day, outbox__not_before=day)
    happen(program, 1)
    done = program.run("scan", "--quiet")
    assert "3 given up after a day" in done.stderr
    assert done.stderr.count("\n") == 1
    assert states(program) == {"expired": 3, "waiting": 1}
    # said once a day
    lie_back(program, channels__not_before=day)
    assert program.run("scan", "--quiet").stderr == ""


def test_a_run_killed_while_it_sends_leaves_what_is_reported_once_and_never_sent_again(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    teller.hang(60)
    (killmail_id,) = happen(program, 1)
    scan = program.start("scan")
    wait_until(lambda: teller.is_hanging)
    scan.kill()
    scan.communicate()
    teller.end()
    assert states(program) == {"sending": 1}
    teller.hang(0)
    # it may be alive still
    assert program.run("scan", "--quiet").stderr == ""
    lie_back(program, outbox__sending_at=timedelta(minutes=6))
    said = program.run("scan", "--quiet").stderr
    assert str(killmail_id) in said
    assert "nothing is sent twice" in said
    assert program.run("scan", "--quiet").stderr == ""
    assert states(program) == {"uncertain": 1}
    assert teller.calls == []


@pytest.mark.sample
def test_a_signal_ends_telling_soon_and_is_no_failure_of_the_channel(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    teller.hang(60)
    happen(program, 1)
    scan = program.start("scan")
    wait_until(lambda: teller.is_hanging)
    scan.terminate()
    _, said = scan.communicate(timeout=30)
    assert scan.returncode == 143
    assert "it was stopped before there was an answer" in said
    assert "tried again" not in said
    assert states(program) == {"uncertain": 1}
    assert program.rows("SELECT failures FROM channels WHERE name = 'corp'") == [(0,)]
    assert not teller.is_running


def test_two_processes_at_once_tell_each_killmail_once(told: tuple[Killsync, Teller]) -> None:
    program, teller = told
    teller.fail()
    ids = happen(program, 150)
    program.run("scan")
    teller.fail(fails=False)
    program.execute("UPDATE channels SET not_before = NULL")
    both = [program.start("scan") for _ in range(2)]
    for scan in both:
        scan.communicate(timeout=60)
        assert scan.returncode == 0
    assert sorted(teller.killmails) == ids
    assert states(program) == {"told": 150}


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock(tmp_path / "clock")
    for name, text in moved.environment.items():
        monkeypatch.setenv(name, text)
    return moved


def test_a_delay_of_three_days_holds_over_restarts(clock: Clock, killsync: Make) -> None:
    program = killsync(characters=1, killmails=2, users=False)
    program.environment |= clock.environment
    program.add_users()
    teller = Teller(program)
    configure(program, teller.table(delay="72h"))
    program.run("scan")
    ids = happen(program, 2)
    before = clock.now()
    program.run("scan")
    clock.forward_to(before + 72 * HOUR - MINUTE)
    program.run("scan", exit_code=None)
    assert teller.calls == []
    clock.forward_to(clock.now() + 2 * MINUTE)
    program.run("scan", exit_code=None)
    assert teller.killmails == ids


def need_login(program: Killsync) -> None:
    """Put a user into the state that two refusals leave, whose token is tried again tomorrow."""
    program.execute(
        """UPDATE users SET state = 'needs_login', error = 'invalid_grant', refused_client = ?,
            not_before = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+12 hours')""",
        program.simulator.client_id,
    )


def test_a_login_that_is_needed_is_told_once_and_once_when_it_is_not(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    quiet = Teller(program, "kills")
    configure(program, teller.table(what=["trouble"]), quiet.table(what=["kills"]))
    need_login(program)
    for _ in range(2):
        program.run("scan")
    assert teller.troubles == [("needs_login", False)]
    (line,) = teller.lines
    assert line["user"] == program.simulator.logins[0]["name"]
    program.execute("UPDATE users SET state = 'active', error = NULL")
    for _ in range(2):
        program.run("scan")
    assert teller.troubles == [("needs_login", False), ("needs_login", True)]
    assert quiet.calls == []


def test_an_outage_is_told_while_it_lasts_and_once_when_it_is_over(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    program.make_due()
    lie_back(program, users__last_killmail_sync_at=timedelta(hours=4))
    program.simulator.fault("list", status=503)
    for _ in range(2):
        program.run("scan", exit_code=75)
    assert teller.troubles == [("unsynced", False)]
    program.simulator.clear_faults()
    for _ in range(2):
        program.run("scan")
    assert teller.troubles == [("unsynced", False), ("unsynced", True)]


def test_what_a_run_holds_up_that_never_ends_is_told_by_those_that_give_way(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    program.make_due()
    lie_back(program, users__last_killmail_sync_at=timedelta(hours=4))
    with run_in_progress(program):
        for code in (75, 0):
            program.run("scan", "--quiet", exit_code=code)
        assert teller.troubles == [("unsynced", False)]
    program.run("scan")
    assert teller.troubles == [("unsynced", False), ("unsynced", True)]


def test_a_trouble_that_could_not_be_told_in_time_is_not_told_at_all(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    teller.fail()
    need_login(program)
    program.run("scan")
    assert teller.refusals == 1
    program.execute("UPDATE users SET state = 'active', error = NULL")
    teller.fail(fails=False)
    program.execute("UPDATE channels SET not_before = NULL")
    program.run("scan")
    assert teller.calls == []
    assert program.rows("SELECT * FROM troubles") == []


def test_what_no_version_of_ours_has_written_is_given_up_and_never_the_runs_failure(
    told: tuple[Killsync, Teller],
) -> None:
    program, teller = told
    now = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"
    program.execute(
        "INSERT INTO outbox (channel, trouble, queued_at, not_before)"
        f""" VALUES ('corp', '{{"what": "of a later version"}}', {now}, {now})"""
    )
    program.execute(f"INSERT INTO troubles VALUES ('corp', 'unheard_of', 0, NULL, {now}, 99)")
    assert program.run("tell", "--dry-run").stdout == "corp: 0 messages\n"
    assert program.run("scan", "--quiet").stderr == ""
    assert states(program) == {"expired": 1}
    assert program.rows("SELECT reason FROM outbox") == [("it cannot be read",)]
    assert program.rows("SELECT * FROM troubles") == []
    assert teller.calls == []
