"""Threads for requests: a number of slots of each kind, and one queue of what came back."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

import msgspec


class Result(msgspec.Struct, frozen=True):
    """What a request brought: its kind and key, and a value or the error that it raised."""

    kind: str
    key: object
    value: Any
    error: BaseException | None


class Slots:
    """Runs requests in threads, at most `sizes[kind]` of a kind at a time."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes
        self._busy = dict.fromkeys(sizes, 0)
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._results: SimpleQueue[Result | None] = SimpleQueue()

    def free(self, kind: str) -> int:
        """Return how many slots of a kind are free."""
        return self._sizes[kind] - self._busy[kind]

    @property
    def busy(self) -> int:
        """How many requests are in flight."""
        return sum(self._busy.values())

    def start(self, kind: str, key: object, call: Callable[[], Any]) -> None:
        """Run a request in a free slot; its result comes from `wait` under `key`."""
        self._busy[kind] += 1
        pool = self._pools.get(kind)
        if pool is None:
            pool = self._pools[kind] = ThreadPoolExecutor(self._sizes[kind], f"killsync-{kind}")

        def done(future: Future[Any]) -> None:
            error = future.exception()
            value = None if error else future.result()
            self._results.put(Result(kind, key, value, error))

        pool.submit(call).add_done_callback(done)

    def wake(self) -> None:
        """Make `wait` return at once; safe in a signal handler."""
        self._results.put(None)

    def wait(self, seconds: float) -> list[Result]:
        """Return what has come back, waiting at most `seconds` for the first."""
        results: list[Result] = []
        try:
            entry = self._results.get(timeout=max(0.0, seconds))
            while True:
                if entry is not None:
                    self._busy[entry.kind] -= 1
                    results.append(entry)
                entry = self._results.get_nowait()
        except Empty:
            return results

    def close(self) -> None:
        """Wait for the threads to end."""
        for pool in self._pools.values():
            pool.shutdown()
