"""The part `corporations`: days on which directors come and go, and runs are killed."""

import random
from dataclasses import dataclass
from functools import partial
from typing import Any

from world import TIMEOUT

from campaign.case import Case, case
from campaign.clock import TICK, Clock, cheap_days
from campaign.ledger import MOST_BODIES, Launch
from campaign.moments import Moment
from campaign.score import Score, two_at_a_time
from campaign.strikes import label_problems
from campaign.ticks import DAY, TWO_TICKS, Cron, Tick

PART = "corporations"
CASES, TICKS = 2, 14
LONG_CASES, LONG_TICKS = 12, 160
DIRECTORS = 3
OPTIONS = {"killmails": 4, "shared": 0.4, "page_size": 10, "latency_body": 0.002}
# in seconds: everybody is due at every tick
MIN_AGE = 540.0
ANOTHER_CORPORATION = 1_000_127
# an answer that concerns the director alone: the next one is asked in the same step
REFUSALS: dict[str, dict[str, Any]] = {
    "401": {"status": 401, "body": '{"error":"Unauthorized - Invalid token"}'},
    "403 role": {"status": 403, "body": '{"error":"Character does not have required role(s)"}'},
    "403 corporation": {"status": 403, "body": '{"error":"Character is not in the corporation"}'},
    "429": {"status": 429, "headers": {"Retry-After": "300"}},
}
# one that concerns the list, whoever asks for it
FAILURES: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "502 HTML": {"status": 502, "html": True},
    "cut": {"cut": True},
    "reset": {"reset": True},
    "wrong shape": {"wrong_json": '{"killmail_id":1}'},
}
# until each director has been asked once more
MOST_TICKS = 6


def play(seed: int, *, long: bool) -> Score:
    """Play the cases of the short or long form; return their combined score."""
    cases, ticks = (LONG_CASES, LONG_TICKS) if long else (CASES, TICKS)
    return two_at_a_time(PART, partial(play_case, seed, ticks), range(cases))


def play_case(seed: int, ticks: int, number: int) -> Score:
    """Play so many ticks of one corporation with its own random events."""
    score = Score(PART, cases=1)
    rng = random.Random(f"{PART} {seed} {number}")
    options = {"characters": DIRECTORS + 2, "corporations": 1} | OPTIONS
    with (
        label_problems(score, f"case {number}"),
        cheap_days() as clock,
        case(rng, users=False, encrypted=number % 2 == 1, **options) as program,
    ):
        days = Days(score, program, clock, kills=number % 2 == 0)
        days.play(ticks)
        days.end()
    return score


@dataclass
class Standing:
    """What is true of a director: whether ESI and SSO would take its token for the list."""

    role: bool = True
    member: bool = True
    token: bool = True
    # until when its bucket rests, and whether a fault meets it at the next tick
    rests_until: float = 0.0
    hit: bool = False

    def works(self, now: float) -> bool:
        """Return whether it could read the list."""
        passing = self.hit or self.rests_until > now
        return self.role and self.member and self.token and not passing


@dataclass
class Before:
    """What was known before a tick."""

    state: str
    due: bool
    # who could read the list, and is not to be asked only once a day
    able: list[int]
    last_request: int


