"""Putting right what `verification` has found; ESI is asked by the next scan, not from here."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

from killsync.errors import TryLater
from killsync.findings import Finding, Kind, Verdict
from killsync.store import repair
from killsync.store.connection import Store, back_up, token_file

_Found = list[Finding]


def copy_before(store: Store) -> Path:
    """Copy the database to `<db>.before-repair`, or `-2`, `-3` and so on; return where.

    Never to a name that is taken: the earliest copy holds what the first repair found. Raises
    TryLater if there is no room for it.
    """
    target = _first_free(store.path)
    try:
        copied = back_up(store, target)
    except BaseException:
        target.unlink(missing_ok=True)  # half a copy is none
        raise
    if not copied:
        # as much again must be left for what the repair and the next scan write
        needed = 2 * store.path.stat().st_size / 1_000_000
        raise TryLater(
            f"{store.path.parent}: no room to copy the database first, {needed:,.1f} MB must be"
            " free; nothing was changed"
        )
    return target


def _first_free(database: Path) -> Path:
    names = (f"{database.name}.before-repair" + (f"-{n}" if n > 1 else "") for n in count(1))
    return next(path for name in names if not (path := database.with_name(name)).exists())


def mend(store: Store, verdict: Verdict, now: float) -> None:
    """Mend every mistake that can be mended; the caller holds the lock.

    What hangs on something that was mended here may show as a mistake only afterwards: check
    again, and mend again.
    """
    for kind, cure in _CURES.items():
        found = verdict.of(kind)
        if found:
            cure(store, found, now)


def _schema(store: Store, found: _Found, now: float) -> None:
    repair.add_missing_indexes(store)


def _orphans(store: Store, found: _Found, now: float) -> None:
    repair.delete_orphans(store)


def _bodies(store: Store, found: _Found, now: float) -> None:
    failing = [(f.killmail_id, f.ask_with) for f in found if f.killmail_id is not None]
    repair.ask_again(store, failing, now)


def _feed(store: Store, found: _Found, now: float) -> None:
    repair.mend_feed(store)


def _pending(store: Store, found: _Found, now: float) -> None:
    repair.mend_pending(store, now)


def _lists(store: Store, found: _Found, now: float) -> None:
    for user_id in _users(found):
        repair.forget_lost(store, user_id, now)


def _cursors(store: Store, found: _Found, now: float) -> None:
    for user_id in _users(found):
        repair.mend_cursor(store, user_id, now)


def _counters(store: Store, found: _Found, now: float) -> None:
    for user_id in _users(found):
        repair.recount(store, user_id, now)


def _words(store: Store, found: _Found, now: float) -> None:
    repair.mend_words(store)


def _jobs(store: Store, found: _Found, now: float) -> None:
    repair.mend_jobs(store)


def _times(store: Store, found: _Found, now: float) -> None:
    repair.mend_times(store, now)


def _limits(store: Store, found: _Found, now: float) -> None:
    repair.forget_bad_limits(store)


def _tokens(store: Store, found: _Found, now: float) -> None:
    for user_id in _users(found):
        repair.needs_login(store, user_id)


def _files(store: Store, found: _Found, now: float) -> None:
    token_file(store.path).chmod(0o600)


def _users(found: _Found) -> list[int]:
    return sorted({f.user_id for f in found if f.user_id is not None})


# the counter of the feed first: the numbers of bodies that go must never come back; indexes when
# nothing is there twice any more
_CURES: dict[Kind, Callable[[Store, _Found, float], None]] = {
    Kind.FEED: _feed,
    Kind.TIME: _times,
    Kind.ORPHAN: _orphans,
    Kind.BODY: _bodies,
    Kind.PENDING: _pending,
    Kind.LIST: _lists,
    Kind.CURSOR: _cursors,
    Kind.COUNTER: _counters,
    Kind.WORD: _words,
    Kind.JOB: _jobs,
    Kind.LIMIT: _limits,
    Kind.SCHEMA: _schema,
    Kind.TOKEN: _tokens,
    Kind.FILE: _files,
}
