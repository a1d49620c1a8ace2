"""Whether a service is down, and whose fault a failure is: from what was answered, and for whom."""

import threading
from collections.abc import Iterable

import pytest

from killsync.errors import (
    AccessRejected,
    KillmailUnknown,
    NotSent,
    Refused,
    ServerFault,
    Unavailable,
)
from killsync.store.runs import Answered
from killsync.sync.health import Health, Service
from killsync.sync.slots import Kind, Returned

SILENCE = Unavailable("504")
BY_ITSELF = [Refused("403"), ServerFault("500"), AccessRejected("401")]


def returned(
    of: int,
    error: BaseException | None = None,
    kind: Kind = Kind.LIST,
    *,
    failed_before: bool = False,
) -> Returned:
    return Returned(kind, of, False, failed_before, error, lambda _: None)


def health(*what: Returned, before: Answered | None = None) -> Health:
    counted = Health(threading.Event(), before or Answered())
    for one in what:
        counted.count(one)
    return counted


def failing(
    users: Iterable[int],
    error: BaseException,
    kind: Kind = Kind.LIST,
    *,
    failed_before: bool = False,
) -> list[Returned]:
    return [returned(user, error, kind, failed_before=failed_before) for user in users]


# a hash that only zKillboard has given


@pytest.mark.parametrize("only_by_zkb", [True, False])
def test_wrong_hashes_speak_against_esi_only_where_it_has_listed_them(only_by_zkb: bool) -> None:
    refused = KillmailUnknown("422", 422)
    counted = health(
        *(
            Returned(Kind.BODY, i, False, False, refused, lambda _: None, only_by_zkb=only_by_zkb)
            for i in range(10)
        )
    )
    assert counted.is_failing(Kind.BODY) is not only_by_zkb
    assert counted.any_failed(Kind.BODY) is not only_by_zkb
    assert counted.has_answered(Service.ESI)


def test_a_silent_esi_is_down_whoever_has_listed_what_it_is_asked_for() -> None:
    silent = [
        Returned(Kind.BODY, i, False, False, SILENCE, lambda _: None, only_by_zkb=True)
        for i in range(3)
    ]
    assert health(*silent).is_down(Service.ESI)


# a service that is down


def test_three_requests_in_a_row_without_an_answer_mean_that_esi_is_down() -> None:
    assert not health(*failing(range(2), SILENCE)).is_down(Service.ESI)
    down = health(*failing(range(3), SILENCE))
    assert down.is_down(Service.ESI)
    assert "504" in str(down.fatal)


@pytest.mark.parametrize("answer", [None, Refused("403")], ids=["success", "refusal"])
def test_an_answer_in_between_starts_the_count_again(answer: Exception | None) -> None:
    mixed = [*failing(range(2), SILENCE), returned(9, answer), *failing(range(2), SILENCE)]
    assert not health(*mixed).is_down(Service.ESI)


def test_a_request_that_was_not_sent_counts_as_nothing() -> None:
    counted = health(*failing(range(9), NotSent()))
    assert not counted.is_down(Service.ESI)
    assert not counted.has_answered(Service.ESI)


@pytest.mark.parametrize("error", BY_ITSELF, ids=["403", "500", "401"])
def test_ten_users_in_a_row_without_a_success_end_the_run(error: Exception) -> None:
    assert not health(*failing(range(9), error)).is_down(Service.ESI)
    assert health(*failing(range(10), error)).is_down(Service.ESI)


def test_the_same_user_is_counted_once() -> None:
    assert not health(*failing([1] * 30, Refused("403"))).is_down(Service.ESI)


def test_a_success_in_between_starts_the_count_of_users_again() -> None:
    mixed = [*failing(range(9), Refused("x")), returned(50), *failing(range(10, 19), Refused("x"))]
    assert not health(*mixed).is_down(Service.ESI)


def test_ten_bodies_in_a_row_that_fail_stop_bodies_and_nothing_else() -> None:
    counted = health(*failing(range(10), Refused("422"), Kind.BODY))
    assert counted.is_failing(Kind.BODY)
    assert not counted.is_down(Service.ESI)


