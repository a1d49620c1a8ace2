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
# a month at a time: all of them would not fit into memory as Python's values
_PEER = """
import sys, time
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
lake, target = sys.argv[1:]
from_values = from_tables = 0.0
for part in sorted(Path(lake).glob("*/month=*/*.parquet")):
    table = pq.read_table(part, partitioning=None)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    begun = time.process_time()
    pq.write_table(pa.table(columns, schema=table.schema), target, compression="zstd")
    between = time.process_time()
    pq.write_table(table, target, compression="zstd")
    from_values += between - begun
    from_tables += time.process_time() - between
print(from_values, from_tables)
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
        of_tables: list[float] = []
        pairs = measure_pairs(
            scale.of(3, 1),
            lambda: _export(path, next(lakes)),
            partial(_write, last, Path(directory) / "peer.parquet", of_tables),
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
            note="CPU of the whole process, from database to files; peer: pyarrow, which makes "
            "the same columns of Python's values in memory and writes them, by month; of Arrow's "
            f"own tables in memory the writing alone takes {format_seconds(median(of_tables))}",
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
            note="CPU of the whole process, most of it to load pyarrow",
        ),
    ]


def _export(database: Path, lake: Path) -> float:
    return run_measured(_command(lake), make_environment(database)).cpu


def _command(lake: Path) -> list[str]:
    return killsync("--quiet", "export", "--format", "parquet", "-o", str(lake))


def _peak(database: Path, lake: Path) -> float:
    with subprocess.Popen(_command(lake), env=dict(make_environment(database))) as process:
        return peak_memory(process)


def _write(lake: Path, target: Path, of_tables: list[float]) -> float:
    command = [sys.executable, "-c", _PEER, str(lake), str(target)]
    written = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    from_values, from_tables = map(float, written.split())
    of_tables.append(from_tables)
    return from_values
