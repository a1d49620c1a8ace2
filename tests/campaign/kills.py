"""`kill -9` at random moments of scan, sync and `users add`, and where it may hurt most."""

import random
from functools import partial

from campaign.case import case
from campaign.moments import KINDS
from campaign.score import Score, two_at_a_time
from campaign.strikes import Strikes, finish, kinds_of, named, options_of

PART = "kills"
CASES, STRIKES = 4, 5
LONG_CASES, LONG_STRIKES = 18, 13


def play(seed: int, *, long: bool) -> Score:
    """Kill runs of so many databases, and judge each of them."""
    cases, strikes = (LONG_CASES, LONG_STRIKES) if long else (CASES, STRIKES)
    score = two_at_a_time(PART, partial(play_case, seed, strikes), range(cases))
    for kind in KINDS if long else ():
        score.must(score.moments[kind] > 0, f"no run was struck at: {kind}")
    return score


def play_case(seed: int, strikes: int, number: int) -> Score:
    """Play one case; its seed is that of the campaign and its number."""
    score = Score(PART, cases=1)
    with named(score, f"case {number}"):
        rng = random.Random(f"{PART} {seed} {number}")
        with case(rng, users=False, **options_of(rng)) as program:
            struck = Strikes(program, score)
            struck.register(1)
            for kind in kinds_of(rng, number * strikes, strikes):
                struck.strike(kind)
            finish(struck)
    return score
