"""The part `incidents`: a service fails all users or some, for ten minutes to a day."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Any

from campaign import addresses
from campaign.case import Case
from campaign.clock import TICK, Clock
from campaign.score import Score, chosen, two_at_a_time
from campaign.series import play_in_turn
from campaign.ticks import DAY, HOUR, TWO_TICKS, Cron, Tick

PART = "incidents"
# how long an incident may be noticed by a user that it does not hit: its usual two ticks, and two
GOOD_USERS_WAIT = 2 * TWO_TICKS
# ten users in a row, each with a refresh and a list that is tried three times, and what was in
# flight meanwhile
MOST_REQUESTS = 50
# a user's own failures, and a refused login
LONGEST_BACK_OFF = 6 * HOUR + TWO_TICKS
NEXT_DAY = DAY + TWO_TICKS
ALERT_AFTER = 3 * HOUR
# incidents that follow each other on one database
SERIES = 6
SHORT_CASES = 10


@dataclass(frozen=True)
class Kind:
    """What fails, and how: a rule of the simulator's, or a URL where nothing listens."""

    name: str
    route: str = ""
    rule: dict[str, Any] = field(default_factory=dict)
    url: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether SSO says that a login is no longer valid."""
        return "invalid_grant" in self.name


def _says(status: int, error: str) -> dict[str, Any]:
    return {"status": status, "body": f'{{"error":"{error}"}}'}


KINDS = [
    Kind("lists 401", "list", _says(401, "Unauthorized - Invalid token")),
    Kind("lists 403", "list", _says(403, "Token is not valid for any required scope")),
    Kind("lists 404", "list", _says(404, "Not found")),
    Kind("lists 500", "list", _says(500, "Internal error")),
    Kind("lists 502", "list", {"status": 502, "html": True}),
    Kind("lists 504", "list", _says(504, "Timeout contacting tranquility")),
    # with a content, since an unchanged list has none that could be cut
    Kind("lists cut", "list", {"cut": True, "wrong_json": '[{"killmail_id":1}]'}),
    Kind("lists reset", "list", {"reset": True}),
    Kind("refreshes 500", "token", _says(500, "server_error")),
    Kind("refreshes 503", "token", _says(503, "down")),
    Kind("refreshes invalid_grant", "token", _says(400, "invalid_grant")),
    Kind("ESI refuses", url="KILLSYNC_ESI_URL"),
    Kind("SSO refuses", url="KILLSYNC_SSO_URL"),
]

SHORT_LENGTHS = {"10 minutes": 600.0, "30 minutes": 1800.0, "70 minutes": 4200.0}
LENGTHS = {**SHORT_LENGTHS, "3 hours": 3 * HOUR}
LONG_LENGTHS = {"9 hours": 9 * HOUR, "a day": DAY}
ALL_HIT = [(1, 1), (2, 2), (8, 8), (22, 22)]
SOME_HIT = [(2, 1), (8, 1), (8, 3), (8, 4), (22, 1), (22, 3), (22, 11)]


@dataclass(frozen=True)
class Incident:
    """A kind of failure that hits `bad` of so many users for some seconds."""

    kind: Kind
    length: str
    users: int
    bad: int

    @property
    def name(self) -> str:
        return f"{self.kind.name} for {self.length}, {self.bad} of {self.users}"

    @property
    def seconds(self) -> float:
        return (LENGTHS | LONG_LENGTHS)[self.length]

    @property
    def hits_all(self) -> bool:
        return self.bad == self.users

    @property
    def may_blame(self) -> bool:
        """Whether it may count as the users' own: others are served, or it lasts for a day."""
        alone_or_long = self.users == 1 or self.seconds >= DAY
        return not self.hits_all or (self.kind.is_refusal and alone_or_long)

    @property
    def within(self) -> float:
        """How long after its end the last user may be synced, in seconds."""
        if not self.may_blame:
            return TWO_TICKS
        return NEXT_DAY if self.kind.is_refusal else LONGEST_BACK_OFF


def all_incidents() -> list[Incident]:
    """Return every incident that can be."""
    return [
        Incident(kind, length, users, bad)
        for kind in KINDS
        for length in LENGTHS | LONG_LENGTHS
        for users, bad in (ALL_HIT if kind.url else ALL_HIT + SOME_HIT)
    ]


