"""Repairs what `verification` has found; ESI is asked by the next scan, not from here."""

from collections.abc import Callable
from pathlib import Path

from killsync import files
from killsync.check.findings import Finding, Kind, Verdict
from killsync.errors import TryLater
from killsync.store import derived, game_data, repair, repair_columns
from killsync.store.connection import Store, back_up

_Found = list[Finding]
_Cure = Callable[[Store, _Found, float], None]


def copy_before(store: Store) -> Path:
    """Copy the database to `<db>.before-repair`, or `-2`, `-3` and so on; return where.

    Never to a name that is taken: the earliest copy holds what the first repair found. Raises
    TryLater if there is no room for it.
    """
    target = files.first_free_name(store.path, "before-repair")
    try:
        copied = back_up(store, target)
    except BaseException:
        target.unlink(missing_ok=True)  # half a copy is useless
        raise
    if not copied:
        # as much again must be left for what the repair and the next scan write
        needed = 2 * store.path.stat().st_size / 1_000_000
        raise TryLater(
            f"{store.path.parent}: no room to copy the database first, {needed:,.1f} MB must be"
            " free; nothing was changed"
        )
    return target


def repair_all(store: Store, verdict: Verdict, now: float) -> None:
    """Repair every problem that can be repaired; whoever calls holds the lock.

    What was set aside is asked for once more.

    What depends on something that is repaired here may show as a problem only afterwards: check
    again, and repair again.
    """
    # what is deleted from here on is recorded for the change feed
    repair.add_missing(store, "trigger")
    repair.ask_for_set_aside(store)
    for kind, cure in _CURES.items():
        found = verdict.repairable(kind)
        if found:
            cure(store, found, now)


def _anywhere(cure: Callable[[Store], None]) -> _Cure:
    return lambda store, found, now: cure(store)


def _of_each_user(cure: Callable[[Store, int, float], None]) -> _Cure:
    def repair_each(store: Store, found: _Found, now: float) -> None:
        for user_id in sorted({f.user_id for f in found if f.user_id is not None}):
            cure(store, user_id, now)

    return repair_each


def _bodies(store: Store, found: _Found, now: float) -> None:
    failing = [(f.killmail_id, f.ask_with) for f in found if f.killmail_id is not None]
    repair.ask_again(store, failing, now)


def _schema(store: Store, found: _Found, now: float) -> None:
    derived.create_views(store)
    repair.add_missing(store, "index")


# the counter of the feed first: the numbers of bodies that go must never come back; indexes last,
# when nothing is there twice any more
_CURES: dict[Kind, _Cure] = {
    Kind.FEED: _anywhere(repair.repair_feed),
    Kind.IMPORT: _anywhere(repair.repair_imports),
    Kind.TIME: lambda store, found, now: repair_columns.repair_times(store, now),
    Kind.ORPHAN: _anywhere(repair.delete_orphans),
    Kind.BODY: _bodies,
    Kind.PENDING: lambda store, found, now: repair.repair_pending(store, now),
    Kind.LIST: _of_each_user(repair.forget_lost),
    Kind.ROLE: _anywhere(derived.look_up_roles_again),
    Kind.VALUE: _anywhere(derived.value_again),
    Kind.GAME_DATA: _anywhere(game_data.load_again),
    Kind.CURSOR: _of_each_user(repair.repair_cursor),
    Kind.COUNTER: _of_each_user(repair.recount),
    Kind.WORD: _anywhere(repair_columns.repair_words),
    Kind.JOB: _anywhere(repair.repair_jobs),
    Kind.LIMIT: _anywhere(repair.forget_bad_limits),
    Kind.SCHEMA: _schema,
    Kind.TOKEN: _of_each_user(lambda store, user_id, now: repair.needs_login(store, user_id)),
}
