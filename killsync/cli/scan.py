"""`killsync scan`: the cron job."""

import hashlib
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.options import seconds
from killsync.cli.progress import reporting
from killsync.cli.signals import StopOnSignal
from killsync.errors import TryLater
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store import lock, pending, runs, users
from killsync.store.connection import Store
from killsync.sync import schedule, selection
from killsync.sync.events import Queued, Report, UserDue
from killsync.sync.selection import Selection
from killsync.sync.status import lock_holder
from killsync.terminal.text import count
from killsync.times import ago, duration, iso

if TYPE_CHECKING:
    from killsync.sync.run import Outcome

_LOCK_PATIENCE = 1.0
_ALL_CACHED = "nothing is due: what ESI has said is still cached"


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
    with invocation.edge(call), StopOnSignal() as stop:
        settings = call.settings(workers=workers, max_runtime=max_runtime)
        splay_s = seconds("--splay", splay)
        application.require(settings)
        stop.flag.wait(_own_share(settings, splay_s))
        if stop.exit_code is not None:
            exit_with(stop.exit_code)
        with opening.for_writing(settings, create=True) as store:
            try:
                with opening.locked(store, _LOCK_PATIENCE):
                    code = _Scan(call, settings, store, stop).run(force=force)
            except lock.RunInProgress:
                _print_holder(call, store)
                code = 0
        exit_with(stop.exit_code or code)


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
        opening.check_origin(self._store, self._settings)
        began, now = time.monotonic(), time.time()
        selected = selection.find(self._store.conn, now, self._settings.min_age, force=force)
        if not selected:
            runs.record_idle(self._store.conn, "scan", now, self._caller)
            nobody = next(users.everyone(self._store.conn), None) is None
            idle = _ALL_CACHED if force else "nothing is due"
            self._print("no users yet: add one with `killsync login`" if nobody else idle)
            return 0
        try:
            with reporting(self._call) as report:
                self._queue(selected, report, now, began)
                outcome = self._work(report)
        except TryLater as error:
            self._warn_later(error, now)
            return error.exit_code
        return self._conclude(outcome)

    def _queue(self, selected: Selection, report: Report, now: float, began: float) -> None:
        for user in selected.due:
            report(UserDue(user.user_id, user.name, ago(user.last_sync_at, now)))
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
        left = pending.counts(self._store.conn)[0]
        self._print(
            f"{count(tally.users, 'user')}, {count(tally.pages, 'page')}, "
            f"{count(tally.stored, 'killmail')} stored, {count(tally.errors, 'error')}, "
            f"{count(outcome.requests, 'request')} in {outcome.seconds:.1f} s"
            + (f"; {count(left, 'killmail')} still pending" if left else "")
        )
        if outcome.out_of_time and outcome.queued:
            needed = schedule.workers_needed(self._settings.workers, tally.users, outcome.queued)
            self._call.warn(
                f"ran out of time with {count(outcome.queued, 'user')} left; "
                f"--workers {needed} would have been enough"
            )
        return 1 if tally.failures else 0

    def _warn_later(self, error: TryLater, now: float) -> None:
        """Warn that it could not be done; a quiet scan does so only once that has lasted."""
        since = runs.last_success(self._store.conn, now)
        lasted = 0.0 if since is None else max(0.0, now - since)
        if not self._call.quiet:
            self._call.warn(str(error))
        elif lasted >= self._settings.alert_after:
            self._call.warn(f"nothing has succeeded for {duration(lasted)}: {error}")

    def _print(self, line: str) -> None:
        if not self._call.quiet:
            print_result(line if sys.stdout.isatty() else f"{iso(time.time())} {line}")


def _own_share(settings: Settings, splay: float) -> float:
    """Return this installation's share of the splay: the same each time, different elsewhere."""
    digest = hashlib.sha256(f"{settings.database.absolute()}:{_machine()}".encode()).digest()
    return splay * int.from_bytes(digest[:4], "big") / 2**32


def _machine() -> str:
    import socket

    return socket.gethostname()


def _print_holder(call: Invocation, store: Store) -> None:
    if call.quiet:
        return
    holder = lock_holder(store)
    if holder is None or holder.pid is None:
        print_result("another run is in progress")
        return
    who = f"{holder.command}, pid {holder.pid} on {holder.host}, since {holder.since}"
    print_result(f"another run is in progress: {who}")
