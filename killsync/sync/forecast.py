"""What is still pending, why, until when, and when all of it will be there."""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from killsync.esi.buckets import body_bucket, list_bucket
from killsync.esi.ratelimit import (
    ERROR_LIMIT,
    LIKELY_COST,
    Bucket,
    Rest,
    kept_share,
    why_resting,
)
from killsync.model import Priority, Reader, User, UserKind, own_reader
from killsync.settings.config import Settings
from killsync.store import directors as stored_directors
from killsync.store import limits, pending, runs, urgency, waiting_users
from killsync.store.connection import Store
from killsync.store.runs import LockHolder, Run
from killsync.store.urgency import Urgency
from killsync.store.waiting_users import Listed
from killsync.sync import directors
from killsync.sync.schedule import STILL_NEW
from killsync.sync.ticks import (
    TICK,
    USUAL_RATE,
    Bodies,
    OpenList,
    Running,
    Scans,
    next_scan,
    stored_at,
)
from killsync.times import HOUR, iso_after, iso_or_none, unix

_SCANS_SEEN = 8
_RUNS_SEEN = 12
# of a run that stored fewer, most of the time went into other things
_ENOUGH_TO_TELL = 200
# what is put off for longer has failed again and again
_SOON = HOUR
# ESI's documentation of today: what a page holds at most
_LARGEST_PAGE = 1000


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What is pending; times are ISO text.

    `ready` bodies wait only for ESI's limit, until `resumes_at` (None: for nothing), because of
    `resumes_after`. Of those that were put off the first is tried again at `again_at`.
    `open_lists` counts the users whose lists are still being read, which goes on at `lists_at`;
    they may show `expected` more. Of `unread_lists` nothing is known yet.

    All of these but what is set aside, or put off for longer, will be there at about `done_at`
    (None: there is nothing to come), if a scan comes every `scan_every_s` seconds, as they do if
    `scans_seen`. `stored` are those that are there, of the same users (None: too many to count).
    """

    ready: int = 0
    put_off: int = 0
    set_aside: int = 0
    resumes_at: str | None = None
    done_at: str | None = None
    again_at: str | None = None
    open_lists: int = 0
    lists_at: str | None = None
    resumes_after: Rest | None = None
    expected: int = 0
    unread_lists: int = 0
    stored: int | None = 0
    scan_every_s: int = int(TICK)
    scans_seen: bool = False

    @property
    def to_come(self) -> int:
        """How many killmails are not there yet, as far as is known."""
        return self.ready + self.put_off + self.expected


def running_of(holder: LockHolder | None) -> Running | None:
    """Return until when the run goes on that holds the lock, None if none fetches killmails."""
    if holder is None or holder.since is None or holder.max_runtime_s is None:
        return None
    return Running(
        unix(holder.since) + holder.max_runtime_s,
        own_only=holder.command == "sync",
        bodies_only=holder.command == "import zkb",
    )


def backlog(
    store: Store,
    settings: Settings,
    now: float,
    *,
    user_ids: Sequence[int] | None = None,
    running: Running | None = None,
    rate: float | None = None,
) -> Backlog:
    """Return what is pending, of all users or of these, and when all of it will be there.

    `running` is the run in progress, which stores `rate` bodies a second; None: as others did.
    """
    conn = store.conn
    counts = pending.count_by_state(conn, user_ids)
    open_lists = waiting_users.open_gaps(conn, user_ids)
    unread = waiting_users.never_read(conn, user_ids)
    starts = [scan.started_at for scan in runs.background_scans(conn, _SCANS_SEEN)]
    next_at, every, seen = next_scan(starts, now)
    if not (counts.ready or counts.put_off or open_lists):
        return Backlog(
            set_aside=counts.set_aside,
            unread_lists=unread,
            scan_every_s=round(every),
            scans_seen=seen,
        )
    bucket, errors = _bodies_bucket(conn, now)
    waiting = _waiting(conn, settings, now, user_ids)
    known = waiting_users.listed_for_waiting(conn, user_ids)
    if known is not None and not known.in_all:
        known = None  # nobody's list has shown it
    lists = [_open_list(conn, user, known, now) for user in open_lists]
    scans = Scans(
        next_at=next_at,
        every=every,
        max_runtime=settings.max_runtime,
        max_pages=settings.max_pages,
        rate=rate or _rate(runs.latest(conn, _RUNS_SEEN)),
        reserve=settings.reserve,
    )
    done_at = stored_at(waiting, lists, bucket, scans, now, running=running)
    first = waiting[0].keep if waiting else kept_share(Priority.GAP, settings.reserve)
    resumes_at = bucket.ready_at(now, LIKELY_COST, first)
    rests = counts.ready > 0 and resumes_at > now
    times = [one.ready_at for one in lists]
    return Backlog(
        ready=counts.ready,
        put_off=counts.put_off,
        set_aside=counts.set_aside,
        resumes_at=iso_after(resumes_at) if rests else None,
        resumes_after=why_resting(bucket, errors, now) if rests else None,
        done_at=iso_after(done_at) if waiting or lists else None,
        again_at=iso_or_none(counts.again_at),
        open_lists=len(lists),
        lists_at=iso_after(min(times)) if times and min(times) > now else None,
        expected=round(sum(one.pages * one.bodies for one in lists)),
        unread_lists=unread,
        stored=None if known is None else known.stored,
        scan_every_s=round(every),
        scans_seen=seen,
    )


def _bodies_bucket(conn: sqlite3.Connection, now: float) -> tuple[Bucket, Bucket | None]:
    """Return the bucket of bodies, resting also for errors, and the limit on errors."""
    bucket = _known(conn, body_bucket())
    errors = next(iter(limits.load(conn, ERROR_LIMIT, "")), None)
    known = msgspec.structs.replace(bucket)
    if errors is not None and errors.is_resting(now) and not bucket.is_resting(now):
        known.retry_at = errors.retry_at
    return known, errors


def _waiting(
    conn: sqlite3.Connection,
    settings: Settings,
    now: float,
    user_ids: Sequence[int] | None,
) -> list[Bodies]:
    """Return what is fetched until all of these users' bodies are there, the most urgent first."""
    own = urgency.ready_by_urgency(conn, user_ids)
    found = own if user_ids is None else urgency.ready_before(conn, user_ids)
    manual = {one.failed: one.bodies for one in own if one.priority >= Priority.MANUAL}
    waiting = [
        some
        for one in found
        for some in _by_share(one, manual.get(one.failed, 0), settings.reserve)
    ]
    soon, at = urgency.put_off_until(conn, now + _SOON, user_ids)
    if at is not None:
        keep = kept_share(Priority.GAP, settings.reserve)
        waiting.append(Bodies(soon, keep, ready_at=at))
    return waiting


