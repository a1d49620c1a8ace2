"""Corporations' lists by the real command line, and directors who come and go."""

import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from campaign.clock import TICK, Clock, cheap_days
from corporations import Company, add_company
from world import Killsync, wait_for_exit, wait_until

from killsync.simulator.players import SCOPE
from killsync.times import DAY, HOUR, MINUTE, iso

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

# as two polls of a list are apart, with a tick every ten minutes
POLL = 2 * TICK


@pytest.fixture(scope="module")
def clock_of_all() -> Iterator[Clock]:
    with cheap_days() as clock:
        yield clock


@pytest.fixture
def clock(clock_of_all: Clock) -> Clock:
    clock_of_all.set(time.time())
    return clock_of_all


@pytest.fixture
def killsync(killsync: Make, clock: Clock) -> Make:
    """Make a killsync whose clock is the simulator's, as all here do."""

    def make(**options: object) -> Killsync:
        program = killsync(**options)
        program.environment |= clock.environment
        return program

    return make


@dataclass
class Days:
    """A corporation and its directors, under a clock that the test moves."""

    program: Killsync
    clock: Clock
    companies: list[Company] = field(default_factory=list)

    def add(self, directors: int = 3, **values: int) -> Company:
        self.companies.append(add_company(self.program, directors, **values))
        return self.companies[-1]

    def tick(self, *options: str, wait: float = TICK) -> tuple[int, str]:
        """Let time pass, and scan; return the exit code and what it said."""
        self.clock.forward_to(self.clock.now() + wait)
        self.program.simulator.thaw()
        self.program.simulator.clear_log()
        done = self.program.run("scan", *options, exit_code=None)
        return done.returncode, done.stderr

    def ticks(self, number: int, *options: str, wait: float = TICK + 5) -> list[int]:
        """Scan so many times; return the exit codes."""
        return [self.tick(*options, wait=wait)[0] for _ in range(number)]


Start = Callable[..., tuple[Days, Company]]


@pytest.fixture
def days(killsync: Make, clock: Clock) -> Start:
    """Make a corporation of so many directors that was synced once, under a clock to move."""

    def make(directors: int, **values: int) -> tuple[Days, Company]:
        made = Days(killsync(), clock)
        company = made.add(directors, **values)
        made.tick()
        return made, company

    return make


def director(program: Killsync, company: Company, character_id: int) -> dict[str, object]:
    shown = program.user(company.id)["directors"]
    return next(one for one in shown if one["character_id"] == character_id)


# whose turn it is


def test_directors_read_the_list_in_turn(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 3)
    turns = []
    for _ in range(4):
        program.simulator.thaw()
        program.simulator.clear_log()
        program.run("scan")
        turns += company.polls()
        program.make_due()
    assert turns == [*company.directors, company.directors[0]]
    program.assert_equals_truth()


def test_the_buckets_of_three_directors_are_all_used(killsync: Make) -> None:
    program = killsync(page_size=5)
    company = add_company(program, 3, killmails=150)
    program.run("scan", "--max-runtime", "60s")
    polls = company.polls()
    # one bucket allows fifteen pages, less the reserve
    assert len(polls) == 30
    assert [polls.count(one) for one in company.directors] == [10, 10, 10]
    assert all(len(set(polls[n : n + 3])) == 3 for n in range(28))
    program.assert_equals_truth()


def test_one_director_alone_reads_as_much_as_its_bucket_allows(killsync: Make) -> None:
    program = killsync(page_size=5)
    company = add_company(program, 1, killmails=150)
    program.run("scan")
    assert 5 < len(company.polls()) <= 15
    user = program.user(company.id)
    assert user["backfill"] is not None
    assert (user["state"], user["error"]) == ("active", None)


