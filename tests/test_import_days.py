"""`killsync import everef --days`: archives that are fetched, one at a time, if they changed."""

import base64
import bz2
import json
import re
import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest
from archives import archive, killmail
from stored import body, pilot
from test_machine import on_a_small_disk
from world import Killsync, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
CUT_SHORT = bz2.compress(killmail(body(7, pilot(1), [])))


@pytest.fixture
def program(killsync: Make) -> Killsync:
    """Return a killsync of one character, who takes part in many killmails of three old days."""
    return killsync(characters=1, archive_days=3, archive_killmails=30)


def span(program: Killsync) -> str:
    first, *_, last = program.simulator.old_days()
    return f"{first}..{last}"


def all_days(program: Killsync) -> str:
    """Return the span of all days on which something happened."""
    truth = program.simulator.truth()["bodies"].values()
    days = sorted(body["killmail_time"][:10] for body in truth)
    return f"{days[0]}..{days[-1]}"


def import_days(program: Killsync, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """Import days, all old ones unless others are named; return the last event."""
    words = arguments if "--days" in arguments else ("--days", span(program), *arguments)
    done = program.run("import", "everef", *words, "--log-format", "json", exit_code=exit_code)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def old_of(program: Killsync) -> dict[int, str]:
    """Return the old killmails of the character, with their hashes."""
    truth = program.simulator.truth()["characters"]
    return {i: h for owner in truth.values() for i, h in owner["old"]}


def stored(program: Killsync) -> dict[int, str]:
    return dict(program.rows("SELECT killmail_id, killmail_hash FROM killmails"))


def requests(program: Killsync) -> list[int]:
    return [entry["status"] for entry in program.simulator.log("archive")]


def test_the_killmails_of_a_user_are_stored_with_the_archives_hashes(program: Killsync) -> None:
    summary = import_days(program)
    assert stored(program) == old_of(program)
    assert (summary["archives"], summary["killmails"]) == (3, 90)
    assert summary["stored"] == len(old_of(program)) > 0
    assert summary["stored"] + summary["others"] == 90
    assert program.rows("SELECT DISTINCT origin, hash_source FROM killmails") == [
        ("everef", "archive")
    ]
    assert program.rows("SELECT * FROM imports WHERE killmails <> 30") == []


def test_what_there_is_to_fetch_is_said_by_the_totals(program: Killsync) -> None:
    done = program.run("import", "everef", "--days", span(program))
    assert "3 days to fetch (90 killmails by totals.json)\n" in done.stderr
    again = program.run("import", "everef", "--days", span(program))
    known = "; 3 of them were read before, and are fetched only if they have changed"
    assert f"3 days to fetch (90 killmails by totals.json){known}\n" in again.stderr


@pytest.mark.parametrize(
    "broken",
    [
        {"status": 503},
        {"html": True},
        {"wrong_json": "[]"},
        {"wrong_json": '{"20160201": 1' + "0" * 400 + "}"},
        {"wrong_json": '{"20160201": 1' + "0" * 15 + "}"},
    ],
)
def test_without_totals_it_goes_on_and_says_what_it_does_not_know(
    program: Killsync, broken: dict[str, Any]
) -> None:
    program.simulator.fault("totals", **broken)
    done = program.run("import", "everef", "--days", span(program))
    assert "how much there is to read is not known" in done.stderr
    assert stored(program) == old_of(program)


def test_a_day_that_has_not_changed_is_not_sent_again(program: Killsync) -> None:
    import_days(program)
    program.simulator.clear_log()
    summary = import_days(program)
    assert requests(program) == [304] * 3
    assert (summary["unchanged"], summary["archives"]) == (3, 0)
    program.simulator.clear_log()
    assert import_days(program, "--full")["archives"] == 3
    assert requests(program) == [200] * 3


def test_a_day_is_asked_for_by_its_etag_whatever_was_read_of_it_as_a_file(
    program: Killsync,
) -> None:
    day = program.simulator.old_days()[0]
    file = archive(program.directory / "archives", [body(7, pilot(1), [])], str(day))
    for expected in (1, 0):
        assert program.run("import", "everef", str(file)).stdout.count(f"{expected} archive") == 1
        assert import_days(program, "--days", str(day))["archives"] == expected
    assert requests(program) == [200, 304]


def test_a_day_that_was_rewritten_is_read_again(program: Killsync) -> None:
    first, second, _ = program.simulator.old_days()
    import_days(program)
    program.simulator.change_archive(first, rewrite=True)
    program.simulator.change_archive(second, killmails=5)
    summary = import_days(program)
    assert (summary["archives"], summary["unchanged"], summary["killmails"]) == (2, 1, 65)
    assert stored(program) == old_of(program)


def test_that_nothing_has_changed_is_not_believed_of_what_was_never_read(
    program: Killsync,
) -> None:
    program.simulator.fault("archive", status=304, times=9)
    assert import_days(program, exit_code=1)["flawed"] == 3
    program.simulator.clear_faults()
    assert import_days(program)["archives"] == 3


def test_an_archive_without_etag_is_read_each_time(program: Killsync) -> None:
    first = program.simulator.old_days()[0]
    program.simulator.change_archive(first, bare=True)
    import_days(program)
    assert import_days(program)["archives"] == 1


def test_an_archive_without_hashes_is_computed(program: Killsync) -> None:
    program.simulator.options(archive_hashes=False)
    import_days(program)
    assert stored(program).keys() == old_of(program).keys()
    assert program.rows("SELECT DISTINCT hash_source, hash_ok FROM killmails") == [("computed", 1)]


def test_a_killmail_in_two_days_is_stored_once(program: Killsync) -> None:
    first, second, _ = program.simulator.old_days()
    import_days(program, "--days", str(first))
    one = next(iter(stored(program)))
    program.simulator.change_archive(second, also=[one])
    assert import_days(program)["known"] == 1


def test_days_without_an_archive_are_counted(program: Killsync) -> None:
    program.simulator.change_archive(program.simulator.old_days()[1], missing=True)
    summary = import_days(program, "--days", "2007-12-05..2007-12-06")
    assert (summary["missing"], summary["archives"]) == (2, 0)
    assert import_days(program)["missing"] == 1


def test_a_month_may_be_named(program: Killsync) -> None:
    first = program.simulator.old_days()[0]
    summary = import_days(program, "--days", f"{first:%Y-%m}")
    assert summary["archives"] == sum(d.month == first.month for d in program.simulator.old_days())


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [(b"<html>", "is not bzip2"), (CUT_SHORT, "is cut short")],
)
def test_a_broken_archive_is_refused_the_others_are_read_and_it_is_tried_again(
    program: Killsync, raw: bytes, flaw: str
) -> None:
    first = program.simulator.old_days()[0]
    program.simulator.change_archive(first, raw=base64.b64encode(raw).decode())
    done = program.run("import", "everef", "--days", span(program), "--quiet", exit_code=1)
    assert f"killmails-{first}.tar.bz2: {flaw}" in done.stderr
    assert program.rows("SELECT count(*) FROM imports") == [(2,)]
    program.simulator.clear_log()
    import_days(program, exit_code=1)
    assert sorted(requests(program)) == [200, 304, 304]


