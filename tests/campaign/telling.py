"""The part `telling`: scans killed while killmails arrive and are told by two channels.

Each killmail must be told at most once by each, and none be lost silently: it was told, or is
recorded as given up, or as perhaps told.
"""

import random
import re
import time
from collections import Counter
from functools import partial
from typing import Any

from played_discord import TOKEN, URL, Discord, discord
from tellers import Teller, configure
from world import TIMEOUT, wait_until

from campaign.case import Case, case
from campaign.score import Score, two_at_a_time
from campaign.strikes import label_problems
from killsync.times import iso

PART = "telling"
CASES, KILLS = 2, 8
LONG_CASES, LONG_KILLS = 8, 25
OPTIONS: dict[str, Any] = {
    "characters": 2,
    "killmails": 5,
    "shared": 0.3,
    "latency_body": 0.005,
    # longer than a case takes on a slow machine, shorter than the hour of `make_due`
    "list_max_age": 3000,
}
# most messages arrive
HABITS = ("204", "204", "204", "404", "429", "500", "reset")
MOMENTS = ("any time", "sending", "sending", "never")
MOST_SCANS = 20
_LINK = re.compile(r"/kill/(\d+)/")
_ENDED = ("told", "expired", "uncertain")


def play(seed: int, *, long: bool) -> Score:
    """Play the cases of the short or long form; return their combined score."""
    cases, kills = (LONG_CASES, LONG_KILLS) if long else (CASES, KILLS)
    return two_at_a_time(PART, partial(play_case, seed, kills), range(cases))


def play_case(seed: int, kills: int, number: int) -> Score:
    """Play one case, seeded by the seed of the campaign and the number of the case."""
    score = Score(PART, cases=1)
    rng = random.Random(f"{PART} {seed} {number}")
    with (
        label_problems(score, f"case {number}"),
        case(rng, encrypted=number % 2 == 1, **OPTIONS) as program,
        discord() as played,
    ):
        telling = Telling(program, score, played)
        while score.kills < kills:
            telling.kill()
        telling.end()
    return score


class Telling:
    """Scans of one database that are killed, and what its two channels have heard."""

    def __init__(self, program: Case, score: Score, played: Discord) -> None:
        self.program = program
        self.score = score
        self.played = played
        self.rng = program.rng
        self.expected: set[int] = set()
        self.twice: set[tuple[str, int]] = set()
        self.teller = Teller(program)
        program.call("scan")
        program.environment |= played.environment
        keys = f'[[tell]]\nname = "discord"\nurl = "{URL}"\nmax_age = "3000d"\n'
        configure(program, self.teller.table(), keys)

    def heard(self) -> dict[str, Counter[int]]:
        """Return how often each channel has heard of each killmail."""
        links = [int(i) for text in self.played.contents for i in _LINK.findall(text)]
        return {"corp": Counter(self.teller.killmails), "discord": Counter(links)}

    def kill(self) -> None:
        """Let killmails arrive, and kill the scan that tells of them."""
        rng, esi = self.rng, self.program.simulator
        for login in rng.sample(esi.logins, rng.randint(1, len(esi.logins))):
            made = esi.add_killmails(login["character_id"], rng.randint(1, 8))
            self.expected |= {killmail_id for killmail_id, _ in made}
        self._let_all_be_tried()
        self.played.habits = [rng.choice(HABITS)]
        self.teller.fail(fails=rng.random() < 0.2)
        self.teller.hang(rng.choice([0.0, 0.0, rng.uniform(0, 1)]))
        started = iso(time.time())
        process = self.program.launch("scan", "--quiet")
        moment = rng.choice(MOMENTS)
        if moment == "sending":
            # what an earlier scan has left was sent an hour ago
            wait_until(lambda: process.poll() is not None or self._is_sending(started))
            # a command answers at once, and Apprise takes a second or two to start
            time.sleep(rng.uniform(0, 2.5) ** 2 / 2.5)
        elif moment == "any time":
            time.sleep(rng.uniform(0, 2))
        if moment != "never" and process.poll() is None:
            process.kill()
            self.score.kills += 1
            self.score.moments[moment] += 1
        process.wait(TIMEOUT)
        self._check_claims()

    def end(self) -> None:
        """Let all be told that can be, and judge what was heard."""
        self.played.habits = ["204"]
        self.teller.fail(fails=False)
        self.teller.hang(0)
        self.program.heal()
        for _ in range(MOST_SCANS):
            self._let_all_be_tried()
            self.program.call("scan")
            if not self._count("waiting") + self._count("sending"):
                break
        self._check_claims()
        heard, check = self.heard(), self.score.check
        for channel, told in heard.items():
            states = self._states(channel)
            silent = {i for i in self.expected if states.get(i) not in _ENDED}
            self.score.lost += len(silent)
            check(not silent, f"{channel}: {len(silent)} were never told, and nothing says so")
            strange = told.keys() - self.expected
            check(not strange, f"{channel}: {len(strange)} were told that are no news")
            for state, number in Counter(states.values()).items():
                self.score.moments[f"{channel} {state}"] += number
        self._search_for_the_url()
        self.program.judge(self.score)

    def _check_claims(self) -> None:
        """Check that nothing was told twice, and that what counts as told was heard."""
        # what a killed scan has started may still be at work, and only adds to what was heard
        states = {channel: self._states(channel) for channel in ("corp", "discord")}
        for channel, told in self.heard().items():
            twice = {(channel, i) for i, times in told.items() if times > 1} - self.twice
            self.twice |= twice
            self.score.duplicated += len(twice)
            self.score.check(not twice, f"told twice: {twice}")
            missing = {i for i, s in states[channel].items() if s == "told"} - told.keys()
            self.score.lost += len(missing)
            self.score.check(not missing, f"{channel}: not told, but recorded so: {missing}")

    def _let_all_be_tried(self) -> None:
        """Make everything due, as an hour later."""
        self.program.let_all_be_tried()
        self.program.simulator.thaw()
        self.program.execute("UPDATE channels SET not_before = NULL")
        self.program.execute(
            "UPDATE outbox SET sending_at = strftime('%Y-%m-%dT%H:%M:%SZ', sending_at, '-1 hour')"
            " WHERE state = 'sending'"
        )

    def _count(self, state: str) -> int:
        ((number,),) = self.program.rows("SELECT count(*) FROM outbox WHERE state = ?", state)
        return int(number)

    def _is_sending(self, since: str) -> bool:
        sql = "SELECT 1 FROM outbox WHERE state = 'sending' AND sending_at >= ?"
        return bool(self.program.rows(sql, since))

    def _states(self, channel: str) -> dict[int, str]:
        return dict(
            self.program.rows(
                "SELECT killmail_id, state FROM outbox WHERE channel = ?"
                " AND killmail_id IS NOT NULL",
                channel,
            )
        )

    def _search_for_the_url(self) -> None:
        """Check that the webhook's token stands in the configuration file alone."""
        token = TOKEN.encode()
        found = [
            file.name
            for file in self.program.directory.rglob("*")
            if file.is_file() and file.suffix != ".toml" and token in file.read_bytes()
        ]
        self.score.check(not found, f"the webhook's token is in {found}")
        shown = any(token in line for line in self.program.processes.command_lines)
        self.score.check(not shown, "the webhook's token is in a list of processes")
