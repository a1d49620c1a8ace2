"""What a part of the campaign has tried, and what went wrong."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

COUNTED = (
    "cases",
    "faults",
    "kills",
    "requests",
    "asked_again",
    "new_logins",
    "lost",
    "duplicated",
)


@dataclass
class Score:
    """One row of the campaign's table; `problems` says in words what must not be."""

    part: str
    cases: int = 0
    faults: int = 0
    kills: int = 0
    requests: int = 0
    # bodies asked for twice that a kill explains, and users whose rotated token a kill has lost
    asked_again: int = 0
    new_logins: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    # how often a run was struck at which kind of moment
    moments: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def take(self, other: "Score") -> None:
        """Add what another score of the same part has counted."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.moments += other.moments
        self.problems += other.problems

    def must(self, holds: bool, otherwise: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(f"{self.part}: {otherwise}")


def two_at_a_time(part: str, play: Callable[[int], Score], seeds: Iterable[int]) -> Score:
    """Play a case for each seed, in two processes; return what they have counted together."""
    score = Score(part)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for played in pool.map(play, seeds):
            score.take(played)
    return score
