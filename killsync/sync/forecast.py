"""What is still pending, why, until when, and when all of it will be there."""

import msgspec

from killsync.esi.buckets import body_bucket
from killsync.esi.ratelimit import ERROR_LIMIT, LIKELY_COST, Bucket, kept_share
from killsync.model import Priority
from killsync.store import limits, pending, waiting_users
from killsync.store.connection import Store
from killsync.times import MINUTE, iso_after, iso_or_none

TICK = 10 * MINUTE
# beyond that many ticks, a month, the rate of those before is all that is needed
_MOST_TICKS = 4_320


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What is pending; times are ISO text.

    `ready` bodies wait only for ESI's limit, until `resumes_at` (None: for nothing); they will
    all be there at about `done_at` (None: there are none). Of those that were put off the first
    is tried again at `again_at`. `open_lists` counts the users whose lists are still being read:
    they may show more; the next goes on at `lists_at`.
    """

    ready: int
    put_off: int
    set_aside: int
    resumes_at: str | None
    done_at: str | None
    again_at: str | None
    open_lists: int
    lists_at: str | None


def backlog(
    store: Store, reserve: float, now: float, *, user_ids: list[int] | None = None
) -> Backlog:
    """Return what is pending, of all users or of these."""
    conn = store.conn
    counts = pending.count_by_state(conn, user_ids)
    known = limits.load(conn, body_bucket().group, body_bucket().key)
    bucket = known[0] if known else body_bucket()
    bucket.keep_within_reason(body_bucket())
    stopped = limits.load(conn, ERROR_LIMIT, "")
    if stopped and stopped[0].is_resting(now):
        bucket.retry_at = max(bucket.retry_at or 0.0, stopped[0].retry_at or 0.0)
    keep = kept_share(Priority.GAP, reserve)
    resumes_at = bucket.ready_at(now, LIKELY_COST, keep)
    open_lists, lists_at = waiting_users.open_gaps(conn, user_ids)
    ready = counts.ready
    return Backlog(
        ready=ready,
        put_off=counts.put_off,
        set_aside=counts.set_aside,
        resumes_at=iso_after(resumes_at) if ready and resumes_at > now else None,
        done_at=iso_after(fetched_at(ready, bucket, keep, now)) if ready else None,
        again_at=iso_or_none(counts.again_at),
        open_lists=open_lists,
        lists_at=None if lists_at is None or lists_at <= now else iso_after(lists_at),
    )


def fetched_at(bodies: int, bucket: Bucket, keep: float, now: float) -> float:
    """Return when so many bodies will have been fetched by scans every ten minutes.

    `keep` is the share of the bucket's limit that they leave.
    """
    bucket = msgspec.structs.replace(bucket, spent=list(bucket.spent))
    left, at = bodies, bucket.ready_at(now, LIKELY_COST, keep)
    for _ in range(_MOST_TICKS):
        at = max(at, bucket.ready_at(at, LIKELY_COST, keep))
        fitting = int(bucket.remaining(at) - keep * bucket.limit) // LIKELY_COST
        fetched = min(left, max(1, fitting))
        bucket.spend(at, fetched * LIKELY_COST)
        left -= fetched
        if not left:
            return at
        at += TICK
    return at + left * (at - now) / (bodies - left)
