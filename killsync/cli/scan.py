"""`killsync scan`: the cron job."""

import hashlib
import sqlite3
import time
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.after_run import followed_up, tell
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.invocation import Invocation, exit_with
from killsync.cli.options import seconds
from killsync.cli.pinging import pinging
from killsync.cli.progress import print_event
from killsync.cli.run_progress import reporting
from killsync.cli.signals import StopOnSignal
from killsync.errors import KillsyncError, TryLater
from killsync.events import Event, Report
from killsync.model import User
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store import connection, lock, runs
from killsync.store.connection import Store
from killsync.store.runs import LockHolder
from killsync.sync import alerts, schedule, selection
from killsync.sync.events import Ended, GaveWay, Idle, Queued, UserDue
from killsync.sync.forecast import backlog
from killsync.sync.selection import Selection
from killsync.sync.status import lock_holder
from killsync.terminal.advice import describe_alert, describe_holder
from killsync.terminal.text import count, safe
from killsync.times import iso, unix

if TYPE_CHECKING:
    from killsync.sync.run import Outcome

_LOCK_PATIENCE = 1.0
_LONGEST = 500


HELP = {
    "scan": HelpText(
        {
            "killsync scan --quiet": "in the crontab: prints nothing while all is well",
            "killsync scan --force --max-runtime 2m": "now, for two minutes",
        },
        exits(
            "done; also if nothing is due, or another run is at work",
            _1="some user or killmail failed, for the first time",
            _2="wrong usage or configuration",
            _75="ESI or SSO is down, or a limit is reached: the next scan goes on",
            _130_143=STOPPED,
        ),
    ),
}


def scan(
    context: typer.Context,
    workers: Annotated[int | None, typer.Option(help="Users at a time.")] = None,
    max_runtime: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End in good order after this.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Ignore the minimum age, never ESI's cache times.")
    ] = False,
    splay: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Wait up to this long first; each installation has a wait of its own.",
        ),
    ] = "0s",
) -> None:
    """Sync every user that is due: the command for cron."""
    call = invocation.from_context(context)
    with pinging(call) as pings, invocation.edge(call, works=True), StopOnSignal() as stop:
        settings = call.settings(workers=workers, max_runtime=max_runtime)
        splay_s = seconds("--splay", splay)
        application.require(settings)
        stop.flag.wait(_own_share(settings, splay_s))
        if stop.exit_code is not None:
            exit_with(stop.exit_code)
        with (
            opening.for_writing(settings, create=True) as store,
            followed_up(call, settings, store, stop) as ending,
        ):
            try:
                with opening.at_work(store, _LOCK_PATIENCE):
                    ending.begin()
                    if pings is not None:
                        pings.begin()
                    ending.exit_code = _Scan(call, settings, store, stop).run(force=force)
            except lock.RunInProgress:
                if pings is not None:
                    pings.give_way()
                ending.exit_code = _give_way(call, settings, store, stop)
        exit_with(ending.exit_code)


class _Scan:
    def __init__(
        self, call: Invocation, settings: Settings, store: Store, stop: StopOnSignal
    ) -> None:
        self._call = call
        self._settings = settings
        self._store = store
        self._stop = stop
        self._caller = call.caller(settings)

    def run(self, *, force: bool) -> int:
        """Queue who is due and work through the job table; return the exit code."""
        opening.check_origin(self._store, self._call)
        began, now = time.monotonic(), time.time()
        selected = selection.find(self._store.conn, now, self._settings, force=force)
        if not selected:
            runs.record_idle(self._store.conn, "scan", now, self._caller)
            if not self._call.quiet:
                _print(self._call, self._idle(now, force=force), self._settings)
            return self._alert(0)
        try:
            longest = self._settings.max_runtime
            with reporting(self._call, self._settings, self._store, max_runtime=longest) as report:
                self._queue(selected, report, now, began)
                outcome = self._work(report)
        except TryLater as error:
            if not self._call.quiet:
                by = self._stop.signal_name
                self._call.warn(safe(f"stopped by {by}: {error}" if by else error, _LONGEST))
            return self._alert(error.exit_code, cause=safe(error, _LONGEST))
        return self._alert(self._conclude(outcome))

    def _idle(self, now: float, *, force: bool) -> Idle:
        conn, min_age = self._store.conn, self._settings.min_age
        return Idle(
            selection.why_nothing(conn, now, min_age, force=force),
            backlog(self._store, self._settings, now),
        )

    def _alert(self, code: int, *, cause: str | None = None) -> int:
        """Warn if nothing has succeeded for long for somebody; return the exit code."""
        if self._stop.exit_code is not None:
            return code
        alert = alerts.current(self._store, self._settings, time.time())
        if alert is not None and alert.error:
            cause = None  # it says why itself
        return _warn_once(self._call, self._store, alert, code, cause=cause)

    def _queue(self, selected: Selection, report: Report, now: float, began: float) -> None:
        for user in selected.due:
            report(_due(user, now))
        with self._store.transaction() as conn:
            queued = selection.queue(conn, selected.due, now)
        report(Queued(len(selected.due), queued, time.monotonic() - began))

    def _work(self, report: Report) -> "Outcome":
        from killsync.sync import run

        return run.run_jobs(
            self._store,
            self._settings,
            "scan",
            self._caller,
            report,
            self._stop,
            max_runtime=self._settings.max_runtime,
        )

    def _conclude(self, outcome: "Outcome") -> int:
        tally = outcome.tally
        ended = Ended(
            users=tally.users,
            pages=tally.pages,
            stored=tally.stored,
            errors=tally.errors,
            requests=outcome.requests,
            seconds=round(outcome.seconds, 3),
            backlog=backlog(self._store, self._settings, time.time()),
            queued=outcome.queued,
            stopped=self._stop.signal_name,
        )
        _print(self._call, ended, self._settings)
        if outcome.out_of_time and outcome.queued:
            self._say_what_would_help(outcome)
        return 1 if tally.failures else 0

    def _say_what_would_help(self, outcome: "Outcome") -> None:
        left, workers = outcome.queued, self._settings.workers
        ran_out = f"ran out of time with {count(left, 'user')} left"
        if outcome.short_of_refreshes:
            helps = "SSO takes no more refreshes at a time: a longer min_age needs fewer"
            self._call.warn(f"{ran_out}; {helps}", users=left)
            return
        needed = schedule.workers_needed(workers, outcome.tally.users, left)
        enough = f"--workers {needed} would have been enough"
        self._call.warn(f"{ran_out}; {enough}", users=left, workers=needed)


