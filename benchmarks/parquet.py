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
# of the databases that are exported for the memory only: copies, seconds between two killmails
_OTHER_SIZES = ((5, APART, ""), (50, 2.0, " of one month"))
# by month in two ways: as pyarrow parts a table itself, and of tables that are parted already
_PEER = """
import sys, time
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from killsync.lake import arrow_schema
lake, target = sys.argv[1:]
by_pyarrow = parted = 0.0
for name in ("killmails", "attackers", "items"):
    options = arrow_schema.options(arrow_schema.full(name, with_hash=False))
    options |= {"compression": "zstd", "store_schema": False}
    table = ds.dataset(f"{lake}/{name}", partitioning="hive").to_table()
    form = ds.ParquetFileFormat()
    begun = time.process_time()
    ds.write_dataset(
        table,
        f"{target}/{name}",
        format=form,
        file_options=form.make_write_options(**options),
        partitioning=["month"],
        partitioning_flavor="hive",
    )
    by_pyarrow += time.process_time() - begun
    del table
    for fragment in ds.dataset(f"{lake}/{name}").get_fragments():
        part = fragment.to_table()
        begun = time.process_time()
        with pq.ParquetWriter(f"{target}/part.parquet", part.schema, **options) as writer:
            writer.write_table(part)
        parted += time.process_time() - begun
print(by_pyarrow, parted)
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
        of_parts: list[float] = []
        pairs = measure_pairs(
            scale.of(3, 1),
            lambda: _export(path, next(lakes)),
            partial(_write, last, of_parts),
        )
        peaks = {_of(len(made) * COPIES): _peak(path, next(lakes))}
        for copies, apart, what in _OTHER_SIZES:
            other = Path(directory) / f"{copies}-{apart}.db"
            make_big(other, make_raws(scale.of(20_000, 100), now, apart), now, copies, apart)
            peaks[_of(len(made) * copies) + what] = _peak(other, next(lakes))
            other.unlink()
        again = [_export(path, last) for _ in range(scale.runs)]
    total = f"{COPIES * len(made):,}"
    return [
        at_most(
            f"export of {total} killmails to Parquet",
            pairs,
            2.0,
            format_seconds,
            note="CPU of the whole process, from database to files; peer: the same Arrow tables, "
            "in memory, written by `pyarrow.dataset.write_dataset` into the same layout with the "
            "same options, nothing else; tables that are parted by month before it starts take "
            f"{format_seconds(median(of_parts))}",
        ),
        *(
            Figure(
                what=f"peak memory of a first export to Parquet, {what}",
                measured=format_size(peak),
                peer="",
                goal=f"at most {format_size(_MOST)}",
                met=peak <= _MOST,
                note="resident memory",
            )
            for what, peak in peaks.items()
        ),
        within(
            "a second one with nothing new",
            again,
            2.0,
            format_seconds,
            note="CPU of the whole process, most of it to load pyarrow",
        ),
    ]


def _of(killmails: int) -> str:
    return f"{killmails:,} killmails"


def _export(database: Path, lake: Path) -> float:
    return run_measured(_command(lake), make_environment(database)).cpu


def _command(lake: Path) -> list[str]:
    return killsync("--quiet", "export", "--format", "parquet", "-o", str(lake))


def _peak(database: Path, lake: Path) -> float:
    with subprocess.Popen(_command(lake), env=dict(make_environment(database))) as process:
        return peak_memory(process)


def _write(lake: Path, of_parts: list[float]) -> float:
    with tempfile.TemporaryDirectory(dir=lake.parent) as target:
        command = [sys.executable, "-c", _PEER, str(lake), target]
        written = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    by_pyarrow, parted = map(float, written.split())
    of_parts.append(parted)
    return by_pyarrow
