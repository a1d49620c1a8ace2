"""How everything stands: read from the database alone, without a single request."""

import sqlite3
from enum import StrEnum

import msgspec

from killsync.esi.buckets import OWN_GROUPS
from killsync.esi.ratelimit import LIKELY_COST, Bucket, kept_share
from killsync.model import Director, Job, JobCounts, Priority, User, UserKind, UserState
from killsync.settings.config import Settings
from killsync.store import directors as stored_directors
from killsync.store import jobs, limits, lock, pending, recent, runs, users
from killsync.store.connection import Store, snapshot
from killsync.store.jobs import EndedJob
from killsync.store.runs import LockHolder, Run
from killsync.sync import alerts, directors, forecast, schedule
from killsync.sync.alerts import Unfetched, Unsynced
from killsync.sync.forecast import Backlog
from killsync.times import HOUR, iso, iso_after, iso_or_none

_HOURS_SHOWN = 24
_MOST_SET_ASIDE = 10


class Backfill(msgspec.Struct, frozen=True):
    """The gap in a user's list: the page where it goes on, the id at which it ends."""

    page: int
    until_id: int | None


class DirectorState(StrEnum):
    """Whether a director's token has read its corporation's list when it was last used."""

    WORKING = "working"
    REFUSED = "refused"


class DirectorStatus(msgspec.Struct, frozen=True):
    """How one director of a corporation stands; `asked_at`, its last turn, is ISO text."""

    character_id: int
    name: str
    state: DirectorState
    error: str | None
    asked_at: str | None


class UserStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one user stands; times are ISO text. A character has no `directors`.

    `killmails` are those that ESI lists of the user and whose bodies are stored; what was imported
    besides is not among them. `list_pages` is how many pages the list is known to have.
    """

    user_id: int
    name: str
    kind: UserKind
    state: UserState
    last_killmail_id: int | None
    last_killmail_sync_at: str | None
    next_due_at: str | None
    killmails: int
    pending: int
    backfill: Backfill | None
    list_pages: int | None
    failures: int
    error: str | None
    directors: list[DirectorStatus]

    @property
    def directors_working(self) -> int:
        """How many directors read a corporation's list."""
        return sum(one.state is DirectorState.WORKING for one in self.directors)


class SetAside(msgspec.Struct, frozen=True):
    """A killmail that was set aside, and why."""

    killmail_id: int
    error: str


class RateLimit(msgspec.Struct, frozen=True):
    """What is left of a bucket; `retry_at` is ISO text while it rests.

    `ready_at` is when background work may spend from it again, None: now.
    """

    group: str
    key: str
    remaining: int
    limit: int
    window_s: float
    retry_at: str | None
    ready_at: str | None


class ListInProgress(msgspec.Struct, frozen=True):
    """A list that the run in progress reads: whose, and what it has read so far."""

    user_id: int
    name: str
    pages: int
    new: int


class RunProgress(msgspec.Struct, frozen=True):
    """What the run in progress has done so far: killmails stored, and the lists that it reads."""

    stored: int
    lists: list[ListInProgress]


class UserDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What only the view of a single user shows; times are ISO text."""

    added_at: str | None
    last_full_at: str | None
    backlog: Backlog
    open_job: Job | None
    ended_job: EndedJob | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The object that `status --json` prints, key by key.

    `progress` is None while no run holds the lock. `stored_by_hour` are the killmails stored in
    each of the last 24 hours, whatever stored them, the oldest hour first.
    """

    database: str
    lock: LockHolder | None
    users: list[UserStatus]
    jobs: JobCounts
    pending_killmails: int
    set_aside_killmails: int
    set_aside: list[SetAside]
    rate_limits: list[RateLimit]
    last_run: Run | None
    last_run_killed: bool
    lock_overdue: bool
    unsynced: Unsynced | None
    unfetched: Unfetched | None
    backlog: Backlog
    progress: RunProgress | None
    stored_by_hour: list[int]

    @property
    def reading(self) -> set[int]:
        """The users whose lists the run in progress reads."""
        return {one.user_id for one in self.progress.lists} if self.progress else set()


