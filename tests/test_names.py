"""Names in scans: what is asked for, what a bad id costs, and that killmails never pay for it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from in_process import InProcess
from terminal import at_terminal
from world import Killsync, Simulator, wait_for_exit, wait_until

pytestmark = pytest.mark.long

PILOT = 2_112_000_000  # the first of the simulator's pilots
UNKNOWN = 2_150_000_000  # nobody of the simulator's
HOSTILE = [
    "",
    " ",
    "[bold red]x[/]",
    "\x1b]0;title\x07\x1b[2J",
    "a\x00b",
    "\u202egnp.exe",
    "'); DROP TABLE names; --",
    "<script>alert(1)</script>",
    "=1+1",
    "line\nline\ttab",
    "\U0001f680" * 2_560,
    "x" * 10_240,
]


@pytest.fixture
def named(tmp_path: Any, simulate: Callable[..., Simulator]) -> Callable[..., InProcess]:
    """Make a killsync whose scans ask for names, with one user."""

    def make(**options: Any) -> InProcess:
        program = InProcess(tmp_path, simulate(**({"characters": 1, "killmails": 0} | options)))
        program.environment["KILLSYNC_NAMES"] = "on"
        program.add_users()
        # the login has named it: what is left is what is asked for
        program.execute("DELETE FROM names WHERE named_at IS NOT NULL")
        return program

    return make


def put_in_line(program: Killsync, ids: Iterable[int]) -> None:
    program.execute(
        "INSERT INTO unnamed_ids (id) SELECT value FROM json_each(?)", json.dumps(list(ids))
    )


def asked(program: Killsync) -> list[int]:
    """Return the status of each request for names."""
    return [entry["status"] for entry in program.simulator.log("names")]


def names(program: Killsync) -> dict[int, str]:
    """Return what ESI has named."""
    return dict(program.rows("SELECT id, name FROM names WHERE named_at IS NOT NULL"))


def in_line(program: Killsync) -> list[tuple[Any, ...]]:
    return program.rows("SELECT id, attempts FROM unnamed_ids ORDER BY id")


def plain(line: str) -> str:
    """Return a line without the terminal's codes."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def scan_again(program: Killsync) -> None:
    program.simulator.thaw()
    program.make_due()
    program.run("scan")


@pytest.mark.sample
def test_a_scan_names_everybody_and_everything_on_its_killmails(
    named: Callable[..., InProcess],
) -> None:
    program = named(killmails=8)
    program.run("scan")
    assert in_line(program) == []
    for table, column, home in (
        ("killmails", "solar_system_id", "systems"),
        ("killmails", "victim_ship_type_id", "types"),
        ("killmails", "victim_character_id", "names"),
        ("attackers", "character_id", "names"),
        ("attackers", "corporation_id", "names"),
        ("attackers", "alliance_id", "names"),
        ("attackers", "faction_id", "factions"),
        ("attackers", "ship_type_id", "types"),
        ("attackers", "weapon_type_id", "types"),
        ("items", "item_type_id", "types"),
    ):
        key = {"systems": "system_id", "types": "type_id", "factions": "faction_id"}.get(home, "id")
        lacking = f"SELECT {column} FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {home})"
        assert program.rows(lacking) == []
    log = program.simulator.log()
    last_body = max(entry["n"] for entry in log if entry["route"] == "body")
    assert last_body < min(entry["n"] for entry in log if entry["route"] == "names")


def test_one_bad_id_of_a_thousand_costs_no_other_name(named: Callable[..., InProcess]) -> None:
    program = named()
    good = range(PILOT, PILOT + 999)
    put_in_line(program, [*good, UNKNOWN])
    program.run("scan")
    assert names(program).keys() == set(good)
    assert in_line(program) == [(UNKNOWN, 1)]
    assert asked(program).count(404) <= 20
    program.simulator.clear_log()
    scan_again(program)
    assert asked(program) == [], "an unknown id is not asked for again within the hour"


