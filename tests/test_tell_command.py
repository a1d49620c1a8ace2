"""`killsync tell`: what it shows of each channel, what would go out, and a test of one."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from here import run_here
from in_process import InProcess
from tellers import Teller, configure
from terminal import at_terminal
from test_telling import happen, need_login
from world import Killsync

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
SECRET = "json://127.0.0.1:9/S3cret"
URL = f'[[tell]]\nname = "hook"\nurl = "{SECRET}"\nmax_age = "3000d"\n'


def ready(killsync: Make) -> tuple[InProcess, Teller]:
    """Return a program after its first sync, and its teller."""
    program = killsync(characters=1, killmails=3)
    teller = Teller(program)
    configure(program, teller.table(), URL)
    program.run("scan")
    here = InProcess(program.directory, program.simulator)
    here.environment = program.environment
    return here, teller


def shown(program: Killsync, name: str) -> dict[str, object]:
    found = json.loads(program.run("tell", "--json").stdout)
    (one,) = [channel for channel in found if channel["channel"] == name]
    assert isinstance(one, dict)
    return one


@pytest.mark.sample
def test_it_shows_what_was_told_what_waits_and_what_is_wrong(killsync: Make) -> None:
    program, teller = ready(killsync)
    assert shown(program, "corp") | {"told": 0, "waiting": 0, "error": None} == shown(
        program, "corp"
    )
    ids = happen(program, 2)
    teller.fail()
    program.run("scan")
    corp = shown(program, "corp")
    assert (corp["by"], corp["waiting"], corp["failures"]) == ("command", 2, 1)
    assert "no such room" in str(corp["error"])
    assert corp["next_at"] == corp["rests_until"]
    program.execute("UPDATE outbox SET state = 'uncertain', ended_at = queued_at")
    assert sorted(shown(program, "corp")["uncertain_ids"]) == ids  # type: ignore[call-overload]
    # a line for each in a pipe
    lines = program.run("tell").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["corp", "command"], ["hook", "url"]]
    configure(program, URL)
    assert shown(program, "corp")["by"] is None


def test_a_dry_run_shows_what_would_go_out_and_sends_nothing(killsync: Make) -> None:
    program, teller = ready(killsync)
    teller.fail()
    happen(program, 2)
    program.run("scan")
    program.execute("UPDATE channels SET not_before = NULL")
    need_login(program)
    refused = teller.refusals
    said = program.run("tell", "--dry-run").stdout
    assert "corp: 3 messages" in said
    assert said.count('"event":"killmail"') == 2
    assert "hook: 3 messages" in said
    assert said.count("https://zkillboard.com/kill/") == 4
    (corp, _) = json.loads(program.run("tell", "--dry-run", "--json").stdout)
    assert [note["event"] for note in corp["notes"]] == ["trouble", "killmail", "killmail"]
    assert teller.refusals == refused


def test_a_test_sends_one_line_and_ends_a_rest(killsync: Make) -> None:
    program, teller = ready(killsync)
    teller.fail()
    done = program.run("tell", "--test", "corp", exit_code=1)
    assert "tell 'corp': " in done.stderr
    assert "no such room" in done.stderr
    ids = happen(program, 2)
    program.run("scan")
    teller.fail(fails=False)
    assert program.run("tell", "--test", "corp").stdout == "corp: delivered\n"
    assert teller.lines == [{"event": "test"}]
    program.run("scan")
    assert teller.killmails == ids


def test_an_unknown_channel_names_the_nearest(killsync: Make) -> None:
    program, _ = ready(killsync)
    said = program.run("tell", "--test", "crop", exit_code=2).stderr
    assert "no channel 'crop'; the nearest is 'corp'" in said
    program.run("tell", "--test", "corp", "--dry-run", exit_code=2)


@pytest.mark.sample
def test_no_url_is_ever_shown(killsync: Make) -> None:
    program, _ = ready(killsync)
    happen(program, 1)
    calls = (["scan"], ["tell"], ["tell", "--json"], ["tell", "--dry-run"], ["doctor"], ["status"])
    for call in (*calls, ["tell", "--test", "hook"]):
        done = program.run(*call, exit_code=None)
        assert "S3cret" not in done.stdout + done.stderr
    assert program.rows("SELECT count(*) FROM channels WHERE name = 'hook' AND failures > 0")
    for table in ("outbox", "channels"):
        assert "S3cret" not in str(program.rows(f"SELECT * FROM {table}"))


def test_without_a_channel_it_says_how_to_add_one(tmp_path: Path) -> None:
    done = run_here("tell", environment={"HOME": str(tmp_path)})
    assert done.returncode == 0
    assert "[[tell]]" in done.stdout
    assert str(tmp_path / ".config/killsync/config.toml") in done.stdout


def test_doctor_says_how_each_channel_is_and_sends_nothing(killsync: Make) -> None:
    program, teller = ready(killsync)
    configure(program, teller.table(), URL, Teller(program, "typo").table(users=["Nobody"]))
    well = program.run("doctor", exit_code=None).stdout
    assert "ok      tell 'corp': by a command, 0 told, 0 waiting" in well
    assert "ok      tell 'hook': by Apprise, 0 told, 0 waiting" in well
    assert "problem tell 'typo': its users 'Nobody': nobody's name, or that of several" in well
    teller.fail()
    happen(program, 2)
    program.run("scan")
    ill = program.run("doctor", exit_code=None).stdout
    assert "warning tell 'corp': has failed for " in ill
    assert "2 messages waiting: teller ended with exit code 1: no such room" in ill
    program.execute("UPDATE channels SET failing_since = '2026-01-01T00:00:00Z'")
    assert "problem tell 'corp': has failed for " in program.run("doctor", exit_code=None).stdout
    assert teller.refusals == 1


def test_times_at_a_terminal_are_of_the_clock_that_is_set(killsync: Make) -> None:
    program, teller = ready(killsync)
    teller.fail()
    happen(program, 2)
    program.run("scan")
    program.execute(
        """UPDATE channels SET failures = 20,
            not_before = strftime('%Y-%m-%dT%H:29:30Z', 'now', '+20 hours')"""
    )
    after = r"tried again after [\w ]*\d\d:"
    assert re.search(f"{after}30", "\n".join(at_terminal(program, "tell", columns=200)))
    program.environment |= {"KILLSYNC_TIME_ZONE": "local", "TZ": "Asia/Kolkata"}
    assert re.search(f"{after}00", "\n".join(at_terminal(program, "tell", columns=200)))


def test_it_says_what_is_left_out_while_a_channel_has_told_nothing(killsync: Make) -> None:
    program, teller = ready(killsync)
    left_out = "none that is older than its channel's max_age (corp: 30 days"
    configure(program, teller.table(max_age="30d"))
    assert left_out in " ".join("\n".join(at_terminal(program, "tell", columns=100)).split())
    assert left_out in program.run("tell", "--dry-run").stderr
    configure(program, teller.table())
    happen(program, 1)
    program.run("scan")
    assert program.run("tell", "--dry-run").stderr == ""