def test_a_429_rests_the_bucket_of_one_director_only(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    first, second = company.directors
    program.simulator.fault("corp_list", times=1, status=429, headers={"Retry-After": "600"})
    program.run("scan")
    assert [one["character_id"] for one in company.requests()] == [first, second]
    assert company.polls() == [second]
    assert director(program, company, first)["state"] == "working"


def test_a_turn_is_noted_before_the_request(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    program.simulator.fault("corp_list", status=502)
    program.run("scan", exit_code=None)
    asked = {one["asked_at"] is not None for one in program.user(company.id)["directors"]}
    assert asked == {True, False}


# directors who are lost


def fire(company: Company, character_id: int) -> None:
    company.simulator.set_director(character_id, company.id, director=False)


def revoke(company: Company, character_id: int) -> None:
    company.simulator.control("revoke", "POST", character_id=character_id)
    company.program.expire_access(character_id)


def move_away(company: Company, character_id: int) -> None:
    elsewhere = company.simulator.add_corporation(members=[])
    company.simulator.move(character_id, elsewhere["corporation_id"])


LOSSES = {"role": fire, "token": revoke, "corporation": move_away}
ORDERS = list(itertools.permutations(LOSSES))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_no_tick_is_without_a_poll_until_the_last_director_is_lost(
    days: Start, order: tuple[str, ...]
) -> None:
    made, company = days(3)
    for lost, how in zip(company.directors, order, strict=True):
        if lost == company.directors[-1]:
            break
        LOSSES[how](company, lost)
        for _ in range(4):
            code, _ = made.tick(wait=POLL)
            assert len(company.polls()) == 1
            # the character of a revoked token needs a login itself
            assert code == 0 or how == "token"
            assert made.program.user(company.id)["error"] is None
        assert director(made.program, company, lost)["state"] == "refused"
        # from now on it is asked once a day
        assert lost not in [one["character_id"] for one in company.requests()]
    LOSSES[order[-1]](company, company.directors[-1])
    codes, words = [], []
    for _ in range(3):
        code, said = made.tick("--quiet", wait=TICK + 5)
        assert company.polls() == []
        codes.append(code)
        words.append(company.name in said)
    confirming = codes.index(1)
    assert words == [n == confirming for n in range(3)]
    user = made.program.user(company.id)
    assert (user["state"], user["failures"]) == ("needs_login", 0)
    assert [one["state"] for one in user["directors"]] == ["refused"] * 3


def lose_all(made: Days, company: Company) -> None:
    """Take the role of every director away, until that is confirmed."""
    for one in company.directors:
        fire(company, one)
    assert made.ticks(2, wait=POLL) == [0, 1]
    assert made.program.user(company.id)["state"] == "needs_login"


def test_the_loss_of_the_last_director_is_said_daily_and_counts_once(
    days: Start,
) -> None:
    made, company = days(2)
    lose_all(made, company)
    said, codes, asked = [], set(), 0
    for _ in range(3 * 6):
        code, words = made.tick("--quiet", wait=4 * HOUR + MINUTE)
        codes.add(code)
        said += [words] if words else []
        asked += len(company.requests())
    assert codes == {0}
    assert len(said) == 3
    assert all(company.name in words and "login --corporation" in words for words in said)
    # each director once a day
    assert asked == 3 * 2


def test_a_role_given_back_is_noticed_within_a_day(days: Start) -> None:
    made, company = days(2)
    lose_all(made, company)
    company.simulator.set_director(company.directors[1], company.id, director=True)
    company.simulator.add_killmails(company.id, 2)
    codes = made.ticks(5, wait=6 * HOUR)
    assert codes == [0] * 5
    user = made.program.user(company.id)
    assert (user["state"], user["error"]) == ("active", None)
    assert [one["state"] for one in user["directors"]] == ["refused", "working"]
    made.program.assert_equals_truth()


def test_a_director_that_has_its_role_again_works_while_another_does(
    days: Start,
) -> None:
    made, company = days(2)
    lost = company.directors[0]
    fire(company, lost)
    made.ticks(5, wait=POLL)
    assert director(made.program, company, lost)["state"] == "refused"
    company.simulator.set_director(lost, company.id, director=True)
    polls = []
    for wait in (DAY, POLL):
        made.tick(wait=wait)
        polls += company.polls()
    assert sorted(polls) == company.directors
    assert director(made.program, company, lost) | {"asked_at": None} == {
        "character_id": lost,
        "name": director(made.program, company, lost)["name"],
        "state": "working",
        "error": None,
        "asked_at": None,
    }


def test_a_character_who_has_joined_another_corporation_is_noticed(
    days: Start,
) -> None:
    made, company = days(2)
    lost = company.directors[0]
    other = company.simulator.add_corporation(members=[])
    company.simulator.move(lost, other["corporation_id"])
    made.ticks(2, wait=POLL)
    error = director(made.program, company, lost)["error"]
    assert str(error).startswith(f"has joined {other['name']} ({other['corporation_id']});")
    shown = made.program.run("status").stdout
    assert other["name"] in " ".join(shown.split())


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 404}, {"cut": True}, {"body": "[]"}])
def test_a_director_is_passed_over_whatever_its_affiliation_answers(
    days: Start, fault: dict[str, object]
) -> None:
    made, company = days(2)
    company.simulator.fault("affiliation", times=None, **fault)
    lost = company.directors[0]
    move_away(company, lost)
    for _ in range(2):
        assert made.tick(wait=POLL)[0] == 0
        assert company.polls() == [company.directors[1]]
    assert "403" in str(director(made.program, company, lost)["error"])


