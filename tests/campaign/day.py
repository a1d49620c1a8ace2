"""The part `day`: a day of ticks with faults by plan, and what people and monitoring hear of it.

Each trouble and its end must be told once and in time, each new killmail once, and nothing else:
by a channel, by cron's mail, by pings, and by the file for Prometheus.
"""

import random
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from ping_server import PingServer, ping_server
from prometheus_client.parser import text_string_to_metric_families
from tellers import Teller, configure
from world import TIMEOUT, wait_until

from campaign.case import Case, case
from campaign.clock import TICK, Clock, cheap_days
from campaign.day_heard import DEAD, DELAY, HELD, DayHeard
from campaign.ledger import Launch
from campaign.moments import Moment
from campaign.score import Score, two_at_a_time
from campaign.strikes import label_problems
from campaign.ticks import DAY, LEAP, Cron, Tick

PART = "day"
LONG_CASES = 4
OPTIONS: dict[str, Any] = {"characters": 5, "corporations": 1, "killmails": 6, "shared": 0.2}
MINUTE = 60.0
DOWN = {"status": 503, "body": '{"error":"The datasource tranquility is temporarily unavailable"}'}
LIMITED = {"status": 429, "headers": {"Retry-After": "600"}}
REFUSED = {"status": 422, "body": '{"error":"Invalid killmail_id and/or killmail_hash"}'}
LISTS = ("list", "corp_list")
# killmails arrive by chance, but then: while ESI is down, and while the channel is dead
ALWAYS = (70, 200, 1120, 1200)
# of ids, which follow the seconds of a calendar
FAR_AHEAD = 400 * 86_400


def play(seed: int, *, long: bool) -> Score:
    """Play one day, or several; return their combined score."""
    return two_at_a_time(PART, partial(play_case, seed), range(LONG_CASES if long else 1))


def play_case(seed: int, number: int) -> Score:
    """Play a day, seeded by the seed of the campaign and the number of the case."""
    score = Score(PART, cases=1)
    rng = random.Random(f"{PART} {seed} {number}")
    with (
        label_problems(score, f"case {number}"),
        cheap_days() as clock,
        ping_server() as pings,
        case(rng, users=False, encrypted=number % 2 == 1, **OPTIONS) as program,
    ):
        day = Day(score, program, clock, pings)
        day.play()
        day.end()
    return score