def select(rng: random.Random) -> list[Incident]:
    """Select for each kind each length, of all users and of some; days are long, so fewer."""
    all_hit, some_hit = cycle(rng.sample(ALL_HIT, 4)), cycle(rng.sample(SOME_HIT, 7))
    found = []
    for kind in KINDS:
        for length in [*LENGTHS, rng.choice([*LONG_LENGTHS])]:
            found.append(Incident(kind, length, *next(all_hit)))
            if not kind.url and length not in LONG_LENGTHS:
                found.append(Incident(kind, length, *next(some_hit)))
    for kind in rng.sample([kind for kind in KINDS if not kind.url], 3):
        found += [Incident(kind, length, *next(some_hit)) for length in LONG_LENGTHS]
    return found


def play(seed: int, *, long: bool, only: str = "") -> Score:
    """Play a selection, or a few short ones, or those whose name contains `only`."""
    rng = random.Random(f"{PART} {seed}")
    incidents = chosen(all_incidents(), only) if only else select(rng)
    if not long and not only:
        # the same selection, without what takes longest
        incidents = [i for i in incidents if i.length in SHORT_LENGTHS]
        incidents = rng.sample([i for i in incidents if i.hits_all], SHORT_CASES) + rng.sample(
            [i for i in incidents if not i.hits_all], SHORT_CASES // 2
        )
    series = list(_in_series(incidents))
    return two_at_a_time(PART, partial(play_series, seed, series), range(len(series)))


def _in_series(incidents: list[Incident]) -> Iterator[list[Incident]]:
    """Yield incidents that can follow each other on one database, since as many users have it."""
    for users in sorted({incident.users for incident in incidents}, reverse=True):
        alike = [incident for incident in incidents if incident.users == users]
        for start in range(0, len(alike), SERIES):
            yield alike[start : start + SERIES]


def play_series(seed: int, series: list[list[Incident]], number: int) -> Score:
    """Play incidents on one database, on another one after each that has left something behind."""
    return play_in_turn(
        PART,
        seed,
        number,
        series[number],
        lambda first: {"characters": first.users, "killmails": 2, "shared": 0},
        lambda *given: Incidents(*given).play,
    )


