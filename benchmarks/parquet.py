"""An export to Parquet, compared with pyarrow that writes the same columns from memory."""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from figures import Figure, Scale, at_most, format_seconds, format_size, measure_pairs, within
from made import make_raws
from million import APART, COPIES, make_big
from spending import killsync, peak_memory, run_measured
from start_up import make_environment

_MOST = 300e6
# the tables one after the other, as who has them in memory would: by month, each in its directory
_PEER = """
import sys, time
import pyarrow.dataset as ds
import pyarrow.parquet as pq
lake, target = sys.argv[1:]
spent = 0.0
for name in ("killmails", "attackers", "items"):
    table = ds.dataset(f"{lake}/{name}", partitioning="hive").to_table()
    started = time.process_time()
    pq.write_to_dataset(table, f"{target}/{name}", partition_cols=["month"], compression="zstd")
    spent += time.process_time() - started
    del table
print(spent)
"""


def measure(scale: Scale) -> list[Figure]:
    """Measure a first export of everything, and one of what little is new since."""
    now = time.time()
    made = make_raws(scale.of(20_000, 100), now, APART)
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        path = Path(directory) / "killsync.db"
        make_big(path, made, now)
        lakes = (Path(directory) / f"lake-{n}" for n in range(100))
        last = Path(directory) / "lake"
        _export(path, last)
        pairs = measure_pairs(
            scale.of(3, 1),
            lambda: _export(path, next(lakes)),
            partial(_write, last, Path(directory) / "peer"),
        )
        peak = _peak(path, next(lakes))
        again = [_export(path, last) for _ in range(scale.runs)]
    total = f"{COPIES * len(made):,}"
    return [
        at_most(
            f"export of {total} killmails to Parquet",
            pairs,
            2.0,
            format_seconds,
            note="CPU of the whole process, from database to files; peer: pyarrow's "
            "write_to_dataset of the same columns in memory, by month",
        ),
        Figure(
            what=f"peak memory of that, {total} killmails",
            measured=format_size(peak),
            peer="",
            goal=f"at most {format_size(_MOST)}",
            met=peak <= _MOST,
            note="resident memory",
        ),
        within(
            "a second one with nothing new",
            again,
            2.0,
            format_seconds,
            note=f"CPU of the whole process; {median(again):.2f} s of it start",
        ),
    ]


def _export(database: Path, lake: Path) -> float:
    return run_measured(_command(lake), make_environment(database)).cpu


def _command(lake: Path) -> list[str]:
    return killsync("--quiet", "export", "--format", "parquet", "-o", str(lake))


def _peak(database: Path, lake: Path) -> float:
    with subprocess.Popen(_command(lake), env=dict(make_environment(database))) as process:
        return peak_memory(process)


def _write(lake: Path, target: Path) -> float:
    command = [sys.executable, "-c", _PEER, str(lake), str(target)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
