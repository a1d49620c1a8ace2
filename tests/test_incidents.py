"""Incidents of days in simulated time: what one answer, or many, may cost, and whom."""

import json
from collections.abc import Callable, Iterator

import pytest
from campaign.clock import TICK, Clock, cheap_days
from tellers import Teller, configure
from world import Killsync, run_in_progress

from killsync.times import DAY, HOUR, MINUTE, iso, unix

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A time of day that the test moves, for every process that it starts."""
    with cheap_days() as clock:
        yield clock


class Days:
    """Ticks of a scan under a clock that the test moves."""

    def __init__(self, program: Killsync, clock: Clock) -> None:
        self.program = program
        self.clock = clock
        program.environment |= clock.environment

    def tick(self, *options: str, wait: float = TICK, **environment: str) -> tuple[int, str]:
        """Let ten minutes pass, and scan; return the exit code and what it said."""
        self.clock.forward_to(self.clock.now() + wait)
        self.program.simulator.thaw()
        done = self.program.run("scan", *options, exit_code=None, **environment)
        return done.returncode, done.stderr

    def ticks(
        self, number: int, *options: str, wait: float = TICK, **environment: str
    ) -> list[tuple[int, str]]:
        return [self.tick(*options, wait=wait, **environment) for _ in range(number)]

    def ago(self, user_id: int) -> float:
        """Return how many seconds ago a user was synced."""
        synced = self.program.user(user_id)["last_killmail_sync_at"]
        return self.clock.now() - unix(synced)

    def states(self) -> set[str]:
        return {user["state"] for user in self.program.status()["users"]}


@pytest.fixture
def days(killsync: Make, clock: Clock) -> Callable[..., Days]:
    """Make a killsync whose users have all been synced once."""

    def make(users: int, **options: object) -> Days:
        made = Days(killsync(characters=users, killmails=3, **options), clock)
        made.tick()
        return made

    return make


def ids(days: Days) -> list[int]:
    return [login["character_id"] for login in days.program.simulator.logins]


# bodies


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 422},
        {"status": 200, "body": '{"error": "x"}'},
        {"status": 200, "body": '{"killmail_id": 1'},
    ],
    ids=["422", "error", "cut"],
)
def test_bodies_that_were_refused_for_an_hour_are_all_stored(
    days: Callable[..., Days], answer: dict[str, object]
) -> None:
    some = days(1)
    program = some.program
    program.simulator.add_killmails(ids(some)[0], 30)
    program.simulator.fault("body", **answer)
    some.ticks(6)
    program.simulator.clear_faults()
    some.ticks(7, wait=HOUR)
    program.assert_equals_truth()
    assert program.status()["set_aside_killmails"] == 0


def test_a_body_that_is_never_had_is_set_aside_after_a_day_and_counts_once(
    days: Callable[..., Days],
) -> None:
    some = days(1)
    program = some.program
    [[lost, _]] = program.simulator.add_killmails(ids(some)[0], 1)
    program.simulator.fault("body", killmail_id=lost, status=422)
    codes = []
    for wait in (TICK, 10 * MINUTE, HOUR, 6 * HOUR, DAY, DAY):
        some.clock.forward_to(some.clock.now() + wait)
        codes.append(some.tick()[0])
    assert codes == [1, 0, 0, 0, 1, 0]
    status = program.status()
    assert [aside["killmail_id"] for aside in status["set_aside"]] == [lost]
    # asked for again after a month
    program.simulator.clear_faults()
    some.clock.forward_to(some.clock.now() + 30 * DAY)
    some.ticks(2)
    program.assert_equals_truth()


@pytest.mark.parametrize("command", [("retry",), ("sync", "--full"), ("check", "--repair")])
def test_what_is_set_aside_can_be_asked_for_at_once(
    days: Callable[..., Days], command: tuple[str, ...]
) -> None:
    some = days(1)
    program, user = some.program, ids(some)[0]
    [[lost, _]] = program.simulator.add_killmails(user, 1)
    program.simulator.fault("body", killmail_id=lost, status=422)
    for wait in (TICK, 10 * MINUTE, HOUR, 6 * HOUR, DAY):
        some.clock.forward_to(some.clock.now() + wait)
        some.tick()
    program.simulator.clear_faults()
    some.clock.forward_to(some.clock.now() + HOUR)
    words = [*command, str(user)] if command[0] == "sync" else list(command)
    program.run(*words)
    program.run("scan")
    program.assert_equals_truth()


def test_bodies_that_are_always_refused_keep_no_new_ones_waiting(
    days: Callable[..., Days],
) -> None:
    some = days(1)
    program, user = some.program, ids(some)[0]
    for killmail_id, _ in program.simulator.add_killmails(user, 12):
        program.simulator.fault("body", killmail_id=killmail_id, status=422)
    some.ticks(4)
    program.simulator.add_killmails(user, 3)
    some.ticks(2, wait=HOUR)
    assert program.status()["pending_killmails"] == 12


def test_bodies_that_never_get_an_answer_keep_no_history_waiting(
    days: Callable[..., Days],
) -> None:
    some = days(1)
    program, user = some.program, ids(some)[0]
    for number, (killmail_id, _) in enumerate(program.simulator.add_killmails(user, 14)):
        text = json.dumps({"error": f"request {number}"})
        program.simulator.fault("body", killmail_id=killmail_id, status=504, body=text)
    some.ticks(3)
    program.simulator.add_character(killmails=100)
    program.add_users()
    some.ticks(2)
    assert program.status()["pending_killmails"] == 14


def test_an_application_that_is_refused_once_a_run_stops_nobody(
    days: Callable[..., Days],
) -> None:
    some = days(4)
    some.program.expire_access()
    some.ticks(2)
    for _ in range(3):
        some.program.simulator.fault(
            "token", status=401, body='{"error": "invalid_client"}', times=1
        )
        some.program.expire_access()
        assert some.ticks(2)[-1][0] in (0, 75)
        some.program.simulator.clear_faults()
    assert max(some.ago(user) for user in ids(some)) < 4 * TICK


# logins


def test_one_refusal_of_a_token_costs_nothing(days: Callable[..., Days]) -> None:
    some = days(2)
    some.program.simulator.fault("token", status=400, body='{"error": "invalid_grant"}')
    some.program.expire_access()
    some.ticks(2)
    some.program.simulator.clear_faults()
    some.ticks(2)
    assert some.states() == {"active"}
    assert max(some.ago(user) for user in ids(some)) < 2 * TICK + MINUTE


def test_a_token_refused_twice_needs_a_login_and_is_tried_once_a_day_for_a_week(
    days: Callable[..., Days],
) -> None:
    some = days(2)
    program, (dead, alive) = some.program, ids(some)
    program.simulator.control("revoke", "POST", character_id=dead)
    codes = [code for code, _ in some.ticks(6)]
    assert codes.count(1) == 1
    assert program.user(dead)["state"] == "needs_login"
    assert some.ago(alive) < 2 * TICK + MINUTE
    program.simulator.clear_log()
    for _ in range(10):
        some.clock.forward_to(some.clock.now() + DAY)
        some.tick()
    refused = [entry for entry in program.simulator.log("token") if entry["status"] == 400]
    assert len(refused) in (7, 8)


def test_where_every_token_is_refused_nobody_is_marked_for_a_day(
    days: Callable[..., Days],
) -> None:
    some = days(3)
    some.program.simulator.fault("token", status=400, body='{"error": "invalid_grant"}')
    some.program.expire_access()
    codes = [code for code, _ in some.ticks(22, wait=HOUR)]
    assert set(codes[1:]) == {75}
    assert some.states() == {"active"}
    some.program.simulator.clear_faults()
    some.ticks(2)
    assert max(some.ago(user) for user in ids(some)) < 2 * TICK + MINUTE


def test_one_user_whose_token_is_refused_by_hand_waits_for_what_sso_says_of_others(
    days: Callable[..., Days],
) -> None:
    some = days(3)
    program, user = some.program, ids(some)[0]
    program.simulator.fault("token", status=400, body='{"error": "invalid_grant"}')
    program.expire_access()
    for _ in range(2):
        some.clock.forward_to(some.clock.now() + 11 * MINUTE)
        program.simulator.thaw()
        program.run("sync", str(user), exit_code=75)
    assert some.states() == {"active"}


def test_a_wrong_client_id_costs_no_login(days: Callable[..., Days]) -> None:
    some = days(1)
    some.program.simulator.fault("token", status=400, body='{"error": "invalid_grant"}')
    some.program.expire_access()
    some.ticks(4, KILLSYNC_CLIENT_ID="another-application")
    assert some.states() == {"needs_login"}
    some.program.simulator.clear_faults()
    some.tick()
    assert some.states() == {"active"}
    assert some.ago(ids(some)[0]) < MINUTE


def test_words_about_a_scope_in_an_answer_of_esis_need_no_login(
    days: Callable[..., Days],
) -> None:
    some = days(2)
    for text in ("Token is not valid for any required scope", "look through a microscope"):
        some.program.simulator.fault("list", status=403, body=json.dumps({"error": text}))
        some.ticks(4)
        some.program.simulator.clear_faults()
        some.ticks(2)
        assert some.states() == {"active"}
        assert max(some.ago(user) for user in ids(some)) < 2 * TICK + MINUTE


def test_many_who_need_a_login_hold_up_nobody(days: Callable[..., Days]) -> None:
    some = days(14)
    program, alive = some.program, ids(some)[12:]
    for dead in ids(some)[:12]:
        program.simulator.control("revoke", "POST", character_id=dead)
    some.ticks(6)
    assert [user["state"] for user in program.status()["users"]].count("needs_login") == 12
    for _ in range(2):
        some.clock.forward_to(some.clock.now() + DAY)
        some.ticks(1)
        assert max(some.ago(user) for user in alive) < MINUTE


# limits


@pytest.mark.parametrize("route", ["list", "body"])
@pytest.mark.parametrize(
    ("status", "header", "value"),
    [
        (200, "X-Ratelimit-Limit", "1/7d"),
        (429, "Retry-After", "99999999"),
        (420, "X-ESI-Error-Limit-Reset", "99999999"),
    ],
)
def test_no_header_stops_anything_for_more_than_an_hour(
    days: Callable[..., Days], route: str, status: int, header: str, value: str
) -> None:
    some = days(1)
    program, user = some.program, ids(some)[0]
    program.simulator.add_killmails(user, 1)
    answer = {} if status == 200 else {"status": status}
    program.simulator.fault(route, times=1, headers={header: value}, **answer)
    some.ticks(8)
    program.assert_equals_truth()
    assert some.ago(user) < 2 * TICK + HOUR


# incidents


STATUSES = {
    "401": {"status": 401},
    "403": {"status": 403},
    "502": {"status": 502},
    "cut": {"status": 200, "body": "[{"},
}


@pytest.mark.parametrize("fault", STATUSES.values(), ids=STATUSES)
@pytest.mark.parametrize("bad", [1, 5])
def test_after_an_incident_every_user_is_synced_within_two_ticks(
    days: Callable[..., Days], fault: dict[str, object], bad: int
) -> None:
    some = days(5)
    for user in ids(some)[:bad]:
        some.program.simulator.fault("list", character_id=user, **fault)
    some.ticks(12)
    for user in ids(some)[bad:]:
        assert some.ago(user) < 4 * TICK
    some.program.simulator.clear_faults()
    some.ticks(2)
    assert max(some.ago(user) for user in ids(some)) < 2 * TICK + MINUTE


def test_an_incident_costs_few_requests_however_many_users_there_are(
    days: Callable[..., Days],
) -> None:
    some = days(25)
    for status, users in ((403, 10), (504, 3)):
        some.program.simulator.fault("list", status=status)
        some.ticks(2)
        some.program.simulator.clear_log()
        assert some.tick()[0] == 75
        asked = {entry["character_id"] for entry in some.program.simulator.log("list")}
        assert len(asked) <= users
        some.program.simulator.clear_faults()
        some.ticks(2)


@pytest.mark.parametrize(("bad", "good"), [(3, 5), (12, 10)])
def test_users_whose_lists_always_fail_do_not_hold_up_the_others(
    days: Callable[..., Days], bad: int, good: int
) -> None:
    some = days(bad + good)
    for user in ids(some)[:bad]:
        some.program.simulator.fault("list", character_id=user, status=504)
    longest = 0.0
    for _ in range(8):
        some.tick()
        longest = max(longest, *(some.ago(user) for user in ids(some)[bad:]))
    assert longest < 4 * TICK


def test_a_user_who_always_fails_backs_off_once_others_fail_in_the_same_way(
    days: Callable[..., Days],
) -> None:
    some = days(4)
    bad = ids(some)[:3]
    for user in bad:
        some.program.simulator.fault("list", character_id=user, status=403)
    some.ticks(20)
    some.program.simulator.clear_log()
    some.ticks(12)
    asked = [e["character_id"] for e in some.program.simulator.log("list") if e["status"] == 403]
    # one of the three at each tick, in turn
    assert len(asked) <= 14
    assert set(asked) == set(bad)


def test_a_list_whose_second_page_fails_is_reported_once(days: Callable[..., Days]) -> None:
    some = days(2)
    program, user = some.program, ids(some)[0]
    program.simulator.fault("list", character_id=user, page=2, status=500)
    program.simulator.options(page_size=2)
    program.run("sync", str(user), "--full", "--no-wait")
    said = some.ticks(24, "--quiet")
    lines = [line for _, text in said for line in text.splitlines()]
    # when it fails in a second run, and once more when nothing has succeeded for 3 hours
    assert len(lines) == 2
    assert "failed" in lines[0]
    assert "nothing has succeeded for" in lines[1]


# silence


def test_known_trouble_hides_no_outage(days: Callable[..., Days]) -> None:
    some = days(5)
    teller = Teller(some.program)
    configure(some.program, teller.table())
    some.program.simulator.fault("list", character_id=ids(some)[0], status=403)
    first = some.ticks(8, "--quiet", wait=HOUR / 2)
    assert any("nothing has succeeded" in text for _, text in first)
    some.program.simulator.fault("list", status=503)
    said = some.ticks(8, "--quiet", wait=HOUR / 2)
    assert any("and 4 more" in text for _, text in said)
    assert ["and 4 more" in line["text"] for line in teller.lines] == [False, True]


def test_a_quiet_scan_says_once_and_once_a_day_that_nothing_succeeds(
    days: Callable[..., Days],
) -> None:
    some = days(2)
    some.program.simulator.fault("list", status=503)
    said = [*some.ticks(21, "--quiet"), *some.ticks(25, "--quiet", wait=HOUR)]
    lines = [line for _, text in said for line in text.splitlines()]
    assert len(lines) == 2
    assert all("nothing has succeeded for" in line and "503" in line for line in lines)
    assert {code for code, text in said if text} == {75}
    first = next(n for n, (_, text) in enumerate(said) if text)
    assert 3 * HOUR / TICK - 2 <= first <= 3 * HOUR / TICK + 1


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("list", {"status": 429, "headers": {"Retry-After": "99999999"}}),
        ("list", {"status": 420, "headers": {"X-ESI-Error-Limit-Reset": "99999999"}}),
        ("list", {"status": 403}),
        ("token", {"status": 500}),
    ],
)
def test_nothing_stops_a_user_for_long_in_silence(
    days: Callable[..., Days], route: str, fault: dict[str, object]
) -> None:
    some = days(2)
    user = ids(some)[0]
    who = {} if route == "token" else {"character_id": user}
    some.program.simulator.fault(route, **who, **fault)
    said = some.ticks(12, "--quiet", wait=HOUR / 2)
    name = some.program.user(user)["name"]
    assert any(code == 75 and name in text for code, text in said)


def test_a_quiet_scan_says_once_a_day_that_no_killmail_can_be_fetched(
    days: Callable[..., Days],
) -> None:
    some = days(1)
    some.program.simulator.add_killmails(ids(some)[0], 12)
    some.program.simulator.fault("body", status=503)
    said = some.ticks(16, "--quiet", wait=HOUR / 2)
    lines = [line for _, text in said for line in text.splitlines()]
    assert len([line for line in lines if "no killmail could be fetched for 3 h" in line]) == 1
    assert "12 wait" in lines[-1]
    assert "no killmail could be fetched" in some.program.run("status").stdout
    some.program.simulator.clear_faults()
    some.ticks(2, "--quiet")
    assert some.program.status()["unfetched"] is None
    some.program.assert_equals_truth()


def test_manual_syncs_during_an_incident_delay_no_killmail(days: Callable[..., Days]) -> None:
    some = days(1)
    program, user = some.program, ids(some)[0]
    program.simulator.add_killmails(user, 5)
    program.simulator.fault("body", status=422)
    some.ticks(2)
    for _ in range(6):
        some.clock.forward_to(some.clock.now() + 5 * MINUTE)
        program.run("sync", str(user), exit_code=None)
    program.simulator.clear_faults()
    some.ticks(2, wait=HOUR)
    program.assert_equals_truth()


def test_once_all_is_well_again_new_trouble_is_said_at_once(days: Callable[..., Days]) -> None:
    some = days(1)
    for _ in range(2):
        some.program.simulator.fault("list", status=503)
        said = some.ticks(8, "--quiet", wait=HOUR / 2)
        assert len([text for _, text in said if text]) == 1
        some.program.simulator.clear_faults()
        some.ticks(2, "--quiet")


def test_status_says_for_whom_nothing_succeeds(days: Callable[..., Days]) -> None:
    some = days(1)
    some.program.simulator.fault("list", status=503)
    some.ticks(4, wait=HOUR)
    user = some.program.user(ids(some)[0])
    assert some.program.status()["unsynced"]["name"] == user["name"]
    assert f"nothing has succeeded for {user['name']}" in some.program.run("status").stdout


def test_a_run_that_holds_the_lock_for_too_long_is_named(
    days: Callable[..., Days],
) -> None:
    some = days(1)
    program = some.program
    program.execute(
        """INSERT INTO runs (command, pid, host, started_at, max_runtime_s)
        VALUES ('sync', 4711, 'here', ?, 600)""",
        iso(some.clock.now()),
    )
    with run_in_progress(program):
        assert some.ticks(1, "--quiet") == [(0, "")]
        code, text = some.tick("--quiet")
        assert code == 75
        assert "sync (pid 4711 on here) has held the lock for 20 min" in text
        assert "kill -9 4711" in text
        assert some.ticks(2, "--quiet", wait=11 * HOUR) == [(0, "")] * 2
        assert some.tick("--quiet", wait=3 * HOUR)[0] == 75
        assert "pid 4711" in program.run("status").stdout
        assert program.status()["lock_overdue"] is True
