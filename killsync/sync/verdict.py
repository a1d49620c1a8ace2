"""What becomes of a request that failed: decided here alone, from the error and what is known.

Everything is pure: an error and its circumstances go in, a verdict comes out, and `endings` and
`bodies` carry it out. Whom an error blames stands on its class. Nothing that lasts follows from one
answer: it needs evidence that repeats over time, and no success elsewhere that speaks against it.
"""

from enum import Enum, auto

import msgspec

from killsync.errors import (
    AccessRejected,
    ApplicationError,
    Blame,
    BodyRejected,
    DirectorRefused,
    KillmailUnknown,
    KillsyncError,
    LoginNeeded,
    RateLimited,
    TokenBusy,
    TooLarge,
    TooManyAtOnce,
    blame_of,
    describe,
)
from killsync.esi.ratelimit import SETTLES_IN
from killsync.model import Pending, User, UserState
from killsync.store.pending import SET_ASIDE_FOR
from killsync.store.users import LONGEST_WAIT
from killsync.sync import schedule
from killsync.times import DAY


class Finish(msgspec.Struct, frozen=True):
    """End the job: its list is read as far as this run may."""


class PutOff(msgspec.Struct, frozen=True):
    """Try again at `until`, in unix seconds.

    `service_rests` says whether no other request may be sent before then either. A body that is
    not `reported` is put off without a word.
    """

    until: float
    reason: str
    service_rests: bool = False
    reported: bool = True


class AskAgain(msgspec.Struct, frozen=True):
    """Send the same request again at `at`, in unix seconds: nothing has failed."""

    at: float


class NextRun(msgspec.Struct, frozen=True):
    """Count an attempt that failed for no fault of the user's; the next run tries again."""

    reason: str


class Fail(msgspec.Struct, frozen=True):
    """End the job as failed, and leave its user alone until `until`, in unix seconds."""

    reason: str
    until: float


class HoldRefusal(msgspec.Struct, frozen=True):
    """Decide at the end of the run, when it is known whether other tokens are refused too."""

    error: LoginNeeded


class NeedsLogin(msgspec.Struct, frozen=True):
    """Only a new login helps; the token is tried once more at `again_at`, None: never.

    `known` says that this is so already; what is `daily` is said again all the same.
    """

    reason: str
    again_at: float | None
    known: bool = False
    daily: bool = False


class Refuse(msgspec.Struct, frozen=True):
    """Count that a body was refused, and ask again at `until`; it is set aside or not."""

    until: float
    reason: str
    set_aside: bool


class Renew(msgspec.Struct, frozen=True):
    """Forget the access token, refresh it, and ask once more."""


class NextDirector(msgspec.Struct, frozen=True):
    """Ask another director for the same page, at `at` or later.

    This one was `refused`, is `passed_over` until the end of the run, or its bucket rests.
    """

    at: float
    refused: KillsyncError | None = None
    passed_over: bool = False


class GiveBack(msgspec.Struct, frozen=True):
    """Leave it as it was: the next run takes it up."""


class HoldBack(msgspec.Struct, frozen=True):
    """Wait until it is known whether the service answers anybody."""


class EndRun(msgspec.Struct, frozen=True):
    """End the run in good order, with this error."""

    error: KillsyncError


