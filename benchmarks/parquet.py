"""An export to Parquet, compared with pyarrow that writes the same columns from memory."""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, format_seconds, format_size, measure_pairs, within
from made import make_raws
from million import APART, COPIES, make_big
from spending import killsync, peak_memory, run_measured
from start_up import make_environment

_MOST = 300e6
# of the database that is exported for its memory only: copies, seconds between two killmails
_OTHER_SIZES = ((5, APART, ""), (50, 2.0, " of one month"))
# a month at a time, as it is exported
_PEER = """
import sys, time
from pathlib import Path
import pyarrow.parquet as pq
lake, target = sys.argv[1:]
spent = 0.0
for part in sorted(Path(lake).glob("*/month=*/*.parquet")):
    table = pq.read_table(part, partitioning=None)
    begun = time.process_time()
    pq.write_table(table, target, compression="zstd")
    spent += time.process_time() - begun
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
            partial(_write, last, Path(directory) / "peer.parquet"),
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
            note="CPU of the whole process, from database to files; peer: pyarrow's writing alone "
            "of the same columns, which are Arrow's tables in memory already, by month",
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


def _write(lake: Path, target: Path) -> float:
    command = [sys.executable, "-c", _PEER, str(lake), str(target)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
