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
    stored: int = 0
    errors: int = 0
    failures: int = 0
