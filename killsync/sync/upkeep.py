"""What a scan does beside and after the killmails: prices, roles and values, names.

None of it is ever in the way of a killmail, blames anybody, or changes how a run ends.
"""

from collections.abc import Sequence
from typing import Protocol

from killsync.store import roles
from killsync.sync.context import Services
from killsync.sync.journal import Journal


class Part(Protocol):
    """One kind of upkeep: it sends a request of its own, or makes one bounded write at a time."""

    def start(self, now: float) -> None:
        """Do the next step, if there is one and its slot is free."""

    def is_waiting(self, now: float) -> bool:
        """Return whether there is a step to be done right now."""


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