class Day:
    """Plays the plan of a day, and judges what is heard of it."""

    def __init__(self, score: Score, program: Case, clock: Clock, pings: PingServer) -> None:
        self.score = score
        self.program = program
        self.esi = program.simulator
        self.rng = program.rng
        self.clock = clock
        self.pings = pings
        self.cron = Cron(program, clock)
        self.corporation = self.esi.corporations[0]["corporation_id"]
        self.directors = self.esi.corporations[0]["directors"]
        self.characters = sorted(login["character_id"] for login in self.esi.logins)
        self.known: set[int] = set()
        self.last_success = 0.0
        self.metrics = program.directory / "killsync.prom"
        self.stopped: Launch | None = None
        program.environment |= {
            "KILLSYNC_PING_URL": pings.url,
            "KILLSYNC_PROMETHEUS_FILE": str(self.metrics),
        }
        # from this id on, killmails take place when they are added
        first = max(self.esi.listed(self.corporation)) + FAR_AHEAD
        self.esi.add_killmails(self.corporation, 1, killmail_id=first)
        program.add_users(corporation=True)
        self.teller = Teller(program)
        # this one tells where somebody was, not where it is
        later = Teller(program, "later")
        tables = {"what": ["kills", "losses"], "max_age": "1h", "delay": f"{DELAY}m"}
        configure(program, self.teller.table(), later.table(**tables))
        self.heard = DayHeard(self.teller, later)
        self.cron.tick()
        self.known = self._stored()
        self.score.check(self.teller.calls == [], "a first sync tells something")
        self.pings.pings.clear()
        self.began = self.clock.now() // TICK * TICK
        self.plan = self._plan()

    def _plan(self) -> dict[int, Callable[[], object]]:
        """Return what happens just before the tick of a minute."""
        esi, last = self.esi, self.characters[-1]
        one, other = self.directors
        return {
            60: partial(self._fail, (*LISTS, "body"), DOWN),
            90: esi.clear_faults,
            120: partial(self._fail, (*LISTS, "body"), DOWN),
            360: esi.clear_faults,
            420: partial(self._fail, ("token", "metadata", "jwks"), DOWN),
            480: esi.clear_faults,
            520: partial(esi.control, "revoke", "POST", character_id=last),
            720: self.program.renew_logins,
            760: partial(self._leave, one, other),
            900: partial(self._come_back, one),
            940: partial(self._fail, LISTS, LIMITED),
            1000: esi.clear_faults,
            1020: self._refuse_one,
            1080: esi.clear_faults,
            DEAD[0]: self.teller.fail,
            DEAD[1]: partial(self.teller.fail, fails=False),
            1290: self._kill_at_work,
            1320: self._kill_while_sending,
            HELD[0]: self._stop_at_work,
            HELD[1]: self._go_on,
        }

    def play(self) -> None:
        """Play the ticks of a day."""
        for minute in range(10, int(DAY / MINUTE) + 10, 10):
            self.clock.forward_to(self.began + (minute - 1) * MINUTE)
            if self.rng.random() < 0.4 or minute in ALWAYS:
                self._new_killmails()
            if minute in self.plan:
                self.plan[minute]()
            tick = self.cron.tick()
            self.score.requests += tick.requests
            self.cron.forget_requests()
            new = self._stored() - self.known
            self.heard.listen(minute, tick.code, tick.said, new)
            self._judge_monitoring(minute, tick)

    def _new_killmails(self) -> None:
        owner = self.rng.choice([*self.characters, self.corporation])
        self.esi.add_killmails(owner, self.rng.randint(1, 3))

    def _fail(self, routes: tuple[str, ...], rule: dict[str, Any]) -> None:
        self.score.faults += 1
        for route in routes:
            self.esi.fault(route, **rule)

    def _leave(self, *directors: int) -> None:
        """Take the corporation its directors."""
        for character in directors:
            self.esi.set_director(character, self.corporation, False)

    def _come_back(self, character: int) -> None:
        """Make a character a director again, who logs in for it."""
        self.esi.set_director(character, self.corporation, True)
        token = self.esi.director_token(character)
        self.program.run("users", "add", "--corporation", given=token)

    def _refuse_one(self) -> None:
        self.score.faults += 1
        (killmail_id, _), *_ = self.esi.add_killmails(self.characters[0], 1)
        self.esi.fault("body", killmail_id=killmail_id, **REFUSED)

    def _launch(self) -> Launch:
        since = self.esi.log()[-1]["n"] if self.esi.log() else 0
        process = self.program.launch("scan", "--quiet")
        launch = Launch(self.program.calls, process, ("scan", "--quiet"))
        Moment(self.program, [launch], since).wait_for("page answered")
        return launch

    def _kill_at_work(self) -> None:
        """Kill a scan that has read a list with something new."""
        self._be_slow()
        launch = self._launch()
        launch.process.kill()
        launch.process.wait(TIMEOUT)
        self.score.kills += 1
        self._judge_pings("of a killed scan", ["/start"])
        self.esi.clear_faults()

    def _be_slow(self) -> None:
        """Make everybody due, with something new, and ESI slow."""
        self.esi.thaw()
        self.program.make_due()
        for character in self.characters:
            self.esi.add_killmails(character, 1)
        self.esi.fault("body", delay=1)

    def _kill_while_sending(self) -> None:
        """Kill a scan whose channel has what it sends, but has not answered yet."""
        self.esi.thaw()
        self.program.make_due()
        self.esi.add_killmails(self.characters[0], 1)
        self.teller.hang(1)
        process = self.program.launch("scan", "--quiet")
        wait_until(lambda: self.teller.is_hanging)
        process.kill()
        process.wait(TIMEOUT)
        self.teller.hang(0)
        self.score.kills += 1
        self._judge_pings("of a scan killed while sending", ["/start"])
        rows = self.program.rows(
            "SELECT killmail_id FROM outbox WHERE state = 'sending' AND channel = ?",
            self.teller.name,
        )
        self.heard.perhaps = {killmail_id for (killmail_id,) in rows}

    def _stop_at_work(self) -> None:
        """Stop a scan that holds the lock, as a laptop or a debugger may."""
        self._be_slow()
        self.stopped = self._launch()
        # who waits for the lock is as idle as who waits for time to pass
        self.cron.leap = 0
        self.stopped.process.send_signal(signal.SIGSTOP)
        self._judge_pings("of a stopped scan", ["/start"])
        self.esi.clear_faults()

    def _go_on(self) -> None:
        assert self.stopped is not None
        self.stopped.process.send_signal(signal.SIGCONT)
        code = self.stopped.process.wait(TIMEOUT)
        self._judge_pings("of a scan that goes on", [_path(code)])
        self._take_success(code, self.began)
        self.stopped = None
        self.cron.leap = LEAP

    def _stored(self) -> set[int]:
        return {i for (i,) in self.program.rows("SELECT killmail_id FROM killmails")}

    def _judge_monitoring(self, minute: int, tick: Tick) -> None:
        gives_way = self.stopped is not None
        wanted = [] if gives_way else ["/start", _path(tick.code)]
        body = self.pings.pings[-1].body if self.pings.pings else ""
        self._judge_pings(f"at {minute}", wanted)
        if gives_way:
            return
        missing = [line for line in tick.said.splitlines() if line not in body]
        self.score.check(not missing, f"{minute}: not in the ping: {missing}, but {body!r}")
        self._take_success(tick.code, tick.started)
        self._judge_metrics(minute, tick)

    def _judge_pings(self, when: str, wanted: list[str]) -> None:
        found = self.pings.paths
        self.pings.pings.clear()
        self.score.check(found == wanted, f"pings {when}: {found}, not {wanted}")

    def _take_success(self, code: int, moment: float) -> None:
        if code == 0:
            self.last_success = moment

    def _judge_metrics(self, minute: int, tick: Tick) -> None:
        """Compare the file for Prometheus with what has just happened."""
        found = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(self.metrics.read_text())
            for sample in family.samples
        }
        ((stored, pending),) = self.program.rows(
            "SELECT (SELECT count(*) FROM killmails), count(*) FROM pending_killmails"
        )
        users = self.program.rows("SELECT kind, state, count(*) FROM users GROUP BY 1, 2")
        wanted = {
            ("killsync_run_exit_code",): tick.code,
            ("killsync_killmails_stored_total",): stored,
            ("killsync_killmails_pending",): pending,
        } | {("killsync_users", *sorted((kind, state))): n for kind, state, n in users}
        wrong = {key: found.get(key) for key, value in wanted.items() if found.get(key) != value}
        self.score.check(not wrong, f"{minute}: the file for Prometheus says {wrong}: {wanted}")
        success = found.get(("killsync_last_success_timestamp_seconds",), 0)
        late = not 0 <= success - int(self.last_success) < TICK
        self.score.check(
            not late, f"{minute}: last success {success - self.last_success:.0f} s off"
        )

    def end(self) -> None:
        """Judge what was heard."""
        self.heard.judge_troubles(self.score)
        self.heard.judge_killmails(self.score)
        new = self.program.rows(
            "SELECT killmail_id, unixepoch(stored_at) FROM killmails"
            " WHERE unixepoch(stored_at) - unixepoch(killmail_time) <= 3600"
        )
        minutes = {killmail_id: (at - self.began) / MINUTE for killmail_id, at in new}
        self.heard.judge_later(self.score, minutes)
        self.program.heal()
        self.program.judge(self.score)


def _path(code: int) -> str:
    return {0: "", 1: "/1", 2: "/2"}.get(code, "/log")
