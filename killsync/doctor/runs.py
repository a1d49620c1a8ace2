"""Runs: whether one hangs with the lock, and whether every user is synced as it should be."""

from collections.abc import Iterator

from killsync.doctor import storage
from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped
from killsync.doctor.setup import Setup
from killsync.errors import KillsyncError
from killsync.store import connection
from killsync.store.connection import Store
from killsync.sync import alerts
from killsync.sync.status import lock_holder
from killsync.times import duration, unix


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


def _lock(store: Store, now: float) -> Diagnosis:
    holder = lock_holder(store)
    stuck = alerts.overdue(holder, now)
    if stuck is None:
        return ok("lock", "free" if holder is None else "held by a run in progress")
    pid, since = stuck.holder.pid, unix(stuck.holder.since or "")
    return problem(
        "lock",
        f"{stuck.holder.command} (pid {pid} on {stuck.holder.host}) has held it for "
        f"{duration(now - since)}, longer than it may run: it was stopped, or hangs",
        f"`kill -CONT {pid}` lets a stopped one go on, `kill -9 {pid}` ends it; nothing is lost",
    )


def _users(setup: Setup, store: Store) -> Diagnosis:
    waiting = alerts.unsynced(store, setup.settings, setup.now)
    if waiting is None:
        return ok("syncs", "every active user was synced not long ago, or has just been added")
    others = f" and {waiting.others} more" if waiting.others else ""
    why = f": {waiting.error}" if waiting.error else ""
    return problem(
        "syncs",
        f"nothing has succeeded for {waiting.name}{others} since {waiting.since}{why}",
        setup.command("scan"),
    )
