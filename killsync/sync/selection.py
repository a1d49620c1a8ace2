"""What a scan selects: who is due, and whether anything waits at all."""

import sqlite3

import msgspec

from killsync.esi.ratelimit import LONGEST_REST
from killsync.model import Priority, User
from killsync.settings.config import Settings
from killsync.store import (
    due_users,
    facts,
    jobs,
    names,
    pending,
    retries,
    roles,
    users,
    waiting_users,
)
from killsync.sync import schedule, values_due
from killsync.sync.schedule import Waits
from killsync.times import has_passed, iso_or_none

_MOST_PROBES = 10


class Selection(msgspec.Struct, frozen=True):
    """The users that are due, and whether jobs, bodies or upkeep of earlier runs wait."""

    due: list[User]
    waiting: bool

    def __bool__(self) -> bool:
        return bool(self.due) or self.waiting


def find(
    conn: sqlite3.Connection, now: float, settings: Settings, *, force: bool = False
) -> Selection:
    """Return what is to be done now; it reads through indexes only.

    Of the users who back off one of each error is tried all the same: when it works again, it does
    for the others too.
    """
    min_age, client_id = settings.min_age, settings.client_id
    maybe = due_users.maybe_due(conn, now, 0 if force else min_age, client_id)
    due = [
        user
        for user in maybe
        if schedule.is_due(user, now, min_age, client_id=client_id, force=force)
    ]
    due += waiting_users.failing(conn, now, _MOST_PROBES)
    waiting = (
        jobs.any_open(conn, now)
        or pending.any_ready(conn)
        or retries.any_put_off_ready(conn, now)
        or _has_upkeep(conn, now, settings)
    )
    return Selection(due, waiting)


def _has_upkeep(conn: sqlite3.Connection, now: float, settings: Settings) -> bool:
    """Return whether there is something to do beside killmails, though none is due."""
    return (
        roles.any_to_look_up(conn)
        or values_due.is_due(conn, now, asks=settings.prices)
        or (settings.names and _has_names_to_ask(conn, now))
    )


def _has_names_to_ask(conn: sqlite3.Connection, now: float) -> bool:
    return names.any_to_ask(conn, now) and has_passed(
        facts.names_not_before(conn), now, LONGEST_REST
    )


class Waiters(msgspec.Struct, frozen=True):
    """How many users wait for the same reason, and when the first is due, as ISO text, if ever."""

    why: Waits
    users: int
    until: str | None


def why_nothing(
    conn: sqlite3.Connection, now: float, min_age: float, *, force: bool = False
) -> list[Waiters]:
    """Return why no user is due."""
    found: dict[Waits, list[float | None]] = {}
    for user in users.everyone(conn):
        why = schedule.why_not_due(user, now, min_age, force=force)
        if why is not None:
            due_at = schedule.next_due_at(user, now, 0 if force else min_age)
            found.setdefault(why, []).append(due_at)
    return [
        Waiters(
            why, len(times), iso_or_none(min((t for t in times if t is not None), default=None))
        )
        for why, times in found.items()
    ]


def queue(conn: sqlite3.Connection, due: list[User], now: float) -> int:
    """Queue the due users at background priority; return how many were not queued yet."""
    return jobs.queue(conn, (user.user_id for user in due), Priority.BACKGROUND, now)
