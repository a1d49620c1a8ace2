"""The part `models`: paging and the job table against their models, with new examples."""

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from test_jobs_model import JobTable
from test_paging_model import ListReading

from campaign.score import Score

MACHINES: dict[type[RuleBasedStateMachine], int] = {ListReading: 20, JobTable: 1}


def play(chosen: int, *, long: bool) -> Score:
    """Try the examples that a seed generates; each counts as a case."""
    score = Score("models")
    for machine, share in MACHINES.items():
        examples = share * (500 if long else 25)
        score.cases += examples
        try:
            run_state_machine_as_test(seed(chosen)(machine), settings=_settings(examples))
        except Exception as error:
            score.check(False, f"{machine.__name__}: {type(error).__name__}: {error}")
    return score


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=10,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
