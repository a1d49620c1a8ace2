"""The benchmarks: every figure beside its floor or peer, measured in the same run.

Run `python benchmarks/run.py`, or add --quick to measure a little of everything, as .ci/run does.
It prints a table, and exits with 1 only if a topic could not be measured.
"""

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from figures import Figure, Scale
from rich.console import Console
from table import markdown, print_table

# the benchmarks start the simulator and killsync with the tests' helpers
sys.path.append(str(Path(__file__).parent.parent / "tests"))

# each a module with `measure(scale) -> list[Figure]`
TOPICS: tuple[str, ...] = (
    "requests_needed",
    "first_sync",
    "steady_state",
    "hundred_thousand",
    "durable_writes",
    "storing",
    "exporting",
    "parquet",
    "feeding",
    "importing",
    "lake",
    "start_up",
    "queue_size",
    "million",
    "looking",
    "memory",
)


def main() -> int:
    """Measure the selected topics, print the table, and return the exit code."""
    options = parse_options()
    progress = Console(stderr=True, highlight=False, markup=False)
    figures: list[Figure] = []
    broken = 0
    for topic in options.only or TOPICS:
        started = time.monotonic()
        try:
            figures += importlib.import_module(topic).measure(Scale(quick=options.quick))
        except Exception:
            broken += 1
            progress.print(traceback.format_exc())
        progress.print(f"{topic}: {time.monotonic() - started:.1f} s")
    if options.markdown:
        sys.stdout.write(markdown(figures) + "\n")
    else:
        wide = None if sys.stdout.isatty() else 180
        print_table(Console(highlight=False, markup=False, width=wide), figures)
    if options.quick:
        progress.print("quick: this only checks that everything runs; its ratios mean nothing")
    return 1 if broken else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a little of everything, once")
    parser.add_argument("--only", action="append", choices=TOPICS, help="only this topic")
    parser.add_argument("--markdown", action="store_true", help="print the table for README")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
