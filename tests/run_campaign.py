"""The fault campaign: models, kills, power cuts, faults, limits and load, against the simulator.

Run `python tests/run_campaign.py` for the short form, which .ci/run plays too, or with --long
what a release must pass. It ends with a table, and with 1 if there was a problem.
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

PARTS = ("models", "kills", "power", "faults", "limits", "load")
COLUMNS = ("part", *COUNTED, "seconds")


def main() -> int:
    """Play the parts that were asked for, and print the table."""
    options = parsed()
    console = Console(highlight=False, markup=False, width=110)
    console.print(f"seed {options.seed}, {'long' if options.long else 'short'} form")
    scores = []
    # the short form leaves half of two processors idle; the long one measures
    with ProcessPoolExecutor(1 if options.long else 2, get_context("spawn")) as pool:
        for score in pool.map(partial(played, options), options.part or PARTS):
            scores.append(score)
            console.print(f"{score.part}: {score.cases} cases in {score.seconds} s")
    console.print(table(scores))
    for score in scores:
        if score.moments:
            struck = ", ".join(f"{kind} {n}" for kind, n in sorted(score.moments.items()))
            console.print(f"{score.part}, struck at: {struck}")
    for problem in (problem for score in scores for problem in score.problems):
        console.print(problem)
    return 1 if any(s.problems or s.lost or s.duplicated for s in scores) else 0


def played(options: argparse.Namespace, part: str) -> Score:
    """Play one part, and measure how long it takes."""
    began = time.monotonic()
    score: Score = importlib.import_module(f"campaign.{part}").play(options.seed, long=options.long)
    score.seconds = round(time.monotonic() - began)
    return score


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="what a release must pass")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part")
    return parser.parse_args()


def table(scores: list[Score]) -> Table:
    """Return a row for each part, and their sum."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        shown.add_column(column.replace("_", " "), justify="left" if column == "part" else "right")
    rows = [[getattr(score, column) for column in COLUMNS] for score in scores]
    for row in rows:
        shown.add_row(*(f"{cell:,}" if not isinstance(cell, str) else cell for cell in row))
    shown.add_section()
    shown.add_row("all", *(f"{sum(column):,}" for column in list(zip(*rows, strict=True))[1:]))
    return shown


if __name__ == "__main__":
    sys.exit(main())
