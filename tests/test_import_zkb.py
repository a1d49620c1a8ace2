"""`import zkb` as a person meets it: what zKillboard lists, the bodies from ESI, every fault."""

import json
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from campaign.clock import Clock, quick_clock
from terminal import at_terminal
from world import Killsync, read_until, run_in_progress, wait_for_exit, wait_until

from killsync.model import UserKind
from killsync.store import connection, users

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
Background = Callable[..., subprocess.Popen[str]]

WRONG = "0123456789" * 4
OLD = {"archive_days": 8, "archive_killmails": 30}


@pytest.fixture(scope="module")
def passing() -> Iterator[Clock]:
    """Have the seconds that zKillboard is left alone pass quickly, for it as for killsync."""
    with quick_clock() as clock:
        yield clock


@pytest.fixture
def killsync(passing: Clock, killsync: Make) -> Make:
    """Make a killsync that hurries, as its simulator does."""

    def make(**options: Any) -> Killsync:
        passing.set(time.time())
        program = killsync(users=False, **options)
        program.environment |= passing.environment
        if program.simulator.logins:
            program.add_users()
        return program

    return make


def pilot(program: Killsync, number: int = 0) -> int:
    return int(program.simulator.logins[number]["character_id"])


def corporation(program: Killsync) -> int:
    """Register the simulator's corporation; it has no director, so that no scan reads its list."""
    theirs = program.simulator.corporations[0]
    with closing(connection.connect(program.database)) as store:
        users.add(
            store.conn,
            theirs["corporation_id"],
            theirs["name"],
            time.time(),
            UserKind.CORPORATION,
        )
        store.conn.execute("UPDATE users SET state = 'disabled' WHERE kind = 'corporation'")
    return int(theirs["corporation_id"])


def import_zkb(
    program: Killsync, *arguments: object, exit_code: int | None = 0, **environment: str
) -> str:
    """Run the import; return what it says in the end."""
    words = map(str, arguments)
    return program.run("import", "zkb", *words, exit_code=exit_code, **environment).stdout


def everything(program: Killsync, *user_ids: int) -> set[int]:
    """Return the ids of all in which one of these takes part, as the bodies have it."""
    found = set()
    for killmail_id, body in program.simulator.truth()["bodies"].items():
        parties = [body["victim"], *body["attackers"]]
        ids = {p.get(key) for p in parties for key in ("character_id", "corporation_id")}
        if ids & set(user_ids):
            found.add(int(killmail_id))
    return found


def stored(program: Killsync, origin: str | None = None) -> set[int]:
    rows = program.rows("SELECT killmail_id, origin FROM killmails")
    return {killmail_id for killmail_id, of in rows if origin in (None, of)}


def pending(program: Killsync) -> set[int]:
    return {i for (i,) in program.rows("SELECT killmail_id FROM pending_killmails")}


def requests(program: Killsync, route: str) -> int:
    return len(program.simulator.log(route))


def assert_each_body_was_asked_for_once(program: Killsync) -> None:
    times = Counter(entry["killmail_id"] for entry in program.simulator.log("body"))
    assert set(times.values()) == {1}


def later(program: Killsync) -> None:
    """Let an hour pass for zKillboard's rests and for what was put off."""
    program.execute("DELETE FROM facts WHERE name = 'zkb_not_before_ms'")
    program.execute(
        "UPDATE pending_killmails SET not_before = '2026-01-01T00:00:00Z'"
        " WHERE not_before IS NOT NULL"
    )


# ---- what it brings


def test_a_characters_whole_history_is_stored_and_says_where_it_came_from(killsync: Make) -> None:
    program = killsync(characters=2, killmails=30, zkb_strict=True, **OLD)
    me = pilot(program)
    program.run("scan")
    listed = stored(program)
    said = import_zkb(program, me)
    mine = everything(program, me)
    assert program.simulator.old(me)
    assert mine <= stored(program)
    assert stored(program, "zkb") == mine - listed
    assert set(program.rows("SELECT DISTINCT hash_ok, hash_source FROM killmails")) == {(1, "esi")}
    assert f"{len(mine - listed):,} new killmails" in said
    assert f"{len(mine - listed):,} stored now" in said
    assert_each_body_was_asked_for_once(program)
    assert not any(entry["too_soon"] for entry in program.simulator.log("zkb"))
    assert "no problems found" in program.run("check").stdout


