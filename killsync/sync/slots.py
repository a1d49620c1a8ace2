"""Threads for requests: a number of slots of each kind, and one queue of what came back.

What a person waits for has slots of its own, whatever hangs in the others.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import msgspec

from killsync.sync import refreshes
from killsync.sync.refreshes import Refreshes

T = TypeVar("T")


class Kind(StrEnum):
    """The kinds of requests; each has slots of its own, and urgent ones of each have others."""

    LIST = "list"
    REFRESH = "refresh"
    BODY = "body"
    NAMES = "names"
    PRICES = "prices"


class Request(msgspec.Struct, Generic[T], frozen=True):
    """A request, and who takes its answer or its error, at a time in unix seconds.

    `of` is the user or the killmail that it is made for, and `failed_before` says whether the
    same has failed in an earlier run; `only_by_zkb`, that ESI's lists have never shown it.
    `send` runs in a thread of its slot, the other two in the worker's.
    """

    kind: Kind
    of: int
    urgent: bool
    failed_before: bool
    send: Callable[[], T]
    answered: Callable[[T, float], None]
    failed: Callable[[BaseException, float], None]
    only_by_zkb: bool = False


class Returned(msgspec.Struct, frozen=True):
    """A request that came back; `settle` hands its answer or its error over, at a time."""

    kind: Kind
    of: int
    urgent: bool
    failed_before: bool
    error: BaseException | None
    settle: Callable[[float], None]
    only_by_zkb: bool = False


class Slots:
    """Runs requests in threads, of a kind at most `sizes[kind]` at a time, and as many urgent.

    How many refreshes go at a time follows what comes back of them: see `refreshes`.
    """

    def __init__(self, sizes: Mapping[Kind, int]) -> None:
        self._sizes = {**sizes, Kind.REFRESH: refreshes.MOST}
        self._refreshes = Refreshes()
        # what held when each was sent
        self._sent: dict[int, Refreshes] = {}
        # the refresh in flight that is alone, if one is
        self._alone: int | None = None
        self._busy = {(kind, urgent): 0 for kind in self._sizes for urgent in (False, True)}
        self._in_flight: Counter[tuple[Kind, int]] = Counter()
        self._pools: dict[tuple[Kind, bool], ThreadPoolExecutor] = {}
        self._returned: SimpleQueue[Returned | None] = SimpleQueue()

    def free(self, kind: Kind, *, urgent: bool) -> int:
        """Return how many slots of a kind are free."""
        busy, others = self._busy[kind, urgent], self._busy[kind, not urgent]
        if kind is Kind.REFRESH:
            busy_urgent = busy if urgent else others
            return refreshes.room(
                self._refreshes.at_a_time, busy + others, busy_urgent, urgent=urgent
            )
        return self._sizes[kind] - busy

    def is_alone(self, character_id: int) -> bool:
        """Return whether a refresh was sent while only one may go, and none is or was beside it.

        Safe in the refresh's thread, and before its answer is taken.
        """
        return self._alone == character_id

    @property
    def busy(self) -> int:
        """How many requests are in flight."""
        return sum(self._busy.values())

    def any_busy(self, *kinds: Kind) -> bool:
        """Return whether a request of one of these kinds is in flight."""
        return any(self._busy[kind, urgent] for kind in kinds for urgent in (False, True))

    def is_busy_with(self, kind: Kind, of: int) -> bool:
        """Return whether a request of this kind is in flight for a user or a killmail."""
        return self._in_flight[kind, of] > 0

    def start(self, request: Request[T]) -> None:
        """Send a request from a free slot; it comes back by `wait`."""
        self._busy[request.kind, request.urgent] += 1
        self._in_flight[request.kind, request.of] += 1
        if request.kind is Kind.REFRESH:
            # each is followed by its user's list
            one_may_go = min(self._refreshes.at_a_time, self._sizes[Kind.LIST]) == 1
            self._alone = request.of if one_may_go and not self._sent else None
            self._sent[request.of] = self._refreshes
        done = partial(self._done, request)
        pool = self._pool(request.kind, request.urgent)
        pool.submit(request.send).add_done_callback(done)

    def wake(self) -> None:
        """Make `wait` return at once; safe in a signal handler."""
        self._returned.put(None)

    def wait(self, seconds: float) -> list[Returned]:
        """Return what has come back, waiting at most `seconds` for the first."""
        results: list[Returned] = []
        try:
            entry = self._returned.get(timeout=max(0.0, seconds))
            while True:
                if entry is not None:
                    self._busy[entry.kind, entry.urgent] -= 1
                    self._in_flight -= Counter([(entry.kind, entry.of)])
                    if entry.kind is Kind.REFRESH:
                        sent = self._sent.pop(entry.of)
                        self._refreshes = refreshes.after(self._refreshes, sent, entry.error)
                    results.append(entry)
                entry = self._returned.get_nowait()
        except Empty:
            return results

    def close(self) -> None:
        """Wait for the threads to end."""
        for pool in self._pools.values():
            pool.shutdown()

    def _pool(self, kind: Kind, urgent: bool) -> ThreadPoolExecutor:
        key = (kind, urgent)
        if key not in self._pools:
            name = f"killsync-{'urgent-' if urgent else ''}{kind}"
            self._pools[key] = ThreadPoolExecutor(self._sizes[kind], name)
        return self._pools[key]

    def _done(self, request: Request[T], future: Future[T]) -> None:
        error = future.exception()
        if error is None:
            settle = partial(request.answered, future.result())
        else:
            settle = partial(request.failed, error)
        self._returned.put(
            Returned(
                *(request.kind, request.of, request.urgent, request.failed_before),
                error=error,
                settle=settle,
                only_by_zkb=request.only_by_zkb,
            )
        )