def test_two_corporations_refused_at_once_are_suspected_for_a_day(
    days: Start,
) -> None:
    made, first = days(2)
    companies = [first, made.add(1)]
    made.tick()
    for company in companies:
        for one in company.directors:
            fire(company, one)
    codes = made.ticks(4, "--quiet")
    assert 1 not in codes
    states = {made.program.user(company.id)["state"] for company in companies}
    assert states == {"active"}
    made.tick(wait=DAY)
    made.ticks(2)
    states = {made.program.user(company.id)["state"] for company in companies}
    assert states == {"needs_login"}


def test_of_an_incident_that_refused_all_nothing_is_left(days: Start) -> None:
    made, first = days(2)
    companies = [first, made.add(1)]
    made.tick()
    made.program.simulator.fault("corp_list", times=None, status=403)
    made.ticks(8)
    made.program.simulator.clear_faults()
    for company in companies:
        company.simulator.add_killmails(company.id, 1)
    made.ticks(2, wait=TICK)
    for company in companies:
        user = made.program.user(company.id)
        assert (user["state"], user["error"], user["failures"]) == ("active", None, 0)
    made.program.assert_equals_truth()


NOT_THE_ROLE = {
    "401": {"status": 401},
    "403 in HTML": {"status": 403, "html": True},
    "expiry": {"status": 403, "body": '{"error":"token expiry is too far in the future"}'},
    "scope": {
        "status": 403,
        "body": '{"error":"Token is not valid for any required scope"}',
    },
    "500": {"status": 500},
}


@pytest.mark.parametrize("fault", NOT_THE_ROLE.values(), ids=NOT_THE_ROLE)
def test_an_incident_of_corporations_lists_alone_is_over_within_two_ticks(
    days: Start, fault: dict[str, object]
) -> None:
    made, company = days(2, members=1)
    company.simulator.fault("corp_list", times=None, **fault)
    made.ticks(4)
    company.simulator.clear_faults()
    company.simulator.add_killmails(company.id, 1)
    made.ticks(2)
    user = made.program.user(company.id)
    assert (user["state"], user["failures"], user["error"]) == ("active", 0, None)
    assert [one["state"] for one in user["directors"]] == ["working"] * 2
    made.program.assert_equals_truth()


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 404}, {"status": 401}, {"wrong_json": "{}"}], ids=str
)
def test_a_director_for_whom_alone_the_list_fails_costs_no_poll(
    days: Start, fault: dict[str, object]
) -> None:
    made, company = days(2)
    failing, other = company.directors
    company.simulator.fault("corp_list", times=None, character_id=failing, **fault)
    for _ in range(4):
        assert made.tick(wait=POLL)[0] == 0
        assert company.polls()[-1] == other


