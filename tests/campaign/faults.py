"""The part `faults`: every fault at every kind of request, and outages of a whole service."""

import random
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle

from campaign import cells, matrix, outages
from campaign.score import Score

# plays that mostly wait cost next to nothing
WAITING_THREADS, WORKING_THREADS = 8, 3

Play = Callable[..., Score]


def play(seed: int, *, long: bool) -> Score:
    """Play the whole matrix, or a sample that covers every fault and every kind of request."""
    rng = random.Random(seed)
    chosen = matrix.all_cells() if long else matrix.sample(rng)
    down = outages.OUTAGES if long else rng.sample([o for o in outages.OUTAGES if not o.waits], 2)
    # the longest first
    waiting: list[Play] = [partial(outages.play, o) for o in down if o.waits]
    waiting += [partial(cells.play, cell) for cell in chosen if cell.waits]
    working: list[Play] = [partial(outages.play, o) for o in down if not o.waits]
    working += [partial(cells.play, cell) for cell in chosen if not cell.waits]
    encrypted = cycle((False, True))
    with (
        ThreadPoolExecutor(WAITING_THREADS) as waiting_pool,
        ThreadPoolExecutor(WORKING_THREADS) as working_pool,
    ):
        futures = [
            pool.submit(_play_safely, one, seed, encrypted=next(encrypted))
            for pool, plays in ((waiting_pool, waiting), (working_pool, working))
            for one in plays
        ]
    total = Score("faults")
    for future in futures:
        played = future.result()
        played.problems = [f"faults: {problem}" for problem in played.problems]
        total.add(played)
    return total


def _play_safely(one: Play, seed: int, *, encrypted: bool) -> Score:
    try:
        return one(seed, encrypted=encrypted)
    except Exception:
        # a case that crashes must not hide what the others find
        return Score("faults", problems=[f"{one}: {traceback.format_exc()}"])
