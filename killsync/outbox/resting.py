"""How long a channel that fails is left alone, and when what waits for it is given up."""

import msgspec

from killsync.store.channels import ChannelState
from killsync.times import DAY, HOUR, MINUTE, has_passed, is_within

_FIRST_REST = MINUTE
_LONGEST_REST = DAY
_SHORTEST_ASKED = 1.0
# Retry-After and its like are believed so far
_LONGEST_ASKED = HOUR
# one failure is no proof that a channel is dead
_FEWEST_FAILURES = 2
_MOST_DOUBLED = 20


def rest(failures: int, retry_after: float | None) -> float:
    """Return how many seconds a channel rests after so many failures in a row.

    From a minute on it doubles, up to a day. What the other side asks for is believed within
    reason: up to an hour, and alone only the first time.
    """
    doubled = min(_FIRST_REST * 2.0 ** min(failures - 1, _MOST_DOUBLED), _LONGEST_REST)
    if retry_after is None:
        return doubled
    asked = min(max(retry_after, _SHORTEST_ASKED), _LONGEST_ASKED)
    return asked if failures == 1 else max(asked, doubled)


def after_failure(
    state: ChannelState, error: str | None, retry_after: float | None, now: float
) -> ChannelState:
    """Return how a channel fares that has just failed."""
    failures, since = state.failures + 1, state.failing_since
    return msgspec.structs.replace(
        state,
        failures=failures,
        failing_since=now if since is None or since > now else since,
        not_before=now + rest(failures, retry_after),
        error=error,
    )


def after_success(state: ChannelState, now: float) -> ChannelState:
    """Return how a channel fares that has just delivered."""
    return msgspec.structs.replace(without_failures(state), told_at=now)


def without_failures(state: ChannelState) -> ChannelState:
    """Return how a channel fares that works again: when it told last is all that is left."""
    return ChannelState(state.name, told_at=state.told_at)


def is_resting(state: ChannelState, now: float) -> bool:
    """Return whether a channel is to be left alone now.

    A rest that is longer than so many failures bring was written by a clock that was wrong.
    """
    longest = max(rest(state.failures, None), _LONGEST_ASKED)
    return not has_passed(state.not_before, now, longest)


def gives_up(state: ChannelState, now: float) -> bool:
    """Return whether a channel has failed for a day: what has waited for as long is given up."""
    since = state.failing_since
    return state.failures >= _FEWEST_FAILURES and since is not None and now - since >= DAY


def given_up_before(now: float) -> float:
    """Return before when what waits must have been due, if it is given up at all."""
    return now - DAY


def is_news(state: ChannelState, patience: float, now: float) -> bool:
    """Return whether a failing channel is worth a word from a quiet run: then, and once a day."""
    since = state.failing_since
    lasts = since is not None and now - since >= patience
    return lasts and not is_within(state.warned_at, now, DAY)