def test_dead_tokens_of_two_corporations_are_no_incident(days: Start) -> None:
    made, first = days(1, members=1)
    companies = [first, made.add(1)]
    made.tick()
    for company in companies:
        revoke(company, company.directors[0])
    assert 1 in made.ticks(4, "--quiet")
    states = {made.program.user(company.id)["state"] for company in companies}
    assert states == {"needs_login"}


def test_a_director_without_the_scope_is_refused_without_a_request(
    days: Start,
) -> None:
    made, company = days(2)
    poor = company.directors[0]
    made.program.run("users", "add", given=company.simulator.director_token(poor, SCOPE))
    for _ in range(3):
        assert made.tick(wait=POLL)[0] == 0
        assert (
            company.polls()
            == [company.directors[1]]
            == [one["character_id"] for one in company.requests()]
        )
    assert "lacks the scope" in str(director(made.program, company, poor)["error"])
    assert made.program.user(poor)["state"] == "active"


def test_one_that_logs_in_again_is_asked_at_once(days: Start) -> None:
    made, company = days(1)
    (only,) = company.directors
    revoke(company, only)
    made.ticks(4)
    assert made.program.user(company.id)["state"] == "needs_login"
    made.program.run("users", "add", given=company.simulator.director_token(only))
    assert made.tick()[0] == 0
    assert made.program.user(company.id)["state"] == "active"
    assert company.polls() == [only]


def test_an_access_token_that_is_rejected_is_renewed_once(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    first = company.directors[0]
    program.simulator.fault("corp_list", times=1, status=401)
    program.run("scan")
    assert company.polls() == [first]
    assert len(company.requests()) == 2


def test_a_directors_token_is_refreshed_once_for_its_own_list_and_the_corporations(
    killsync: Make,
) -> None:
    program = killsync()
    company = add_company(program, 1)
    program.expire_access()
    program.simulator.clear_log()
    program.simulator.fault("token", delay=0.5)
    done = program.run("scan", KILLSYNC_WORKERS="4")
    assert len(program.simulator.log("token")) == 1
    assert "another process" not in done.stderr
    assert company.polls() == company.directors
    program.assert_equals_truth()


def test_a_director_whose_character_is_disabled_still_reads(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 1)
    (only,) = company.directors
    program.run("users", "disable", str(only))
    program.run("scan")
    assert company.polls() == [only]
    program.expire_access(only)
    program.make_due()
    program.simulator.thaw()
    program.run("scan")
    assert company.polls() == [only, only]
    assert program.user(only)["state"] == "disabled"


# what a wrong clock has left


def test_what_a_wrong_clock_has_left_delays_no_poll(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    ahead = iso(time.time() + 32 * DAY)
    program.execute(
        "UPDATE directors SET asked_at = ?, refused_at = ?, not_before = ?, confirmed = 1",
        *[ahead] * 3,
    )
    program.run("scan")
    assert company.polls() == [company.directors[0]]
    assert director(program, company, company.directors[0])["state"] == "working"


# bodies


def test_a_body_on_the_corporations_list_and_on_members_is_fetched_once(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2, members=1, killmails=2)
    member = company.members[0]
    for one in (*company.directors, member):
        program.simulator.add_killmails(one, 3)
    program.simulator.thaw()
    program.run("scan")
    bodies = [entry["killmail_id"] for entry in program.simulator.log("body")]
    assert len(bodies) == len(set(bodies))
    listed = {owner: set(program.simulator.listed(owner)) for owner in (company.id, member)}
    assert listed[member] <= listed[company.id]
    assert set(bodies) == set(program.recorded(company.id))
    program.assert_equals_truth()


# crashes


def test_a_run_killed_while_a_director_is_asked_leaves_the_turn_to_the_next(
    killsync: Make,
) -> None:
    program = killsync()
    company = add_company(program, 3)
    fire(company, company.directors[0])
    # the second is being asked when the run is killed; that the first was refused is lost
    program.simulator.fault("corp_list", hang=60, after=1, times=1)
    with program.start("scan") as process:
        wait_until(lambda: len(company.requests()) == 2)
        wait_for_exit(process, signal.SIGKILL)
    program.simulator.clear_faults()
    program.run("scan")
    assert company.polls() == [company.directors[2]]
    second = company.directors[1]
    (spent,) = [
        limit
        for limit in program.status()["rate_limits"]
        if (limit["group"], limit["key"]) == ("corp-killmail", str(second))
    ]
    assert spent["remaining"] == spent["limit"] - 2
    program.assert_equals_truth()


# incidents, where there is but one corporation


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502])
def test_an_incident_of_all_lists_leaves_nothing_behind(days: Start, status: int) -> None:
    made, company = days(2)
    for route in ("list", "corp_list"):
        made.program.simulator.fault(route, times=None, status=status)
    made.ticks(6)
    made.program.simulator.clear_faults()
    company.simulator.add_killmails(company.id, 1)
    made.ticks(2, wait=TICK)
    assert {user["state"] for user in made.program.status()["users"]} == {"active"}
    made.program.assert_equals_truth()


