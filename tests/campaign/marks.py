"""The part `marks`: every fault that passes, once and for hours, and what it leaves behind."""

import json
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from campaign.case import Case
from campaign.clock import TICK, Clock
from campaign.passing import (
    ANOTHER_CLIENT,
    BODY,
    CORPORATION,
    LATER,
    LIST,
    NEWEST,
    REFRESH,
    TRIALS,
    Span,
    Trial,
)
from campaign.score import Score, chosen, two_at_a_time
from campaign.series import play_in_turn
from campaign.ticks import HOUR, TWO_TICKS, Cron

PART = "marks"
OPTIONS = {"characters": 3, "corporations": 1, "killmails": 4, "shared": 0, "page_size": 10}
# of each user, on two pages, so that a gap opens
NEW = 12
LASTING = 3 * HOUR
# how many ticks a single fault may take to meet a request
PATIENCE = 4
# trials that follow each other on one database
SERIES = 8
SHORT_ONCE, SHORT_HOURS = 10, 10

# a fault of all lists meets corporations' too, or they would be others who succeed
ROUTES = {
    LIST: ("list", "corp_list"),
    LATER: ("list", "corp_list"),
    CORPORATION: ("corp_list",),
    BODY: ("body",),
    REFRESH: ("token",),
}


def play(seed: int, *, long: bool, only: str = "") -> Score:
    """Play all trials, those whose name contains `only`, or a sample."""
    rng = random.Random(f"{PART} {seed}")
    trials = chosen(TRIALS, only) if only or long else sample(rng)
    rng.shuffle(trials)
    series = [trials[start : start + SERIES] for start in range(0, len(trials), SERIES)]
    return two_at_a_time(PART, partial(play_series, seed, series), range(len(series)))


def sample(rng: random.Random) -> list[Trial]:
    """Choose trials with a single fault, and as many that last."""
    once = [trial for trial in TRIALS if trial.span is Span.ONCE]
    lasting = [trial for trial in TRIALS if trial.span is not Span.ONCE]
    return rng.sample(once, SHORT_ONCE) + rng.sample(lasting, SHORT_HOURS)


def play_series(seed: int, series: list[list[Trial]], number: int) -> Score:
    """Play trials on one database, on another one after each that has left something behind."""
    return play_in_turn(
        PART, seed, number, series[number], lambda _: OPTIONS, lambda *given: Marks(*given).play
    )