class Days:
    """Makes things happen between ticks, and checks after each what a corporation is promised."""

    def __init__(self, score: Score, program: Case, clock: Clock, *, kills: bool) -> None:
        self.score = score
        self.program = program
        self.esi = program.simulator
        self.rng = program.rng
        self.clock = clock
        self.kills = kills
        self.cron = Cron(program, clock)
        self.corporation = self.esi.corporations[0]["corporation_id"]
        characters = sorted(login["character_id"] for login in self.esi.logins)
        directors = self.esi.corporations[0]["directors"]
        third = next(one for one in characters if one not in directors)
        self.esi.set_director(third, self.corporation, True)
        self.members = characters
        self.standing = {one: Standing() for one in [*directors, third]}
        # whether the list fails at the next tick, and whether it ever did
        self.fails = self.failed = False
        program.environment["KILLSYNC_MIN_AGE"] = f"{MIN_AGE:.0f}s"
        program.add_users(corporation=True)
        self.cron.tick()

    def play(self, ticks: int) -> None:
        """Play ticks with random events before each."""
        for _ in range(ticks):
            for _ in range(self.rng.randrange(1, 6)):
                self.rng.choice(self._events())()
            self._new_killmails()
            self.esi.thaw()
            before = self._look()
            if self.kills and self.rng.random() < 0.3:
                self._kill()
            else:
                self._judge(before, self.cron.tick())
            self._clear()

    def _events(self) -> list[Any]:
        return [
            *(self._change_role, self._change_role, self._move, self._revoke, self._log_in),
            *(self._refuse, self._refuse, self._fail, self._clear),
        ]

    def _anyone(self) -> tuple[int, Standing]:
        return self.rng.choice(list(self.standing.items()))

    def _given(self, given: bool) -> bool:
        """Take what a director has, now and then, or give it back, so that some always work."""
        return not given or self.rng.random() < 0.45

    def _change_role(self) -> None:
        character, standing = self._anyone()
        standing.role = self._given(standing.role)
        self.esi.set_director(character, self.corporation, standing.role)

    def _move(self) -> None:
        character, standing = self._anyone()
        standing.member = self._given(standing.member)
        self.esi.move(character, self.corporation if standing.member else ANOTHER_CORPORATION)

    def _revoke(self) -> None:
        character, standing = self._anyone()
        if self.rng.random() < 0.5:
            standing.token = False
            self.esi.control("revoke", "POST", character_id=character)

    def _log_in(self) -> None:
        without = [one for one, standing in self.standing.items() if not standing.token]
        character = without[0] if without else self._anyone()[0]
        self.standing[character].token = True
        self._log_in_again(character)

    def _log_in_again(self, character: int) -> None:
        """Log in as a director does, which fails to register a corporation that it is not of."""
        token = self.esi.director_token(character)
        self.program.run("users", "add", "--corporation", given=token, exit_code=None)

    def _refuse(self) -> None:
        """Let one director be refused at the next tick, once or as often as it asks."""
        character, standing = self._anyone()
        name = self.rng.choice(list(REFUSALS))
        standing.hit = True
        if name == "429":
            standing.rests_until = self.clock.now() + 3 * TWO_TICKS
        times = {"times": 1} if self.rng.random() < 0.5 else {}
        self.esi.fault("corp_list", character_id=character, **REFUSALS[name], **times)
        self.score.faults += 1

    def _fail(self) -> None:
        """Let the list fail at the next tick, whoever asks for it."""
        self.fails = True
        name = self.rng.choice(list(FAILURES))
        self.esi.fault("corp_list", corporation_id=self.corporation, **FAILURES[name])
        self.score.faults += 1

    def _clear(self) -> None:
        self.esi.clear_faults()
        self.fails = False
        for standing in self.standing.values():
            standing.hit = False

    def _new_killmails(self) -> None:
        """Add some to the corporation's list alone, some to a member's too, some late."""
        for owner in (self.corporation, self.rng.choice(self.members)):
            if self.rng.random() < 0.6:
                self.esi.add_killmails(owner, self.rng.randint(1, 4), late=self.rng.random() < 0.3)

    def _kill(self) -> None:
        """Kill a scan at some moment of its work."""
        self.clock.forward_to(self.clock.now() + TICK)
        since = self.esi.log()[-1]["n"]
        process = self.program.launch("scan", "--quiet")
        launch = Launch(self.program.calls, process, ("scan", "--quiet"))
        moment = Moment(self.program, [launch], since)
        moment.wait_for(self.rng.choice(["at work", "page answered", "body answered"]))
        if process.poll() is None:
            process.kill()
            self.score.kills += 1
        process.wait(TIMEOUT)
        moment.release()

    def _look(self) -> Before:
        """Note how the corporation stands before the next tick."""
        ((state, synced, waits),) = self.program.rows(
            "SELECT state, unixepoch(last_killmail_sync_at), unixepoch(not_before) FROM users"
            " WHERE user_id = ?",
            self.corporation,
        )
        tick = self.clock.now() // TICK * TICK + TICK
        resting = {
            character
            for (character,) in self.program.rows(
                "SELECT character_id FROM directors WHERE confirmed AND unixepoch(not_before) > ?",
                tick,
            )
        }
        return Before(
            state=state,
            due=state == "active" and (synced or 0) <= tick - MIN_AGE and (waits or 0) <= tick,
            able=[
                one
                for one, standing in self.standing.items()
                if standing.works(tick) and one not in resting
            ],
            last_request=self.esi.log()[-1]["n"],
        )

    def _judge(self, before: Before, tick: Tick) -> None:
        check = self.score.check
        check(tick.code in (0, 1, 75), f"a tick ended with {tick.code}: {tick.said}")
        sent = self.esi.control(f"log?after={before.last_request}")
        asked = [e for e in sent if e["route"] == "corp_list"]
        polled = any(e["page"] == 1 and e["status"] in (200, 304) for e in asked)
        if before.due and before.able and not self.fails:
            how = f"{[(e['character_id'], e['status']) for e in asked]}, {self.standing}"
            check(polled, f"no poll at a tick, though {before.able} could: {how}")
        ((state, failures),) = self.program.rows(
            "SELECT state, failures FROM users WHERE user_id = ?", self.corporation
        )
        if (before.state, state) == ("active", "needs_login"):
            check(not before.able, f"a login is asked for, though {before.able} could: {tick.said}")
            check(tick.code == 1, f"the last director is gone, and a tick ends with {tick.code}")
            name = self.esi.corporations[0]["name"]
            check(name in tick.said, f"nobody is told that {name} has no director: {tick.said!r}")
        self.failed = self.failed or self.fails
        check(not failures or self.failed, f"{failures} failures, where only directors are refused")

    def end(self) -> None:
        """Give every director everything back; in a day all must be as if nothing had been."""
        self._clear()
        for character, standing in self.standing.items():
            self.esi.set_director(character, self.corporation, True)
            self.esi.move(character, self.corporation)
            if not standing.token:
                self._log_in_again(character)
        self.clock.forward_to(self.clock.now() + DAY)
        for _ in range(MOST_TICKS):
            self.esi.thaw()
            self.cron.tick()
            if not (wrong := self._what_is_wrong()):
                break
        else:
            self.score.check(False, f"a day after everything was given back, {wrong}")
        users = [str(user) for (user,) in self.program.rows("SELECT user_id FROM users")]
        # what came late lies on pages that only a full pass reads
        self.program.let_all_be_tried()
        self.esi.thaw()
        code = self.cron.run("sync", "--full", *users)
        self.score.check(code == 0, f"a full sync ends with {code}: {self.program.heard()}")
        self.program.judge(self.score)
        most = self.score.kills * MOST_BODIES
        again = self.score.refetched
        self.score.check(again <= most, f"{again} bodies were fetched twice by {most} at most")

    def _what_is_wrong(self) -> str:
        """Return what is not as if every director had always worked; empty if nothing is."""
        refused = self.program.rows(
            "SELECT character_id, error FROM directors WHERE refused_at IS NOT NULL OR confirmed"
        )
        blamed = self.program.rows(
            "SELECT name, state, failures, error FROM users WHERE state <> 'active' OR failures"
        )
        return "; ".join(map(str, refused + blamed))
