"""Whether ESI and SSO answer, and whether the run has to end because of that or of an error."""

import threading
from enum import StrEnum

from killsync.errors import Blame, KillsyncError, ServiceDown, blame_of

DOWN_AFTER = 3


class Service(StrEnum):
    """What a request is sent to."""

    ESI = "esi"
    SSO = "sso"


class Health:
    """Counts answers: three requests in a row without one mean that a service is down.

    Without ESI a run is over; without SSO it goes on with what needs no new access token.
    """

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._unanswered = dict.fromkeys(Service, 0)
        self._answered: set[Service] = set()
        self._last: dict[Service, BaseException] = {}
        self._down: set[Service] = set()
        self.fatal: KillsyncError | None = None

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

    def count(self, service: Service, error: BaseException | None) -> None:
        """Count how a request ended; `error` is None if it succeeded."""
        if shows_an_answer(error):
            self._unanswered[service] = 0
            self._answered.add(service)
        elif error is not None and blame_of(error) is Blame.SERVICE:
            self._unanswered[service] += 1
            self._last[service] = error
            if self._unanswered[service] >= DOWN_AFTER:
                self._declare_down(service, error)

    def conclude(self) -> None:
        """Judge at the end of a run too short for three: a service that never answered is down."""
        for service, error in self._last.items():
            if service not in self._answered and not self._stopping.is_set():
                self._declare_down(service, error)

    def _declare_down(self, service: Service, error: BaseException) -> None:
        self._down.add(service)
        down = ServiceDown(f"{error}; nothing is lost, the next run goes on")
        if service is Service.ESI:
            self.end_run(down)
        else:
            self.fatal = self.fatal or down


def shows_an_answer(error: BaseException | None) -> bool:
    """Return whether a request that ended so was answered: it succeeded, or was refused."""
    return error is None or blame_of(error) in (Blame.REQUEST, Blame.USER)
