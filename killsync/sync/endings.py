"""What becomes of a job whose pass is over: done, put off, or failed; written and reported."""

from collections.abc import Callable
from functools import partial

from killsync.errors import LoginNeeded, told
from killsync.esi.client import list_bucket
from killsync.model import Priority, User, UserState
from killsync.store import jobs, users
from killsync.sync import schedule
from killsync.sync.context import Services, Tally
from killsync.sync.events import ListPutOff, UserFailed
from killsync.sync.journal import Journal
from killsync.sync.list_pass import ListPass
from killsync.times import iso_after


class Endings:
    """Ends the jobs of one run."""

    def __init__(self, services: Services, journal: Journal, tally: Tally) -> None:
        self._s = services
        self._journal = journal
        self._tally = tally

    def finish(self, taken: ListPass, now: float, then: Callable[[], object]) -> None:
        """End a job whose list is read as far as this run may; `then` is called when it is stored.

        One of a full pass that ESI's cache does not allow yet goes back into the queue.
        """
        job = taken.job
        if taken.wants_full:
            later = partial(jobs.give_back, job_id=job.id, not_before=taken.user.cached_until)
            self._journal.add(later, now, then)
        else:
            self._journal.add(partial(jobs.finish, job=job, now=now), now, then)
        taken.done(self._s.report, self._rest_user(taken.user, now))
        if job.priority >= Priority.MANUAL:
            self._journal.commit()

    def put_off(self, taken: ListPass, until: float, reason: str, *, blame: bool) -> None:
        """Give a job back until a time; `blame` counts an attempt, of the job and not the user."""
        self._journal.commit(
            partial(
                jobs.give_back,
                job_id=taken.job.id,
                not_before=until,
                error=reason if blame else None,
                blame=blame,
            )
        )
        self._tally.put_off += blame
        user = taken.user
        self._s.report(ListPutOff(user.user_id, user.name, reason, iso_after(until)))

    def fail(self, taken: ListPass, error: BaseException, now: float) -> None:
        """End a job and blame the user: his own token or list is what does not work."""
        user, job = taken.user, taken.job
        text = told(error)
        until: float | None = None
        if isinstance(error, LoginNeeded):
            text += "; `killsync login` renews it"
            blame = partial(
                users.set_state, user_id=user.user_id, state=UserState.NEEDS_LOGIN, error=text
            )
        else:
            until = now + schedule.user_backoff(self._s.settings.min_age, user.failures + 1)
            blame = partial(users.set_failed, user_id=user.user_id, error=text, not_before=until)
        self._tally.errors += 1
        self._tally.failures += user.failures == 0
        self._journal.commit(blame, partial(jobs.finish, job=job, now=now, error=text))
        when = None if until is None else iso_after(until)
        self._s.report(UserFailed(user.user_id, user.name, text, when, first=user.failures == 0))

    def _rest_user(self, user: User, now: float) -> float | None:
        """Leave a user with an open gap alone until some pages of it may be asked for."""
        if user.cursor.page is None:
            return None
        bucket = list_bucket(user.user_id)
        again = self._s.limits.ready_at(bucket, Priority.BACKGROUND, now, requests=3)
        if again > now:
            again = min(again, now + schedule.LONGEST_REST)
            rest = partial(users.rest, user_id=user.user_id, not_before=again)
            self._journal.add(rest, now)
        return again
