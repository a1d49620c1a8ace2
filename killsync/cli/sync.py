"""`killsync sync`: one user now, at priority 5, by this process or by the run in progress."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.after_run import Ending, followed_up
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.invocation import Invocation, exit_with
from killsync.cli.options import AlsoUsers, Users, named_users, seconds
from killsync.cli.progress import WaitingLine, print_event
from killsync.cli.run_progress import reporting
from killsync.cli.signals import StopOnSignal
from killsync.errors import KillsyncError, TryLater, UsageError
from killsync.model import Job, JobState, Priority, User, UserKind, UserState
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store import jobs, lock, pending, retries, users
from killsync.store.connection import Store
from killsync.store.runs import LockHolder
from killsync.sync import schedule
from killsync.sync.events import FullPassQueued, Held, Progress, Synced, SyncQueued
from killsync.sync.forecast import backlog, running_of
from killsync.sync.status import lock_holder
from killsync.terminal.text import safe
from killsync.times import iso_after

if TYPE_CHECKING:
    from killsync.sync.run import Outcome

_POLL = 0.2
_LOOKS_APART = 2.0


HELP = {
    "sync": HelpText(
        {
            'killsync sync "Maru Sakaala"': "one user; maru is enough if only one begins so",
            "killsync sync maru caelia --no-wait": "two users, by the next scan",
        },
        exits(
            "done",
            _1="it failed, or the user needs a new login",
            _2="no such user, it is disabled, or the configuration is wrong",
            _75="could not be done now; the job stays queued for the next scan",
            _130_143=STOPPED,
        ),
    ),
}


def sync(
    context: typer.Context,
    names: Users = None,
    user: AlsoUsers = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read the whole list, whatever is stored.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Queue only; the next run does it.")
    ] = False,
    timeout: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Give up waiting after this."),
    ] = "10m",
) -> None:
    """Sync users now, before all background work."""
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        words = named_users(names, user, "name a user, by character id or name: killsync sync USER")
        settings = call.settings()
        application.require(settings)
        # the time of day may be set while it waits
        deadline = time.monotonic() + seconds("--timeout", timeout)
        with opening.for_writing(settings) as store:
            opening.upgrade(store, deadline - time.monotonic())
            wanted = _syncable(find_users(store, words), settings.client_id)
            opening.check_origin(store, call)
            request = _Request(call, settings, store, stop, wanted, deadline)
            request.queue(full=full)
            code = request.print_queued() if no_wait else request.wait()
        exit_with(code)


def _syncable(wanted: list[User], client_id: str) -> list[User]:
    for user in wanted:
        name, again = safe(user.name), f"`killsync users enable {user.user_id}`"
        if user.state is UserState.DISABLED:
            raise UsageError(f"{name} is disabled; {again} first")
        refused_for = user.refusal.client_id if user.refusal else client_id
        if user.state is UserState.NEEDS_LOGIN and refused_for == client_id:
            what = "its directors" if user.kind is UserKind.CORPORATION else "the token"
            raise KillsyncError(
                f"{name} needs a new login: {user.error}; {again} tries {what} once more"
            )
    return wanted


class _Request:
    """What a person asked for, until it is done."""

    def __init__(
        self,
        call: Invocation,
        settings: Settings,
        store: Store,
        stop: StopOnSignal,
        wanted: list[User],
        deadline: float,
    ) -> None:
        self._call = call
        self._settings = settings
        self._store = store
        self._stop = stop
        self._ids = [user.user_id for user in wanted]
        self._deadline = deadline
        self._jobs: dict[int, int] = {}
        self._before = {user.user_id: user for user in wanted}
        self._waits = WaitingLine(call, settings)
        self._failures = 0
        self._looked_at = 0.0
        self._expected: str | None = None

    def queue(self, *, full: bool) -> None:
        """Queue the users at priority 5, or raise the jobs that they have."""
        with self._store.transaction() as conn:
            now = time.time()
            jobs.queue(conn, self._ids, Priority.MANUAL, now, full=full, at_once=True)
            for user_id in self._ids:
                retries.make_manual(conn, user_id, set_aside=full)
                job = jobs.open_job(conn, user_id)
                self._jobs[user_id] = 0 if job is None else job.id

    def print_queued(self) -> int:
        """Print that the users are queued; return the exit code."""
        for user_id in self._ids:
            name = self._before[user_id].name
            behind = jobs.manual_before(self._store.conn, self._jobs[user_id])
            queued = SyncQueued(user_id, name, Priority.MANUAL, behind)
            print_event(self._call, queued)
        return self._stop.exit_code or 0

    def wait(self) -> int:
        """Wait for the run in progress, or be the run; return the exit code."""
        with followed_up(self._call, self._settings, self._store, self._stop) as ending:
            try:
                ending.exit_code = self._wait(ending)
            finally:
                self._waits.clear()
        return ending.exit_code

    def _wait(self, ending: Ending) -> int:
        while self._is_open() and self._stop.exit_code is None:
            if time.monotonic() >= self._deadline:
                self._waits.clear()
                self._call.warn("waited too long; the job stays queued for the next run")
                return TryLater.exit_code
            try:
                with opening.at_work(self._store, 0.0):
                    self._waits.clear()
                    if not (self._is_open() and self._work(ending).out_of_time):
                        break
            except lock.RunInProgress:
                self._report_progress()
                self._stop.flag.wait(_POLL)
        self._waits.clear()
        return max((self._outcome(user_id) for user_id in self._ids), default=0)

    def _work(self, ending: Ending) -> "Outcome":
        from killsync.sync import run

        ending.begin()
        longest = max(0.0, self._deadline - time.monotonic())
        with reporting(
            self._call,
            self._settings,
            self._store,
            max_runtime=longest,
            only_users=self._ids,
        ) as report:
            outcome = run.run_jobs(
                self._store,
                self._settings,
                "sync",
                self._call.caller(self._settings),
                report,
                self._stop,
                max_runtime=longest,
                only_users=self._ids,
            )
        self._failures = outcome.tally.failures
        return outcome

    def _job(self, user_id: int) -> Job | None:
        return jobs.get(self._store.conn, self._jobs[user_id])

    def _is_open(self) -> bool:
        """Return whether a job of ours may still be worked on, or a body be fetched."""
        now = time.time()
        for user_id in self._ids:
            job = self._job(user_id)
            waits = job is not None and job.not_before is not None and job.not_before > now
            if job is not None and job.state.is_open and not waits:
                return True
        return pending.waiting_for(self._store.conn, self._ids) > 0

    def _outcome(self, user_id: int) -> int:
        """Print what became of a user; return the exit code."""
        user, job = users.get(self._store.conn, user_id), self._job(user_id)
        before = self._before[user_id]
        if user is None:
            self._call.warn(f"{safe(before.name)} has been removed", user_id=user_id)
            return 1
        if job is not None and job.state is JobState.FAILED:
            if not self._reported_by_run():
                self._call.warn(f"{safe(user.name)}: {safe(job.error)}", user_id=user_id)
            return 1
        is_open = job is not None and job.state.is_open
        if job is not None and is_open and self._stop.signal is None:
            return self._not_done(user, job)
        left = backlog(self._store, self._settings, time.time(), user_ids=[user_id])
        synced = Synced(
            user_id=user_id,
            name=user.name,
            stored=user.killmails - before.killmails,
            killmails=user.killmails,
            backlog=left,
            stopped=self._stop.signal_name if is_open or user.pending else None,
        )
        print_event(self._call, synced, self._settings)
        if left.resumes_at is not None or left.lists_at is not None:
            # the rest waits for ESI's limit: scans fetch it
            return 1 if self._failures else TryLater.exit_code
        return 1 if self._failures else 0

    def _not_done(self, user: User, job: Job) -> int:
        now = time.time()
        if job.full and schedule.list_cached(user, now):
            cached = iso_after(user.cached_until or now)
            print_event(self._call, FullPassQueued(user.user_id, user.name, cached))
            return 0
        reason = safe(job.error or "it could not be done yet")
        until = None if job.not_before is None else iso_after(job.not_before)
        when = "" if until is None else f" after {until}"
        self._call.warn(
            f"{safe(user.name)}: {reason}; the job stays queued, the next run{when} goes on",
            user_id=user.user_id,
            until=until,
        )
        return TryLater.exit_code

    def _reported_by_run(self) -> bool:
        return self._failures > 0

    def _report_progress(self) -> None:
        holder = lock_holder(self._store)
        known = holder is not None and holder.pid is not None
        command, pid = (holder.command, holder.pid) if holder and known else (None, None)
        progress = tuple(filter(None, map(self._progress, self._ids)))
        self._waits.show(Held(command, pid, progress), self._done_at(holder))

    def _done_at(self, holder: LockHolder | None) -> str | None:
        """Return when all is there, as far as it is known while another run goes on."""
        now = time.time()
        if now - self._looked_at > _LOOKS_APART:
            self._looked_at = now
            left = backlog(
                self._store,
                self._settings,
                now,
                user_ids=self._ids,
                running=running_of(holder),
            )
            self._expected = left.done_at
        return self._expected

    def _progress(self, user_id: int) -> Progress | None:
        job, user = self._job(user_id), users.get(self._store.conn, user_id)
        if job is None or user is None:
            return None
        counts = (job.pages, job.new_killmails, user.pending)
        return Progress(user_id, user.name, job.state, *counts)
