"""`killsync sync`: one user now, at priority 5, by this process or by the run in progress."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.find_users import find_users
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.options import AlsoUsers, Users, seconds
from killsync.cli.progress import line_report, reporting
from killsync.cli.signals import StopOnSignal
from killsync.errors import KillsyncError, TryLater, UsageError
from killsync.model import Job, JobState, Priority, User, UserState
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store import jobs, lock, pending, users
from killsync.store.connection import Store
from killsync.sync import schedule
from killsync.sync.events import Held
from killsync.sync.forecast import backlog
from killsync.sync.status import lock_holder
from killsync.terminal.advice import describe_backlog
from killsync.terminal.text import count, safe
from killsync.times import iso_after

if TYPE_CHECKING:
    from killsync.sync.run import Outcome

_POLL = 0.2


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
    with invocation.edge(call), StopOnSignal() as stop:
        words = [*(names or []), *(user or [])]
        if not words:
            raise UsageError("name a user, by character id or name: killsync sync USER")
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
        exit_with(stop.exit_code or code)


def _syncable(wanted: list[User], client_id: str) -> list[User]:
    for user in wanted:
        name, again = safe(user.name), f"`killsync users enable {user.user_id}`"
        if user.state is UserState.DISABLED:
            raise UsageError(f"{name} is disabled; {again} first")
        refused_for = user.refusal.client_id if user.refusal else client_id
        if user.state is UserState.NEEDS_LOGIN and refused_for == client_id:
            raise KillsyncError(
                f"{name} needs a new login: {user.error}; {again} tries the token once more"
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
        self._reported = ""
        self._report = line_report(call)
        self._failures = 0

    def queue(self, *, full: bool) -> None:
        """Queue the users at priority 5, or raise the jobs that they have."""
        with self._store.transaction() as conn:
            now = time.time()
            jobs.queue(conn, self._ids, Priority.MANUAL, now, full=full, at_once=True)
            for user_id in self._ids:
                pending.make_manual(conn, user_id, set_aside=full)
                job = jobs.open_job(conn, user_id)
                self._jobs[user_id] = 0 if job is None else job.id

    def print_queued(self) -> int:
        """Print that the users are queued; return the exit code."""
        for user_id in self._ids:
            self._print(f"{safe(self._before[user_id].name)}: queued at priority {Priority.MANUAL}")
        return 0

    def wait(self) -> int:
        """Wait for the run in progress, or be the run; return the exit code."""
        while self._is_open() and self._stop.exit_code is None:
            if time.monotonic() >= self._deadline:
                self._call.warn("waited too long; the job stays queued for the next run")
                return TryLater.exit_code
            try:
                with opening.locked(self._store, 0.0):
                    if self._is_open() and self._work().out_of_time:
                        continue
                    break
            except lock.RunInProgress:
                self._report_progress()
                self._stop.flag.wait(_POLL)
        return max((self._outcome(user_id) for user_id in self._ids), default=0)

    def _work(self) -> "Outcome":
        from killsync.sync import run

        with reporting(self._call) as report:
            outcome = run.run_jobs(
                self._store,
                self._settings,
                "sync",
                self._call.caller(self._settings),
                report,
                self._stop,
                max_runtime=max(0.0, self._deadline - time.monotonic()),
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
            self._call.warn(f"{safe(before.name)} has been removed")
            return 1
        name = safe(user.name)
        if job is not None and job.state is JobState.FAILED:
            if not self._reported_by_run():
                self._call.warn(f"{name}: {safe(job.error)}")
            return 1
        if job is not None and job.state.is_open:
            return self._not_done(user, job)
        new, now = user.killmails - before.killmails, time.time()
        left = backlog(self._store, 0.0, now, user_ids=[user_id])
        waiting = describe_backlog(left, now)
        line = f"{name}: {count(new, 'killmail')} stored, {user.killmails:,} in all"
        self._print(f"{line}; {waiting}" if waiting else line)
        if left.resumes_at is not None or left.lists_at is not None:
            # the rest waits for ESI's limit: scans fetch it
            return 1 if self._failures else TryLater.exit_code
        return 1 if self._failures else 0

    def _not_done(self, user: User, job: Job) -> int:
        name, now = safe(user.name), time.time()
        if job.full and schedule.list_cached(user, now):
            until = iso_after(user.cached_until or now)
            self._print(
                f"{name}: ESI's list is cached until {until}; the full pass is queued for then"
            )
            return 0
        reason = safe(job.error or "it could not be done yet")
        when = "" if job.not_before is None else f" after {iso_after(job.not_before)}"
        self._call.warn(f"{name}: {reason}; the job stays queued, the next run{when} goes on")
        return TryLater.exit_code

    def _reported_by_run(self) -> bool:
        return self._failures > 0

    def _report_progress(self) -> None:
        holder = lock_holder(self._store)
        known = holder is not None and holder.pid is not None
        by = f"{holder.command} (pid {holder.pid})" if holder and known else "another run"
        parts = []
        for user_id in self._ids:
            job, user = self._job(user_id), users.get(self._store.conn, user_id)
            if job is not None and user is not None:
                listed = f"{count(job.pages, 'page')}, {job.new_killmails:,} new"
                parts.append(f"{safe(user.name)} {job.state}, {listed}, {user.pending:,} pending")
        line = "; ".join(parts)
        if line != self._reported:
            self._reported = line
            self._report(Held(by, line))

    def _print(self, line: str) -> None:
        if not self._call.quiet:
            print_result(line)