def test_it_makes_no_claim_on_what_esi_lists(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, **OLD)
    import_zkb(program, pilot(program))
    user = program.user(pilot(program))
    assert (user["killmails"], user["pending"], user["last_killmail_id"]) == (0, 0, None)
    assert program.rows("SELECT DISTINCT listed, role IS NULL FROM user_killmails") == [(0, 0)]


def test_what_esi_lists_later_becomes_listed_without_a_request(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, **OLD)
    me = pilot(program)
    import_zkb(program, me)
    program.simulator.clear_log()
    program.run("scan")
    assert requests(program, "body") == 0
    listed = program.rows("SELECT killmail_id FROM user_killmails WHERE listed")
    assert {i for (i,) in listed} == set(program.simulator.listed(me))
    assert program.user(me)["killmails"] == len(listed)
    assert "no problems found" in program.run("check").stdout


def test_a_corporation_and_its_member_share_each_request_for_a_body(killsync: Make) -> None:
    program = killsync(characters=3, killmails=30, corporations=1, **OLD)
    theirs, me = corporation(program), pilot(program)
    name = program.simulator.logins[0]["name"]
    import_zkb(program, str(theirs), name)
    mine = everything(program, theirs, me)
    assert stored(program) == mine
    assert_each_body_was_asked_for_once(program)
    assert {e["killmail_id"] for e in program.simulator.log("body")} == mine
    shown = program.run("kills", "--user", str(theirs), "--limit", "0", "--json").stdout
    assert {kill["killmail_id"] for kill in json.loads(shown)} == everything(program, theirs)


