"""One row of the table, and how its ratio comes about: medians of runs, pair by pair."""

from collections.abc import Callable
from statistics import median

import msgspec


class Scale(msgspec.Struct, frozen=True):
    """How much is measured: all of it, or a little of everything to see that it works."""

    quick: bool = False

    def of(self, whole: int, little: int) -> int:
        """Return the size of something in this run."""
        return little if self.quick else whole

    @property
    def runs(self) -> int:
        """Return how many pairs of runs a median is of."""
        return self.of(5, 1)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what was measured, beside its floor or peer of the same run.

    `met` is None where there is no goal, or nothing could be measured.
    `reference` is what the program that killsync replaces needed for the same, `note` how it
    is measured or what holds it.
    """

    what: str
    measured: str
    peer: str
    goal: str
    met: bool | None
    ratio: float | None = None
    reference: str = ""
    note: str = ""


class Pairs(msgspec.Struct, frozen=True):
    """What several runs took, each beside its peer, run right before or after it."""

    ours: list[float]
    peers: list[float]

    @property
    def measured(self) -> float:
        """Return the median of ours."""
        return median(self.ours)

    @property
    def peer(self) -> float:
        """Return the median of the peer's."""
        return median(self.peers)

    @property
    def ratio(self) -> float:
        """Return the median of the ratios, pair by pair: what slows both cancels out."""
        return median(o / p for o, p in zip(self.ours, self.peers, strict=True))


def in_pairs(runs: int, ours: Callable[[], float], peer: Callable[[], float]) -> Pairs:
    """Measure both in turn, the first of a pair last in the next."""
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(runs):
        turns = [(ours, mine), (peer, theirs)]
        for measure, taken in turns if number % 2 else turns[::-1]:
            taken.append(measure())
    return Pairs(mine, theirs)


def at_most(
    what: str,
    pairs: Pairs,
    goal: float,
    shown: Callable[[float], str],
    *,
    reference: str = "",
    note: str = "",
) -> Figure:
    """Return the row of a ratio that must not be larger than its goal."""
    return Figure(
        what=what,
        measured=shown(pairs.measured),
        peer=shown(pairs.peer),
        ratio=pairs.ratio,
        goal=f"at most {goal:g}",
        met=pairs.ratio <= goal,
        reference=reference,
        note=note,
    )


def seconds(value: float) -> str:
    """Return a time as people write it."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.1f} ms" if value >= 1e-3 else f"{value * 1e6:.0f} us"


def size(value: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{value:.0f} B"
        value /= 1000
    return f"{value:.1f} GB"
