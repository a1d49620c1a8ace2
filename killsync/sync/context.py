"""What a run works with, what it counts, and when a service counts as down."""

import threading
from collections.abc import Sequence

import msgspec

from killsync.errors import (
    DatabaseBusy,
    DatabaseError,
    KillsyncError,
    NotSent,
    OutOfFiles,
    RateLimited,
    ServiceDown,
    TokenBusy,
    TokenKeyMissing,
    Unavailable,
)
from killsync.esi.client import Esi
from killsync.esi.ratelimit import Limits
from killsync.login.sso import Sso
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.sync.events import Report
from killsync.tokens.tokens import Tokens

DOWN_AFTER = 3


class Services(msgspec.Struct, frozen=True):
    """What a run works with. `only_users` restricts it to their jobs and manual bodies."""

    store: Store
    tokens: Tokens
    esi: Esi
    sso: Sso
    limits: Limits
    settings: Settings
    stopping: threading.Event
    report: Report
    only_users: Sequence[int] | None = None


class Tally(msgspec.Struct):
    """What a run has done; `failures` counts only what failed for the first time."""

    users: int = 0
    pages: int = 0
    listed: int = 0
    stored: int = 0
    errors: int = 0
    failures: int = 0
    put_off: int = 0


class Health:
    """Whether ESI and SSO answer: three requests in a row without an answer mean down.

    Without ESI a run is over; without SSO it goes on with what needs no new access token.
    """

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._unanswered = {"esi": 0, "sso": 0}
        self._answered: set[str] = set()
        self._last: dict[str, Unavailable] = {}
        self._down: set[str] = set()
        self.fatal: KillsyncError | None = None

    def end_run(self, error: KillsyncError) -> None:
        """End the run for a reason that is no user's fault; nothing more is sent."""
        self.fatal = self.fatal or error
        self._stopping.set()

    def has_answered(self, service: str) -> bool:
        """Tell whether a service has answered anything in this run."""
        return service in self._answered

    def is_down(self, service: str) -> bool:
        """Tell whether a service, `esi` or `sso`, has ceased to answer."""
        return service in self._down

    def count(self, service: str, error: BaseException | None) -> None:
        """Take note of how a request ended. Raises the errors of a database again."""
        if isinstance(error, DatabaseError | DatabaseBusy):
            raise error
        if isinstance(error, OutOfFiles):
            self.end_run(error)
        if isinstance(error, RateLimited | TokenBusy | NotSent | OutOfFiles | TokenKeyMissing):
            return
        if not isinstance(error, Unavailable):
            self._unanswered[service] = 0
            self._answered.add(service)
            return
        self._unanswered[service] += 1
        self._last[service] = error
        if self._unanswered[service] >= DOWN_AFTER:
            self._is_now_down(service, error)

    def conclude(self) -> None:
        """Judge at the end of a run too short for three: a service that never answered is down."""
        for service, error in self._last.items():
            if service not in self._answered and not self._stopping.is_set():
                self._is_now_down(service, error)

    def _is_now_down(self, service: str, error: Unavailable) -> None:
        self._down.add(service)
        down = ServiceDown(f"{error}; nothing is lost, the next run goes on")
        if service == "esi":
            self.end_run(down)
        else:
            self.fatal = self.fatal or down
