"""Runs that are struck again and again on one database, by kills or by power cuts."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from world import TIMEOUT

from campaign.case import Case
from campaign.ledger import Launch, Ledger
from campaign.moments import AIMED, KINDS, Moment
from campaign.score import Score
from killsync.store import lock

MOST_TRIES = 4
UNLIMITED = ("list_tokens", "corp_list_tokens", "body_tokens")
UPKEEP = {"KILLSYNC_NAMES": "on", "KILLSYNC_PRICES": "on"}


def choose_options(rng: Any) -> dict[str, Any]:
    """Choose a world: a few users with many short pages, rotating tokens, sometimes limits.

    Half of the worlds have a corporation, of which everybody is a member and two are directors.
    """
    limits = {"list_tokens": 16, "list_window": 3, "body_tokens": 400, "body_window": 3}
    limits |= {"corp_list_tokens": 16, "corp_list_window": 3}
    return {
        "characters": rng.randint(3, 4),
        "corporations": rng.randint(0, 1),
        "killmails": rng.randint(20, 60),
        "page_size": rng.choice([7, 10, 25]),
        "shared": 0.3,
        # longer than a case takes on a slow machine, shorter than the hour of `make_due`
        "list_max_age": 3000,
        "latency_list": rng.uniform(0.01, 0.06),
        "latency_body": rng.uniform(0.002, 0.03),
        "latency_sso": rng.uniform(0.05, 0.15),
        "rotate": True,
        "access_lifetime": rng.choice([60, 62, 1200]),
    } | (limits if rng.random() < 0.3 else dict.fromkeys(UNLIMITED, 0))


def choose_kinds(rng: Any, first: int, count: int) -> list[str]:
    """Choose kinds of moments: aimed ones in turn, from case to case, alternating with random ones.

    `first` is the number of kinds chosen for earlier cases.
    """
    aimed = cycle(AIMED[first % len(AIMED) :] + AIMED[: first % len(AIMED)])
    return [next(aimed) if n % 2 == 0 else rng.choice(KINDS) for n in range(count)]


class Strikes:
    """Kills a case's runs at chosen moments; `fall` decides what else is lost with a process."""

    one_by_one = True

    def __init__(self, program: Case, score: Score) -> None:
        self.program = program
        self.score = score
        self.ledger = Ledger(program, score)
        self._rng = program.rng

    def before_launch(self) -> None:
        """Prepare a launch, while no process is alive."""

    def fall(self, launches: list[Launch]) -> None:
        """Kill those of the launches that are still alive."""
        for launch in launches:
            if launch.process.poll() is None:
                launch.struck = True
                launch.process.kill()
                self.score.kills += 1

    def register(self, cuts: int) -> None:
        """Create the database and add the users, struck `cuts` times on the way."""
        esi = self.program.simulator
        tokens = {login["character_id"]: login["refresh_token"] for login in esi.logins}
        options = ("--corporation",) if esi.corporations else ()
        for _ in range(cuts):
            launch = self._launch(("users", "add", *options), given=_join_lines(tokens))
            moment = Moment(self.program, [launch], self.ledger.mark)
            moment.wait_for(self._rng.choice(["any time", "at work", "token answered"]))
            self.fall([launch])
            launch.process.wait(TIMEOUT)
            moment.release()
            self.score.moments["users add"] += launch.struck
            self._check_added(launch, tokens)
        self.before_launch()
        self._register_the_others(tokens)
        self.ledger.start()

    def _register_the_others(self, tokens: dict[int, str]) -> None:
        """Add the users whose tokens are left, and directors anew if their corporation is not."""
        esi, run = self.program.simulator, self.program.run
        directors = esi.directors()
        for character_id in set(directors) - self.ledger.last.directors - tokens.keys():
            tokens[character_id] = esi.director_token(character_id)
        for options, chosen in (
            ((), tokens.keys() - directors),
            (("--corporation",), tokens.keys() & directors),
        ):
            if chosen:
                given = _join_lines({character_id: tokens[character_id] for character_id in chosen})
                run("users", "add", *options, given=given)

    def strike(self, kind: str) -> None:
        """Change the world, start a run, and strike it at a moment of this kind.

        A moment that does not come is tried again, a few times.
        """
        for _ in range(MOST_TRIES):
            self._change_world(kind)
            launches = self._launch_some()
            moment = Moment(self.program, launches, self.ledger.mark)
            moment.wait_for(kind)
            only_first = len(launches) == 2 and self.one_by_one and self._rng.random() < 0.5
            self.fall(launches[:1] if only_first else launches)
            if only_first:
                self._strike_later(launches[1:])
            for launch in launches:
                launch.process.wait(TIMEOUT)
            moment.release()
            self.score.check(not lock.is_held(self.program.database), "a killed run holds the lock")
            self.ledger.after_strike(launches)
            if moment.seen:
                self.score.moments[kind] += 1
                return

    def _strike_later(self, launches: list[Launch]) -> None:
        moment = Moment(self.program, launches, self.ledger.mark)
        moment.wait_for("any time")
        self.fall(launches)

    def _change_world(self, kind: str) -> None:
        rng, esi = self._rng, self.program.simulator
        users = [login["character_id"] for login in esi.logins]
        for user in [*users, *(one["corporation_id"] for one in esi.corporations)]:
            arrivals: list[dict[str, Any]] = [
                {},
                {"late": True},
                {"shared_with": rng.choice(users)},
            ]
            for values in arrivals:
                if values.get("shared_with") != user and rng.random() < 0.5:
                    esi.add_killmails(user, rng.randint(1, 6), **values)
        if kind.startswith("token"):
            esi.control("expire_access", "POST")
        # otherwise the interrupted work resumes, and SQLite's recovery is left to killsync
        if kind in AIMED or rng.random() < 0.4:
            self.ledger.reset_lists()
            self.program.let_all_be_tried()
            esi.thaw()
            self.before_launch()
            self.program.renew_logins()
            self.ledger.forget_renewed_losses()

    def _launch_some(self) -> list[Launch]:
        rng = self._rng
        esi = self.program.simulator
        users = [str(login["character_id"]) for login in esi.logins]
        users += [str(corporation["corporation_id"]) for corporation in esi.corporations]
        scan = ("scan", "--workers", str(rng.randint(1, 3)))
        sync = ("sync", *rng.sample(users, rng.randint(1, 2)))
        chosen: list[tuple[str, ...]] = rng.choice(
            [[scan], [scan], [sync], [(*sync, "--full")], [scan, sync]]
        )
        self.before_launch()
        return [self._launch(arguments) for arguments in chosen]

    def _launch(self, arguments: tuple[str, ...], given: str = "") -> Launch:
        process = self.program.launch(*arguments, given=given, KILLSYNC_MIN_AGE="0s")
        has_option = "--workers" in arguments
        workers = int(arguments[arguments.index("--workers") + 1]) if has_option else 1
        launch = Launch(self.program.calls, process, arguments, workers)
        self.ledger.launched(launch)
        return launch

    def _check_added(self, launch: Launch, tokens: dict[int, str]) -> None:
        """Drop the tokens of registered users; replace the tokens that the strike has cost."""
        output = next(self.program.said.glob(f"{launch.number:04}-*.out")).read_text()
        added = {int(user) for user in re.findall(r"added [^()]* \((\d+)\)", output)}
        after = self.ledger.look()
        registered = after.users.keys() & after.tokens.keys()
        self.score.check(added <= after.users.keys(), "a user reported as added is missing")
        without = (added & tokens.keys()) - registered
        self.score.check(not without, f"users reported as added have no token: {without}")
        for user in registered & tokens.keys():
            del tokens[user]
        truth = self.program.simulator.control("truth?bodies=0")["characters"]
        spent = [
            user for user, token in tokens.items() if truth[str(user)]["refresh_token"] != token
        ]
        self.score.check(len(spent) <= 1, f"one strike cost {len(spent)} tokens")
        for user in spent:
            login = self.program.simulator.control("tokens", "POST", character_id=user)
            tokens[user] = login["refresh_token"]
        self.score.new_logins += len(spent)


