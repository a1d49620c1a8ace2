"""What becomes of a request that failed: one row for every class of errors, in two tables."""

import importlib
import pkgutil
from typing import Any

import pytest
from msgspec import structs
from quiet_datasette import import_datasette
from rows import some_user

import killsync
from killsync.errors import (
    AccessRejected,
    ApplicationError,
    Blame,
    BodyRejected,
    CorporationRefused,
    DatabaseBusy,
    DatabaseError,
    DirectorRefused,
    GameDataBroken,
    IdsUnknown,
    KillmailUnknown,
    KillsyncError,
    LoginNeeded,
    LoginRefused,
    Misshapen,
    NoDatabase,
    NotAKillmail,
    NotSent,
    OutOfFiles,
    RateLimited,
    Refused,
    ServerFault,
    ServiceDown,
    TokenBusy,
    TokenKeyMissing,
    TooLarge,
    TooManyAtOnce,
    TryLater,
    Unavailable,
    UsageError,
    WrongEnvironment,
    blame_of,
    describe,
)
from killsync.lake.postgres_errors import Undone
from killsync.model import Pending, Priority, Refusal, User, UserState
from killsync.store.connection import Outdated
from killsync.store.lock import RunInProgress
from killsync.sync.verdict import (
    Answering,
    AskAgain,
    Circumstances,
    EndRun,
    Fail,
    Finish,
    GiveBack,
    HoldBack,
    HoldRefusal,
    NeedsLogin,
    NextDirector,
    NextRun,
    PutOff,
    Refuse,
    Renew,
    on_body,
    on_list,
    on_refresh,
    on_refusal,
    on_rest,
)
from killsync.terminal.questions import Unanswered
from killsync.times import DAY, HOUR, MINUTE

NOW = 1_800_000_000.0
KNOWN = Circumstances(now=NOW, min_age=15 * MINUTE)
# the same works for somebody else, and it is the second run in which it fails for this user
OWN_FAULT = Circumstances(now=NOW, min_age=15 * MINUTE, others_succeed=True, attempts=1)
BODY = Pending(7, "a" * 40, Priority.GAP)
BUG = ZeroDivisionError("of our own")

# (error, whom it blames, what becomes of a job if it is the user's own fault, and of a body)
ROWS = [
    (KillsyncError("x"), Blame.REQUEST, Fail, PutOff),
    (UsageError("x"), Blame.RUN, EndRun, EndRun),
    (DatabaseError("x"), Blame.RUN, EndRun, EndRun),
    (NoDatabase("x"), Blame.RUN, EndRun, EndRun),
    (Outdated("x"), Blame.RUN, EndRun, EndRun),
    (Unanswered("x"), Blame.RUN, EndRun, EndRun),
    (ApplicationError("x"), Blame.RUN, EndRun, EndRun),
    (TokenKeyMissing("x"), Blame.RUN, EndRun, EndRun),
    (WrongEnvironment("x", "y"), Blame.RUN, EndRun, EndRun),
    (TryLater("x"), Blame.NOBODY, GiveBack, GiveBack),
    (RunInProgress("x"), Blame.NOBODY, GiveBack, GiveBack),
    (Undone("x"), Blame.NOBODY, GiveBack, GiveBack),
    (DatabaseBusy("x"), Blame.RUN, EndRun, EndRun),
    (Unavailable("x"), Blame.SERVICE, Fail, HoldBack),
    (ServiceDown("x"), Blame.SERVICE, Fail, HoldBack),
    (RateLimited("x", NOW + MINUTE), Blame.NOBODY, PutOff, GiveBack),
    (OutOfFiles(), Blame.RUN, EndRun, EndRun),
    (NotSent(), Blame.NOBODY, GiveBack, GiveBack),
    (TokenBusy("x"), Blame.NOBODY, PutOff, GiveBack),
    (TooManyAtOnce("x"), Blame.NOBODY, AskAgain, GiveBack),
    (Refused("x"), Blame.REQUEST, Fail, PutOff),
    (ServerFault("x"), Blame.REQUEST, Fail, PutOff),
    (TooLarge("x"), Blame.REQUEST, Fail, Refuse),
    (NotAKillmail("x"), Blame.REQUEST, Fail, Refuse),
    (IdsUnknown("x", 404, None), Blame.REQUEST, Fail, PutOff),
    (GameDataBroken("x"), Blame.RUN, EndRun, EndRun),
    (Misshapen("x"), Blame.REQUEST, Fail, PutOff),
    (AccessRejected("x"), Blame.REQUEST, Fail, PutOff),
    (DirectorRefused("x"), Blame.REQUEST, Fail, PutOff),
    (KillmailUnknown("x"), Blame.REQUEST, Fail, Refuse),
    (LoginNeeded("x"), Blame.USER, HoldRefusal, PutOff),
    (LoginRefused("x"), Blame.USER, Fail, PutOff),
    (CorporationRefused("x"), Blame.USER, Fail, PutOff),
    (BodyRejected("x"), Blame.REQUEST, Fail, Refuse),
    (BUG, Blame.REQUEST, Fail, PutOff),
]
IDS = [type(row[0]).__name__ for row in ROWS]


