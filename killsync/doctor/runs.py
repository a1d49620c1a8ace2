"""Runs: whether one hangs with the lock, and whether every user is synced as it should be."""

from collections.abc import Iterator

from killsync.doctor import storage
from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped, warning
from killsync.doctor.setup import Setup
from killsync.errors import KillsyncError
from killsync.store import connection, facts
from killsync.store.connection import Store
from killsync.store.facts import Failure, Fetched
from killsync.sync import alerts
from killsync.sync.status import lock_holder
from killsync.times import DAY, unix

_FAIL_FOR_LONG = 7 * DAY


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield what a quiet scan would warn of."""
    path = setup.settings.database
    if not path.exists():
        yield skipped("runs", "there is no database yet")
        return
    try:
        with storage.opened(path) as store:
            yield from _examine(setup, store)
    except KillsyncError:
        yield skipped("runs", "the database cannot be read")


def _examine(setup: Setup, store: Store) -> Iterator[Diagnosis]:
    if store.version() < connection.VERSION:
        yield skipped("runs", "the schema is older")
        return
    yield _lock(store, setup.now)
    yield _users(setup, store)
    yield _killmails(setup, store)
    settings = setup.settings
    switches: dict[Fetched, bool] = {"names": settings.names, "prices": settings.prices}
    for of, is_on in switches.items():
        failure = facts.failure(store.conn, of) if is_on else None
        if failure is not None and setup.now - unix(failure.since) > _FAIL_FOR_LONG:
            yield _fail_for_long(setup, of, failure)


def _fail_for_long(setup: Setup, of: Fetched, failure: Failure) -> Diagnosis:
    why = f"requests have failed since {failure.since}: {failure.reason}"
    text = f"{why}; killmails are fetched all the same"
    return warning(of, text, f"see what {setup.command('scan --verbose')} says")


def _lock(store: Store, now: float) -> Diagnosis:
    holder = lock_holder(store)
    stuck = alerts.overdue(holder, now)
    if stuck is None:
        return ok("lock", "free" if holder is None else "held by a run in progress")
    return problem("lock", *alerts.describe(stuck, now))


def _users(setup: Setup, store: Store) -> Diagnosis:
    waiting = alerts.unsynced(store, setup.settings, setup.now)
    if waiting is None:
        return ok("syncs", "every active user was synced not long ago, or has just been added")
    return problem("syncs", alerts.describe(waiting, setup.now)[0], setup.command("scan"))


def _killmails(setup: Setup, store: Store) -> Diagnosis:
    waiting = alerts.unfetched(store, setup.settings, setup.now)
    if waiting is None:
        return ok("killmails", "can be fetched, as far as was tried")
    return problem("killmails", *alerts.describe(waiting, setup.now))
