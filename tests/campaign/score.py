"""What a part of the campaign tried, and what went wrong."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Protocol, TypeVar

COUNTED = (
    "cases",
    "faults",
    "kills",
    "requests",
    "refetched",
    "new_logins",
    "lost",
    "duplicated",
    # databases, by the form in which tokens are stored
    "plain",
    "encrypted",
)


@dataclass
class Score:
    """One row of the campaign's table; `problems` describes what went wrong."""

    part: str
    cases: int = 0
    faults: int = 0
    kills: int = 0
    requests: int = 0
    # bodies requested twice, as a kill explains, and logins renewed because a kill lost a token
    refetched: int = 0
    new_logins: int = 0
    lost: int = 0
    duplicated: int = 0
    plain: int = 0
    encrypted: int = 0
    seconds: float = 0.0
    # how often runs were struck, by kind of moment
    moments: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    # the largest value measured of each figure, and which case gave it
    figures: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, other: "Score") -> None:
        """Add the counts and problems of another score of the same part."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.moments += other.moments
        self.problems += other.problems
        for figure, (value, name) in other.figures.items():
            self.measure(figure, value, name)

    def measure(self, figure: str, value: float, name: str) -> None:
        """Remember the largest value of a figure, and the case that gave it."""
        if value >= self.figures.get(figure, (value, ""))[0]:
            self.figures[figure] = (value, name)

    def check(self, holds: bool, otherwise: str) -> None:
        """Record a problem, described by `otherwise`, unless the condition holds."""
        if not holds:
            self.problems.append(f"{self.part}: {otherwise}")


class Named(Protocol):
    """A case that can be chosen by its name."""

    @property
    def name(self) -> str:
        """What distinguishes it from all others."""


Case = TypeVar("Case", bound=Named)


def chosen(cases: Iterable[Case], only: str) -> list[Case]:
    """Return the cases whose name contains `only`; raises ValueError if there is none."""
    found = [case for case in cases if only in case.name]
    if not found:
        raise ValueError(f"no case is called {only!r}")
    return found


def two_at_a_time(part: str, play: Callable[[int], Score], seeds: Iterable[int]) -> Score:
    """Play a case for each seed, in two processes; return their combined score."""
    score = Score(part)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for played in pool.map(play, seeds):
            score.add(played)
    return score
