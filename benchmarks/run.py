"""The benchmarks: every figure beside its floor or peer, measured in the same run.

Run `python benchmarks/run.py`; with --quick a little of everything, which .ci/run plays too.
It ends with a table, and with 1 only if something could not be measured.
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

# they start the simulator and killsync as the tests do
sys.path.append(str(Path(__file__).parent.parent / "tests"))

# each a module with `measure(scale) -> list[Figure]`
TOPICS: tuple[str, ...] = (
    "requests_needed",
    "first_sync",
    "steady_state",
    "durable_writes",
    "network_cpu",
    "storing",
    "exporting",
    "start_up",
    "queue_size",
    "million",
    "memory",
)


def main() -> int:
    """Measure the topics that were asked for, and print the table."""
    options = parsed()
    progress = Console(stderr=True, highlight=False, markup=False)
    figures: list[Figure] = []
    broken = 0
    for topic in options.only or TOPICS:
        began = time.monotonic()
        try:
            figures += importlib.import_module(topic).measure(Scale(quick=options.quick))
        except Exception:
            broken += 1
            progress.print(traceback.format_exc())
        progress.print(f"{topic}: {time.monotonic() - began:.1f} s")
    if options.markdown:
        sys.stdout.write(markdown(figures) + "\n")
    else:
        wide = None if sys.stdout.isatty() else 180
        print_table(Console(highlight=False, markup=False, width=wide), figures)
    if options.quick:
        progress.print("quick: everything could be measured or not; nothing here is large enough")
    return 1 if broken else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a little of everything, once")
    parser.add_argument("--only", action="append", choices=TOPICS, help="only this topic")
    parser.add_argument("--markdown", action="store_true", help="print the table for README")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
