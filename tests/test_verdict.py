"""What becomes of a request that failed: one row for every class of errors, in two tables."""

import importlib
import pkgutil
import threading

import pytest

import killsync
from killsync.errors import (
    AccessRejected,
    ApplicationError,
    Blame,
    BodyRejected,
    DatabaseBusy,
    DatabaseError,
    KillmailUnknown,
    KillsyncError,
    LoginNeeded,
    LoginRefused,
    Misshapen,
    NotSent,
    OutOfFiles,
    RateLimited,
    Refused,
    ServerFault,
    ServiceDown,
    TokenBusy,
    TokenKeyMissing,
    TryLater,
    Unavailable,
    UsageError,
    blame_of,
    describe,
)
from killsync.store.connection import Outdated
from killsync.store.lock import RunInProgress
from killsync.sync.health import Health, Service
from killsync.sync.verdict import (
    Answering,
    Circumstances,
    EndRun,
    Fail,
    Finish,
    GiveBack,
    HoldBack,
    PutOff,
    Renew,
    on_body,
    on_list,
    on_refresh,
    on_rest,
)
from killsync.terminal.questions import Unanswered
from killsync.times import DAY, HOUR, MINUTE

NOW = 1_800_000_000.0
KNOWN = Circumstances(now=NOW, min_age=15 * MINUTE)
BUG = ZeroDivisionError("of our own")

# (error, whom it blames, what becomes of a job, and of a body)
ROWS = [
    (KillsyncError("x"), Blame.REQUEST, Fail, PutOff),
    (UsageError("x"), Blame.RUN, EndRun, EndRun),
    (DatabaseError("x"), Blame.RUN, EndRun, EndRun),
    (Outdated("x"), Blame.RUN, EndRun, EndRun),
    (Unanswered("x"), Blame.RUN, EndRun, EndRun),
    (ApplicationError("x"), Blame.RUN, EndRun, EndRun),
    (TokenKeyMissing("x"), Blame.RUN, EndRun, EndRun),
    (TryLater("x"), Blame.NOBODY, GiveBack, GiveBack),
    (RunInProgress("x"), Blame.NOBODY, GiveBack, GiveBack),
    (DatabaseBusy("x"), Blame.RUN, EndRun, EndRun),
    (Unavailable("x"), Blame.SERVICE, PutOff, HoldBack),
    (ServiceDown("x"), Blame.SERVICE, PutOff, HoldBack),
    (RateLimited("x", NOW + MINUTE), Blame.NOBODY, PutOff, GiveBack),
    (OutOfFiles(), Blame.RUN, EndRun, EndRun),
    (NotSent(), Blame.NOBODY, GiveBack, GiveBack),
    (TokenBusy("x"), Blame.NOBODY, PutOff, GiveBack),
    (Refused("x"), Blame.REQUEST, Fail, PutOff),
    (ServerFault("x"), Blame.REQUEST, Fail, PutOff),
    (Misshapen("x"), Blame.REQUEST, Fail, PutOff),
    (AccessRejected("x"), Blame.REQUEST, Fail, PutOff),
    (KillmailUnknown("x"), Blame.REQUEST, Fail, Fail),
    (LoginNeeded("x"), Blame.USER, Fail, PutOff),
    (LoginRefused("x"), Blame.USER, Fail, PutOff),
    (BodyRejected("x"), Blame.REQUEST, Fail, Fail),
    (BUG, Blame.REQUEST, Fail, PutOff),
]
IDS = [type(row[0]).__name__ for row in ROWS]


def classes(kind: type[KillsyncError]) -> set[type[KillsyncError]]:
    return {kind}.union(*map(classes, kind.__subclasses__()))


