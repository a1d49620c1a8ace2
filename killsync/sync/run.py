"""One run under the lock, from picking up what a crash left to the row in `runs`."""

import time
from collections.abc import Sequence

import msgspec

from killsync.errors import DatabaseError, KillsyncError
from killsync.esi.buckets import body_bucket, list_bucket
from killsync.esi.client import Esi
from killsync.esi.ratelimit import LIKELY_COST, Limits
from killsync.events import Report
from killsync.login.connecting import connected
from killsync.model import Caller
from killsync.settings.config import Settings
from killsync.store import directors, jobs, pending, retries, runs, users
from killsync.store import limits as stored_limits
from killsync.store.connection import Store
from killsync.store.paths import token_file
from killsync.store.runs import Answered
from killsync.sync.bodies import BATCH
from killsync.sync.context import Services, Tally
from killsync.sync.events import Working
from killsync.sync.journal import MOST_WRITES
from killsync.sync.schedule import STILL_NEW
from killsync.sync.stopping import StopRequest
from killsync.sync.worker import Worker


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended; `queued` counts the jobs that may be worked on right away.

    It was `short_of_refreshes` if in the end users waited for nothing but that more may go.
    """

    tally: Tally
    requests: int
    seconds: float
    out_of_time: bool
    queued: int
    short_of_refreshes: bool = False


def pick_up(store: Store, limits: Limits, settings: Settings, now: float) -> None:
    """Take over what earlier runs have spent.

    What a crashed run may have spent without writing it down counts as spent.
    """
    conn = store.conn
    limits.add(stored_limits.load_shared(conn))
    if not runs.last_crashed(conn):
        return
    in_line = jobs.first_in_line(conn, MOST_WRITES + settings.workers)
    unwritten = [(body_bucket(), BATCH + 2 * settings.connections)]
    unwritten += [(list_bucket(reader), 1) for reader in directors.last_readers(conn, in_line)]
    with store.transaction():
        for bucket, requests in unwritten:
            known = stored_limits.load(conn, bucket.group, bucket.key) or [bucket]
            known[0].spend(now, requests * LIKELY_COST)
            stored_limits.save(conn, known)
            limits.replace(known[0])


def run_jobs(
    store: Store,
    settings: Settings,
    command: str,
    caller: Caller,
    report: Report,
    stop: StopRequest,
    *,
    max_runtime: float,
    only_users: Sequence[int] | None = None,
    bodies_only: bool = False,
    tally: Tally | None = None,
) -> Outcome:
    """Work through the job table; whoever calls holds the lock.

    With `bodies_only` through the pending bodies alone, and what a person waits for. It counts in
    `tally`, if that is given, which is right whatever is raised.

    Raises ServiceDown, or an error that blames the run, after everything unfinished is given
    back, and DatabaseError if the database or its token file cannot be used.
    """
    began, now = time.monotonic(), time.time()
    _check_logins_not_lost(store)
    store.gives_up = stop.flag.is_set
    limits = Limits(settings.reserve)
    with connected(store.path, settings, stop.flag) as (http, tokens, sso):
        run_id = _begin(store, settings, limits, command, caller, now, max_runtime)
        if waiting := _waiting(store, only_users):
            report(Working(waiting))
        esi = Esi(http, settings.esi_url, limits)
        services = Services(
            *(store, tokens, esi, sso, limits, settings, stop.flag, report),
            only_users=only_users,
            bodies_only=bodies_only,
        )
        worker = Worker(services, max_runtime=max_runtime, tally=tally)
        stop.wake = worker.wake
        code = 1
        try:
            worker.run()
            code = stop.exit_code or (1 if worker.tally.failures else 0)
        except KillsyncError as error:
            code = error.exit_code
            raise
        finally:
            requests = esi.requests + sso.requests
            _end(store, run_id, worker.tally, requests, worker.answered, code)
    queued = 0 if bodies_only or only_users is not None else jobs.counts(store.conn).queued
    seconds = time.monotonic() - began
    return Outcome(
        worker.tally,
        esi.requests + sso.requests,
        seconds,
        worker.out_of_time,
        queued,
        worker.short_of_refreshes,
    )


def _waiting(store: Store, only_users: Sequence[int] | None) -> int:
    """Return how many bodies are pending that this run is there for."""
    if only_users is None:
        return pending.total(store.conn)
    return pending.waiting_for(store.conn, only_users)


def _begin(
    store: Store,
    settings: Settings,
    limits: Limits,
    command: str,
    caller: Caller,
    now: float,
    max_runtime: float,
) -> int:
    """Take over what earlier runs have left, and return the id of this one."""
    pick_up(store, limits, settings, now)
    with store.transaction() as conn:
        run_id = runs.begin(conn, command, now, caller, max_runtime)
        jobs.give_back_all(conn)
        retries.wake(conn, now)
        retries.wake_probes(conn)
        pending.make_history(conn, STILL_NEW)
        jobs.prune(conn, now)
    return run_id


def _check_logins_not_lost(store: Store) -> None:
    # it may be put back: no user may need a new login because of it
    tokens = token_file(store.path)
    if not tokens.exists() and users.any_active(store.conn):
        raise DatabaseError(
            f"{tokens}: is missing, and with it every login: put it back, or log in again "
            "with `killsync login --another`"
        )


def _end(
    store: Store, run_id: int, tally: Tally, requests: int, answered: Answered, code: int
) -> None:
    with store.transaction() as conn:
        runs.end(
            conn,
            run_id,
            time.time(),
            users=tally.users,
            pages=tally.pages,
            requests=requests,
            new_killmails=tally.stored,
            errors=tally.errors,
            exit_code=code,
            answered=answered,
        )