def _by_share(one: Urgency, own: int, reserve: float) -> Iterable[Bodies]:
    """Divide what is equally urgent by the share of the limit that it leaves."""
    if one.priority >= Priority.MANUAL:
        yield Bodies(one.bodies, 0.0, own)
        return
    new = min(one.bodies, STILL_NEW) if one.priority == Priority.BACKGROUND else 0
    for number, priority in ((new, Priority.BACKGROUND), (one.bodies - new, Priority.GAP)):
        if number:
            yield Bodies(number, kept_share(priority, reserve))


def _open_list(conn: sqlite3.Connection, user: User, known: Listed | None, now: float) -> OpenList:
    """Return what is not read yet of a list, and what to expect of it."""
    page = user.cursor.page or 1
    pages = max(1, (user.pages or page) - page + 1)
    size = min(_LARGEST_PAGE, max(1, round(user.listed / max(1, page - 1))))
    if user.last_full_at is not None:
        # it was read to its end before: only what has been missed is new
        before = 0 if user.cursor.until_id is None else _LARGEST_PAGE
        size = min(size, before)
    # the share of what the lists show that is on no other one
    alone = known.distinct / known.in_all if known is not None and known.in_all else 1.0
    readers = [own_reader(user.user_id)]
    if user.kind is UserKind.CORPORATION:
        readers = [
            Reader(user.user_id, user.kind, one.character_id)
            for one in stored_directors.of_corporation(conn, user.user_id)
            if directors.may_be_asked(one, now)
        ]
    buckets = [_known(conn, list_bucket(reader)) for reader in readers]
    return OpenList(pages, size * alone, buckets, user.not_before or 0.0)


def _known(conn: sqlite3.Connection, documented: Bucket) -> Bucket:
    """Return how a bucket stands, as far as that is known; else as it is documented."""
    bucket = next(iter(limits.load(conn, documented.group, documented.key)), documented)
    bucket.keep_within_reason(documented)
    return bucket


def _rate(latest: list[Run]) -> float:
    """Return how many bodies a second the fastest of the newest runs has stored."""
    rates = [
        run.new_killmails / max(1.0, unix(run.finished_at) - unix(run.started_at))
        for run in latest
        if run.finished_at is not None and run.new_killmails >= _ENOUGH_TO_TELL
    ]
    return max(rates, default=USUAL_RATE)
