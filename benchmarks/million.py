"""Daily work on a million stored killmails, beside a database that holds the last day only."""

import tempfile
import time
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, in_pairs, seconds, size
from made import Raw, database, list_all, multiply, raws, store_all
from start_up import environment_of, wall

from killsync.times import DAY

_APART = 120.0
_COPIES = 50


def measure(scale: Scale) -> list[Figure]:
    """Measure an idle scan, a status and an export of the last day."""
    now = time.time()
    made = raws(scale.of(20_000, 1_000), now, _APART)
    rows = (
        ("an idle scan", ["scan"], 1.3),
        ("status", ["status"], 1.5),
        ("export --since 1d", ["export", "--since", "1d"], 1.5),
    )
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        big, small = Path(directory) / "big.db", Path(directory) / "small.db"
        took = _make_big(big, made, now)
        last_day = [raw for n, raw in enumerate(made[::-1]) if n * _APART < DAY][::-1]
        _make(small, last_day, now)
        total, grown = f"{_COPIES * len(made):,}", size(big.stat().st_size)
        return [
            at_most(
                f"{what}, {total} killmails stored",
                in_pairs(
                    scale.of(15, 1),
                    partial(wall, arguments, environment_of(big)),
                    partial(wall, arguments, environment_of(small)),
                ),
                goal,
                seconds,
                note=f"whole process, wall, {grown} made in {took:.0f} s; peer: the same with "
                f"the {len(last_day)} killmails of the last day only",
            )
            for what, arguments, goal in rows
        ]


def _make(path: Path, made: list[Raw], now: float) -> None:
    with database(path, now) as store:
        list_all(store, made)
        store_all(store, made, now)


def _make_big(path: Path, made: list[Raw], now: float) -> float:
    """Make the big database, and return how many seconds that took."""
    began = time.monotonic()
    template = path.with_suffix(".template")
    _make(template, made, now)
    with database(path, now):
        pass
    multiply(template, path, _COPIES, len(made) * _APART)
    return time.monotonic() - began