def test_the_table_has_a_row_for_every_class_of_errors() -> None:
    for module in pkgutil.walk_packages(killsync.__path__, "killsync."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    public = {kind for kind in classes(KillsyncError) if not kind.__name__.startswith("_")}
    assert {type(row[0]) for row in ROWS} == public | {ZeroDivisionError}


@pytest.mark.parametrize(("error", "blame", "of_job", "of_body"), ROWS, ids=IDS)
def test_what_becomes_of_a_job_and_a_body(
    error: Exception, blame: Blame, of_job: type[object], of_body: type[object]
) -> None:
    assert blame_of(error) is blame
    assert type(on_refresh(error, KNOWN)) is of_job
    renewed = Circumstances(now=NOW, renewed=True)
    assert type(on_list(error, renewed)) is of_job
    assert type(on_body(error, 0, Answering.UNKNOWN, NOW)) is of_body


# jobs


def test_an_access_token_that_esi_rejects_is_renewed_once() -> None:
    rejected = AccessRejected("401")
    assert on_list(rejected, KNOWN) == Renew()
    again = on_list(rejected, Circumstances(now=NOW, renewed=True, min_age=15 * MINUTE))
    assert again == Fail("401", NOW + 15 * MINUTE)


def test_a_user_who_fails_again_is_left_alone_for_twice_as_long() -> None:
    third = Circumstances(now=NOW, failures=2, min_age=15 * MINUTE)
    assert on_list(Refused("403"), third) == Fail("403", NOW + HOUR)


def test_a_user_who_needs_a_login_waits_for_it() -> None:
    expected = Fail("no token; `killsync login` renews it")
    assert on_list(LoginNeeded("no token"), KNOWN) == expected
    assert on_refresh(LoginNeeded("no token"), KNOWN) == expected


def test_what_gets_no_answer_is_put_off_for_longer_each_time() -> None:
    for attempts, wait in ((0, 5 * MINUTE), (1, 10 * MINUTE), (9, HOUR)):
        known = Circumstances(now=NOW, attempts=attempts)
        assert on_list(Unavailable("504"), known) == PutOff(NOW + wait, "504", counts=True)


def test_what_gets_no_answer_while_the_run_stops_is_given_back() -> None:
    assert on_list(Unavailable("504"), Circumstances(now=NOW, stopping=True)) == GiveBack()


def test_a_limit_of_ssos_makes_everybody_wait() -> None:
    limited = RateLimited("429", NOW + HOUR)
    assert on_refresh(limited, KNOWN) == PutOff(NOW + HOUR, "429", service_rests=True)


def test_a_busy_token_is_tried_again_at_once() -> None:
    assert on_refresh(TokenBusy("busy"), KNOWN) == PutOff(NOW + 2, "busy")


def test_a_list_that_rests_for_long_ends_once_page_1_is_read() -> None:
    read = Circumstances(now=NOW, head_done=True)
    waits = PutOff(NOW + MINUTE, "ESI's rate limit")
    assert on_rest(NOW + MINUTE, read) == waits == on_list(RateLimited("429", NOW + MINUTE), read)
    assert on_rest(NOW + MINUTE + 1, read) == Finish()
    assert on_rest(NOW + HOUR, KNOWN) == PutOff(NOW + HOUR, "ESI's rate limit")


def test_no_rest_is_longer_than_a_day() -> None:
    assert on_rest(NOW + 9 * DAY, KNOWN) == PutOff(NOW + DAY, "ESI's rate limit")


def test_an_error_that_blames_the_run_ends_it() -> None:
    error = ApplicationError("invalid_client")
    assert on_refresh(error, KNOWN) == EndRun(error)


# bodies


@pytest.mark.parametrize(
    ("answering", "verdict"),
    [
        (Answering.UNKNOWN, HoldBack()),
        (Answering.ANSWERS, PutOff(NOW + 5 * MINUTE, "504", counts=True)),
        (
            Answering.BROKE_OFF,
            PutOff(NOW + 5 * MINUTE, "504", counts=True, reported=False),
        ),
        (Answering.SILENT, GiveBack()),
    ],
)
def test_a_body_without_an_answer_is_judged_by_whether_others_get_one(
    answering: Answering, verdict: object
) -> None:
    assert on_body(Unavailable("504"), 0, answering, NOW) == verdict


def test_a_body_that_fails_again_is_put_off_for_longer() -> None:
    for attempts, wait in ((0, 5 * MINUTE), (1, 10 * MINUTE), (30, 6 * HOUR)):
        decided = on_body(ServerFault("500"), attempts, Answering.UNKNOWN, NOW)
        assert decided == PutOff(NOW + wait, "500", counts=True)


def test_a_killmail_that_esi_does_not_know_is_set_aside() -> None:
    assert on_body(KillmailUnknown("422"), 0, Answering.UNKNOWN, NOW) == Fail("422")


# what counts as an answer


@pytest.mark.parametrize(("error", "blame", "of_job", "of_body"), ROWS, ids=IDS)
def test_three_requests_in_a_row_without_an_answer_mean_that_a_service_is_down(
    error: Exception, blame: Blame, of_job: type[object], of_body: type[object]
) -> None:
    stopping = threading.Event()
    health = Health(stopping)
    for _ in range(3):
        assert not health.is_down(Service.ESI)
        health.count(Service.ESI, error)
    assert health.is_down(Service.ESI) == stopping.is_set() == (blame is Blame.SERVICE)
    answered = blame in (Blame.REQUEST, Blame.USER)
    assert health.has_answered(Service.ESI) == answered


def test_what_is_not_our_own_error_is_described_by_its_kind_alone() -> None:
    assert describe(ZeroDivisionError("token")) == "unexpected ZeroDivisionError"
