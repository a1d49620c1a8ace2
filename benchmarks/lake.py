"""The lake of the game's archives, by Spark: one worker beside two, and how long all would take."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from daily_archives import make_archives
from figures import Figure, Scale, format_seconds
from spark_cluster import Cluster, cluster
from spending import killsync

_DAYS, _KILLMAILS = 90, 3_000
# all that EVE Ref's totals.json counts
_IN_ALL = 95_600_000
_HOUR = 3600.0
_GOAL = 1.6
_KEPT_IN = "BENCHMARK_ARCHIVES"


def measure(scale: Scale) -> list[Figure]:
    """Measure the same archives on a cluster of one worker, and on one of two."""
    if find_spec("pyspark") is None:
        return []
    days, killmails = scale.of(_DAYS, 2), scale.of(_KILLMAILS, 100)
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        archives = make_archives(Path(os.environ.get(_KEPT_IN, directory)), days, killmails)
        # to see that it works, two are enough
        counts = scale.of(1, 2), 2
        taken: dict[int, list[float]] = {workers: [] for workers in counts}
        for run in range(scale.of(2, 1)):
            # whichever is first in one pair is second in the next
            for workers in sorted(taken, reverse=bool(run % 2)):
                home = Path(directory, f"cluster{run}-{workers}")
                with cluster(home, workers) as running:
                    taken[workers].append(_seconds(running, archives, home / "lake"))
                shutil.rmtree(home)
        one, two = (min(taken[workers]) for workers in counts)
        return [_workers(one, two, days, killmails), _whole_game(two, days * killmails)]


def _seconds(running: Cluster, archives: Sequence[Path], lake: Path) -> float:
    """Return what a whole call takes, from its start to its end."""
    words = killsync("lake", *map(str, archives), "-o", str(lake), "--master", running.master)
    began = time.perf_counter()
    subprocess.run(words, env=running.environment, check=True, capture_output=True)
    return time.perf_counter() - began


def _workers(one: float, two: float, days: int, killmails: int) -> Figure:
    return Figure(
        what=f"lake of {days} archives of {killmails:,}, two workers",
        measured=format_seconds(two),
        peer=format_seconds(one),
        ratio=one / two,
        goal=f"at least {_GOAL}",
        met=one / two >= _GOAL,
        note="whole command, wall time, a cluster on loopback; peer: one worker; each has one core",
    )


def _whole_game(seconds: float, killmails: int) -> Figure:
    rate = killmails / seconds
    return Figure(
        what=f"lake of {_IN_ALL:,} killmails, estimated, two workers",
        measured=f"{_IN_ALL / rate / _HOUR:.1f} h, {rate:,.0f} killmails/s",
        peer="",
        goal="none: an estimate",
        met=None,
        note="from the figure above, the start of Spark included",
    )