def test_a_second_call_reads_one_page_of_each_list_and_no_body(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    me = pilot(program)
    program.simulator.add_killmails(me, 500)
    import_zkb(program, me)
    assert requests(program, "zkb") > 4
    program.simulator.clear_log()
    assert "0 new killmails" in import_zkb(program, me)
    assert [(e["page"]) for e in program.simulator.log("zkb")] == [1, 1]
    assert requests(program, "body") == 0
    program.simulator.clear_log()
    import_zkb(program, me, "--full")
    assert requests(program, "zkb") > 4


def test_somebody_who_is_not_registered_is_refused_and_nobody_is_asked(killsync: Make) -> None:
    program = killsync(characters=2, killmails=3)
    unknown = program.run("import", "zkb", str(pilot(program)), "Nobody Here", exit_code=2)
    assert "no user 'Nobody Here'" in unknown.stderr
    assert "name a registered user" in program.run("import", "zkb", exit_code=2).stderr
    assert program.simulator.log("zkb") == []


def test_zkillboard_itself_is_not_asked_without_a_contact(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    address = "https://zkillboard.invalid/api"
    words = ("import", "zkb", str(pilot(program)))
    done = program.run(*words, exit_code=2, KILLSYNC_ZKB_URL=address)
    assert "contact is not set: zkillboard.invalid asks for a way to reach you" in done.stderr


def test_without_a_database_it_says_so_and_makes_none(killsync: Make) -> None:
    program = killsync()
    assert "killsync login" in program.run("import", "zkb", "7", exit_code=2).stderr
    assert not program.database.exists()


# ---- what zKillboard gets wrong


def test_a_wrong_hash_is_refused_by_esi_and_costs_only_itself(killsync: Make) -> None:
    program = killsync(characters=1, killmails=12)
    me = pilot(program)
    wrong = program.simulator.listed(me)[3]
    program.simulator.change_zkillboard(hashes={wrong: WRONG})
    said = import_zkb(program, me, exit_code=1)
    assert "1 refused (1 ESI says 422: Invalid killmail_id and/or killmail_hash)" in said
    assert "1 killmail of these users still pending" in said
    assert "1 killmail put off after errors" in said
    assert stored(program) == everything(program, me) - {wrong}
    # no scan fails because of it, nor says a word
    for _ in range(3):
        later(program)
        done = program.run("--quiet", "scan", "--force")
        assert (done.stdout, done.stderr) == ("", "")
        program.execute("UPDATE users SET list_cached_until = NULL")
    # ESI's list has shown it meanwhile, with its own hash
    assert stored(program) == everything(program, me)
    assert program.rows("SELECT origin FROM killmails WHERE killmail_id = ?", wrong) == [("esi",)]


def test_a_wrong_hash_that_stays_wrong_is_set_aside_once(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0, **OLD)
    me = pilot(program)
    wrong = program.simulator.old(me)[0]
    program.simulator.change_zkillboard(hashes={wrong: WRONG})
    import_zkb(program, me, exit_code=1)
    codes = []
    for _ in range(4):
        later(program)
        program.execute("UPDATE pending_killmails SET refused_at = '2026-01-01T00:00:00Z'")
        codes.append(program.run("--quiet", "scan", exit_code=None).returncode)
    assert codes == [0, 1, 0, 0]
    assert program.status()["set_aside_killmails"] == 1
    assert program.rows("SELECT * FROM facts WHERE name = 'bodies_fail_since'") == []


def test_a_list_of_wrong_hashes_neither_uses_up_the_limit_nor_holds_up_a_scan(
    killsync: Make,
) -> None:
    program = killsync(characters=2, killmails=0, **OLD)
    me, other = pilot(program), pilot(program, 1)
    mine = program.simulator.old(me)
    assert len(mine) > 40
    program.simulator.change_zkillboard(hashes=dict.fromkeys(mine, WRONG))
    import_zkb(program, me, exit_code=1)
    # ten in a row, and those that were in flight
    assert 10 <= requests(program, "body") < 10 + 8
    program.simulator.add_killmails(other, 25)
    program.simulator.clear_log()
    program.run("scan")
    assert set(program.simulator.listed(other)) <= stored(program)
    assert requests(program, "body") < 25 + 10 + 8
    assert program.rows("SELECT * FROM facts WHERE name = 'bodies_fail_since'") == []
    status = program.status()
    assert (status["unfetched"], status["set_aside_killmails"]) == (None, 0)


def test_a_body_in_which_nobody_of_ours_takes_part_is_not_kept(killsync: Make) -> None:
    program = killsync(characters=1, killmails=5)
    me = pilot(program)
    program.simulator.add_character(killmails=3)
    [stranger, hash_], *_ = program.simulator.truth()["characters"][str(me + 1)]["list"]
    mine, my_hash = program.simulator.truth()["characters"][str(me)]["list"][2]
    program.simulator.fault("zkb", edit={str(mine): str(stranger), my_hash: hash_})
    said = import_zkb(program, me, exit_code=1)
    assert "1 refused (1 no registered character or corporation takes part)" in said
    assert stored(program) == everything(program, me) - {mine}
    assert program.recorded(me) == sorted(stored(program) | {stranger}, reverse=True)
    assert "no problems found" in program.run("check").stdout
    # as long as zKillboard lists it, it is neither fetched nor said again
    program.simulator.clear_log()
    said = import_zkb(program, me, "--full")
    assert not re.search("refused|pending", said)
    assert requests(program, "body") == 0
    assert program.status()["set_aside_killmails"] == 1
    later(program)
    done = program.run("--quiet", "scan")
    assert (done.stdout, done.stderr) == ("", "")
    asked = [entry["killmail_id"] for entry in program.simulator.log("body")]
    assert asked.count(stranger) == 1
    # until its own pilot is registered
    program.run("users", "add", given=program.simulator.logins[1]["refresh_token"])
    import_zkb(program, me + 1)
    assert stranger in stored(program)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 200, "body": "{}"}], ids=str)
def test_bodies_that_cannot_be_had_are_a_failure_of_the_call(
    killsync: Make, fault: dict[str, Any]
) -> None:
    program = killsync(characters=1, killmails=12)
    me = pilot(program)
    program.simulator.fault("body", killmail_id=program.simulator.listed(me)[3], **fault)
    done = program.run("import", "zkb", str(me), exit_code=1)
    assert "1 killmail put off after errors" in done.stdout