def test_an_incident_of_ssos_leaves_nothing_behind(days: Start) -> None:
    made, company = days(2)
    made.program.simulator.fault("token", status=400, body='{"error": "invalid_grant"}')
    made.ticks(6)
    made.program.simulator.clear_faults()
    company.simulator.add_killmails(company.id, 1)
    made.ticks(2, wait=TICK)
    assert {user["state"] for user in made.program.status()["users"]} == {"active"}
    made.program.assert_equals_truth()


# what a person does with a corporation


def test_a_corporation_is_synced_now_by_its_name(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    done = program.run("sync", company.name)
    assert f"{company.name}" in done.stdout
    assert company.polls() == [company.directors[0]]
    program.assert_equals_truth()


def test_sync_of_a_corporation_that_needs_a_login_says_what_helps(
    days: Start,
) -> None:
    made, company = days(1)
    lose_all(made, company)
    done = made.program.run("sync", str(company.id), exit_code=1)
    assert "killsync login --corporation" in done.stderr
    assert f"killsync users enable {company.id}" in done.stderr


@pytest.mark.parametrize("command", [("users", "enable"), ("retry", "--user")])
def test_directors_can_be_asked_again_before_their_day_is_over(
    days: Start, command: tuple[str, ...]
) -> None:
    made, company = days(2)
    lose_all(made, company)
    for one in company.directors:
        company.simulator.set_director(one, company.id, director=True)
    said = made.program.run(*command, str(company.id)).stdout
    assert command[0] == "retry" or "is active; the next scan asks its directors again" in said
    assert made.tick()[0] == 0
    assert made.program.user(company.id)["state"] == "active"
    assert len(company.polls()) == 1


def test_a_disabled_corporation_is_not_read(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 1)
    program.run("users", "disable", company.name)
    program.run("scan")
    assert company.requests() == []
    program.run("users", "enable", company.name)
    program.run("scan")
    assert len(company.polls()) == 1


def test_a_corporation_is_removed_without_its_characters(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    program.run("scan")
    done = program.run("users", "remove", str(company.id))
    assert done.stdout.splitlines() == [f"removed {company.name} ({company.id})"]
    assert done.stderr == ""
    assert program.rows("SELECT * FROM directors") == []
    assert {user["user_id"] for user in program.status()["users"]} == set(company.directors)
    assert program.simulator.log("revoke") == []


def test_removing_the_last_director_says_what_that_means(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    first, last = map(str, company.directors)
    done = program.run("users", "remove", first)
    assert company.name not in done.stderr
    done = program.run("users", "remove", last)
    assert f"{company.name} has no director left" in done.stderr
    done = program.run("scan", exit_code=1)
    assert "has no director left: log one in with `killsync login --corporation`" in done.stderr
    assert program.user(company.id)["state"] == "needs_login"
    assert program.run("scan").stderr.count(company.name) == 0


def test_a_working_director_who_is_removed_leaves_the_corporation_to_the_others(
    days: Start,
) -> None:
    made, company = days(2)
    lost, working = company.directors
    fire(company, lost)
    made.ticks(5, wait=POLL)
    made.program.run("users", "remove", str(working))
    code, said = made.tick(wait=POLL)
    assert code == 1
    assert "its director cannot read its list" in said


def test_status_shows_how_many_directors_work(days: Start) -> None:
    made, company = days(3)
    fire(company, company.directors[0])
    made.ticks(3, wait=POLL)
    user = made.program.user(company.id)
    assert user["kind"] == "corporation"
    lost = user["directors"][-1] if user["directors"][-1]["error"] else user["directors"][0]
    assert lost.keys() == {"character_id", "name", "state", "error", "asked_at"}
    assert made.program.user(company.directors[0])["kind"] == "character"
    assert made.program.user(company.directors[0])["directors"] == []
    shown = made.program.run("status").stdout
    assert f"{company.name}: 2 of 3 directors can read its list" in shown
    assert "2 of 3 directors" in made.program.run("users").stdout


def test_doctor_and_check_find_no_token_missing(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 2)
    program.run("scan")
    said = program.run("doctor", exit_code=None).stdout
    assert "1 read by directors" in said
    assert f"none for {company.name}" not in said
    program.run("check")


def test_doctor_says_who_must_log_in_for_a_corporation(days: Start) -> None:
    made, company = days(1)
    lose_all(made, company)
    said = made.program.run("doctor", exit_code=None).stdout
    assert f"no director can read the list of {company.name} ({company.id})" in said
    assert "login --corporation" in said


def test_doctor_and_status_agree_that_nobody_can_read_a_list(days: Start) -> None:
    made, company = days(2)
    lost, working = company.directors
    fire(company, lost)
    made.ticks(2, wait=POLL)
    made.program.run("users", "remove", str(working))
    assert f"{company.name}: 0 of 1 director can read" in made.program.run("status").stdout
    said = made.program.run("doctor", exit_code=None).stdout
    assert f"no director can read the list of {company.name} ({company.id})" in said
    assert "read by directors" not in said


def test_status_says_once_and_in_whole_why_nobody_can_read_a_list(
    days: Start,
) -> None:
    made, company = days(2)
    lose_all(made, company)
    shown = made.program.run("status", COLUMNS="200").stdout
    (line,) = [line for line in shown.splitlines() if "can read its list" in line]
    assert line.rstrip().endswith("`killsync login --corporation` adds one, or renews a login")
    assert shown.count("Character does not have required role(s)") == 2
    made.program.run("users", "remove", *map(str, company.directors))
    error = str(made.program.user(company.id)["error"])
    assert error == "has no director left: log one in with `killsync login --corporation`"


def test_a_corporation_that_is_removed_with_its_director_is_not_said_to_lack_one(
    killsync: Make,
) -> None:
    program = killsync()
    company = add_company(program, 1)
    done = program.run("users", "remove", str(company.directors[0]), str(company.id))
    assert done.stderr == ""
    assert program.rows("SELECT * FROM users") == []


def test_kills_and_stats_know_the_corporations_side(killsync: Make) -> None:
    program = killsync()
    company = add_company(program, 1, members=1, killmails=0)
    member = company.members[0]
    program.simulator.add_killmails(member, 6)
    program.simulator.thaw()
    program.run("scan")
    sides = dict(
        program.rows(
            "SELECT role, count(*) FROM user_killmails WHERE user_id = ? GROUP BY 1", company.id
        )
    )
    assert sum(sides.values()) == 6
    assert None not in sides
    bodies = program.simulator.truth()["bodies"].values()
    losses = sum(body["victim"].get("corporation_id") == company.id for body in bodies)
    shown = json.loads(program.run("kills", "--user", company.name, "--json").stdout)
    assert [one["side"] for one in shown].count("loss") == losses
    assert len(shown) == 6
    assert all(company.name in one["users"] for one in shown)
    total = json.loads(program.run("stats", "--user", company.name, "--json").stdout)["total"]
    assert (total["kills"], total["losses"]) == (6 - losses, losses)
    assert len(program.export("--user", company.name)) == 6
