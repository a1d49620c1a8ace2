"""Who is due, how long to back off: pure decisions; times are unix seconds."""

from enum import StrEnum

from killsync.esi.headers import LONGEST_CACHE
from killsync.model import User, UserState
from killsync.store.users import LONGEST_WAIT
from killsync.times import DAY, HOUR, MINUTE, has_passed

LONGEST_BACKOFF = 6 * HOUR
BODY_BACKOFF = 5 * MINUTE
# of a body that ESI refuses: the waits from one to the next asking, the last one from then on
_REFUSED_BODY_WAITS = (10 * MINUTE, HOUR, 6 * HOUR, DAY)
_REFUSED_BODY_LAST_WAIT = 7 * DAY
_SET_ASIDE_AFTER = 3
_SET_ASIDE_WITHIN = DAY
# two refusals of a token count only if they are as far apart as two ticks
REFUSALS_APART = 10 * MINUTE
_TRY_LOGIN_FOR = 7 * DAY
TOKEN_BUSY_WAIT = 2.0
# fewer refreshes are in flight by then
TOO_MANY_WAIT = 0.5
# of the new bodies that earlier runs have left, so many are still fetched as new
STILL_NEW = 20
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


def is_due(
    user: User, now: float, min_age: float, *, client_id: str = "", force: bool = False
) -> bool:
    """Return whether a scan must sync the user now; `force` ignores `min_age` and no more.

    One who needs a login is due once a day for a week, and for another `client_id` at once.
    """
    if user.state is UserState.NEEDS_LOGIN:
        return _may_try_login(user, now, client_id)
    if user.state is not UserState.ACTIVE or not has_passed(user.not_before, now, LONGEST_WAIT):
        return False
    return user.cursor.page is not None or now >= _head_due_at(user, now, 0 if force else min_age)


def next_due_at(user: User, now: float, min_age: float) -> float | None:
    """Return when the user is due next, None for one who never is in the present state."""
    if user.state is UserState.NEEDS_LOGIN:
        return user.not_before
    if user.state is not UserState.ACTIVE:
        return None
    wait = now if has_passed(user.not_before, now, LONGEST_WAIT) else user.not_before or now
    head = now if user.cursor.page is not None else _head_due_at(user, now, min_age)
    return max(wait, head)


class Waits(StrEnum):
    """Why a user is not synced now."""

    SYNCED = "synced"  # less than `min_age` ago
    CACHED = "cached"  # ESI's list cannot have changed yet
    FAILED = "failed"  # the back-off after failures of its own
    LIMITED = "limited"  # its open gap waits for ESI's rate limit
    LOGIN = "login"
    DISABLED = "disabled"


def why_not_due(user: User, now: float, min_age: float, *, force: bool = False) -> Waits | None:
    """Return why a user is not synced now, None for one who is due."""
    if user.state is UserState.NEEDS_LOGIN:
        return Waits.LOGIN
    if user.state is not UserState.ACTIVE:
        return Waits.DISABLED
    if not has_passed(user.not_before, now, LONGEST_WAIT):
        return Waits.FAILED if user.failures else Waits.LIMITED
    if is_due(user, now, min_age, force=force):
        return None
    aged = (user.last_sync_at or now) + (0 if force else min_age)
    cached = user.cached_until if list_cached(user, now) else None
    return Waits.CACHED if cached is not None and cached > aged else Waits.SYNCED


def full_is_due(user: User, now: float, full_every: float) -> bool:
    """Return whether the user's whole list is to be read again, to find what arrived late."""
    if user.cursor.page is not None or user.cursor.last_killmail_id is None:
        return False
    last = user.last_full_at
    # entries that were no references may be whole by tomorrow
    every = min(full_every, DAY) if user.skipped else full_every
    return last is None or not now - every < last <= now


def user_backoff(min_age: float, failures: int) -> float:
    """Return the seconds to leave a user alone after this many failures in a row."""
    return float(min(max(min_age, MINUTE) * 2 ** min(failures - 1, 20), LONGEST_BACKOFF))


def body_backoff(attempts: int) -> float:
    """Return the seconds to put a body off after this many failed attempts."""
    return float(min(BODY_BACKOFF * 2 ** min(attempts - 1, 20), LONGEST_BACKOFF))


def ask_refused_body_at(since: float, now: float) -> float:
    """Return when a body is asked for again that was first refused at `since`.

    Whoever asks in between, such as a manual sync, moves nothing.
    """
    moment = since
    for wait in _REFUSED_BODY_WAITS:
        moment += wait
        if moment > now:
            return moment
    return now + _REFUSED_BODY_LAST_WAIT


def may_set_aside(refusals: int, since: float, now: float) -> bool:
    """Return whether so many refusals of a body, the first at `since`, are enough evidence."""
    return refusals >= _SET_ASIDE_AFTER and now - since >= _SET_ASIDE_WITHIN


def try_login_again_at(refused_at: float, now: float) -> float | None:
    """Return when a token is tried once more that was first refused at `refused_at`, if ever."""
    again = now + DAY
    return again if again <= refused_at + _TRY_LOGIN_FOR + DAY else None


def workers_needed(workers: int, done: int, left: int) -> int:
    """Return how many workers would have done all users in the time that these took."""
    return workers * -(-(done + left) // max(1, done))


def _may_try_login(user: User, now: float, client_id: str) -> bool:
    refused_for = user.refusal.client_id if user.refusal else client_id
    due = user.not_before is not None and has_passed(user.not_before, now, LONGEST_WAIT)
    return due or refused_for != client_id


def _head_due_at(user: User, now: float, min_age: float) -> float:
    synced = user.last_sync_at
    aged = now if synced is None or synced > now else synced + min_age
    return max(aged, user.cached_until or now) if list_cached(user, now) else aged