def test_ten_thousand_names_take_ten_requests(named: Callable[..., InProcess]) -> None:
    program = named()
    ids = range(UNKNOWN, UNKNOWN + 10_000)
    program.simulator.control("names", "POST", given=[
        {"id": i, "name": f"Pilot {i}", "category": "character"} for i in ids
    ])  # fmt: skip
    put_in_line(program, ids)
    program.run("scan")
    assert names(program) == {i: f"Pilot {i}" for i in ids}
    assert asked(program) == [200] * 10


@pytest.mark.parametrize("by", ["environment", "file"])
def test_where_names_are_off_nothing_is_sent(named: Callable[..., InProcess], by: str) -> None:
    program = named(killmails=2)
    program.environment["KILLSYNC_NAMES"] = "off"
    if by == "file":
        del program.environment["KILLSYNC_NAMES"]
        file = program.directory / "config.toml"
        file.write_text("names = false\n")
        file.chmod(0o600)
        program.environment["KILLSYNC_CONFIG"] = str(file)
    program.run("scan")
    assert asked(program) == []
    assert program.rows("SELECT count(*) FROM unnamed_ids") != [(0,)]
    assert "`names` is off" in program.run("names").stderr


def test_a_manual_sync_asks_for_no_names(named: Callable[..., InProcess]) -> None:
    program = named(killmails=2)
    program.run("sync", str(program.simulator.logins[0]["character_id"]))
    assert program.rows("SELECT count(*) FROM killmails") != [(0,)]
    assert asked(program) == []


FAULTS: list[dict[str, Any]] = [
    {"status": 404, "body": '{"error":"Ensure all IDs are valid before resolving."}'},
    {"status": 404, "html": True},
    {"status": 400},
    {"status": 401},
    {"status": 500},
    {"status": 503},
    {"html": True},
    {"wrong_json": "[]"},
    {"wrong_json": '{"error":"none"}'},
    {"wrong_json": '[{"id":1,"name":"not asked for","category":"character"}]'},
    {"wrong_json": '[{"id":2112000000}]'},
    {"cut": True},
    {"close": True},
    {"hang": 0.2},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 420, "headers": {"X-ESI-Error-Limit-Reset": "1"}},
]


def test_killmails_are_stored_while_names_fail_in_every_way(
    named: Callable[..., InProcess],
) -> None:
    program = named(list_tokens=3_000)
    simulator = program.simulator
    user = simulator.logins[0]["character_id"]
    for fault in FAULTS:
        simulator.clear_faults()
        simulator.fault("names", **fault)
        simulator.add_killmails(user, 1)
        before = len(asked(program))
        scan_again(program)
        assert before < len(asked(program)) <= before + 2, fault
    program.assert_equals_truth()
    log = simulator.log()
    assert {e["status"] for e in log if e["route"] in ("list", "body")} == {200}
    assert names(program) == {}
    assert {attempts for _, attempts in in_line(program)} == {0}, "no id is to blame"
    assert program.rows("SELECT errors, exit_code FROM runs") == [(0, 0)] * len(FAULTS)


def test_names_end_for_a_run_while_half_of_the_errors_are_left(
    named: Callable[..., InProcess],
) -> None:
    program = named(error_limit=60)
    put_in_line(program, range(UNKNOWN, UNKNOWN + 500))
    program.run("scan")
    assert asked(program).count(404) == 11
    assert 420 not in asked(program)


def test_many_bad_ids_are_found_run_by_run(named: Callable[..., InProcess]) -> None:
    program = named()
    bad = set(range(PILOT, PILOT + 100, 25))
    program.simulator.control("names", "POST", given=[
        {"id": i, "name": "x", "category": "nothing known"} for i in bad
    ])  # fmt: skip
    ids = [*range(PILOT, PILOT + 100), *range(UNKNOWN, UNKNOWN + 8)]
    put_in_line(program, ids)
    program.run("scan")
    assert asked(program).count(404) <= 20
    program.simulator.options(error_limit=1_000)
    for _ in range(3):
        scan_again(program)
    assert names(program).keys() == set(range(PILOT, PILOT + 100)) - bad
    assert in_line(program) == [(i, 1) for i in sorted(bad | set(ids[100:]))]


