"""What a scan does beside and after the killmails: prices, roles and values, names.

None of it is ever in the way of a killmail, blames anybody, or changes how a run ends.
"""

import traceback
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from killsync.errors import KillsyncError, describe
from killsync.store import facts, roles
from killsync.store.facts import Fetched
from killsync.sync.context import Services
from killsync.sync.events import Traced, UpkeepBroken
from killsync.sync.journal import Journal


class Part(Protocol):
    """One kind of upkeep: it sends a request of its own, or makes one bounded write at a time."""

    def start(self, now: float) -> None:
        """Do the next step, if there is one and its slot is free."""

    def is_waiting(self, now: float) -> bool:
        """Return whether there is a step to be done right now."""


def keep_failure(
    services: Services, journal: Journal, of: Fetched, error: BaseException, now: float
) -> None:
    """Remember why names or prices could not be had, which `names` and `data` show.

    An error that is not killsync's own is a bug, and reported as such: as news where it was not the
    last failure already.
    """
    reason, before = describe(error), facts.failure(services.store.conn, of)
    journal.commit(partial(facts.set_failure, of=of, reason=reason, now=now))
    if not isinstance(error, KillsyncError):
        is_news = before is None or before.reason != reason
        services.report(UpkeepBroken(of, reason, first=is_news))
        services.report(Traced("".join(traceback.format_exception(error)[1:])))


class Upkeep:
    """The parts of a run's upkeep; some go on `beside` the killmails, the others `after` them.

    Those that come after go one after the other: a part waits until those before it are done.
    """

    def __init__(self, *, beside: Sequence[Part] = (), after: Sequence[Part] = ()) -> None:
        self._beside = beside
        self._after = after

    def start(self, now: float, *, is_idle: bool) -> None:
        """Do what can be done now; `is_idle` says that no killmail waits for anything but time."""
        for part in self._beside:
            part.start(now)
        if is_idle:
            for part in self._after:
                if part.is_waiting(now):
                    part.start(now)
                    return

    def is_waiting(self, now: float) -> bool:
        """Return whether the run has upkeep left to do."""
        return any(part.is_waiting(now) for part in (*self._beside, *self._after))


class RoleLookup:
    """Finds the roles of new users in killmails that were stored before, step by step."""

    def __init__(self, services: Services, journal: Journal) -> None:
        self._store = services.store
        self._journal = journal

    def start(self, now: float) -> None:
        """Look at the next killmails, in a transaction of their own."""
        self._journal.commit(roles.look_up_next)

    def is_waiting(self, now: float) -> bool:
        """Return whether stored killmails are still to be looked at."""
        return roles.any_to_look_up(self._store.conn)
