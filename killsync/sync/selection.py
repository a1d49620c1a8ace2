"""What a scan selects: who is due, and whether anything waits at all."""

import sqlite3

import msgspec

from killsync.model import Priority, User
from killsync.store import jobs, pending, users
from killsync.sync import schedule


class Selection(msgspec.Struct, frozen=True):
    """The users that are due, and whether jobs or bodies of earlier runs wait."""

    due: list[User]
    waiting: bool

    def __bool__(self) -> bool:
        return bool(self.due) or self.waiting


def find(conn: sqlite3.Connection, now: float, min_age: float, *, force: bool = False) -> Selection:
    """Return what is to be done now; it reads through indexes only."""
    maybe = users.maybe_due(conn, now, 0 if force else min_age)
    due = [user for user in maybe if schedule.is_due(user, now, min_age, force=force)]
    waiting = jobs.any_open(conn, now) or pending.any_ready(conn, now)
    return Selection(due, waiting)


def queue(conn: sqlite3.Connection, due: list[User], now: float) -> int:
    """Queue the due users at background priority; return how many were not queued yet."""
    return jobs.queue(conn, (user.user_id for user in due), Priority.BACKGROUND, now)
