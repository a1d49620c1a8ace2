"""The list side of a run: taking jobs, their next requests, and what becomes of each job."""

from functools import partial

from killsync.errors import (
    AccessRejected,
    ApplicationError,
    LoginNeeded,
    NotSent,
    OutOfFiles,
    RateLimited,
    ServerFault,
    TokenBusy,
    TokenKeyMissing,
    Unavailable,
)
from killsync.esi.client import list_bucket
from killsync.esi.ratelimit import sso_bucket
from killsync.login import accounts
from killsync.model import Access, Job, Page, Priority, UserState
from killsync.store import jobs, users
from killsync.store import limits as stored_limits
from killsync.sync import schedule
from killsync.sync.context import Health, Services, Tally
from killsync.sync.endings import Endings
from killsync.sync.journal import Journal
from killsync.sync.list_pass import ListPass
from killsync.sync.slots import Result, Slots

LONGEST_PAUSE = 60.0
_TOKEN_BUSY_WAIT = 2.0


class Lists:
    """The jobs that the worker has taken, each with its pass over a list."""

    def __init__(
        self, services: Services, journal: Journal, slots: Slots, health: Health, tally: Tally
    ) -> None:
        self._s = services
        self._journal = journal
        self._slots = slots
        self._health = health
        self._tally = tally
        self._endings = Endings(services, journal, tally)
        self._passes: dict[int, ListPass] = {}
        # ended, but not in the database yet
        self._ended: set[int] = set()
        # not to be taken again in this run, since SSO is down
        self._tokenless: set[int] = set()
        self._may_take = True
        self._next_job_at: float | None = None
        # what a job and a run have done before it was put off and taken again
        self._pages: dict[int, int] = {}
        self._users: set[int] = set()

    def look_again(self, *, changed: bool) -> None:
        """Look for jobs again, and if other processes changed something, at those taken."""
        self._may_take = True
        if not changed:
            return
        for taken in list(self._passes.values()):
            self._follow(taken)

    def start(self, now: float) -> None:
        """Take jobs and send what may be sent, most urgent first."""
        while True:
            if self._may_take or (self._next_job_at is not None and self._next_job_at <= now):
                self._take_jobs(now)
            self._start_taken(now)
            if not self._may_take:
                return

    def _start_taken(self, now: float) -> None:
        for taken in self._ranked()[: self._s.settings.workers]:
            if not taken.in_flight and taken.ready_at <= now:
                self._start(taken, now)

    def ready_times(self) -> list[float]:
        """Return when the passes that wait may send their next request."""
        return [p.ready_at for p in self._passes.values() if not p.in_flight]

    @property
    def next_job_at(self) -> float | None:
        """When a job that was put off may run, as far as is known."""
        return self._next_job_at

    def _when_next_job(self, now: float) -> float | None:
        conn = self._s.store.conn
        if self._s.only_users is None:
            return jobs.next_not_before(conn, now)
        mine = [jobs.open_job(conn, user_id) for user_id in self._s.only_users]
        times = [job.not_before for job in mine if job and job.not_before]
        return min((t for t in times if t > now), default=None)

    def take(self, taken: ListPass, result: Result, now: float) -> bool:
        """Take the answer to a pass's request; return whether bodies may have become pending."""
        taken.in_flight = False
        if taken.job.id not in self._passes:
            return False
        if result.error is not None:
            self._failed(taken, result.error, now, result.kind)
            return False
        before = taken.new
        if isinstance(result.value, Access):
            taken.access = result.value
        elif isinstance(result.value, Page):
            self._tally.pages += 1
            try:
                taken.take_page(result.value, self._journal, self._s.report, now)
            except ServerFault as error:
                self._failed(taken, error, now)
                return False
            self._tally.listed += taken.new - before
        if taken.finished:
            self._finish(taken, now)
        return isinstance(result.value, Page) and not result.value.unchanged

    def give_back(self, now: float) -> None:
        """Put every unfinished job back into the queue."""
        for job_id in [*self._passes, *self._tokenless]:
            self._journal.add(partial(jobs.give_back, job_id=job_id), now)
        self._passes.clear()

    def _ranked(self) -> list[ListPass]:
        return sorted(self._passes.values(), key=lambda p: (-p.job.priority, p.job.id))

    def _follow(self, taken: ListPass) -> None:
        conn = self._s.store.conn
        job = jobs.get(conn, taken.job.id)
        user = users.get(conn, taken.job.user_id)
        if job is None or user is None or user.state is UserState.DISABLED:
            del self._passes[taken.job.id]
        else:
            taken.follow(job)

    def _take_jobs(self, now: float) -> None:
        """Take jobs until `workers` of the same urgency or more are worked on."""
        workers = self._s.settings.workers
        while True:
            ranked = self._ranked()
            job = jobs.next_job(
                self._s.store.conn,
                now,
                taken=self._ended | self._tokenless | self._passes.keys(),
                above=ranked[workers - 1].job.priority if len(ranked) >= workers else 0,
                only_users=self._s.only_users,
            )
            if job is None:
                self._may_take = False
                self._next_job_at = self._when_next_job(now)
                return
            self._take_job(job, now)

    def _take_job(self, job: Job, now: float) -> None:
        conn = self._s.store.conn
        user = users.get(conn, job.user_id)
        if user is None or user.state is not UserState.ACTIVE:
            self._ended.add(job.id)
            self._journal.add(partial(jobs.drop_open, user_id=job.user_id), now)
            return
        bucket = list_bucket(job.user_id)
        self._s.limits.add(stored_limits.load(conn, bucket.group, bucket.key))
        before = self._pages.get(job.id, 0)
        taken = self._passes[job.id] = ListPass(job, user, self._s.settings, now, before)
        self._users.add(job.user_id)
        self._tally.users = len(self._users)
        taken.announce(self._s.report)
        if job.priority >= Priority.MANUAL:
            self._journal.commit(partial(jobs.start, job_ids=[job.id], now=now))
        if taken.finished:
            self._finish(taken, now)

    def _start(self, taken: ListPass, now: float) -> None:
        user_id, priority = taken.job.user_id, taken.job.priority
        until = self._s.limits.ready_at(list_bucket(user_id), priority, now)
        if until > now:
            self._rest(taken, until, now)
        elif self._has_access(taken, now):
            self._start_page(taken)
        elif taken.job.id in self._passes and not self._s.stopping.is_set():
            self._start_refresh(taken, now)

    def _has_access(self, taken: ListPass, now: float) -> bool:
        if taken.access is None or taken.access.expires_at < now + accounts.FRESH_FOR:
            try:
                taken.access = accounts.stored_access(self._s.tokens, taken.job.user_id, now)
            except (LoginNeeded, TokenKeyMissing) as error:
                self._failed(taken, error, now)
        return taken.access is not None

    def _start_page(self, taken: ListPass) -> None:
        access, page = taken.access, taken.next_page
        if access is None or page is None or not self._slots.free("list"):
            return
        taken.in_flight = True
        call = partial(
            self._s.esi.killmails,
            taken.job.user_id,
            page,
            access.token,
            taken.etag,
            taken.job.priority,
        )
        self._slots.start("list", taken, call)

    def _start_refresh(self, taken: ListPass, now: float) -> None:
        if self._health.is_down("sso"):
            self._leave(taken)
            self._tokenless.add(taken.job.id)
            return
        until = self._s.limits.ready_at(sso_bucket(), taken.job.priority, now)
        if until > now:
            self._put_off(taken, until, "SSO asks for a rest", blame=False)
        elif self._slots.free("refresh"):
            taken.in_flight = True
            call = partial(accounts.renew, self._s.tokens, self._s.sso, taken.job.user_id)
            self._slots.start("refresh", taken, call)

    def _leave(self, taken: ListPass) -> None:
        self._passes.pop(taken.job.id, None)
        self._pages[taken.job.id] = taken.pages
        self._may_take = True

    def _finish(self, taken: ListPass, now: float) -> None:
        """End a job: its list is read as far as this run may."""
        job_id = taken.job.id
        self._leave(taken)
        self._ended.add(job_id)
        self._endings.finish(taken, now, then=partial(self._ended.discard, job_id))

    def _rest(self, taken: ListPass, until: float, now: float) -> None:
        """Let a job whose bucket is empty end, or wait in the queue, so that others go on."""
        if taken.head_done and until > now + LONGEST_PAUSE:
            self._finish(taken, now)
        else:
            until = min(until, now + schedule.LONGEST_REST)
            self._put_off(taken, until, "ESI's rate limit", blame=False)

    def _put_off(self, taken: ListPass, until: float, reason: str, *, blame: bool) -> None:
        self._leave(taken)
        self._endings.put_off(taken, until, reason, blame=blame)

    def _failed(
        self, taken: ListPass, error: BaseException, now: float, kind: str = "list"
    ) -> None:
        match error:
            case RateLimited() if kind == "refresh":
                self._s.limits.rest(sso_bucket(), error.until)
                self._put_off(taken, error.until, str(error), blame=False)
            case RateLimited():
                self._rest(taken, error.until, now)
            case TokenBusy():
                self._put_off(taken, now + _TOKEN_BUSY_WAIT, str(error), blame=False)
            case NotSent() | OutOfFiles() | Unavailable() if self._s.stopping.is_set():
                pass
            case Unavailable():
                again = now + schedule.list_put_off(taken.job.attempts + 1)
                self._put_off(taken, again, str(error), blame=True)
            case ApplicationError() | TokenKeyMissing():
                self._health.end_run(error)
            case AccessRejected() if not taken.renewed:
                taken.renewed = True
                self._forget_access(taken)
            case _:
                self._leave(taken)
                self._endings.fail(taken, error, now)

    def _forget_access(self, taken: ListPass) -> None:
        if taken.access is not None:
            self._s.tokens.forget_access(taken.job.user_id, taken.access.token)
        taken.access = None