class Incidents:
    """Plays incidents one after the other on one database."""

    def __init__(self, score: Score, program: Case, clock: Clock) -> None:
        self.score = score
        self.program = program
        self.esi = program.simulator
        self.clock = clock
        self.cron = Cron(program, clock)
        self.users = [login["character_id"] for login in self.esi.logins]
        # half of the users are due at every other tick
        self._register(self.users[::2])
        self.cron.tick()
        if later := self.users[1::2]:
            self._register(later)
        self.cron.tick()

    def _register(self, users: list[int]) -> None:
        tokens = [
            login["refresh_token"] for login in self.esi.logins if login["character_id"] in users
        ]
        self.program.run("users", "add", given="".join(f"{token}\n" for token in tokens))

    def play(self, incident: Incident) -> None:
        """Let a service fail, and come back; every user must be synced soon."""
        self.score.cases += 1
        self.cron.forget_requests()
        for _ in range(3):
            self.cron.tick()
        self.clock.forward_to(self.clock.now() + self.program.rng.uniform(1, TICK - 10))
        bad = self.program.rng.sample(self.users, incident.bad)
        ticks = self._endure(incident, bad)
        self._judge_ticks(incident, ticks)
        self._recover(incident)

    def _endure(self, incident: Incident, bad: list[int]) -> list[Tick]:
        """Play the ticks of an incident, to the moment of its end."""
        ends = self.clock.now() + incident.seconds
        good = [user for user in self.users if user not in bad]
        ticks, last = [], self.cron.last_syncs()
        with ExitStack() as stack:
            environment = self._start(incident, bad, stack)
            while self.clock.now() // TICK * TICK + TICK < ends:
                ticks.append(self.cron.tick(**environment))
                self._new_killmails()
                now, before = ticks[-1].started, last
                last = self.cron.last_syncs()
                for user in good:
                    # once it is synced, until then; otherwise so far
                    waited = (max(last[user], now) if last[user] >= int(now) else now) - before[
                        user
                    ]
                    self._judge_good(incident, user, waited)
            log = self.esi.log()
            self.score.faults += sum(entry["fault"] for entry in log) or len(ticks)
            self.score.requests += len(log)
            self.cron.forget_requests()
            self.esi.clear_faults()
        self.clock.forward_to(ends)
        return ticks

    def _start(self, incident: Incident, bad: list[int], stack: ExitStack) -> dict[str, str]:
        kind = incident.kind
        if kind.url:
            return {kind.url: stack.enter_context(addresses.refusing())}
        for user in bad:
            self.esi.fault(kind.route, character_id=user, **kind.rule)
        return {}

    def _new_killmails(self) -> None:
        for user in self.program.rng.sample(self.users, 1):
            self.esi.add_killmails(user, 1)

    def _judge_good(self, incident: Incident, user: int, waited: float) -> None:
        self.score.measure("longest wait of a user that was not hit, in s", waited, incident.name)
        self.score.check(
            waited <= GOOD_USERS_WAIT + 60,
            f"{incident.name}: user {user}, which was not hit, waited {waited / 60:.0f} minutes",
        )

    def _judge_ticks(self, incident: Incident, ticks: list[Tick]) -> None:
        check, name = self.score.check, incident.name
        if incident.hits_all:
            most = max((tick.requests for tick in ticks), default=0)
            self.score.measure("most requests of a tick", most, name)
            check(most <= MOST_REQUESTS, f"{name}: {most} requests in a tick")
            spoke = [tick for tick in ticks if tick.said]
            self._judge_alerts(incident, spoke)
        if not incident.may_blame:
            blamed = self.program.rows(
                "SELECT user_id, state, failures, error FROM users"
                " WHERE state <> 'active' OR failures OR not_before IS NOT NULL"
            )
            check(not blamed, f"{name}: {len(blamed)} users are blamed, such as {blamed[:1]}")

    def _judge_alerts(self, incident: Incident, spoke: list[Tick]) -> None:
        """Check that a quiet scan speaks up once it has lasted, and then once a day."""
        check, said = self.score.check, [tick.said for tick in spoke]
        if incident.may_blame:
            return
        if incident.seconds < ALERT_AFTER:
            check(not said, f"{incident.name}: a quiet scan said {said[:1]}")
        elif incident.seconds > ALERT_AFTER + HOUR:
            most = 1 + int(incident.seconds >= DAY)
            check(1 <= len(said) <= most, f"{incident.name}: {len(said)} alerts: {said[:2]}")
            one_line = all(text.count("\n") == 1 for text in said)
            check(one_line, f"{incident.name}: an alert is not one line: {said[:1]}")
            wrong = [tick.code for tick in spoke if tick.code != 75]
            check(not wrong, f"{incident.name}: alerts with exit {wrong}")

    def _recover(self, incident: Incident) -> None:
        """Play ticks until every user is synced, and everything listed is stored."""
        ended = self.clock.now()
        listed = {user: self.esi.listed(user) for user in self.users}
        last = ended
        while wrong := self._what_is_wrong(listed, ended):
            next_tick = self.clock.now() // TICK * TICK + TICK
            if next_tick > ended + incident.within:
                minutes = round(incident.within / 60)
                self.score.check(False, f"{incident.name}: {minutes} minutes after it, {wrong}")
                last = next_tick
                break
            last = self.cron.tick().started
        who = "all" if incident.hits_all and not incident.may_blame else "some"
        figure = f"longest time from the end of an incident of {who} to the last sync, in s"
        self.score.measure(figure, last - ended, incident.name)

    def _what_is_wrong(self, listed: dict[int, list[int]], since: float) -> str:
        synced, wrong = self.cron.last_syncs(), []
        if late := [user for user in self.users if synced[user] < int(since)]:
            wrong.append(f"{len(late)} users are not synced")
        if missing := [u for u in self.users if self.program.recorded(u) != listed[u]]:
            wrong.append(f"{len(missing)} lists are not recorded to the end")
        if pending := self.program.rows("SELECT killmail_id FROM pending_killmails"):
            wrong.append(f"{len(pending)} bodies are pending")
        blamed = self.program.rows("SELECT user_id, error FROM users WHERE state <> 'active'")
        return "; ".join(wrong + [f"needs login: {blamed[:1]}"] * bool(blamed))
