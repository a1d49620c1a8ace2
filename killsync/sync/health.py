"""Whether ESI and SSO answer, for whom, and whether the run has to end because of that.

The few never speak for the many: what has failed before proves nothing about a service while
others succeed.
"""

import threading
from enum import StrEnum

from killsync.errors import (
    Blame,
    BodyRejected,
    KillmailUnknown,
    KillsyncError,
    ServiceDown,
    blame_of,
    describe,
)
from killsync.store.runs import Answered
from killsync.sync.slots import Kind, Returned

# requests in a row without any answer, and in a row that were refused or failed
DOWN_AFTER = 3
FAILING_AFTER = 10
_ENOUGH = 2


class Service(StrEnum):
    """What a request is sent to."""

    ESI = "esi"
    SSO = "sso"


# what is sent beside the killmails proves nothing about them
ASKS = {Kind.LIST: Service.ESI, Kind.BODY: Service.ESI, Kind.REFRESH: Service.SSO}


class Health:
    """Counts answers by kind of request, and users by whether they were served.

    Without ESI a run is over; without SSO it goes on with what needs no new access token.
    `before` says who was served in the run before this one.
    """

    def __init__(self, stopping: threading.Event, before: Answered) -> None:
        self._stopping = stopping
        self._before = {Kind.LIST: before.lists_of, Kind.REFRESH: before.refreshes_of}
        self._unanswered = dict.fromkeys(Service, 0)
        self._answered: set[Service] = set()
        self._last: dict[Service, BaseException] = {}
        self._down: set[Service] = set()
        # two of each are enough to know whether there was another one
        self._served: dict[Kind, list[int]] = {kind: [] for kind in Kind}
        # failed for the first time, with no success of the kind in between
        self._in_a_row: dict[Kind, set[int]] = {kind: set() for kind in Kind}
        self._fresh_failures: dict[Kind, set[int]] = {kind: set() for kind in Kind}
        self._left: dict[Kind, str] = {}
        self.fatal: KillsyncError | None = None

    @property
    def answered(self) -> Answered:
        """For whom this run was answered, as the next one needs it.

        A run that only tried again what had failed before proves nothing new.
        """
        return Answered(self._evidence(Kind.LIST), self._evidence(Kind.REFRESH))

    def end_run(self, error: KillsyncError) -> None:
        """End the run for a reason that is no user's fault; nothing more is sent."""
        self.fatal = self.fatal or error
        self._stopping.set()

    def has_answered(self, service: Service) -> bool:
        """Return whether a service has answered anything in this run."""
        return service in self._answered

    def is_down(self, service: Service) -> bool:
        """Return whether a service no longer answers."""
        return service in self._down

    def is_failing(self, kind: Kind) -> bool:
        """Return whether so many requests of a kind have failed in a row that no more is sent."""
        return len(self._in_a_row[kind]) >= FAILING_AFTER

    def is_doubtful(self, service: Service) -> bool:
        """Return whether one more request without an answer will mean that a service is down."""
        return self._unanswered[service] == DOWN_AFTER - 1

    def others_succeed(self, kind: Kind, user_id: int) -> bool:
        """Return whether a failure may be the user's own: the same works for somebody else.

        In this run; or in the one before, unless others fail in this run who did not before.
        """
        if any(other != user_id for other in self._served[kind]):
            return True
        if self._fresh_failures[kind] - {user_id}:
            return False
        return any(other != user_id for other in self._before[kind])

    def any_failed(self, kind: Kind) -> bool:
        """Return whether some of a kind have failed since one succeeded."""
        return bool(self._in_a_row[kind])

    def any_served(self, *kinds: Kind) -> bool:
        """Return whether a request of one of these kinds has succeeded in this run."""
        return any(self._served[kind] for kind in kinds)

    def leave_to_service(self, kind: Kind, reason: str) -> None:
        """Record that a request failed for no user's fault, and waits for the next run."""
        self._left[kind] = reason

    def count(self, returned: Returned) -> None:
        """Count how a request ended."""
        kind, error = returned.kind, returned.error
        if kind not in ASKS:
            return
        service = ASKS[kind]
        if error is None:
            self._count_success(kind, returned.of)
        elif _is_failure(error, only_by_zkb=returned.only_by_zkb):
            self._count_failure(returned)
        if shows_an_answer(error):
            self._unanswered[service] = 0
            self._answered.add(service)
        elif error is not None and blame_of(error) is Blame.SERVICE:
            self._count_silence(returned, error)

    def conclude(self) -> None:
        """Judge at the end of a run: a service that never answered is down.

        So is one that failed for whoever asked.
        """
        if self._stopping.is_set():
            return
        for service, error in self._last.items():
            if service not in self._answered:
                self._declare_down(service, describe(error))
        for kind, reason in self._left.items():
            proof = (Kind.LIST,) if kind is Kind.LIST else (Kind.LIST, Kind.REFRESH)
            if not self.any_served(*proof):
                self._declare_down(ASKS[kind], reason)

    def _evidence(self, kind: Kind) -> list[int]:
        if self._served[kind] or self._fresh_failures[kind]:
            return self._served[kind]
        return self._before[kind]

    def _count_success(self, kind: Kind, of: int) -> None:
        served = self._served[kind]
        if len(served) < _ENOUGH and of not in served:
            served.append(of)
        self._in_a_row[kind].clear()
        self._fresh_failures[kind].discard(of)

    def _count_failure(self, returned: Returned) -> None:
        if not (returned.kind is Kind.BODY and returned.failed_before):
            self._in_a_row[returned.kind].add(returned.of)
        if not returned.failed_before:
            self._fresh_failures[returned.kind].add(returned.of)
        error = returned.error
        if error is not None and returned.kind is not Kind.BODY and self.is_failing(returned.kind):
            proves_nothing = returned.failed_before and self.any_served(returned.kind)
            if not proves_nothing:
                self._declare_down(ASKS[returned.kind], describe(error))

    def _count_silence(self, returned: Returned, error: BaseException) -> None:
        if returned.failed_before and self._others_are_served(returned):
            return
        service = ASKS[returned.kind]
        self._unanswered[service] += 1
        self._last[service] = error
        if self._unanswered[service] >= DOWN_AFTER:
            self._declare_down(service, describe(error))

    def _others_are_served(self, returned: Returned) -> bool:
        if returned.kind is Kind.BODY:
            return self.any_served(Kind.BODY, Kind.LIST)
        return self.others_succeed(returned.kind, returned.of)

    def _declare_down(self, service: Service, reason: str) -> None:
        self._down.add(service)
        down = ServiceDown(f"{reason}; nothing is lost, the next run goes on")
        if service is Service.ESI:
            self.end_run(down)
        else:
            self.fatal = self.fatal or down


def shows_an_answer(error: BaseException | None) -> bool:
    """Return whether a request that ended so was answered: it succeeded, or was refused."""
    return error is None or blame_of(error) in (Blame.REQUEST, Blame.USER)


def _is_failure(error: BaseException, *, only_by_zkb: bool) -> bool:
    """Return whether an error speaks against the service.

    That a body cannot be stored does not, nor that a hash is wrong which the service has never
    given.
    """
    if isinstance(error, BodyRejected) or (only_by_zkb and isinstance(error, KillmailUnknown)):
        return False
    return blame_of(error) not in (Blame.NOBODY, Blame.RUN)
