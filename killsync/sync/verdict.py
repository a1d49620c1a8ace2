"""What becomes of a request that failed: decided here alone, from the error and what is known.

Everything is pure: an error and its circumstances go in, a verdict comes out, and `endings` and
`bodies` carry it out. Whom an error blames stands on its class.
"""

from enum import Enum, auto

import msgspec

from killsync.errors import (
    AccessRejected,
    Blame,
    BodyRejected,
    KillmailUnknown,
    KillsyncError,
    LoginNeeded,
    RateLimited,
    TokenBusy,
    blame_of,
    describe,
)
from killsync.sync import schedule


class Finish(msgspec.Struct, frozen=True):
    """End the job: its list is read as far as this run may."""


class PutOff(msgspec.Struct, frozen=True):
    """Try again at `until`, in unix seconds.

    `counts` says whether it was an attempt that failed, `service_rests` whether no other
    request may be sent before then either. A body that is not `reported` is put off without a word.
    """

    until: float
    reason: str
    counts: bool = False
    service_rests: bool = False
    reported: bool = True


class Fail(msgspec.Struct, frozen=True):
    """End the job as failed, and leave its user alone until `until`.

    None: until a new login. Of a body: set it aside.
    """

    reason: str
    until: float | None = None


class Renew(msgspec.Struct, frozen=True):
    """Forget the access token, refresh it, and ask once more."""


class GiveBack(msgspec.Struct, frozen=True):
    """Leave it as it was: the next run takes it up."""


class HoldBack(msgspec.Struct, frozen=True):
    """Wait until it is known whether the service answers anybody."""


class EndRun(msgspec.Struct, frozen=True):
    """End the run in good order, with this error."""

    error: KillsyncError


JobVerdict = Finish | PutOff | Fail | Renew | GiveBack | EndRun
BodyVerdict = PutOff | Fail | GiveBack | HoldBack | EndRun


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job, its user and the run when a list or a refresh has failed.

    `attempts` counts the job's earlier ones that blamed no user, `failures` the user's in a row;
    `renewed` says that the access token was renewed for this job already.
    """

    now: float
    stopping: bool = False
    head_done: bool = False
    renewed: bool = False
    attempts: int = 0
    failures: int = 0
    min_age: float = 900.0


class Answering(Enum):
    """What is known of ESI when a body has failed."""

    UNKNOWN = auto()  # nothing was answered since the request was sent
    ANSWERS = auto()
    BROKE_OFF = auto()  # it has answered in this run, and answers no more
    SILENT = auto()  # it has not answered in this run, or the run stops


def on_list(error: BaseException, known: Circumstances) -> JobVerdict:
    """Return what becomes of a job whose page could not be had."""
    match error:
        case AccessRejected() if not known.renewed:
            return Renew()
        case RateLimited():
            return on_rest(error.until, known)
    return _on_job(error, known)


def on_refresh(error: BaseException, known: Circumstances) -> JobVerdict:
    """Return what becomes of a job whose access token could not be refreshed."""
    if isinstance(error, RateLimited):
        return PutOff(error.until, describe(error), service_rests=True)
    return _on_job(error, known)


def on_rest(until: float, known: Circumstances) -> JobVerdict:
    """Return what becomes of a job whose bucket is empty: it ends, or waits while others go on."""
    if known.head_done and until > known.now + schedule.LONGEST_PAUSE:
        return Finish()
    return PutOff(min(until, known.now + schedule.LONGEST_REST), "ESI's rate limit")


def on_body(error: BaseException, attempts: int, answering: Answering, now: float) -> BodyVerdict:
    """Return what becomes of a body that could not be had after this many failed attempts."""
    reason = describe(error)
    put_off = PutOff(now + schedule.body_backoff(attempts + 1), reason, counts=True)
    if isinstance(error, KillmailUnknown | BodyRejected):
        return Fail(reason)
    match blame_of(error):
        case Blame.RUN:
            return _end_run(error)
        case Blame.NOBODY:
            return GiveBack()
        case Blame.SERVICE:
            return _on_silence(answering, put_off)
    return put_off


def _on_job(error: BaseException, known: Circumstances) -> JobVerdict:
    reason = describe(error)
    match error:
        case LoginNeeded():
            return Fail(f"{reason}; `killsync login` renews it")
        case TokenBusy():
            return PutOff(known.now + schedule.TOKEN_BUSY_WAIT, reason)
    match blame_of(error):
        case Blame.RUN:
            return _end_run(error)
        case Blame.NOBODY:
            return GiveBack()
        case Blame.SERVICE if known.stopping:
            return GiveBack()
        case Blame.SERVICE:
            wait = schedule.list_put_off(known.attempts + 1)
            return PutOff(known.now + wait, reason, counts=True)
    return Fail(reason, known.now + schedule.user_backoff(known.min_age, known.failures + 1))


def _on_silence(answering: Answering, put_off: PutOff) -> BodyVerdict:
    match answering:
        case Answering.UNKNOWN:
            return HoldBack()
        case Answering.SILENT:
            return GiveBack()
        case Answering.BROKE_OFF:
            # these bodies alone must not end every run
            return msgspec.structs.replace(put_off, reported=False)
        case Answering.ANSWERS:
            return put_off


def _end_run(error: BaseException) -> EndRun:
    # only errors of killsync's own blame the run
    assert isinstance(error, KillsyncError)
    return EndRun(error)
