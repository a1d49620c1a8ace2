"""The part `models`: what the tests compare with models of theirs, with new examples."""

from collections.abc import Callable
from functools import partial

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from test_jobs_model import JobTable
from test_paging_model import ListReading
from test_tokens_model import (
    ACTS,
    FAULTS,
    ORDERS,
    leave_a_token_that_works,
    overcome,
    remove_template,
)
from test_zkillboard import HISTORIES, SIZES, leave_nothing_out

from campaign.score import Score

MACHINES: dict[type[RuleBasedStateMachine], int] = {ListReading: 20, JobTable: 1}
# how a function is called with chosen values, and how many times more often than others
PROPERTIES: dict[Callable[..., None], tuple[Callable[..., Callable[[], None]], int]] = {
    leave_nothing_out: (given(SIZES, HISTORIES), 1),
    leave_a_token_that_works: (given(first=st.sampled_from(ACTS), **ORDERS), 6),
    overcome: (given(**FAULTS), 2),
}


def play(chosen: int, *, long: bool) -> Score:
    """Try the examples that a seed generates; each counts as a case."""
    score = Score("models")
    share_of_one = 500 if long else 25
    for machine, share in MACHINES.items():
        examples = share * share_of_one
        run = partial(
            run_state_machine_as_test, seed(chosen)(machine), settings=_settings(examples)
        )
        _try(score, machine.__name__, examples, run)
    for tested, (choose, share) in PROPERTIES.items():
        examples = share * share_of_one
        _try(score, tested.__name__, examples, _settings(examples)(seed(chosen)(choose(tested))))
    remove_template()
    return score


def _try(score: Score, name: str, examples: int, run: Callable[[], None]) -> None:
    score.cases += examples
    try:
        run()
    except Exception as error:
        score.check(False, f"{name}: {type(error).__name__}: {error}")


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=10,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