def test_bodies_that_have_failed_before_stop_no_others() -> None:
    known = failing(range(30), Refused("422"), Kind.BODY, failed_before=True)
    assert not health(*known).is_failing(Kind.BODY)


def test_bodies_that_always_fail_are_no_proof_while_lists_succeed() -> None:
    known = failing(range(9), SILENCE, Kind.BODY, failed_before=True)
    assert not health(returned(1), *known).is_down(Service.ESI)


def test_what_has_failed_before_is_no_proof_while_others_succeed() -> None:
    known = failing(range(2, 40), SILENCE, failed_before=True)
    assert not health(returned(1), *known).is_down(Service.ESI)
    refused = failing(range(2, 40), Refused("403"), failed_before=True)
    assert not health(returned(1), *refused).is_down(Service.ESI)


def test_what_has_failed_before_is_proof_if_nobody_succeeds() -> None:
    assert health(*failing(range(3), SILENCE, failed_before=True)).is_down(Service.ESI)
    assert health(*failing(range(10), Refused("x"), failed_before=True)).is_down(Service.ESI)


def test_the_third_without_an_answer_is_to_be_one_who_synced_last() -> None:
    counted = health(*failing(range(2), SILENCE))
    assert counted.is_doubtful(Service.ESI)
    assert not health(*failing(range(1), SILENCE)).is_doubtful(Service.ESI)


# the end of a run


def test_a_service_that_never_answered_is_down_at_the_end_of_a_short_run() -> None:
    counted = health(returned(1, SILENCE))
    counted.conclude()
    assert counted.is_down(Service.ESI)


def test_a_run_in_which_no_list_could_be_had_ends_as_if_the_service_were_down() -> None:
    counted = health(returned(1, Refused("403")), returned(7, None, Kind.BODY))
    counted.leave_to_service(Kind.LIST, "ESI says 403")
    counted.conclude()
    assert "ESI says 403" in str(counted.fatal)


def test_one_who_fails_beside_others_who_succeed_is_no_reason_to_end_with_an_error() -> None:
    counted = health(returned(1, Refused("403")), returned(2))
    counted.leave_to_service(Kind.LIST, "ESI says 403")
    counted.conclude()
    assert counted.fatal is None


def test_a_refused_token_is_no_reason_while_lists_can_be_had() -> None:
    counted = health(returned(1, Refused("x"), Kind.REFRESH), returned(2))
    counted.leave_to_service(Kind.REFRESH, "invalid_grant")
    counted.conclude()
    assert counted.fatal is None


# whose fault it is


def test_a_failure_may_be_the_users_own_if_somebody_else_succeeds_in_this_run() -> None:
    assert health(returned(2)).others_succeed(Kind.LIST, 1)
    assert not health(returned(1)).others_succeed(Kind.LIST, 1)
    assert not health(returned(2, kind=Kind.REFRESH)).others_succeed(Kind.LIST, 1)


def test_a_failure_may_be_the_users_own_if_somebody_else_succeeded_in_the_run_before() -> None:
    assert health(before=Answered(lists_of=[1, 2])).others_succeed(Kind.LIST, 1)
    assert not health(before=Answered(lists_of=[1])).others_succeed(Kind.LIST, 1)
    assert not health(before=Answered(refreshes_of=[2])).others_succeed(Kind.LIST, 1)


def test_the_run_before_counts_no_more_once_others_fail_who_did_not_before() -> None:
    before = Answered(lists_of=[2, 3])
    assert not health(returned(2, SILENCE), before=before).others_succeed(Kind.LIST, 1)
    known = returned(4, SILENCE, failed_before=True)
    assert health(known, before=before).others_succeed(Kind.LIST, 1)


def test_a_run_that_only_tried_again_what_had_failed_keeps_the_evidence_of_the_one_before() -> None:
    before = Answered(lists_of=[1, 2])
    assert health(returned(3, SILENCE, failed_before=True), before=before).answered == before
    assert health(returned(3, SILENCE), before=before).answered.lists_of == []


def test_a_run_records_two_users_of_each_kind_for_the_next_one() -> None:
    counted = health(*(returned(user) for user in range(5)), returned(9, kind=Kind.REFRESH))
    assert counted.answered == Answered(lists_of=[0, 1], refreshes_of=[9])
