"""Who is due, how long to back off: pure decisions; times are unix seconds."""

from killsync.esi.headers import LONGEST_CACHE
from killsync.model import User, UserState
from killsync.times import DAY, HOUR, MINUTE, has_passed

LONGEST_BACKOFF = 6 * HOUR
LONGEST_REST = DAY
BODY_BACKOFF = 5 * MINUTE
LIST_PUT_OFF = 5 * MINUTE
TOKEN_BUSY_WAIT = 2.0
# a run waits no longer than this for the next thing to send
LONGEST_PAUSE = MINUTE


def list_cached(user: User, now: float) -> bool:
    """Return whether ESI said that the user's list cannot have changed yet."""
    return not has_passed(user.cached_until, now, LONGEST_CACHE)


def gap_cached(user: User, now: float) -> bool:
    """Return whether the last page done of the user's gap cannot have changed yet."""
    return user.gap_cached_until is not None and not has_passed(
        user.gap_cached_until, now, LONGEST_CACHE
    )


def is_due(user: User, now: float, min_age: float, *, force: bool = False) -> bool:
    """Return whether a scan must sync the user now; `force` ignores `min_age` and no more."""
    if user.state is not UserState.ACTIVE or not has_passed(user.not_before, now, LONGEST_REST):
        return False
    return user.cursor.page is not None or now >= _head_due_at(user, now, 0 if force else min_age)


def next_due_at(user: User, now: float, min_age: float) -> float | None:
    """Return when the user is due next, None for one who never is in the present state."""
    if user.state is not UserState.ACTIVE:
        return None
    wait = now if has_passed(user.not_before, now, LONGEST_REST) else user.not_before or now
    head = now if user.cursor.page is not None else _head_due_at(user, now, min_age)
    return max(wait, head)


def full_is_due(user: User, now: float, full_every: float) -> bool:
    """Return whether the user's whole list is to be read again, to find what arrived late."""
    if user.cursor.page is not None or user.cursor.last_killmail_id is None:
        return False
    last = user.last_full_at
    return last is None or not now - full_every < last <= now


def user_backoff(min_age: float, failures: int) -> float:
    """Return the seconds to leave a user alone after this many failures in a row."""
    return float(min(max(min_age, MINUTE) * 2 ** min(failures - 1, 20), LONGEST_BACKOFF))


def body_backoff(attempts: int) -> float:
    """Return the seconds to put a body off after this many failed attempts."""
    return float(min(BODY_BACKOFF * 2 ** min(attempts - 1, 20), LONGEST_BACKOFF))


def list_put_off(attempts: int) -> float:
    """Return the seconds to put a job off when its list could not be had for no user's fault."""
    return float(min(LIST_PUT_OFF * 2 ** min(attempts - 1, 20), HOUR))


def workers_needed(workers: int, done: int, left: int) -> int:
    """Return how many workers would have done all users in the time that these took."""
    return workers * -(-(done + left) // max(1, done))


def _head_due_at(user: User, now: float, min_age: float) -> float:
    synced = user.last_sync_at
    aged = now if synced is None or synced > now else synced + min_age
    return max(aged, user.cached_until or now) if list_cached(user, now) else aged