def finish(strikes: Strikes) -> None:
    """Recover from everything, and judge the case."""
    program, score = strikes.program, strikes.score
    strikes.ledger.reset_lists()
    strikes.before_launch()
    program.heal()
    strikes.ledger.read_requests(lists=False)
    strikes.ledger.check_new_logins()
    # a run that was struck amid a request for prices has noted that it is not to be sent again soon
    program.execute("DELETE FROM facts WHERE name = 'prices_not_before'")
    program.call("scan", "--force")
    program.judge(score)
    for what, left in _LEFT_UNDONE.items():
        ((count,),) = program.rows(left)
        score.check(count == 0, f"{count} {what}")


# what the last scan has to do beside the killmails, whatever struck the runs before
_LEFT_UNDONE = {
    "ids have no name": "SELECT count(*) FROM unnamed_ids",
    "killmails have no value": "SELECT count(*) FROM killmails LEFT JOIN killmail_values"
    " USING (killmail_id) WHERE total IS NULL AND unpriced IS NULL",
    "users wait for roles": "SELECT count(*) FROM users WHERE roles_below IS NOT NULL",
}


def _join_lines(tokens: dict[int, str]) -> str:
    return "".join(f"{token}\n" for token in tokens.values())


@contextmanager
def label_problems(score: Score, case: str) -> Iterator[None]:
    """Label each problem with its case, and turn an exception in the case into a problem."""
    try:
        yield
    except Exception as error:
        trace = traceback.format_exception(error)
        score.problems.append(f"{score.part}: the case crashed: {''.join(trace)}")
    score.problems = [f"{problem} [{case}]" for problem in score.problems]
