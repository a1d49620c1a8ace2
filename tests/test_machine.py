"""What the machine may do to a run: no disk, no files, no memory, a wrong clock."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from campaign.clock import Clock
from campaign.running import MOST_MEMORY_MB, most_resident_mb
from hostile_bodies import plain
from world import TIMEOUT, Killsync

from killsync.http.bounded import LARGEST_ANSWER

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

DAY = 86400


def run_under(
    program: Killsync, limit: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run killsync after a line of shell that limits it."""
    done = subprocess.run(
        ["sh", "-c", f'{limit} && exec "$0" -m killsync "$@"', sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=program.environment | environment,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "unexpected" not in done.stderr, done.stderr
    return done


def stored(program: Killsync) -> set[int]:
    return {killmail_id for (killmail_id,) in program.rows("SELECT killmail_id FROM killmails")}


def assert_recovers(program: Killsync) -> None:
    """Check that no failure was counted, and that the next run loses nothing."""
    assert program.rows("PRAGMA integrity_check") == [("ok",)]
    assert program.rows("SELECT sum(failures) FROM users") == [(0,)]
    assert program.rows("SELECT 1 FROM pending_killmails WHERE attempts > 0") == []
    program.simulator.thaw()
    program.make_due()
    program.run("scan")
    program.assert_equals_truth()


def one_user(killsync: Make, killmails: int) -> tuple[Killsync, int]:
    program = killsync(characters=1, killmails=killmails, list_tokens=0, body_tokens=0)
    return program, program.simulator.logins[0]["character_id"]


def file_size(program: Killsync) -> int:
    """Return the size of the database in the blocks of `ulimit -f`, half a kB each."""
    return program.database.stat().st_size // 512


@pytest.mark.parametrize("room", [40, 300])
def test_files_that_may_not_grow_end_the_run_and_lose_nothing(killsync: Make, room: int) -> None:
    program, user = one_user(killsync, 30)
    program.run("scan")
    before = stored(program)
    program.simulator.add_killmails(user, 120)
    program.simulator.thaw()
    program.make_due()
    done = run_under(program, f"ulimit -f {room}", "scan")
    assert done.returncode == 2, done.stdout + done.stderr
    assert str(program.database) in done.stderr
    assert before <= stored(program)
    assert_recovers(program)


def on_a_small_disk(program: Killsync, kilobytes: int, *arguments: str) -> tuple[int, str]:
    """Run killsync with its files on a disk of this size; what it left there is copied back."""
    script = """
        mount -t tmpfs -o size="$1"k tmpfs "$2" && cp -a "$3/." "$2" || exit 99
        shift 3; "$@"; code=$?
        cp -a "$KILLSYNC_SMALL_DISK/." "$KILLSYNC_KEPT" || exit 98
        exit $code
    """
    kept = program.directory / "kept"
    small = program.directory / "small"
    small.mkdir(exist_ok=True)
    places = {"KILLSYNC_SMALL_DISK": str(small), "KILLSYNC_KEPT": str(kept)}
    places["KILLSYNC_DB"] = str(small / program.database.name)
    command = [sys.executable, "-m", "killsync", *arguments]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(kilobytes), small, kept, *command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=program.environment | places,
        check=False,
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"this machine may not mount a small disk: {done.stderr.strip()}")
    return done.returncode, done.stderr + done.stdout


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to mount a small disk")
@pytest.mark.parametrize("room", [64, 200])
def test_a_full_disk_is_reported_and_what_was_committed_is_kept(killsync: Make, room: int) -> None:
    program, user = one_user(killsync, 30)
    program.run("scan")
    before = stored(program)
    kept = program.directory / "kept"
    kept.mkdir()
    for file in program.directory.glob("killsync.db*"):
        file.rename(kept / file.name)
    program.environment["KILLSYNC_DB"] = str(kept / program.database.name)
    program.database = kept / program.database.name
    program.simulator.add_killmails(user, 120)
    program.simulator.thaw()
    program.make_due()
    used = sum(file.stat().st_size for file in kept.iterdir()) // 1024
    code, said = on_a_small_disk(program, used + room, "scan")
    assert code == 2, said
    assert "disk is full" in said
    assert before <= stored(program)
    assert_recovers(program)


def test_a_run_without_free_file_descriptors_counts_no_failure_and_the_next_recovers(
    killsync: Make,
) -> None:
    program, user = one_user(killsync, 12)
    codes = set()
    for most in (6, 10, 14, 18, 22, 32):
        program.simulator.add_killmails(user, 2)
        program.simulator.thaw()
        program.make_due()
        done = run_under(program, f"ulimit -n {most}", "scan")
        codes.add(done.returncode)
        if done.returncode:
            assert done.returncode in (2, 75), (most, done.returncode, done.stderr)
            assert "ulimit -n" in done.stderr, (most, done.stderr)
        assert program.rows("SELECT sum(failures) FROM users") == [(0,)], (most, done.stderr)
        assert program.rows("SELECT 1 FROM pending_killmails WHERE attempts > 0") == [], most
    assert len(codes) > 1, "both too few and enough must occur"
    assert_recovers(program)


def scan_by_a_clock(program: Killsync, wrong_by: int) -> subprocess.CompletedProcess[str]:
    for login in program.simulator.logins:
        program.simulator.add_killmails(login["character_id"], 1)
    program.simulator.thaw()
    if wrong_by == 0:
        return program.run("scan", exit_code=None)
    with closing(Clock(program.directory / "clock")) as clock:
        clock.set(time.time() + wrong_by)
        return program.run("scan", exit_code=None, **clock.environment)


@pytest.mark.parametrize("wrong_by", [DAY, -DAY], ids=["ahead", "behind"])
def test_a_clock_that_is_wrong_by_a_day_is_named_and_counts_as_no_users_failure(
    killsync: Make, wrong_by: int
) -> None:
    program = killsync(characters=2, killmails=5, page_size=4)
    done = scan_by_a_clock(program, wrong_by)
    assert done.returncode == 75
    assert "clock" in done.stderr
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    assert program.simulator.log("list") == []
    assert scan_by_a_clock(program, 0).returncode == 0
    program.assert_equals_truth()


def test_times_written_by_a_clock_a_day_ahead_delay_no_user(killsync: Make) -> None:
    # tokens that last so long that the wrong clock does not matter to them
    program = killsync(characters=2, killmails=5, page_size=4, access_lifetime=DAY)
    assert scan_by_a_clock(program, DAY).returncode == 0
    program.assert_equals_truth()
    assert scan_by_a_clock(program, 0).returncode == 0
    program.assert_equals_truth()
    assert "nothing is due" in scan_by_a_clock(program, 0).stdout
    assert {entry["status"] for entry in program.simulator.log()} <= {200, 304}


MEASURED = """
import atexit, os, pathlib, runpy
def keep():
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path(os.environ["KILLSYNC_KEEP_STATUS"]).write_text(status)
atexit.register(keep)
runpy.run_module("killsync", run_name="__main__")
"""


def peak_mb(program: Killsync, *arguments: str) -> float:
    """Return the most resident memory that a command had, in MB."""
    status = program.directory / "status"
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        capture_output=True,
        text=True,
        timeout=5 * TIMEOUT,
        env=program.environment | {"KILLSYNC_KEEP_STATUS": str(status)},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    measured = most_resident_mb(status.read_text())
    assert measured > 0
    return measured


def test_eight_connections_with_the_largest_answers_need_less_than_150_mb(killsync: Make) -> None:
    program, _ = one_user(killsync, 8)
    program.simulator.fault("body", huge=LARGEST_ANSWER)
    assert peak_mb(program, "scan") < MOST_MEMORY_MB
    assert program.rows("SELECT count(*) FROM pending_killmails") == [(8,)]
    program.simulator.clear_faults()
    program.execute("UPDATE pending_killmails SET not_before = NULL")
    program.run("scan")
    program.assert_equals_truth()


def with_items(killmail_id: int) -> str:
    item = plain(0)["victim"]["items"][0] | {"quantity_destroyed": 12345, "items": []}
    body = plain(killmail_id)
    body["victim"]["items"] = [item] * 60_000
    return json.dumps(body)


def with_texts(killmail_id: int) -> str:
    return json.dumps(plain(killmail_id) | {"new": ["text"] * 990_000}, separators=(",", ":"))


def with_wide_text(killmail_id: int) -> str:
    text = "x" * (LARGEST_ANSWER - 2_000) + "\U0001f680"  # four bytes a character in memory
    return json.dumps(plain(killmail_id) | {"new": text}, ensure_ascii=False)


def with_many_parts(killmail_id: int) -> str:
    return json.dumps(plain(killmail_id) | {"new": [{}] * 160_000}, separators=(",", ":"))


@pytest.mark.parametrize("made", [with_items, with_texts, with_wide_text, with_many_parts])
def test_the_largest_bodies_that_are_stored_need_less_than_150_mb(
    killsync: Make, made: Callable[[int], str]
) -> None:
    program, user = one_user(killsync, 0)
    for killmail_id in range(125_000_000, 125_000_008):
        text = made(killmail_id)
        program.simulator.add_killmails(user, 1, killmail_id=killmail_id, body_text=text)
    assert peak_mb(program, "scan") < MOST_MEMORY_MB
    assert program.rows("SELECT count(*) FROM killmails") == [(8,)]


def test_bodies_of_as_many_lists_as_there_is_room_for_need_less_than_150_mb(
    killsync: Make,
) -> None:
    program, user = one_user(killsync, 1)
    opening = json.dumps(plain(0))[:-1] + ', "new": ['
    lists = ",".join(["[]"] * ((LARGEST_ANSWER - 2 * len(opening)) // 3))
    for killmail_id in range(125_000_000, 125_000_008):
        text = opening.replace('"killmail_id": 0', f'"killmail_id": {killmail_id}') + lists + "]}"
        program.simulator.add_killmails(user, 1, killmail_id=killmail_id, body_text=text)
    assert peak_mb(program, "scan") < MOST_MEMORY_MB
    assert program.rows("SELECT count(*), sum(refusals) FROM pending_killmails") == [(8, 8)]
    assert program.user(user)["killmails"] == 1


def test_a_list_of_many_long_pages_needs_less_than_150_mb(killsync: Make) -> None:
    program, user = one_user(killsync, 6_000)
    program.simulator.fault("body", status=429, headers={"Retry-After": "3600"})
    assert peak_mb(program, "scan") < MOST_MEMORY_MB
    assert len(program.recorded(user)) == 6_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_became_read_only_is_named_and_nothing_is_lost(killsync: Make) -> None:
    program, _ = one_user(killsync, 5)
    program.run("scan")
    program.directory.chmod(0o500)
    try:
        done = program.run("scan", "--force", exit_code=2)
        assert str(program.directory) in done.stderr
    finally:
        program.directory.chmod(0o700)
    assert_recovers(program)
