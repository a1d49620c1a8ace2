"""The part `kills`: `kill -9` of scan, sync and `users add`, at random and critical moments."""

import random
from functools import partial

from campaign.case import case
from campaign.moments import KINDS
from campaign.score import Score, two_at_a_time
from campaign.strikes import UPKEEP, Strikes, choose_kinds, choose_options, finish, label_problems

PART = "kills"
CASES, STRIKES = 4, 5
LONG_CASES, LONG_STRIKES = 18, 13


def play(seed: int, *, long: bool) -> Score:
    """Play the cases of the short or long form; return their combined score."""
    cases, strikes = (LONG_CASES, LONG_STRIKES) if long else (CASES, STRIKES)
    score = two_at_a_time(PART, partial(play_case, seed, strikes), range(cases))
    for kind in KINDS if long else ():
        score.check(score.moments[kind] > 0, f"no run was struck at: {kind}")
    return score


def play_case(seed: int, strikes: int, number: int) -> Score:
    """Play one case, seeded by the seed of the campaign and the number of the case."""
    score = Score(PART, cases=1)
    with label_problems(score, f"case {number}"):
        rng = random.Random(f"{PART} {seed} {number}")
        with case(rng, users=False, encrypted=number % 2 == 1, **choose_options(rng)) as program:
            program.environment |= UPKEEP
            series = Strikes(program, score)
            series.register(1)
            for kind in choose_kinds(rng, number * strikes, strikes):
                series.strike(kind)
            finish(series)
    return score
