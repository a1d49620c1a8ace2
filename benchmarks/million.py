"""Daily work on a million stored killmails, compared with a database of the last day only."""

import tempfile
import time
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, format_seconds, format_size, measure_pairs
from made import Raw, list_all, make_database, make_raws, multiply, name_all, store_all
from start_up import make_environment, wall_time

from killsync.times import DAY

APART = 120.0
COPIES = 50


def measure(scale: Scale) -> list[Figure]:
    """Measure an idle scan, a status and an export of the last day."""
    now = time.time()
    made = make_raws(scale.of(20_000, 1_000), now, APART)
    rows = (
        ("an idle scan", ["scan"], 1.3),
        ("status", ["status"], 1.5),
        ("export --since 1d", ["export", "--since", "1d"], 1.5),
    )
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        big, small = Path(directory) / "big.db", Path(directory) / "small.db"
        took = make_big(big, made, now)
        last_day = [raw for n, raw in enumerate(made[::-1]) if n * APART < DAY][::-1]
        _make(small, last_day, now)
        total, grown = f"{COPIES * len(made):,}", format_size(big.stat().st_size)
        return [
            at_most(
                f"{what}, {total} killmails stored",
                measure_pairs(
                    scale.of(15, 1),
                    partial(wall_time, arguments, make_environment(big)),
                    partial(wall_time, arguments, make_environment(small)),
                ),
                goal,
                format_seconds,
                note=f"whole process, wall time, {grown} made in {took:.0f} s; peer: the same with "
                f"the {len(last_day)} killmails of the last day only",
            )
            for what, arguments, goal in rows
        ]


def _make(path: Path, made: list[Raw], now: float) -> None:
    with make_database(path, now, user_count=2) as store:
        list_all(store, made)
        store_all(store, made, now)
        name_all(store, now)


def make_big(
    path: Path, made: list[Raw], now: float, copies: int = COPIES, apart: float = APART
) -> float:
    """Make the big database, of killmails made so many seconds apart; return how long it took."""
    started = time.monotonic()
    template = path.with_suffix(".template")
    _make(template, made, now)
    with make_database(path, now, user_count=2):
        pass
    multiply(template, path, copies, len(made) * apart)
    return time.monotonic() - started