def test_a_claim_that_a_body_contradicts_is_dropped_and_the_body_kept_for_the_others(
    killsync: Make,
) -> None:
    program = killsync(characters=2, killmails=5, shared=0)
    me, other = pilot(program), pilot(program, 1)
    truth = program.simulator.truth()["characters"]
    [theirs, hash_], (mine, my_hash) = truth[str(other)]["list"][0], truth[str(me)]["list"][2]
    program.simulator.fault("zkb", edit={str(mine): str(theirs), my_hash: hash_})
    import_zkb(program, me)
    assert theirs in stored(program)
    assert program.rows(
        "SELECT user_id, listed FROM user_killmails WHERE killmail_id = ?", theirs
    ) == [(other, 0)]


def test_a_stored_killmail_that_a_repair_asks_for_again_is_kept_though_its_user_is_gone(
    killsync: Make,
) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    me = pilot(program)
    [killmail_id, hash_], *_ = program.simulator.truth()["characters"][str(me)]["list"]
    program.run("users", "remove", str(me))
    program.execute(
        "INSERT INTO pending_killmails (killmail_id, killmail_hash, priority, origin)"
        " VALUES (?, ?, 1, 'zkb')",
        killmail_id,
        hash_,
    )
    program.run("scan")
    assert killmail_id in stored(program, "zkb")


def test_entries_of_the_wrong_shape_are_counted_and_skipped(killsync: Make) -> None:
    program = killsync(characters=1, killmails=12)
    me = pilot(program)
    wrong, hash_ = program.simulator.truth()["characters"][str(me)]["list"][0]
    program.simulator.fault("zkb", edit={hash_: "../../status"})
    said = import_zkb(program, me, exit_code=1)
    assert "1 refused (1 not valid on zKillboard's list)" in said
    assert stored(program) == everything(program, me) - {wrong}
    # also where nothing else is said
    done = program.run("-q", "import", "zkb", str(me), exit_code=1)
    assert done.stdout == ""
    assert "1 refused" in done.stderr


