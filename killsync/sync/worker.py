"""The worker: asks before each step what is most urgent now, and sends it if it may be sent.

All decisions and all writes are made by one thread; the requests run in slots beside it, so
that many are in flight and a stop signal or a manual sync is seen within a step.
"""

import time
from collections.abc import Callable
from functools import partial

from killsync.esi.buckets import body_bucket
from killsync.store import retries, runs
from killsync.store.runs import Answered
from killsync.sync.bodies import Bodies
from killsync.sync.context import Services, Tally
from killsync.sync.events import Waiting
from killsync.sync.health import ASKS, Health, Service
from killsync.sync.journal import Journal
from killsync.sync.lists import Lists
from killsync.sync.naming import Naming
from killsync.sync.pricing import Pricing, Valuing
from killsync.sync.schedule import LONGEST_PAUSE
from killsync.sync.slots import Kind, Slots
from killsync.sync.upkeep import RoleLookup, Upkeep
from killsync.sync.verdict import Answering
from killsync.times import iso_after

_LOOK_AROUND = 0.25
_SHORTEST_WAIT = 0.01


class Worker:
    """Works through jobs and bodies until nothing can be sent within the next minute.

    `max_runtime` is in seconds. `run` raises ServiceDown, or an error that blames the run, after
    everything unfinished is given back.
    """

    def __init__(
        self,
        services: Services,
        *,
        max_runtime: float,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._s = services
        # the time of day may be set while a run goes on
        self._deadline = time.monotonic() + max_runtime
        self._clock = clock
        settings = services.settings
        self._slots = Slots(
            {
                Kind.LIST: settings.workers,
                Kind.BODY: settings.connections,
                Kind.NAMES: 1,
                Kind.PRICES: 1,
            }
        )
        self.tally = tally or Tally()
        self._health = Health(services.stopping, runs.last_answered(services.store.conn))
        self._journal = Journal(services.store, services.limits)
        parts = (services, self._journal, self._slots, self._health, self.tally)
        self._bodies = Bodies(*parts)
        self._lists = Lists(*parts, on_listed=self._bodies.look_again)
        self._upkeep = self._planned_upkeep()
        self._seen: int | None = None
        self._looked_at = 0.0
        self._reported_waiting = False
        self.out_of_time = False
        # whether a user waits for a refresh alone, so that one more worker would wait too
        self.short_of_refreshes = False

    @property
    def answered(self) -> Answered:
        """For whom the run was answered."""
        return self._health.answered

    def wake(self) -> None:
        """Make the worker look at the stop flag at once; safe in a signal handler."""
        self._slots.wake()

    def run(self) -> None:
        """Work until there is nothing to do, the time is over, or a stop is asked for."""
        try:
            while self._turn():
                pass
        finally:
            self._slots.close()
        now = self._clock()
        self._lists.judge_refusals(now)
        self._health.conclude()
        self._bodies.settle_doubts(self._is_esi_answering(), now)
        self._bodies.store(now)
        self._bodies.conclude(now)
        self._lists.give_back(now)
        self._journal.commit()
        if self._health.fatal is not None:
            raise self._health.fatal

    def _turn(self) -> bool:
        """Send, wait, take what has come back; return whether there is more to do."""
        now = self._clock()
        stopping = self._is_stopping()
        if not stopping:
            self._look_around(now)
            self._lists.start(now)
            self.short_of_refreshes = self._is_short_of_refreshes(now)
            self._bodies.start(now)
        self._commit_what_is_due(now)
        wait = self._longest_wait(now, stopping=stopping)
        if wait is None:
            return False
        soonest = min((t - now for t in self._lists.ready_times() if t > now), default=wait)
        for returned in self._slots.wait(min(wait, soonest)):
            self._health.count(returned)
            returned.settle(self._clock())
        return True

    def _longest_wait(self, now: float, *, stopping: bool) -> float | None:
        """Start what is done beside the killmails; return for how long to wait for an answer.

        None if there is nothing left to do.
        """
        killmails_in_flight = self._slots.any_busy(*ASKS)
        pause = None if stopping or killmails_in_flight else self._pause(now)
        if not stopping:
            now_or_soon = killmails_in_flight or (pause is not None and pause <= 0)
            self._upkeep.start(now, is_idle=not now_or_soon)
            if not killmails_in_flight and self._upkeep.is_waiting(now):
                return _SHORTEST_WAIT
        if self._slots.busy:
            return _LOOK_AROUND
        if pause is None:
            return None
        self._report_waiting(pause, now)
        return min(_LOOK_AROUND, max(pause, _SHORTEST_WAIT))

    def _is_stopping(self) -> bool:
        if time.monotonic() >= self._deadline and not self._s.stopping.is_set():
            self.out_of_time = True
            # nothing is tried again either
            self._s.stopping.set()
        return self._s.stopping.is_set()

    def _is_short_of_refreshes(self, now: float) -> bool:
        if self._slots.free(Kind.REFRESH, urgent=False):
            return False
        return any(ready_at <= now for ready_at in self._lists.ready_times())

    def _planned_upkeep(self) -> Upkeep:
        if self._s.only_users is not None or self._s.bodies_only:
            return Upkeep()
        parts = (self._s, self._journal, self._slots)
        return Upkeep(
            beside=[Pricing(*parts)],
            after=[RoleLookup(self._s, self._journal), Valuing(*parts), Naming(*parts)],
        )

    def _look_around(self, now: float) -> None:
        """Notice what other processes have changed, and what was put off until now."""
        if self._looked_at <= now < self._looked_at + _LOOK_AROUND:
            return
        self._looked_at = now
        conn = self._s.store.conn
        woken = retries.any_put_off_ready(conn, now)
        if woken:
            self._journal.commit(partial(retries.wake, now=now))
        seen = self._s.store.changed_elsewhere()
        self._lists.look_again(changed=seen != self._seen)
        if woken or seen != self._seen:
            self._seen = seen
            self._bodies.look_again()

    def _commit_what_is_due(self, now: float) -> None:
        idle = not self._slots.busy
        if idle or self._bodies.is_batch_due(now):
            self._bodies.store(now)
        if idle or self._journal.is_due(now):
            self._journal.commit()

    def _pause(self, now: float) -> float | None:
        """Return how long to wait for the next thing to send, None if it is not worth it."""
        later = [self._bodies.ready_at(now), self._lists.next_job_at]
        if self._s.only_users is None:
            later.append(retries.next_not_before(self._s.store.conn))
        times = self._lists.ready_times() + [t for t in later if t is not None]
        pause = min(times, default=now + 2 * LONGEST_PAUSE) - now
        return max(0.0, pause) if pause <= LONGEST_PAUSE else None

    def _report_waiting(self, pause: float, now: float) -> None:
        if pause > 1 and not self._reported_waiting:
            body_at = self._bodies.ready_at(now)
            limited = body_at is not None and body_at <= now + pause
            after = self._s.limits.why_resting(body_bucket(), now) if limited else None
            self._s.report(Waiting(pause, iso_after(now + pause), after))
        self._reported_waiting = pause > 1

    def _is_esi_answering(self) -> Answering:
        """Return what is known of ESI at the end of a run."""
        if not self._s.stopping.is_set():
            return Answering.ANSWERS
        broke_off = self._health.is_down(Service.ESI) and self._health.has_answered(Service.ESI)
        return Answering.BROKE_OFF if broke_off else Answering.SILENT
