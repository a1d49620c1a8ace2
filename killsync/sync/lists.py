"""The list side of a run: taking jobs, sending their next requests, and taking the answers."""

from collections.abc import Callable
from functools import partial

import msgspec

from killsync.errors import KillsyncError, ServerFault
from killsync.esi.buckets import sso_bucket
from killsync.esi.ratelimit import SETTLES_IN
from killsync.login import accounts
from killsync.model import Access, Job, Page, Priority, UserKind, UserState
from killsync.store import jobs, users
from killsync.sync import verdict
from killsync.sync.context import Services, Tally
from killsync.sync.endings import Endings
from killsync.sync.health import Health, Service
from killsync.sync.journal import Journal
from killsync.sync.list_pass import ListPass
from killsync.sync.queue import Queue
from killsync.sync.readers import Readers
from killsync.sync.refusals import Refusals
from killsync.sync.refused_directors import RefusedDirectors
from killsync.sync.slots import Kind, Request, Slots


class Lists:
    """The jobs that the worker has taken, each with its pass over a list.

    `on_listed` is called when killmails may have become pending.
    """

    def __init__(
        self,
        services: Services,
        journal: Journal,
        slots: Slots,
        health: Health,
        tally: Tally,
        on_listed: Callable[[], None],
    ) -> None:
        self._s = services
        self._journal = journal
        self._slots = slots
        self._health = health
        self._tally = tally
        self._on_listed = on_listed
        self._readers = Readers(services, journal)
        self._endings = Endings(services, journal, tally, self._readers.room_at)
        self._refusals = Refusals(services, journal, health, self._endings)
        self._directors = RefusedDirectors(services, journal, health, self._endings, self._readers)
        self._passes: dict[int, ListPass] = {}
        self._queue = Queue(services)
        self._may_take = True
        # when a job that was put off may run, as far as is known
        self.next_job_at: float | None = None
        # pages of jobs that were put off and taken again
        self._pages: dict[int, int] = {}
        self._users: set[int] = set()

    def look_again(self, *, changed: bool) -> None:
        """Look for jobs again, and if other processes changed something, at those taken."""
        self._may_take = True
        if changed:
            for taken in list(self._passes.values()):
                self._follow(taken)

    def start(self, now: float) -> None:
        """Take jobs and send what may be sent, most urgent first."""
        while True:
            if self._may_take or (self.next_job_at is not None and self.next_job_at <= now):
                self._take_jobs(now)
            for taken in self._ranked()[: self._s.settings.workers]:
                if not taken.in_flight and taken.ready_at <= now:
                    self._start(taken, now)
            if not self._may_take:
                return

    def ready_times(self) -> list[float]:
        """Return when the passes that wait may send their next request."""
        return [p.ready_at for p in self._passes.values() if not p.in_flight]

    def judge_refusals(self, now: float) -> None:
        """Decide about refused tokens and directors, now that the run has ended."""
        self._refusals.judge(now)
        self._directors.judge(now)

    def give_back(self, now: float) -> None:
        """Put every unfinished job back into the queue."""
        for job_id in self._passes:
            self._journal.add(partial(jobs.give_back, job_id=job_id), now)
        self._passes.clear()

    # taking jobs

    def _take_jobs(self, now: float) -> None:
        """Take jobs until `workers` of the same urgency or more are worked on."""
        workers = self._s.settings.workers
        while True:
            ranked = self._ranked()
            job = self._queue.next_job(
                now,
                self._passes.keys(),
                above=ranked[workers - 1].job.priority if len(ranked) >= workers else 0,
                # those who synced last, too, must fail before a service counts as down
                youngest=self._health.is_doubtful(Service.ESI),
            )
            if job is None:
                self._may_take = False
                self.next_job_at = self._queue.when_next(now)
                return
            self._take_job(job, now)

    def _take_job(self, job: Job, now: float) -> None:
        user = users.get(self._s.store.conn, job.user_id)
        if user is None or user.state not in (UserState.ACTIVE, UserState.NEEDS_LOGIN):
            self._queue.ended(job.id)
            self._journal.add(partial(jobs.drop_open, user_id=job.user_id), now)
            return
        taken = ListPass(job, user, self._s.settings, now, self._pages.get(job.id, 0))
        self._passes[job.id] = taken
        self._users.add(job.user_id)
        self._tally.users = len(self._users)
        taken.report_start(self._s.report)
        if job.priority >= Priority.MANUAL:
            self._journal.commit(partial(jobs.start, job_ids=[job.id], now=now))
        if taken.finished:
            self._finish(taken, now)

    def _ranked(self) -> list[ListPass]:
        return sorted(self._passes.values(), key=lambda p: (-p.job.priority, p.job.id))

    def _follow(self, taken: ListPass) -> None:
        conn = self._s.store.conn
        job = jobs.get(conn, taken.job.id)
        user = users.get(conn, taken.job.user_id)
        if job is None or user is None or user.state is UserState.DISABLED:
            del self._passes[taken.job.id]
            return
        taken.follow(job)
        if not taken.in_flight:
            taken.release()  # a director may have been removed, or logged in

    # sending

    def _start(self, taken: ListPass, now: float) -> None:
        """Send the next request of a pass: a page or, without access, a refresh."""
        until = self._readers.choose(taken, now)
        if until is None:
            self._leave_for_next_run(taken)
            self._directors.hold(taken)
            return
        if now < until <= now + SETTLES_IN:
            taken.ready_at = until  # as soon as an answer has come
            return
        if until > now:
            known = self._circumstances(taken, now, Kind.LIST)
            self._carry_out(taken, verdict.on_rest(until, known), now, Kind.LIST)
            return
        try:
            access = self._readers.access(taken, now)
        except KillsyncError as error:
            self._failed(taken, Kind.REFRESH, error, now)
            return
        if access is None:
            self._start_refresh(taken, now)
        elif taken.next_page is not None and self._slots.free(Kind.LIST, urgent=taken.is_urgent):
            self._start_page(taken, taken.next_page, access)

    def _start_page(self, taken: ListPass, page: int, access: Access) -> None:
        job = taken.job
        taken.in_flight = True
        self._slots.start(
            Request(
                Kind.LIST,
                of=job.user_id,
                urgent=taken.is_urgent,
                failed_before=job.attempts > 0,
                send=self._readers.reading(taken, page, access),
                answered=partial(self._page_arrived, taken),
                failed=partial(self._failed, taken, Kind.LIST),
            )
        )

    def _start_refresh(self, taken: ListPass, now: float) -> None:
        if self._health.is_down(Service.SSO):
            self._leave_for_next_run(taken)
            self._journal.add(partial(jobs.give_back, job_id=taken.job.id), now)
            return
        character_id = taken.token_of
        until = self._s.limits.ready_at(sso_bucket(), taken.job.priority, now)
        if until > now:
            self._put_off(taken, verdict.PutOff(until, "SSO asks for a rest"), now)
        elif (
            self._slots.free(Kind.REFRESH, urgent=taken.is_urgent)
            and not self._s.stopping.is_set()
            # for a director's own list, or its corporation's
            and not self._slots.is_busy_with(Kind.REFRESH, character_id)
        ):
            taken.in_flight = True
            self._slots.start(
                Request(
                    Kind.REFRESH,
                    of=character_id,
                    urgent=taken.is_urgent,
                    failed_before=taken.job.attempts > 0,
                    send=partial(
                        accounts.renew,
                        *(self._s.tokens, self._s.sso, character_id),
                        is_alone=partial(self._slots.is_alone, character_id),
                    ),
                    answered=partial(self._access_arrived, taken, character_id),
                    failed=partial(self._failed, taken, Kind.REFRESH),
                )
            )

    # taking answers

    def _page_arrived(self, taken: ListPass, page: Page, now: float) -> None:
        taken.in_flight = False
        if taken.job.id not in self._passes:
            return
        self._tally.pages += 1
        try:
            taken.take_page(page, self._journal, self._s.report, now)
        except ServerFault as error:
            self._failed(taken, Kind.LIST, error, now)
            return
        self._readers.succeeded(taken, now)
        if taken.finished:
            self._finish(taken, now)
        if not page.unchanged:
            self._on_listed()

    def _access_arrived(
        self, taken: ListPass, character_id: int, access: Access, now: float
    ) -> None:
        taken.in_flight = False
        taken.access = access
        self._s.limits.answered(sso_bucket(), now)
        self._endings.accept_token(taken, character_id, now)

    def _failed(self, taken: ListPass, kind: Kind, error: BaseException, now: float) -> None:
        taken.in_flight = False
        if taken.job.id in self._passes:
            known = self._circumstances(taken, now, kind)
            decide = verdict.on_list if kind is Kind.LIST else verdict.on_refresh
            self._carry_out(taken, decide(error, known), now, kind)

    def _circumstances(self, taken: ListPass, now: float, kind: Kind) -> verdict.Circumstances:
        corporate = taken.user.kind is UserKind.CORPORATION
        if corporate and kind is Kind.LIST:
            # an incident may be of corporations' lists alone
            others_succeed = self._readers.others_read(taken)
        else:
            others_succeed = self._health.others_succeed(kind, taken.token_of)
        return verdict.Circumstances(
            now=now,
            stopping=self._s.stopping.is_set(),
            head_done=taken.head_done,
            renewed=taken.token_of in taken.renewed,
            by_director=corporate,
            others_left=corporate and self._readers.others_left(taken, now),
            others_succeed=others_succeed,
            attempts=taken.job.attempts,
            failures=taken.user.failures,
            min_age=self._s.settings.min_age,
        )

    # what becomes of a job

    def _carry_out(
        self, taken: ListPass, decided: verdict.JobVerdict, now: float, kind: Kind
    ) -> None:
        # what is given back is, at the end of the run, with all that it has not finished
        match decided:
            case verdict.Finish():
                self._finish(taken, now)
            case verdict.PutOff():
                self._put_off(taken, decided, now)
            case verdict.NextRun():
                self._health.leave_to_service(kind, decided.reason)
                self._leave_for_next_run(taken)
                self._endings.leave(taken, decided, now)
            case verdict.HoldRefusal():
                self._leave_for_next_run(taken)
                self._refusals.hold(taken, decided.error)
            case verdict.Fail():
                self._drop(taken)
                self._endings.fail(taken, decided, now)
            case verdict.AskAgain() | verdict.Renew() | verdict.NextDirector():
                self._readers.go_on(taken, decided, now)
            case verdict.EndRun():
                self._health.end_run(decided.error)

    def _put_off(self, taken: ListPass, decided: verdict.PutOff, now: float) -> None:
        if decided.service_rests:
            until = self._s.limits.rest(sso_bucket(), now, decided.until - now)
            decided = msgspec.structs.replace(decided, until=until)
        self._drop(taken)
        self._endings.put_off(taken, decided)

    def _leave_for_next_run(self, taken: ListPass) -> None:
        self._drop(taken)
        self._queue.leave(taken.job.id)

    def _finish(self, taken: ListPass, now: float) -> None:
        job_id = taken.job.id
        self._drop(taken)
        self._queue.ended(job_id)
        self._endings.finish(taken, now, then=partial(self._queue.stored, job_id))
        if self._endings.forget_failures(taken, now):
            self._may_take = True

    def _drop(self, taken: ListPass) -> None:
        self._passes.pop(taken.job.id, None)
        self._pages[taken.job.id] = taken.pages
        self._may_take = True
