"""How a user, a run and the rate limits stand, in words that a player knows: pure decisions."""

from collections.abc import Collection, Sequence

from msgspec import Struct

from killsync.errors import STOPPED, TryLater
from killsync.esi.ratelimit import SSO_GROUP
from killsync.model import Job, JobState, Priority, UserKind, UserState
from killsync.store.jobs import EndedJob
from killsync.store.runs import LockHolder, Run
from killsync.sync.status import RateLimit, UserStatus, was_killed
from killsync.terminal.advice import describe_holder
from killsync.terminal.cells import Words
from killsync.terminal.moments import Zone, near
from killsync.terminal.text import count, safe
from killsync.times import unix

_GROUPS = {
    "char-killmail": "lists",
    "corp-killmail": "lists",
    "killmail": "killmails",
    "status": "ESI's status",
    "names": "names",
    "market-prices": "prices",
    "public": "players",
    SSO_GROUP: "logins",
}
_LOGIN = "`killsync login`"
_DAMAGED = "damaged: run `killsync check`"
NOBODY = f"No characters yet: {_LOGIN} registers one"


class Clock(Struct, frozen=True):
    """When it is, in unix seconds, and by whose clock times are shown."""

    now: float
    zone: Zone = Zone.EVE

    def near(self, moment: str) -> str:
        """Return a time of the database as it is seen from now."""
        return near(unix(moment), self.now, self.zone)


def standing(user: UserStatus, clock: Clock, reading: Collection[int] = ()) -> Words:
    """Return how a user stands; `reading` are those whose lists the run in progress reads."""
    if user.state is not UserState.ACTIVE:
        return registered(user)
    if user.failures:
        return Words(f"trying again {_when(user.next_due_at, clock)}", "yellow")
    if user.backfill is not None:
        return Words(f"reading history, {page(user.backfill.page, user.list_pages)}", "cyan")
    if user.user_id in reading:
        return Words("reading the list", "cyan")
    if user.last_killmail_sync_at is None:
        return Words("waits for its first scan")
    if user.pending:
        return Words(f"{count(user.pending, 'killmail')} to come", "cyan")
    if is_due(user, clock.now):
        return Words("waits for the next scan")
    return Words("up to date", "green")


def registered(user: UserStatus) -> Words:
    """Return whether a user is synced at all, as the list of users says."""
    match user.state:
        case UserState.ACTIVE:
            return Words("active", "green")
        case UserState.NEEDS_LOGIN:
            is_corporation = user.kind is UserKind.CORPORATION
            who = "needs a director's login" if is_corporation else "needs a login"
            return Words(who, "bold red")
        case UserState.DISABLED:
            return Words("disabled", "dim")
        case _:
            return Words(_DAMAGED, "bold red")


def is_due(user: UserStatus, now: float) -> bool:
    """Return whether the next scan syncs the user."""
    return user.next_due_at is not None and _has_come(user.next_due_at, now)


def _has_come(moment: str, now: float) -> bool:
    # times to wait for are given as the first whole second after them
    return unix(moment) < now + 1


def next_sync(user: UserStatus, clock: Clock) -> str:
    """Return when a user is synced next, `-` for never in the present state."""
    return "-" if user.next_due_at is None else _when(user.next_due_at, clock, "next scan")


def last_sync(user: UserStatus, clock: Clock) -> str:
    """Return when a user's list was last read to where it was to be."""
    synced = user.last_killmail_sync_at
    return "never" if synced is None else clock.near(synced)


def page(number: int, of: int | None) -> str:
    """Return `page 3 of 12`, or what is known of it."""
    return f"page {number:,}" if of is None or of < number else f"page {number:,} of {of:,}"


def _when(moment: str | None, clock: Clock, passed: str = "at the next scan") -> str:
    if moment is None or _has_come(moment, clock.now):
        return passed
    return clock.near(moment)


def needs_attention(user: UserStatus) -> bool:
    """Return whether something is wrong with a user."""
    is_well = user.state in (UserState.ACTIVE, UserState.DISABLED)
    return not is_well or user.failures > 0 or user.error is not None