class Marks:
    """Plays trials one after the other; between them all must be as if none had been."""

    def __init__(self, score: Score, program: Case, clock: Clock) -> None:
        self.score = score
        self.program = program
        self.esi = program.simulator
        self.clock = clock
        self.cron = Cron(program, clock)
        program.add_users(corporation=True)
        self.users = sorted(login["character_id"] for login in self.esi.logins)
        (corporation,) = self.esi.corporations
        self.corporation = corporation["corporation_id"]
        self.owners = [*self.users, self.corporation]
        self.esi.control(
            "tokens", "POST", character_id=self.users[0], client_id=ANOTHER_CLIENT, scopes=[]
        )
        self.cron.tick()

    def play(self, trial: Trial) -> None:
        """Let the fault come and go; then all must be done in time, and new killmails too."""
        self.score.cases += 1
        # everybody is due
        self.clock.forward_to(self.clock.now() + TWO_TICKS)
        self.cron.forget_requests()
        self.add_killmails(NEW)
        for route in ROUTES[trial.fault.at]:
            for rule in self.rules(trial, route):
                self.esi.fault(route, **rule)
        self.endure(trial)
        self.check_completeness(trial)
        self.esi.clear_faults()
        log = self.esi.log()
        self.score.requests += len(log)
        struck = sum(entry["fault"] for entry in log)
        self.score.faults += struck or 1
        occurred = struck or trial.fault.environment
        self.score.check(bool(occurred), f"{trial.name}: the fault never occurred")
        self.cron.forget_requests()
        self.recover(trial)

    def rules(self, trial: Trial, route: str) -> Iterator[dict[str, Any]]:
        """Yield the simulator's rules for a fault at a route."""
        rule = dict(trial.fault.rule)
        if not rule:
            return
        one = trial.span is Span.HOURS_OF_ONE
        if trial.span is Span.ONCE:
            rule["times"] = 1
        if trial.fault.at == LATER:
            rule["page"] = 2
        if trial.fault.at == BODY:
            yield rule | ({"killmail_id": self.esi.listed(self.users[0])[0]} if one else {})
        elif NEWEST in rule.get("edit", {}):
            truth = self.esi.control("truth?bodies=0")
            for user in self.users[:1] if trial.span is not Span.HOURS else self.users:
                # a director's request shows the list of its corporation
                of_a_corporation = truth["corporations"][str(self.corporation)]
                owner = of_a_corporation if route == "corp_list" else truth["characters"][str(user)]
                ((_, newest), *_) = owner["list"]
                yield rule | {"character_id": user, "edit": {f'"{newest}"': "null"}}
        else:
            yield rule | ({"character_id": self.users[0]} if one else {})

    def endure(self, trial: Trial) -> None:
        """Play the ticks that meet the fault."""
        environment = trial.fault.environment
        if trial.span is not Span.ONCE:
            for number in range(int(LASTING / TICK)):
                self.cron.tick(**environment)
                if number % 6 == 3:
                    self.add_killmails(1)
            return
        for _ in range(1 if environment else PATIENCE):
            self.cron.tick(**environment)
            if any(entry["fault"] for entry in self.esi.log()):
                return

    def check_completeness(self, trial: Trial) -> None:
        """Check that nothing is called complete in which a listed killmail is missing."""
        missing = self.program.rows(
            "SELECT user_id, killmail_id FROM user_killmails JOIN pending_killmails"
            " USING (killmail_id)"
        )
        if not missing:
            return
        self.cron.run("check", "--json")
        users = {user["user_id"]: user for user in json.loads(self.program.printed())["users"]}
        bodies = self.esi.truth()["bodies"]
        for user, killmail in missing:
            time = bodies[str(killmail)]["killmail_time"]
            spans = [users[user][name] for name in users[user] if name.startswith("complete")]
            if any((span["since"] or "") <= time <= span["until"] for span in spans if span):
                problem = f"check calls {spans} complete, but {killmail} of {time} is missing"
                self.score.check(False, f"{trial.name}: {problem}")
                return

    def recover(self, trial: Trial) -> None:
        """Play ticks until everything is done, or as long as the fault's consequences may last."""
        self.add_killmails(1)
        ended = self.clock.now()
        listed = {owner: self.esi.listed(owner) for owner in self.owners}
        while wrong := self.what_is_wrong(listed, ended):
            next_tick = self.clock.now() // TICK * TICK + TICK
            if next_tick > ended + trial.within:
                minutes = round(trial.within / 60)
                self.score.check(False, f"{trial.name}: {minutes} minutes after it, {wrong}")
                return
            last = self.cron.tick()
        self.score.measure(f"longest recovery, {trial.span}", last.started - ended, trial.name)
        code = self.cron.run("check")
        self.score.check(code == 0, f"{trial.name}: check says {self.program.printed()}")

    def add_killmails(self, count: int) -> None:
        for owner in self.owners:
            self.esi.add_killmails(owner, count)

    def what_is_wrong(self, listed: dict[int, list[int]], since: float) -> str:
        """Return what is not as if there had been no fault; empty if nothing is."""
        rows, wrong = self.program.rows, []
        synced = self.cron.last_syncs()
        if blamed := rows(
            "SELECT name, state, failures, error FROM users"
            " WHERE state <> 'active' OR failures OR error IS NOT NULL"
        ):
            wrong.append(f"blamed: {blamed}")
        if refused := rows(
            "SELECT character_id, error FROM directors WHERE refused_at IS NOT NULL"
        ):
            wrong.append(f"directors are refused: {refused}")
        if late := [owner for owner in self.owners if synced[owner] < int(since)]:
            wrong.append(f"not synced: {late}")
        if missing := [o for o in self.owners if self.program.recorded(o) != listed[o]]:
            wrong.append(f"not recorded all: {missing}")
        if pending := rows(
            "SELECT set_aside_at, attempts, error, not_before FROM pending_killmails"
        ):
            wrong.append(f"{len(pending)} bodies pending, such as {pending[0]}")
        if gaps := rows("SELECT user_id, backfill_page FROM users WHERE backfill_page"):
            wrong.append(f"gaps: {gaps}")
        return "; ".join(wrong)