@pytest.mark.parametrize("status", [403, 404, 413, 500, 504])
def test_an_id_that_breaks_the_service_costs_no_other_name(
    named: Callable[..., InProcess], status: int
) -> None:
    program = named()
    program.simulator.control("names", "POST", breaking={PILOT + 700: status})
    ids = range(PILOT, PILOT + 1_500)
    put_in_line(program, ids)
    program.run("scan")
    assert names(program).keys() == set(ids) - {PILOT + 700}
    assert in_line(program) == [(PILOT + 700, 1)]
    assert asked(program).count(status) <= 11
    program.simulator.clear_log()
    scan_again(program)
    assert asked(program) == [], "it is not asked for again within the hour"


def test_many_ids_that_break_the_service_are_found_run_by_run(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    bad = set(range(PILOT, PILOT + 64, 13))
    program.simulator.control("names", "POST", breaking=dict.fromkeys(bad, 500))
    put_in_line(program, range(PILOT, PILOT + 64))
    for _ in range(4):
        program.simulator.clear_log()
        scan_again(program)
        assert asked(program).count(500) <= 20
    assert names(program).keys() == set(range(PILOT, PILOT + 64)) - bad
    assert in_line(program) == [(i, 1) for i in sorted(bad)]


def test_names_may_be_any_text(named: Callable[..., InProcess]) -> None:
    program = named()
    given = {UNKNOWN + n: name for n, name in enumerate(HOSTILE)}
    program.simulator.control("names", "POST", given=[
        {"id": i, "name": name, "category": "character"} for i, name in given.items()
    ])  # fmt: skip
    put_in_line(program, given)
    program.run("scan")
    assert names(program) == given


def test_each_category_has_its_table(named: Callable[..., InProcess]) -> None:
    program = named()
    kinds = ["character", "corporation", "alliance", "inventory_type", "solar_system", "faction",
             "station", "constellation", "region"]  # fmt: skip
    given = dict(enumerate(kinds, UNKNOWN))
    program.simulator.control("names", "POST", given=[
        {"id": i, "name": kind, "category": kind} for i, kind in given.items()
    ])  # fmt: skip
    put_in_line(program, given)
    program.run("scan")
    rows = program.rows(
        "SELECT id, category, name FROM names WHERE named_at IS NOT NULL ORDER BY id"
    )
    assert rows == [(UNKNOWN + n, kind, kind) for n, kind in enumerate(kinds[:3])]
    assert program.rows("SELECT * FROM types WHERE type_id >= ?", UNKNOWN) == [
        (UNKNOWN + 3, "inventory_type", None, None, None, None)
    ]
    assert program.rows("SELECT * FROM systems WHERE system_id >= ?", UNKNOWN) == [
        (UNKNOWN + 4, "solar_system", None, None, None, None, None)
    ]
    assert program.rows("SELECT * FROM factions WHERE faction_id >= ?", UNKNOWN) == [
        (UNKNOWN + 5, "faction")
    ]
    assert in_line(program) == [(UNKNOWN + n, 1) for n in (6, 7, 8)]


def test_old_names_are_asked_for_again_and_kept_where_that_fails(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    put_in_line(program, [PILOT, PILOT + 1])
    program.run("scan")
    program.execute(
        """UPDATE names SET name = 'Old', named_at = '2020-01-01T00:00:00Z'
        WHERE named_at IS NOT NULL"""
    )
    program.execute(
        "INSERT INTO names VALUES (?, 'character', 'Gone', '2020-01-01T00:00:00Z')", UNKNOWN
    )
    shipped = program.rows("SELECT * FROM names WHERE named_at IS NULL")
    scan_again(program)
    found = names(program)
    assert found.pop(UNKNOWN) == "Gone"
    assert shipped == program.rows("SELECT * FROM names WHERE named_at IS NULL") != []
    assert len(found) == 2
    assert "Old" not in found.values()
    assert in_line(program) == [(UNKNOWN, 1)]
    program.simulator.clear_log()
    scan_again(program)
    assert asked(program) == []


def test_names_that_wait_for_a_killed_run_are_asked_for_by_the_next(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    put_in_line(program, [PILOT])
    program.simulator.fault("names", delay=20, times=1)
    process = program.start("scan")
    wait_until(lambda: asked(program))
    process.kill()
    process.communicate()
    scan_again(program)
    assert names(program).keys() == {PILOT}


def test_a_stop_ends_with_the_request_in_flight_whose_names_are_kept(
    named: Callable[..., InProcess], background: Callable[..., subprocess.Popen[str]]
) -> None:
    program = named()
    put_in_line(program, range(PILOT, PILOT + 1_500))
    program.simulator.fault("names", delay=1)
    process = background(program, "scan")
    wait_until(lambda: asked(program))
    assert wait_for_exit(process) == 143
    assert asked(program) == [200]
    assert len(names(program)) == 1_000


def test_verbose_scans_say_what_was_named_and_others_do_not(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    put_in_line(program, [PILOT, UNKNOWN])
    said = program.run("scan", "--verbose").stderr
    assert "1 name stored" in said
    assert "1 id unknown to ESI" in said
    put_in_line(program, [PILOT + 1])
    program.simulator.fault("names", status=500)
    program.make_due()
    assert "name" not in program.run("scan").stderr
    program.make_due()
    assert "no more names in this run: ESI says 500" in program.run("scan", "--verbose").stderr


def break_requests(program: Killsync, path: str) -> None:
    """Make every request for a path end in an error that nobody expects."""
    directory = program.directory / "broken"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        f"""
import requests
send = requests.Session.request
def request(self, method, url, **rest):
    if {path!r} in url:
        raise TypeError("a bug")
    return send(self, method, url, **rest)
requests.Session.request = request
"""
    )
    program.environment["PYTHONPATH"] = os.pathsep.join([str(directory), *sys.path])


@pytest.mark.parametrize("what", ["names", "prices"])
def test_a_bug_beside_the_killmails_is_told_once_and_ends_no_run(
    named: Callable[..., InProcess], what: str
) -> None:
    program = named(killmails=2)
    program.environment["KILLSYNC_PRICES"] = "on"
    break_requests(program, {"names": "/universe/names", "prices": "/markets/prices"}[what])
    said = program.run("scan", "--quiet").stderr
    assert f"{what}: unexpected TypeError" in said
    assert said.count("\n") == 1
    program.execute("DELETE FROM facts WHERE name LIKE '%_not_before'")
    program.make_due()
    assert program.run("scan", "--quiet").stderr == ""
    program.execute("DELETE FROM facts WHERE name LIKE '%_not_before'")
    program.make_due()
    verbose = program.run("scan", "--verbose").stderr
    assert 'raise TypeError("a bug")' in verbose
    program.assert_equals_truth()
    command = {"names": "names", "prices": "data"}[what]
    assert "unexpected TypeError" in program.run(command).stdout
    del program.environment["PYTHONPATH"]
    program.execute("DELETE FROM facts WHERE name LIKE '%_not_before'")
    program.make_due()
    program.run("scan")
    assert "unexpected" not in program.run(command).stdout


def test_names_says_since_when_they_fail(named: Callable[..., InProcess]) -> None:
    program = named()
    put_in_line(program, [PILOT])
    program.run("scan")
    assert "failing" not in program.run("names").stdout
    put_in_line(program, [PILOT + 1])
    program.simulator.fault("names", status=500)
    scan_again(program)
    program.execute(
        "UPDATE facts SET value = '2026-01-02T03:04:05Z' WHERE name = 'names_failing_since'"
    )
    scan_again(program)
    line = "failing\t2026-01-02T03:04:05Z\tESI says 500: simulated"
    assert line in program.run("names").stdout.splitlines()
    found = json.loads(program.run("names", "--json").stdout)
    assert found["failure"]["since"] == "2026-01-02T03:04:05Z"
    shown = " ".join(map(str.strip, at_terminal(program, "names", columns=80)))
    assert "Requests for names have failed since 2026-01-02" in shown
    program.simulator.clear_faults()
    scan_again(program)
    assert "failing" not in program.run("names").stdout


def test_names_shows_what_lacks_a_name_and_when_it_is_asked_for_again(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    put_in_line(program, [PILOT, UNKNOWN])
    program.run("scan")
    put_in_line(program, range(UNKNOWN + 1, UNKNOWN + 31))
    (again,) = program.rows("SELECT not_before FROM unnamed_ids WHERE id = ?", UNKNOWN)[0]
    found = json.loads(program.run("names", "--json").stdout)
    assert found["named"]["character"] == 1
    assert (found["unnamed"], found["unknown"], found["renewing"]) == (31, 1, 0)
    assert found["ids"][0] == {"id": UNKNOWN, "attempts": 1, "not_before": again}
    assert found["ids"][1] == {"id": UNKNOWN + 1, "attempts": 0, "not_before": None}
    assert len(found["ids"]) == 20
    for all_of_them in ("0", "9" * 30):
        found = json.loads(program.run("names", "--json", "--limit", all_of_them).stdout)
        assert len(found["ids"]) == 31
    lines = program.run("names").stdout.splitlines()
    assert f"unnamed\t{UNKNOWN}\t1\t{again}" in lines
    assert "named\tcharacter\t1" in lines
    assert program.run_forked("names").stdout.splitlines() == lines
    shown = at_terminal(program, "names", "--limit=2", columns=80)
    assert "31 ids without a name: 30 not asked for yet, 1 unknown to ESI." in map(
        str.rstrip, shown
    )
    assert any(line.split() == ["characters", "1"] for line in map(plain, shown))
    rows = [line for line in shown if str(UNKNOWN)[:9] in line]
    assert ["unknown to ESI, 1 time" in row for row in rows] == [True, False]
    assert "next scan" in rows[1]
    assert "29 more" in "".join(shown)


def test_refresh_has_the_next_scan_ask_for_everything_again(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    put_in_line(program, [PILOT, UNKNOWN])
    program.run("scan")
    assert "nothing to ask for" not in program.run("names", "--refresh").stdout
    program.execute(
        """UPDATE names SET name = 'Old', named_at = '2026-01-01T00:00:00Z'
        WHERE named_at IS NOT NULL"""
    )
    program.execute("UPDATE unnamed_ids SET not_before = '2026-12-31T00:00:00Z'")
    said = program.run("names", "--refresh").stdout
    assert "1 id without a name" in said
    assert "1 name again" in said
    program.simulator.clear_log()
    scan_again(program)
    assert in_line(program) == [(UNKNOWN, 2)]
    assert "Old" not in names(program).values()


def test_refresh_asks_for_nothing_where_all_is_new(named: Callable[..., InProcess]) -> None:
    program = named()
    assert "nothing to ask for" in program.run("names", "--refresh").stdout


def test_names_alone_start_a_scan(killsync: Callable[..., Killsync]) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    assert program.rows("SELECT count(*) FROM unnamed_ids") != [(0,)]
    # every list is cached: no killmail is due
    program.run("scan", KILLSYNC_NAMES="on")
    assert program.rows("SELECT count(*) FROM unnamed_ids") == [(0,)]


def test_names_that_fail_start_no_scan_for_an_hour(killsync: Callable[..., Killsync]) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    program.simulator.fault("names", status=500)
    program.run("scan", KILLSYNC_NAMES="on")
    program.simulator.clear_log()
    assert "nothing is due" in program.run("scan", KILLSYNC_NAMES="on").stdout
    assert program.simulator.log() == []
    program.execute(
        """UPDATE facts SET value = strftime('%Y-%m-%dT%H:%M:%SZ', value, '-2 hours')
        WHERE name = 'names_not_before'"""
    )
    program.simulator.clear_faults()
    program.run("scan", KILLSYNC_NAMES="on")
    assert program.rows("SELECT count(*) FROM unnamed_ids") == [(0,)]


def test_where_names_are_off_a_refresh_says_so_and_changes_nothing(
    named: Callable[..., InProcess],
) -> None:
    program = named()
    done = program.run("names", "--refresh", exit_code=2, KILLSYNC_NAMES="off")
    assert "`names` is off" in done.stderr
