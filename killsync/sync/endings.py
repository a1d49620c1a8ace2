"""Carries out what becomes of a job and its user: written, and reported."""

import sqlite3
from collections.abc import Callable
from functools import partial

from killsync.model import Priority, User
from killsync.store import jobs, users, waiting_users
from killsync.store.users import LONGEST_WAIT
from killsync.sync.context import Services, Tally
from killsync.sync.events import ListPutOff, UserFailed
from killsync.sync.journal import Journal, Write
from killsync.sync.list_pass import ListPass
from killsync.sync.verdict import Fail, NeedsLogin, NextRun, PutOff
from killsync.times import iso_after


class Endings:
    """Ends the jobs of one run.

    `room_at` says when some more pages of a user's list may be asked for in the background.
    """

    def __init__(
        self,
        services: Services,
        journal: Journal,
        tally: Tally,
        room_at: Callable[[User, float], float],
    ) -> None:
        self._s = services
        self._journal = journal
        self._tally = tally
        self._room_at = room_at

    def finish(self, taken: ListPass, now: float, then: Callable[[], None]) -> None:
        """End a job whose list is read as far as this run may; `then` is called once it is stored.

        One that asks for a full pass that ESI's cache does not allow yet goes back into the queue.
        """
        job = taken.job
        if taken.wants_full:
            later = partial(jobs.give_back, job_id=job.id, not_before=taken.user.cached_until)
            self._journal.add(later, now, then)
        else:
            self._journal.add(partial(jobs.finish, job=job, now=now), now, then)
        taken.report_end(self._s.report, self._rest_user(taken.user, now))
        if job.priority >= Priority.MANUAL:
            self._journal.commit()

    def put_off(self, taken: ListPass, verdict: PutOff) -> None:
        """Give a job back until a time; nothing has failed."""
        self._journal.commit(partial(jobs.give_back, job_id=taken.job.id, not_before=verdict.until))
        user, until = taken.user, iso_after(verdict.until)
        self._s.report(ListPutOff(user.user_id, user.name, verdict.reason, until))

    def leave(self, taken: ListPass, verdict: NextRun, now: float, *writes: Write) -> None:
        """Give a job back to the next run; the attempt counts, and blames no user."""
        user, reason = taken.user, verdict.reason
        self._journal.commit(
            partial(jobs.give_back, job_id=taken.job.id, error=reason, counts=True),
            partial(users.note_error, user_id=user.user_id, error=reason, now=now),
            *writes,
        )
        self._s.report(ListPutOff(user.user_id, user.name, reason, None))

    def fail(self, taken: ListPass, verdict: Fail, now: float) -> None:
        """End a job and blame its user, whose own token or list does not work."""
        user, reason, until = taken.user, verdict.reason, verdict.until
        blame = partial(
            users.set_failed, user_id=user.user_id, error=reason, now=now, not_before=until
        )
        first = user.failures == 0
        self._end_as_failed(taken, reason, iso_after(until), blame, now, first=first)

    def end_login(
        self, taken: ListPass, verdict: NeedsLogin, refused: str | None, now: float
    ) -> None:
        """End a job whose user needs a new login; `refused` is the fingerprint of its token."""
        blame = partial(
            users.set_needs_login,
            user_id=taken.user.user_id,
            error=verdict.reason,
            not_before=verdict.again_at,
            client_id=self._s.settings.client_id,
            refused=refused,
        )
        when = None if verdict.again_at is None else iso_after(verdict.again_at)
        first, daily = not verdict.known, verdict.daily
        self._end_as_failed(taken, verdict.reason, when, blame, now, first=first, daily=daily)

    def accept_token(self, taken: ListPass, character_id: int, now: float) -> None:
        """Record that SSO has accepted a character's token."""
        self._journal.add(partial(users.set_accepted, user_id=character_id, now=now), now)
        if character_id == taken.user.user_id:
            taken.accept_token()

    def forget_failures(self, taken: ListPass, now: float) -> bool:
        """Record that a job has ended well, if the user had failed; end the back-off of others.

        What works again for one may do so for all. Returns whether jobs were queued for them.
        """
        user = taken.user
        if user.error is None and not user.failures and user.troubled_since is None:
            return False
        lifts = user.failures > 0

        def write(conn: sqlite3.Connection) -> None:
            users.set_well(conn, user.user_id)
            if lifts:
                lifted = waiting_users.lift_backoff(conn, now)
                jobs.queue(conn, lifted, Priority.BACKGROUND, now)

        self._journal.commit(write)
        return lifts

    def _end_as_failed(
        self,
        taken: ListPass,
        reason: str,
        again_at: str | None,
        blame: Write,
        now: float,
        *,
        first: bool,
        daily: bool = False,
    ) -> None:
        user = taken.user
        self._tally.errors += 1
        self._tally.failures += first
        self._journal.commit(blame, partial(jobs.finish, job=taken.job, now=now, error=reason))
        said = first or daily
        self._s.report(UserFailed(user.user_id, user.name, reason, again_at, first=said))

    def _rest_user(self, user: User, now: float) -> float | None:
        """Leave a user with an open gap alone until some pages of it may be asked for."""
        if user.cursor.page is None:
            return None
        again = self._room_at(user, now)
        if again > now:
            again = min(again, now + LONGEST_WAIT)
            rest = partial(users.rest, user_id=user.user_id, not_before=again)
            self._journal.add(rest, now)
        return again
