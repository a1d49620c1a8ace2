"""The fault campaign: models, kills, power cuts, faults, limits and load, against the simulator.

Run `python tests/run_campaign.py` for the short form, which .ci/run plays too, or add --long for
the form that a release must pass. It prints a table, and exits with 1 if there was a problem.
"""

import argparse
import importlib
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from campaign.score import COUNTED, Score
from rich import box
from rich.console import Console
from rich.table import Table

PARTS = (
    *("models", "kills", "power", "faults", "limits", "load", "marks", "incidents", "outputs"),
    *("corporations", "imports", "telling", "lake", "feed", "day"),
)
# what takes too long for the short form
LONG_PARTS = (*PARTS, "forecast", "month", "cluster", "operator")
# whose cases can be chosen by name
NAMED = ("marks", "incidents", "outputs", "forecast")
COLUMNS = ("part", *COUNTED, "seconds")


def main() -> int:
    """Play the selected parts, print the table, and return the exit code."""
    options = parse_options()
    console = Console(highlight=False, markup=False, width=110)
    console.print(f"seed {options.seed}, {'long' if options.long else 'short'} form")
    scores = []
    parts = options.part or (LONG_PARTS if options.long else PARTS)
    # the short form leaves half of two processors idle; the long one is also a measurement
    with ProcessPoolExecutor(1 if options.long else 2, get_context("spawn")) as pool:
        for score in pool.map(partial(play_part, options), parts):
            scores.append(score)
            console.print(f"{score.part}: {score.cases} cases in {score.seconds} s")
    console.print(build_table(scores))
    for score in scores:
        if score.moments:
            struck = ", ".join(f"{kind} {n}" for kind, n in sorted(score.moments.items()))
            console.print(f"{score.part}, struck at: {struck}")
        for figure, (value, name) in score.figures.items():
            console.print(f"{score.part}, {figure}: {value:,.0f}: {name}")
    for problem in (problem for score in scores for problem in score.problems):
        console.print(problem)
    return 1 if any(s.problems or s.lost or s.duplicated for s in scores) else 0


def play_part(options: argparse.Namespace, part: str) -> Score:
    """Play one part, and measure its duration."""
    started = time.monotonic()
    module = importlib.import_module(f"campaign.{part}")
    only = {"only": options.only} if options.only else {}
    score: Score = module.play(options.seed, long=options.long, **only)
    score.seconds = round(time.monotonic() - started)
    return score


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="what a release must pass")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--part", action="append", choices=LONG_PARTS, help="only this part")
    parser.add_argument("--only", metavar="WORDS", help="only cases with these words in their name")
    options = parser.parse_args()
    if options.only and not set(options.part or LONG_PARTS) <= set(NAMED):
        parser.error(f"--only wants --part, one of {', '.join(NAMED)}")
    return options


def build_table(scores: list[Score]) -> Table:
    """Build a table with a row for each part, and their totals."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), justify="left" if column == "part" else "right")
    rows = [[getattr(score, column) for column in COLUMNS] for score in scores]
    for row in rows:
        table.add_row(*(f"{cell:,}" if not isinstance(cell, str) else cell for cell in row))
    table.add_section()
    table.add_row("all", *(f"{sum(column):,}" for column in list(zip(*rows, strict=True))[1:]))
    return table


if __name__ == "__main__":
    sys.exit(main())
