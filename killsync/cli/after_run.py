"""What follows a run once the lock is free: no killmail, and no other run, waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from killsync.cli.invocation import Invocation
from killsync.cli.signals import StopOnSignal
from killsync.settings.config import Settings
from killsync.store import lock
from killsync.store.connection import Store


@contextmanager
def followed_up(
    call: Invocation, settings: Settings, store: Store, stop: StopOnSignal
) -> Iterator[None]:
    """Do what follows a run, however it ends; nothing if another run holds the lock.

    What fails then is a warning, never the run's exit code.
    """
    try:
        yield
    except lock.RunInProgress:
        raise
    except Exception:
        _follow_up(call, settings, store, stop)
        raise
    _follow_up(call, settings, store, stop)


def _follow_up(call: Invocation, settings: Settings, store: Store, stop: StopOnSignal) -> None:
    """Tell what there is to tell, then describe the run to monitoring."""
