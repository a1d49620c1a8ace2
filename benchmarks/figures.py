"""The rows of the table, and how their ratios are computed: medians of paired runs."""

from collections.abc import Callable
from statistics import median

import msgspec


class Scale(msgspec.Struct, frozen=True):
    """How much to measure: everything, or a little of each to check that it works."""

    quick: bool = False

    def of(self, whole: int, little: int) -> int:
        """Return the size to use: `whole`, or `little` in a quick run."""
        return little if self.quick else whole

    @property
    def runs(self) -> int:
        """Return how many pairs of runs to take a median of."""
        return self.of(5, 1)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what was measured, beside its floor or peer from the same run.

    `met` is None where there is no goal, or nothing could be measured. `reference` is what the
    program that killsync replaces needs for the same; `note` says how it was measured.
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
    """The costs of several runs, each with that of its peer, which ran right before or after."""

    ours: list[float]
    peers: list[float]

    @property
    def measured(self) -> float:
        """Return the median of our runs."""
        return median(self.ours)

    @property
    def peer(self) -> float:
        """Return the median of the peer's runs."""
        return median(self.peers)

    @property
    def ratio(self) -> float:
        """Return the median of the pairs' ratios, in which whatever slows both cancels out."""
        return median(o / p for o, p in zip(self.ours, self.peers, strict=True))


def measure_pairs(runs: int, ours: Callable[[], float], peer: Callable[[], float]) -> Pairs:
    """Measure both `runs` times; whichever is first in one pair is second in the next."""
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
    format_value: Callable[[float], str],
    *,
    reference: str = "",
    note: str = "",
) -> Figure:
    """Return a row whose ratio must not exceed its goal."""
    return Figure(
        what=what,
        measured=format_value(pairs.measured),
        peer=format_value(pairs.peer),
        ratio=pairs.ratio,
        goal=f"at most {goal:g}",
        met=pairs.ratio <= goal,
        reference=reference,
        note=note,
    )


def within(
    what: str,
    values: list[float],
    limit: float,
    format_value: Callable[[float], str],
    *,
    reference: str = "",
    note: str = "",
) -> Figure:
    """Return a row whose median must not exceed a limit, in the same unit."""
    measured = median(values)
    return Figure(
        what=what,
        measured=format_value(measured),
        peer="",
        goal=f"at most {format_value(limit)}",
        met=measured <= limit,
        reference=reference,
        note=note,
    )


def format_seconds(value: float) -> str:
    """Format a time in seconds for people, such as `1.3 ms`."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.1f} ms" if value >= 1e-3 else f"{value * 1e6:.0f} us"


def format_size(value: float) -> str:
    """Format a number of bytes for people, such as `1.4 kB`."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{value:.0f} B"
        value /= 1000
    return f"{value:.1f} GB"