def read_status(
    store: Store, settings: Settings, now: float, *, only: list[User] | None = None
) -> Status:
    """Return how everything stands, of one moment; with `only`, of all users just these."""
    conn = store.conn
    with snapshot(conn):
        holder = lock_holder(store)
        running = forecast.running_of(holder)
        backlog = forecast.backlog(store, settings, now, running=running)
        last_run = next(iter(runs.latest(conn, 1)), None)
        return Status(
            database=str(store.path),
            lock=holder,
            users=user_statuses(store, settings, now, only=only),
            jobs=jobs.counts(conn),
            pending_killmails=pending.total(conn),
            set_aside_killmails=backlog.set_aside,
            set_aside=[SetAside(*row) for row in pending.set_aside_newest(conn, _MOST_SET_ASIDE)],
            rate_limits=[
                _rate_limit(bucket, settings.reserve, now)
                for bucket in limits.everything(conn)
                # of what ESI sets no limit for, only that it rests is worth knowing
                if bucket.group not in OWN_GROUPS or bucket.is_resting(now)
            ],
            last_run=last_run,
            last_run_killed=last_run is not None and was_killed(last_run, holder),
            lock_overdue=alerts.overdue(holder, now) is not None,
            unsynced=alerts.unsynced(store, settings, now),
            unfetched=alerts.unfetched(store, settings, now),
            backlog=backlog,
            progress=None if holder is None else _progress(conn, holder),
            stored_by_hour=recent.stored_between(
                conn, [iso(now - hours * HOUR) for hours in range(_HOURS_SHOWN, 0, -1)]
            ),
        )


def read_details(store: Store, settings: Settings, now: float, user: User) -> UserDetails:
    """Return what only the view of a single user shows."""
    conn = store.conn
    return UserDetails(
        added_at=None if user.added_at is None else iso(user.added_at),
        last_full_at=None if user.last_full_at is None else iso(user.last_full_at),
        backlog=forecast.backlog(
            store,
            settings,
            now,
            user_ids=[user.user_id],
            running=forecast.running_of(lock_holder(store)),
        ),
        open_job=jobs.open_job(conn, user.user_id),
        ended_job=jobs.newest_ended(conn, user.user_id),
    )


def was_killed(run: Run, holder: LockHolder | None) -> bool:
    """Return whether a run ended without having recorded its end."""
    return run.finished_at is None and (holder is None or holder.pid != run.pid)


def user_statuses(
    store: Store, settings: Settings, now: float, *, only: list[User] | None = None
) -> list[UserStatus]:
    """Return how each user stands, or only these."""
    shown = users.everyone(store.conn) if only is None else only
    return [_user(store.conn, user, now, settings.min_age) for user in list(shown)]


def lock_holder(store: Store) -> LockHolder | None:
    """Return who holds the lock, None if nobody does."""
    if not lock.is_held(store.path):
        return None
    version = store.version()
    return runs.newest_unended(store.conn, version) if version else LockHolder()


def _progress(conn: sqlite3.Connection, holder: LockHolder) -> RunProgress:
    read = [(job, users.get(conn, job.user_id)) for job in jobs.running(conn)]
    return RunProgress(
        0 if holder.since is None else recent.stored_since(conn, holder.since),
        [
            ListInProgress(user.user_id, user.name, job.pages, job.new_killmails)
            for job, user in read
            if user is not None
        ],
    )


def _director(director: Director) -> DirectorStatus:
    return DirectorStatus(
        director.character_id,
        director.name,
        DirectorState.REFUSED if director.is_refused else DirectorState.WORKING,
        director.error,
        None if director.asked_at is None else iso(director.asked_at),
    )


def _user(conn: sqlite3.Connection, user: User, now: float, min_age: float) -> UserStatus:
    line: list[Director] = []
    error = user.error
    if user.kind is UserKind.CORPORATION:
        line = stored_directors.of_corporation(conn, user.user_id)
        if user.state is UserState.NEEDS_LOGIN:
            # those who were asked then may have been removed since
            error = directors.describe(line)
    cursor, synced = user.cursor, user.last_sync_at
    due = schedule.next_due_at(user, now, min_age)
    return UserStatus(
        user_id=user.user_id,
        name=user.name,
        kind=user.kind,
        state=user.state,
        last_killmail_id=cursor.last_killmail_id,
        last_killmail_sync_at=None if synced is None else iso(synced),
        next_due_at=None if due is None else iso_after(due),
        killmails=user.killmails,
        pending=user.pending,
        backfill=None if cursor.page is None else Backfill(cursor.page, cursor.until_id),
        list_pages=user.pages,
        failures=user.failures,
        error=error,
        directors=[_director(one) for one in line],
    )


def _rate_limit(bucket: Bucket, reserve: float, now: float) -> RateLimit:
    ready_at = bucket.ready_at(now, LIKELY_COST, kept_share(Priority.BACKGROUND, reserve))
    return RateLimit(
        group=bucket.group,
        key=bucket.key,
        remaining=max(0, bucket.remaining(now)),
        limit=bucket.limit,
        window_s=bucket.window,
        retry_at=iso_or_none(bucket.retry_at) if bucket.is_resting(now) else None,
        ready_at=iso_or_none(ready_at) if ready_at > now else None,
    )