FAULTS: dict[str, dict[str, Any]] = {
    "401": {"status": 401, "body": '{"error": "go away"}'},
    "403 HTML": {"status": 403, "html": True},
    "429": {"status": 429, "headers": {"Retry-After": "900"}},
    "HTML": {"status": 200, "html": True},
    "503": {"status": 503},
    "closed": {"close": True},
    "cut": {"cut": True},
    "an object": {"status": 200, "body": '{"error": "Invalid type or id"}'},
    "redirect": {"redirect": "https://example.com/"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_zkillboard_that_fails_ends_the_call_and_the_next_goes_on(
    killsync: Make, fault: str
) -> None:
    program = killsync(characters=1, killmails=40)
    me = pilot(program)
    program.simulator.fault("zkb", after=1, **FAULTS[fault])
    done = program.run("import", "zkb", str(me), exit_code=75)
    assert done.stderr.splitlines()[-1].endswith("nothing is lost, the next import goes on")
    assert "<" not in done.stderr
    # what was listed until then is there
    assert 0 < len(stored(program)) < 40
    program.simulator.clear_faults()
    later(program)
    import_zkb(program, me)
    assert stored(program) == everything(program, me)
    assert_each_body_was_asked_for_once(program)


def test_a_list_that_is_refused_keeps_no_other_from_being_read(killsync: Make) -> None:
    program = killsync(characters=2, killmails=5, shared=0)
    me, other = pilot(program), pilot(program, 1)
    program.simulator.fault("zkb", times=1, status=404)
    done = program.run("import", "zkb", str(me), str(other), exit_code=75)
    name = program.simulator.logins[0]["name"]
    assert f"{name}, kills: zKillboard says 404" in done.stderr
    assert everything(program, other) <= stored(program)


def test_a_rest_that_zkillboard_asks_for_is_kept_by_the_next_call(killsync: Make) -> None:
    program = killsync(characters=1, killmails=5)
    program.simulator.fault("zkb", times=1, **FAULTS["429"])
    import_zkb(program, pilot(program), exit_code=75)
    again = program.run("import", "zkb", str(pilot(program)), exit_code=75)
    assert "zKillboard has asked for a rest until" in again.stderr
    assert requests(program, "zkb") == 1


def test_an_empty_page_once_is_not_the_end(killsync: Make) -> None:
    program = killsync(characters=1, killmails=40)
    program.simulator.fault("zkb", times=1, status=200, body="[]")
    import_zkb(program, pilot(program))
    assert stored(program) == everything(program, pilot(program))


def test_an_empty_page_amid_a_list_is_said_and_hides_nothing_from_the_next_call(
    killsync: Make,
) -> None:
    program = killsync(characters=1, killmails=0)
    me = pilot(program)
    program.simulator.add_killmails(me, 450)
    program.simulator.change_zkillboard(empty=[2])
    done = program.run("import", "zkb", str(me))
    assert "page 2 is empty, which may not be the end; the next import asks again" in done.stderr
    program.simulator.change_zkillboard(empty=[])
    import_zkb(program, me)
    assert stored(program) | pending(program) == everything(program, me)


# ---- ESI, its limits, and other runs


def test_an_esi_that_is_down_leaves_everything_pending(killsync: Make) -> None:
    program = killsync(characters=1, killmails=20)
    me = pilot(program)
    program.simulator.fault("body", status=503)
    done = program.run("import", "zkb", str(me), exit_code=75)
    assert "nothing is lost" in done.stderr
    assert pending(program) == everything(program, me)
    program.simulator.clear_faults()
    program.simulator.fault("list", status=503)  # nothing of ESI's lists is needed
    import_zkb(program, me)
    assert stored(program) == everything(program, me)


def test_while_another_run_holds_the_lock_the_ids_are_recorded_for_it(killsync: Make) -> None:
    program = killsync(characters=1, killmails=20)
    me = pilot(program)
    with run_in_progress(program):
        done = program.run("import", "zkb", str(me))
    assert "in progress: it and the next scans fetch the killmails" in done.stderr
    assert requests(program, "body") == 0
    assert pending(program) == everything(program, me)
    assert program.status()["pending_killmails"] == len(pending(program))
    program.simulator.fault("list", status=503)
    program.run("scan", exit_code=None)
    assert stored(program, "zkb") == everything(program, me)


def test_history_leaves_the_reserve_to_a_sync(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0, body_tokens=360, **OLD)
    me = pilot(program)
    program.simulator.add_killmails(me, 200)
    said = import_zkb(program, me)
    # 360 tokens, of which a fifth is kept, and of the rest a tenth; a body costs two
    assert len(stored(program)) == 129
    assert "still pending; all stored by about" in said
    assert "; ESI's rate limit lets them go on at " in said
    newest = [i for i, _ in program.simulator.add_killmails(me, 20)]
    program.simulator.thaw()
    program.run("sync", str(me), exit_code=None)
    assert set(newest) <= stored(program)


def test_a_sync_of_its_user_does_not_fetch_the_history(killsync: Make) -> None:
    program = killsync(characters=1, killmails=5, **OLD)
    me = pilot(program)
    with run_in_progress(program):
        import_zkb(program, me)
    done = program.run("sync", str(me))
    assert "pending from earlier runs" not in done.stderr
    assert stored(program) == set(program.simulator.listed(me))
    assert pending(program) == everything(program, me) - stored(program)


def test_a_sync_beside_an_import_is_done_by_it_at_once(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=2, killmails=0, latency_body=0.4, **OLD)
    me, other = pilot(program), pilot(program, 1)
    program.simulator.add_killmails(other, 3)
    importing = background(program, "import", "zkb", str(me), KILLSYNC_CONNECTIONS="1")
    read_until(importing, "to fetch from ESI")
    program.run("sync", str(other))
    assert set(program.simulator.listed(other)) <= stored(program)
    assert importing.poll() is None
    assert "import zkb" in program.run("status").stdout
    assert wait_for_exit(importing) == 143


def test_a_scan_beside_gives_way_and_a_later_one_goes_on(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=30, latency_body=0.3)
    importing = background(program, "import", "zkb", str(pilot(program)), KILLSYNC_CONNECTIONS="1")
    read_until(importing, "to fetch from ESI")
    assert "another run is in progress" in program.run("scan").stdout
    assert wait_for_exit(importing) == 143
    program.run("scan")
    assert stored(program) == everything(program, pilot(program))


def test_removing_a_user_forgets_what_is_pending_for_it_alone(killsync: Make) -> None:
    program = killsync(characters=3, killmails=20, corporations=1, **OLD)
    theirs, me = corporation(program), pilot(program)
    with run_in_progress(program):
        import_zkb(program, theirs, me)
    assert pending(program) == everything(program, theirs, me)
    program.run("users", "remove", str(theirs))
    assert pending(program) == everything(program, me)
    program.run("users", "remove", str(me))
    assert pending(program) == set()
    assert program.rows("SELECT * FROM zkb_lists") == []


# ---- stopping


def test_a_stop_ends_it_in_good_order_and_the_next_call_goes_on(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=0)
    me = pilot(program)
    program.simulator.add_killmails(me, 900)
    program.simulator.fault("zkb", after=1, delay=0.4)
    importing = background(program, "import", "zkb", str(me))
    read_until(importing, "page 2")
    importing.send_signal(signal.SIGINT)
    said, _ = importing.communicate(timeout=60)
    assert importing.returncode == 130
    entries = re.search(r"stopped by SIGINT: ([\d,]+) entries", said)
    assert entries
    page = int(entries[1].replace(",", "")) // 200
    assert 2 <= page < 5
    program.simulator.clear_faults()
    program.simulator.clear_log()
    import_zkb(program, me)
    assert [e["page"] for e in program.simulator.log("zkb")][:3] == [1, page, page + 1]
    assert stored(program) | pending(program) == everything(program, me)


def test_killed_at_any_moment_nothing_is_lost_and_nothing_comes_twice(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=0, latency_body=0.02, zkb_strict=True)
    me = pilot(program)
    program.simulator.add_killmails(me, 500)

    def killed_once(route: str, count: int) -> None:
        program.simulator.clear_log()
        importing = background(program, "import", "zkb", str(me))
        wait_until(lambda: requests(program, route) >= count or importing.poll() is not None)
        importing.kill()
        importing.communicate(timeout=60)

    for route, count in (("zkb", 1), ("zkb", 2), ("zkb", 3), ("body", 1), ("body", 130)):
        killed_once(route, count)
    import_zkb(program, me)
    assert stored(program) == everything(program, me)
    assert pending(program) == set()
    assert program.rows("SELECT count(*), count(DISTINCT stored_seq) FROM killmails") == [
        (500, 500)
    ]
    assert "no problems found" in program.run("check").stdout


# ---- what it says


def test_a_log_has_a_line_for_each_page_and_json_says_the_same(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30)
    name, me = program.simulator.logins[0]["name"], str(pilot(program))
    done = program.run("import", "zkb", me)
    assert f"{name}, kills: to its end; a page of up to 200 killmails a second" in done.stderr
    assert f"{name}, kills: page 1, " in done.stderr
    assert "30 killmails to fetch from ESI, all by about" in done.stderr
    done = program.run("--log-format", "json", "import", "zkb", me)
    result = json.loads(done.stdout)
    assert (result["event"], result["listed"], result["new"]) == ("ZkbImported", 30, 0)
    assert (result["known"], result["refused"], result["pending"]) == (30, {}, 0)
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events == ["ZkbWalkStarted", "ZkbPageListed"] * 2


def test_a_terminal_shows_a_bar_with_rates_instead(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, latency_body=0.3)
    shown = "\n".join(at_terminal(program, "import", "zkb", str(pilot(program))))
    assert "pages/s" in shown
    assert "killmails from ESI" in shown
    assert "of 30" in shown
    assert "left" in shown
    assert "kills: page 1, " not in shown


def test_a_quiet_import_with_nothing_wrong_says_nothing(killsync: Make) -> None:
    program = killsync(characters=1, killmails=5)
    done = program.run("-q", "import", "zkb", str(pilot(program)))
    assert (done.stdout, done.stderr) == ("", "")
    assert stored(program) == everything(program, pilot(program))