def test_a_day_that_gets_no_answer_keeps_no_other_from_being_read(program: Killsync) -> None:
    second = program.simulator.old_days()[1]
    program.simulator.fault("archive", status=503, times=20, day=str(second))
    done = program.run("import", "everef", "--days", span(program), exit_code=75)
    assert f"killmails-{second}.tar.bz2: " in done.stderr
    assert "says 503" in done.stderr
    assert "2 archives read" in done.stdout
    program.simulator.clear_faults()
    program.simulator.clear_log()
    assert import_days(program)["unchanged"] == 2
    assert stored(program) == old_of(program)


def test_a_server_that_is_down_is_not_asked_for_every_day_and_the_next_call_goes_on(
    program: Killsync,
) -> None:
    program.simulator.fault("archive", status=503, times=99)
    done = program.run("import", "everef", "--days", all_days(program), exit_code=75)
    assert len({entry["path"] for entry in program.simulator.log("archive")}) == 3
    assert "0 archives read, 3 refused" in done.stdout
    program.simulator.clear_faults()
    import_days(program)
    assert stored(program) == old_of(program)


def test_an_attempt_that_fails_is_repeated(program: Killsync) -> None:
    program.simulator.fault("archive", status=503, times=2)
    import_days(program)
    assert stored(program) == old_of(program)


