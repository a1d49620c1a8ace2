"""What a run works with, and what it counts."""

import threading
from collections.abc import Sequence

import msgspec

from killsync.esi.client import Esi
from killsync.esi.ratelimit import Limits
from killsync.events import Report
from killsync.login.sso import Sso
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.tokens.tokens import Tokens


class Services(msgspec.Struct, frozen=True):
    """What a run works with. `only_users` restricts it to their jobs and manual bodies.

    `bodies_only` leaves all jobs to other runs, except those that a person waits for.
    """

    store: Store
    tokens: Tokens
    esi: Esi
    sso: Sso
    limits: Limits
    settings: Settings
    stopping: threading.Event
    report: Report
    only_users: Sequence[int] | None = None
    bodies_only: bool = False


class Tally(msgspec.Struct):
    """What a run has done; `failures` counts only what failed for the first time.

    Of `stored`, `stored_from_zkb` are listed by zKillboard only; of what is so, `refused` counts
    what could not be had or is nobody's, by reason.
    """

    users: int = 0
    pages: int = 0
    stored: int = 0
    errors: int = 0
    failures: int = 0
    stored_from_zkb: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)

    def refuse(self, reason: str, number: int = 1) -> None:
        """Count so many more that were refused."""
        self.refused[reason] = self.refused.get(reason, 0) + number