JobVerdict = (
    Finish
    | PutOff
    | AskAgain
    | NextRun
    | Fail
    | HoldRefusal
    | Renew
    | NextDirector
    | GiveBack
    | EndRun
)
BodyVerdict = PutOff | Refuse | GiveBack | HoldBack | EndRun


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job, its user and the run when a list or a refresh has failed.

    `attempts` counts the runs in which the job has failed before, `failures` the user's own in a
    row; `others_succeed` says whether the same kind of request works for somebody else;
    `renewed` that the access token was renewed for this job already; `by_director` that it is a
    director's, who reads the list of a corporation; `others_left` that another one may be asked.
    """

    now: float
    stopping: bool = False
    head_done: bool = False
    renewed: bool = False
    by_director: bool = False
    others_left: bool = False
    others_succeed: bool = False
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
        case DirectorRefused() if known.by_director:
            return NextDirector(known.now, error)
        case RateLimited() if known.by_director:
            # it is the director's bucket that rests; for less than a moment, nobody is asked
            rests = error.until > known.now
            return NextDirector(known.now if rests else known.now + SETTLES_IN)
        case RateLimited():
            return on_rest(error.until, known)
    if known.others_left and blame_of(error) is Blame.REQUEST:
        # it may fail for this director alone, and says nothing about its role
        return NextDirector(known.now, passed_over=True)
    return _on_job(error, known)


def on_refresh(error: BaseException, known: Circumstances) -> JobVerdict:
    """Return what becomes of a job whose access token could not be refreshed."""
    match error:
        case LoginNeeded() if known.by_director:
            return NextDirector(known.now, error)
        case RateLimited():
            return PutOff(error.until, describe(error), service_rests=True)
        case ApplicationError() if known.others_succeed:
            # the application works for others
            return NextRun(describe(error))
    return _on_job(error, known)


def on_rest(until: float, known: Circumstances) -> JobVerdict:
    """Return what becomes of a job whose bucket is empty: it ends, or waits while others go on."""
    if known.head_done and until > known.now + schedule.LONGEST_PAUSE:
        return Finish()
    return PutOff(min(until, known.now + LONGEST_WAIT), "ESI's rate limit")


def on_refusal(
    user: User, error: LoginNeeded, client_id: str, now: float, *, counts: bool
) -> NextRun | NeedsLogin:
    """Return what becomes of a user whose refresh token was refused, at the end of a run.

    A new login is needed after two refusals of the same token, for the same client id, ten
    minutes apart, if they `count`: SSO accepts others, or there is nobody else. If it does not,
    the application or SSO is suspected, and they count once that has lasted a day.
    """
    first, known = user.refusal, user.state is UserState.NEEDS_LOGIN
    reason = f"{describe(error)}; `killsync login` renews it"
    if error.evidence is None:
        # there is no token that could have been refused by mistake
        return NeedsLogin(reason, now + DAY, known=known)
    if first is None or not first.is_of(error.evidence, client_id, now):
        return NextRun(f"{describe(error)}; if that lasts, `killsync login` renews it")
    if known:
        return NeedsLogin(reason, schedule.try_login_again_at(first.at, now), known=True)
    if now - first.at < schedule.REFUSALS_APART:
        return NextRun(f"{describe(error)}; if that lasts, `killsync login` renews it")
    if not counts and now - first.at < DAY:
        return NextRun(
            f"{describe(error)}, nor has it accepted another since: check client_id, or wait; "
            "if that lasts, `killsync login` renews it"
        )
    return NeedsLogin(reason, now + DAY)


def on_body(error: BaseException, body: Pending, answering: Answering, now: float) -> BodyVerdict:
    """Return what becomes of a body that could not be had."""
    reason = describe(error)
    if isinstance(error, KillmailUnknown | BodyRejected | TooLarge):
        return _on_refused_body(reason, body, now)
    put_off = PutOff(now + schedule.body_backoff(body.attempts + 1), reason)
    match blame_of(error):
        case Blame.RUN:
            return _end_run(error)
        case Blame.NOBODY:
            return GiveBack()
        case Blame.SERVICE:
            return _on_silence(answering, put_off)
    return put_off


def _on_refused_body(reason: str, body: Pending, now: float) -> Refuse:
    refusals, since = body.refusals + 1, body.refused_at or now
    since = min(since, now)  # a wrong clock may have recorded it
    set_aside = body.is_set_aside or schedule.may_set_aside(refusals, since, now)
    until = now + SET_ASIDE_FOR if set_aside else schedule.ask_refused_body_at(since, now)
    return Refuse(until, reason, set_aside)


def _on_job(error: BaseException, known: Circumstances) -> JobVerdict:
    reason = describe(error)
    match error:
        case LoginNeeded():
            return HoldRefusal(error)
        case TokenBusy():
            return PutOff(known.now + schedule.TOKEN_BUSY_WAIT, reason)
        case TooManyAtOnce():
            return AskAgain(known.now + schedule.TOO_MANY_WAIT)
    match blame_of(error):
        case Blame.RUN:
            return _end_run(error)
        case Blame.NOBODY:
            return GiveBack()
        case Blame.SERVICE if known.stopping:
            return GiveBack()
    if not known.others_succeed or known.attempts == 0:
        return NextRun(reason)
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