def classes(kind: type[KillsyncError]) -> set[type[KillsyncError]]:
    return {kind}.union(*map(classes, kind.__subclasses__()))


def test_the_table_has_a_row_for_every_class_of_errors() -> None:
    import_datasette()
    for module in pkgutil.walk_packages(killsync.__path__, "killsync."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = {kind for kind in classes(KillsyncError) if kind.__module__.startswith("killsync.")}
    public = {kind for kind in ours if not kind.__name__.startswith("_")}
    assert {type(row[0]) for row in ROWS} == public | {ZeroDivisionError}


@pytest.mark.parametrize(("error", "blame", "of_job", "of_body"), ROWS, ids=IDS)
def test_what_becomes_of_a_job_and_a_body(
    error: Exception, blame: Blame, of_job: type[object], of_body: type[object]
) -> None:
    assert blame_of(error) is blame
    of_refresh = NextRun if isinstance(error, ApplicationError) else of_job
    assert type(on_refresh(error, OWN_FAULT)) is of_refresh
    renewed = structs.replace(OWN_FAULT, renewed=True)
    assert type(on_list(error, renewed)) is of_job
    assert type(on_body(error, BODY, Answering.UNKNOWN, NOW)) is of_body


@pytest.mark.parametrize(("error", "blame", "of_job", "of_body"), ROWS, ids=IDS)
def test_no_user_is_blamed_for_what_fails_once_or_for_everybody(
    error: Exception, blame: Blame, of_job: type[object], of_body: type[object]
) -> None:
    expected = NextRun if of_job is Fail else of_job
    for changes in ({"attempts": 0}, {"others_succeed": False}, {"attempts": 0, "failures": 0}):
        known = structs.replace(OWN_FAULT, renewed=True, **changes)
        assert type(on_list(error, known)) is expected
        if not isinstance(error, ApplicationError):
            assert type(on_refresh(error, known)) is expected


# jobs


def test_an_access_token_that_esi_rejects_is_renewed_once() -> None:
    rejected = AccessRejected("401")
    assert on_list(rejected, OWN_FAULT) == Renew()
    again = on_list(rejected, structs.replace(OWN_FAULT, renewed=True))
    assert again == Fail("401", NOW + 15 * MINUTE)


@pytest.mark.parametrize("others_left", [False, True])
def test_where_a_director_is_refused_the_next_one_is_asked(others_left: bool) -> None:
    error = DirectorRefused("403")
    known = structs.replace(OWN_FAULT, by_director=True, others_left=others_left)
    assert on_list(error, known) == NextDirector(NOW, error)


@pytest.mark.parametrize(
    "error",
    [
        ServerFault("500"),
        Refused("404"),
        Misshapen("{}"),
        TooLarge("x"),
        AccessRejected("401"),
        BUG,
    ],
)
def test_where_the_list_fails_for_a_director_another_is_asked(error: Exception) -> None:
    known = structs.replace(OWN_FAULT, by_director=True, others_left=True, renewed=True)
    assert on_list(error, known) == NextDirector(NOW, passed_over=True)


def test_another_director_is_not_asked_where_esi_gives_no_answer() -> None:
    known = structs.replace(OWN_FAULT, by_director=True, others_left=True)
    assert isinstance(on_list(Unavailable("504"), known), Fail)


def test_a_directors_access_token_is_renewed_once_like_any_other() -> None:
    known = structs.replace(OWN_FAULT, by_director=True)
    assert on_list(AccessRejected("401"), known) == Renew()


def test_where_a_directors_token_is_refused_the_next_one_is_asked() -> None:
    refused = LoginNeeded("revoked")
    known = structs.replace(OWN_FAULT, by_director=True)
    assert on_refresh(refused, known) == NextDirector(NOW, refused)


def test_a_directors_bucket_that_rests_holds_up_no_other() -> None:
    known = structs.replace(OWN_FAULT, by_director=True)
    assert on_list(RateLimited("429", NOW + HOUR), known) == NextDirector(NOW)


def test_a_rest_of_no_length_is_not_answered_by_asking_at_once() -> None:
    known = structs.replace(OWN_FAULT, by_director=True)
    decided = on_list(RateLimited("429", NOW), known)
    assert isinstance(decided, NextDirector)
    assert decided.at > NOW


def test_what_fails_for_the_last_director_is_judged_as_for_a_character() -> None:
    known = structs.replace(OWN_FAULT, by_director=True, renewed=True)
    for error in (Unavailable("504"), AccessRejected("401"), Refused("404"), NotSent(), BUG):
        assert on_list(error, known) == on_list(error, structs.replace(known, by_director=False))


def test_a_user_who_fails_again_is_left_alone_for_twice_as_long() -> None:
    third = structs.replace(OWN_FAULT, failures=2)
    assert on_list(Refused("403"), third) == Fail("403", NOW + HOUR)


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


def test_an_application_that_works_for_others_ends_no_run() -> None:
    error = ApplicationError("invalid_client")
    assert on_refresh(error, OWN_FAULT) == NextRun("invalid_client")


# refused tokens

EVIDENCE = "0123456789abcdef"
REFUSED = LoginNeeded("invalid_grant", evidence=EVIDENCE)
ADVICE = "invalid_grant; `killsync login` renews it"


def refused_user(ago: float | None, **changes: Any) -> User:
    refusal = None if ago is None else Refusal(NOW - ago, EVIDENCE, "app")
    return some_user(refusal=refusal, **changes)


def judged(
    user: User, error: LoginNeeded = REFUSED, client_id: str = "app", *, counts: bool = True
) -> object:
    return on_refusal(user, error, client_id, NOW, counts=counts)


@pytest.mark.parametrize("ago", [None, 0, 10 * MINUTE - 1])
def test_one_refusal_needs_no_login(ago: float | None) -> None:
    assert isinstance(judged(refused_user(ago)), NextRun)


def test_a_second_refusal_ten_minutes_later_needs_a_login() -> None:
    decided = judged(refused_user(10 * MINUTE))
    assert decided == NeedsLogin(ADVICE, NOW + DAY)


def test_a_refusal_of_another_token_or_for_another_client_id_is_a_first_one() -> None:
    user, another = refused_user(DAY), LoginNeeded("invalid_grant", evidence="f" * 16)
    assert isinstance(judged(user, another), NextRun)
    assert isinstance(judged(user, client_id="another app"), NextRun)


def test_where_no_other_token_is_accepted_nobody_needs_a_login_within_a_day() -> None:
    assert isinstance(judged(refused_user(DAY - 1), counts=False), NextRun)
    assert judged(refused_user(DAY), counts=False) == NeedsLogin(ADVICE, NOW + DAY)


def test_a_token_that_is_not_there_needs_a_login_at_once() -> None:
    decided = judged(some_user(), LoginNeeded("no token"))
    assert decided == NeedsLogin("no token; `killsync login` renews it", NOW + DAY)


@pytest.mark.parametrize(("days", "again"), [(0, True), (6, True), (7, True), (8, False)])
def test_one_who_needs_a_login_is_tried_once_a_day_for_a_week(days: int, again: bool) -> None:
    user = refused_user(days * DAY, state=UserState.NEEDS_LOGIN)
    decided = judged(user)
    expected = NOW + DAY if again else None
    assert decided == NeedsLogin(ADVICE, expected, known=True)


def test_another_token_of_one_who_needs_a_login_is_refused_for_the_first_time() -> None:
    user = refused_user(9 * DAY, state=UserState.NEEDS_LOGIN)
    for error, client_id in (
        (LoginNeeded("invalid_grant", evidence="f" * 16), "app"),
        (REFUSED, "another app"),
    ):
        assert isinstance(judged(user, error, client_id), NextRun)


def test_a_refusal_in_the_future_is_a_wrong_clocks() -> None:
    assert isinstance(judged(refused_user(-1)), NextRun)


# bodies


@pytest.mark.parametrize(
    ("answering", "verdict"),
    [
        (Answering.UNKNOWN, HoldBack()),
        (Answering.ANSWERS, PutOff(NOW + 5 * MINUTE, "504")),
        (
            Answering.BROKE_OFF,
            PutOff(NOW + 5 * MINUTE, "504", reported=False),
        ),
        (Answering.SILENT, GiveBack()),
    ],
)
def test_a_body_without_an_answer_is_judged_by_whether_others_get_one(
    answering: Answering, verdict: object
) -> None:
    assert on_body(Unavailable("504"), BODY, answering, NOW) == verdict


def test_a_body_that_fails_again_is_put_off_for_longer() -> None:
    for attempts, wait in ((0, 5 * MINUTE), (1, 10 * MINUTE), (30, 6 * HOUR)):
        body = structs.replace(BODY, attempts=attempts)
        decided = on_body(ServerFault("500"), body, Answering.UNKNOWN, NOW)
        assert decided == PutOff(NOW + wait, "500")


REFUSALS = [KillmailUnknown("422"), BodyRejected("victim.flag: 1e400")]


@pytest.mark.parametrize("error", REFUSALS, ids=["unknown", "not storable"])
def test_a_body_that_is_refused_is_asked_for_again_and_again(error: Exception) -> None:
    first, asked, now = NOW, [], float(NOW)
    for refusals in range(4):
        body = structs.replace(BODY, refusals=min(refusals, 1), refused_at=first)
        decided = on_body(error, body, Answering.UNKNOWN, now)
        assert isinstance(decided, Refuse)
        assert not decided.set_aside
        asked.append(decided.until - now)
        now = decided.until
    assert asked == [10 * MINUTE, HOUR, 6 * HOUR, DAY]
    weekly = structs.replace(BODY, refusals=1, refused_at=first)
    assert on_body(error, weekly, Answering.UNKNOWN, now) == Refuse(
        now + 7 * DAY, str(error), set_aside=False
    )


def test_asking_for_a_refused_body_more_often_moves_nothing() -> None:
    for minutes in (1, 5, 9):
        body = structs.replace(BODY, refusals=minutes, refused_at=NOW)
        decided = on_body(KillmailUnknown("422"), body, Answering.UNKNOWN, NOW + minutes * MINUTE)
        assert decided == Refuse(NOW + 10 * MINUTE, "422", set_aside=False)


@pytest.mark.parametrize(
    ("refusals", "since", "set_aside"), [(1, 9 * DAY, False), (2, DAY - 1, False), (2, DAY, True)]
)
def test_a_body_is_set_aside_when_it_was_refused_three_times_over_a_day(
    refusals: int, since: float, set_aside: bool
) -> None:
    body = structs.replace(BODY, refusals=refusals, refused_at=NOW - since)
    decided = on_body(KillmailUnknown("422"), body, Answering.UNKNOWN, NOW)
    assert isinstance(decided, Refuse)
    assert decided.set_aside == set_aside
    assert (decided.until == NOW + 30 * DAY) == set_aside


def test_a_body_that_was_set_aside_is_asked_for_every_30_days() -> None:
    body = structs.replace(BODY, refusals=9, refused_at=NOW, is_set_aside=True)
    decided = on_body(KillmailUnknown("422"), body, Answering.UNKNOWN, NOW)
    assert decided == Refuse(NOW + 30 * DAY, "422", set_aside=True)


def test_what_is_not_our_own_error_is_described_by_its_kind_alone() -> None:
    assert describe(ZeroDivisionError("token")) == "unexpected ZeroDivisionError"
