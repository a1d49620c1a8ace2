"""Cases that follow each other on one database, until one has left something behind."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from campaign.case import Case, case
from campaign.clock import Clock, cheap_days
from campaign.score import Score
from campaign.strikes import label_problems


class Named(Protocol):
    """Something to play."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)
# given a score, a database and the clock, returns what plays one after the other on them
Start = Callable[[Score, Case, Clock], Callable[[T], None]]


def play_in_turn(
    part: str,
    seed: int,
    number: int,
    cases: Sequence[T],
    options: Callable[[T], dict[str, Any]],
    start: Start[T],
) -> Score:
    """Play the cases of series `number`; `options` are the simulator's for a new database."""
    score = Score(part)
    rng = random.Random(f"{part} {seed} {number}")
    left = list(cases)
    with cheap_days() as clock:
        while left:
            played = Score(part)
            first = left.pop(0)
            with (
                label_problems(played, f"series from {first.name}"),
                # users are added later, by the clock
                case(rng, encrypted=number % 2 == 1, users=False, **options(first)) as program,
            ):
                play = start(played, program, clock)
                play(first)
                while left and not played.problems:
                    play(left.pop(0))
                if not played.problems:
                    program.judge(played)
            score.add(played)
    return score