@pytest.mark.parametrize(
    ("fault", "flaw"),
    [
        ({"cut": True}, "the answer was cut short"),
        ({"status": 403}, "says 403"),
        ({"status": 500}, "says 500"),
        ({"huge": 33 << 20}, "is larger than 32 MiB"),
        ({"redirect": "http://example.org/"}, "never followed"),
    ],
)
def test_an_archive_that_cannot_be_had_is_refused_and_the_others_are_read(
    program: Killsync, fault: dict[str, Any], flaw: str
) -> None:
    second = program.simulator.old_days()[1]
    program.simulator.fault("archive", day=str(second), **fault)
    done = program.run("import", "everef", "--days", span(program), exit_code=1)
    assert f"killmails-{second}.tar.bz2: " in done.stderr
    assert flaw in done.stderr
    assert program.rows("SELECT count(*) FROM imports") == [(2,)]


def test_a_signal_while_it_is_fetched_ends_it(program: Killsync, background: Any) -> None:
    program.simulator.fault("archive", day=str(program.simulator.old_days()[1]), hang=2)
    process = background(program, "import", "everef", "--days", span(program))
    wait_until(lambda: len(requests(program)) == 2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by SIGTERM: 1 archive read" in said


def test_the_server_itself_is_not_asked_without_a_contact(program: Killsync) -> None:
    address = "https://everef.invalid/killmails"
    words = ("import", "everef", "--days", "2016-02")
    done = program.run(*words, exit_code=2, KILLSYNC_EVEREF_URL=address)
    assert "contact is not set: everef.invalid asks for a way to reach you" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_archive_is_asked_for_at_a_time_by_name(program: Killsync) -> None:
    import_days(program)
    paths = [entry["path"] for entry in program.simulator.log("archive")]
    days = program.simulator.old_days()
    assert [path.rpartition("/")[2] for path in paths] == [f"killmails-{d}.tar.bz2" for d in days]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to mount a small disk")
def test_a_full_disk_keeps_what_was_committed_and_the_next_call_goes_on(program: Killsync) -> None:
    kept = program.directory / "kept"
    kept.mkdir()
    for file in program.directory.glob("killsync.db*"):
        file.rename(kept / file.name)
    program.database = kept / program.database.name
    program.environment["KILLSYNC_DB"] = str(program.database)
    archives = program.directory / "archives"
    owner = program.simulator.logins[0]["character_id"]
    for number in (1, 2):
        above = number * 10_000
        losses = [body(above + n, pilot(owner), []) for n in range(1, 1_500)]
        archive(archives, losses, f"2016-02-0{number}")
    used = sum(file.stat().st_size for file in kept.iterdir()) // 1024
    words = ("import", "everef", str(archives))
    code, said = on_a_small_disk(program, used + 700, *words)
    assert (code, said.count("disk is full")) == (2, 1), said
    assert re.search(r"[01] archives? read; [0-9,]+ killmails: ", said), said
    assert 0 < len(stored(program)) < 2_998
    program.run(*words)
    assert len(stored(program)) == 2_998
    program.run("check")


# beside what ESI lists


def test_killmails_that_esi_lists_later_need_no_request(program: Killsync) -> None:
    import_days(program, "--days", all_days(program))
    assert program.rows("SELECT killmails, listed FROM users") == [(0, 0)]
    program.simulator.clear_log()
    program.run("scan")
    listed = set(program.simulator.listed(program.simulator.logins[0]["character_id"]))
    assert listed
    assert program.simulator.log("body") == []
    assert program.rows("SELECT killmails, listed FROM users") == [(len(listed), len(listed))]
    assert program.run("check").returncode == 0


def test_what_is_pending_and_imported_is_not_asked_for(program: Killsync) -> None:
    # for so long that the run ends at once, without another attempt
    program.simulator.fault("body", status=429, headers={"Retry-After": "3600"})
    program.run("scan", exit_code=None)
    pending = program.rows("SELECT count(*) FROM pending_killmails")[0][0]
    assert pending > 0
    program.simulator.clear_faults()
    import_days(program, "--days", all_days(program))
    assert program.rows("SELECT count(*) FROM pending_killmails") == [(0,)]
    assert program.rows("SELECT killmails = listed, listed > 0 FROM users") == [(1, 1)]
    program.run("check")


def test_an_import_goes_on_beside_a_scan(program: Killsync, background: Any) -> None:
    scan = background(program, "scan", KILLSYNC_PAGE_DELAY="1s")
    wait_until(lambda: program.rows("SELECT 1 FROM user_killmails LIMIT 1"))
    import_days(program)
    scan.communicate(timeout=60)
    assert old_of(program).items() <= stored(program).items()
    program.run("check")