def _own_share(settings: Settings, splay: float) -> float:
    """Return this installation's share of the splay: the same each time, different elsewhere."""
    digest = hashlib.sha256(_own_name(settings)).digest()
    return splay * int.from_bytes(digest[:4], "big") / 2**32


def _own_name(settings: Settings) -> bytes:
    # a path need not be valid UTF-8
    return f"{settings.database.absolute()}:{_machine()}".encode(errors="surrogateescape")


def _machine() -> str:
    import socket

    return socket.gethostname()


def _print(call: Invocation, event: Event, settings: Settings) -> None:
    print_event(call, event, settings, dated=True)


def _due(user: User, now: float) -> UserDue:
    last = user.last_sync_at
    if last is None:
        return UserDue(user.user_id, user.name, None, None)
    return UserDue(user.user_id, user.name, iso(last), int(now - last))


def _give_way(call: Invocation, settings: Settings, store: Store, stop: StopOnSignal) -> int:
    """Say that another run holds the lock; return the exit code, 75 if it does so for too long."""
    holder, now = lock_holder(store), time.time()
    _print(call, _gave_way(holder), settings)
    if store.version() < connection.VERSION:
        return 0
    # a run that hangs may hold the database too
    store.gives_up = lambda: True
    stuck = alerts.overdue(holder, now)
    if stuck is not None:
        is_news = alerts.take_note_of_lock(store, stuck, now)
        code = _warn(call, stuck, 0, is_news=is_news)
    elif _is_young(holder, now - settings.alert_after):
        return 0
    else:
        alert = alerts.current(store, settings, now)
        cause = None if holder is None else f"{describe_holder(holder)} holds the lock"
        code = 0 if alert is None else _warn_once(call, store, alert, 0, cause=cause)
    # the run that holds the lock may never come to it
    tell(call, settings, store, stop)
    return code


def _gave_way(holder: LockHolder | None) -> GaveWay:
    if holder is None or holder.pid is None:
        return GaveWay()
    return GaveWay(holder.command, holder.pid, holder.host, holder.since)


def _is_young(holder: LockHolder | None, moment: float) -> bool:
    """Return whether the lock was taken after a moment."""
    return holder is not None and holder.since is not None and unix(holder.since) > moment


def _warn_once(
    call: Invocation,
    store: Store,
    alert: alerts.Unsynced | alerts.Unfetched | None,
    code: int,
    *,
    cause: str | None = None,
) -> int:
    """Warn of something that lasts, unless that was done not long ago; return the exit code."""
    try:
        is_news = alerts.take_note(store, alert, time.time())
    except (sqlite3.Error, KillsyncError):
        # it cannot be remembered: said once more is better than not at all
        is_news = alert is not None
    return code if alert is None else _warn(call, alert, code, is_news=is_news, cause=cause)


def _warn(
    call: Invocation, alert: alerts.Alert, code: int, *, is_news: bool, cause: str | None = None
) -> int:
    if not is_news and call.quiet:
        return code
    call.warn(describe_alert(alert, time.time()) + (f" ({cause})" if cause else ""))
    return code or (TryLater.exit_code if is_news else code)
