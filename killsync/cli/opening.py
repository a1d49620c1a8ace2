"""Opening the database as a command needs it, and holding the lock."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from killsync import files
from killsync.cli.invocation import Invocation
from killsync.cli.signals import StopOnSignal
from killsync.errors import NoDatabase
from killsync.settings.config import Settings
from killsync.store import connection, game_data, lock, origin
from killsync.store.connection import Store
from killsync.store.paths import lock_file
from killsync.store.sqlite_errors import readable_errors

_PATIENCE = 60.0
_STEP = 0.2


@contextmanager
def for_reading(settings: Settings, *, any_version: bool = False) -> Iterator[Store]:
    """Yield the database for a command that changes nothing and may run at any time."""
    path = settings.database
    with _advising(settings):
        opened = connection.connect(path, read_only=True, any_version=any_version)
    with closing(opened) as store, readable_errors(path):
        yield store
        store.check_unchanged()


@contextmanager
def for_writing(settings: Settings, *, create: bool = False) -> Iterator[Store]:
    """Yield the database, created if `create`; its schema may be old: see `locked`."""
    path = settings.database
    with _advising(settings):
        opened = connection.connect(path, create=create)
    with closing(opened) as store, readable_errors(path):
        yield store


@contextmanager
def _advising(settings: Settings) -> Iterator[None]:
    """Name the first step to whoever has no database, and has configured nothing yet."""
    try:
        yield
    except NoDatabase as error:
        if settings.client_id:
            raise
        raise NoDatabase(
            f"{settings.database}: no database yet; begin with `killsync init`"
        ) from error


@contextmanager
def locked(store: Store, patience: float) -> Iterator[None]:
    """Hold the lock, with the schema up to date. Raises lock.RunInProgress."""
    files.create_private(lock_file(store.path))
    with lock.hold(store.path, patience=patience):
        connection.upgrade(store)
        yield


@contextmanager
def at_work(store: Store, patience: float) -> Iterator[None]:
    """Hold the lock, with schema and game data up to date. Raises lock.RunInProgress."""
    with locked(store, patience):
        game_data.load_if_outdated(store)
        yield


@contextmanager
def locked_patiently(
    store: Store, call: Invocation, stop: StopOnSignal, patience: float
) -> Iterator[None]:
    """Hold the lock as `locked` does; say that it waits for a run, which a signal ends."""
    deadline = time.monotonic() + patience
    with ExitStack() as held:
        waits = False
        while True:
            try:
                held.enter_context(locked(store, _STEP))
                break
            except lock.RunInProgress:
                if stop.exit_code is not None or time.monotonic() >= deadline:
                    raise
            if not waits and not call.quiet:
                call.warn("waiting for another run to end")
            waits = True
        yield


def upgrade(store: Store, patience: float) -> None:
    """Bring the schema up to date, which needs the lock only if it is not.

    Raises lock.RunInProgress.
    """
    if store.version() < connection.VERSION:
        with locked(store, patience):
            pass


@contextmanager
def for_users(settings: Settings, *, create: bool = False) -> Iterator[Store]:
    """Yield the database with its schema up to date, created if `create`.

    Raises lock.RunInProgress.
    """
    with for_writing(settings, create=create) as store:
        upgrade(store, _PATIENCE)
        yield store


def check_origin(store: Store, call: Invocation) -> None:
    """Raise UsageError if the database belongs to another ESI or SSO than `call` would ask."""
    origin.check(store.conn, call.examined())