def trouble(user: UserStatus) -> str | None:
    """Return what is wrong with a user and what to do about it; None if nothing is."""
    name, reason = safe(user.name), "" if user.error is None else safe(user.error, 300)
    if user.state is UserState.NEEDS_LOGIN and user.kind is not UserKind.CORPORATION:
        # most reasons name the cure themselves
        known = f": {reason}" if _LOGIN in reason else f": run {_LOGIN}"
        why = f" ({reason})" if reason and _LOGIN not in reason else ""
        return f"{name} needs a login{known}{why}"
    if is_unread(user):
        return None
    return f"{name}: {reason}" if reason else None


def is_unread(user: UserStatus) -> bool:
    """Return whether a corporation has no director who reads it, as its own line says."""
    is_corporation = user.kind is UserKind.CORPORATION
    return is_corporation and user.state is UserState.NEEDS_LOGIN and not user.directors_working


def ending(run: Run, holder: LockHolder | None) -> Words:
    """Return how a run ended, or that it goes on."""
    code = run.exit_code
    if code is None:
        killed = was_killed(run, holder)
        return Words("was killed", "yellow") if killed else Words("is running", "cyan")
    if code in STOPPED:
        return Words("was stopped")
    if code == TryLater.exit_code:
        return Words("tries again later", "yellow")
    return Words("done", "green") if code == 0 else Words("done, with errors", "red")


def activity(holder: LockHolder | None, last_run: Run | None, clock: Clock, *, users: int) -> Words:
    """Return what is going on, or what went on last."""
    if holder is not None:
        if holder.since is None:
            return Words("A run has just started", "cyan")
        return Words(
            f"{_capital(describe_holder(holder))} is running, started {clock.near(holder.since)}",
            "cyan",
        )
    if not users:
        return Words(NOBODY, "bold")
    if last_run is None:
        return Words("No scan yet: `killsync scan` starts one, `killsync init` shows cron's line")
    name, started = safe(last_run.command), clock.near(last_run.started_at)
    if was_killed(last_run, holder):
        return Words(
            f"The last {name}, started {started}, was killed; the next run goes on", "yellow"
        )
    ended = clock.near(last_run.finished_at or last_run.started_at)
    return Words(f"Nothing is running; the last {name} ended {ended}")


def job_words(open_job: Job | None, ended: EndedJob | None, clock: Clock) -> list[str]:
    """Return what a user's list waits for or what reads it, and how that ended last."""
    lines = []
    if open_job is not None:
        lines.append(_open_job(open_job, clock))
    if ended is not None:
        at = clock.near(ended.finished_at)
        if ended.state is JobState.FAILED:
            lines.append(f"failed {at}: {safe(ended.error, 300)}")
        else:
            read = f"{count(ended.pages, 'page')}, {ended.new:,} new"
            lines.append(f"list read {at}: {read}")
    return lines or ["none yet"]


def _open_job(job: Job, clock: Clock) -> str:
    whole = ", the whole list" if job.full else ""
    if job.state is JobState.RUNNING:
        return (
            f"being read now: {count(job.pages, 'page')} so far, {job.new_killmails:,} new{whole}"
        )
    if job.not_before is not None and job.not_before > clock.now:
        return f"goes on {near(job.not_before, clock.now, clock.zone)}{whole}"
    first = " before the others" if job.priority >= Priority.MANUAL else ""
    return f"waits for the next run{first}{whole}"


def limits_line(limits: Sequence[RateLimit], clock: Clock) -> Words:
    """Return in one line how much is left of ESI's limits: of each kind, of what has least."""
    left: dict[str, float] = {}
    rests: dict[str, str] = {}
    for one in limits:
        kind = _GROUPS.get(one.group, safe(one.group, 40))
        if one.retry_at is not None:
            rests[kind] = max(one.retry_at, rests.get(kind, ""))
        elif one.group != SSO_GROUP:
            left[kind] = min(left.get(kind, 1.0), one.remaining / max(1, one.limit))
    parts = [f"{kind} rest, and go on {clock.near(until)}" for kind, until in rests.items()]
    parts += [f"{kind} {int(share * 100)}% left" for kind, share in left.items()]
    text = ", ".join(parts) or "nothing is spent of them"
    return Words(f"ESI's limits: {text}", "yellow" if rests else "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
