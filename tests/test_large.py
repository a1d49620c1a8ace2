"""Large answers are read in turn, the next one once the last is out of memory."""

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from killsync.errors import NotSent, ServerFault
from killsync.http.large import OneLarge

# a thread that may go on has done so by then; one that may not has not, at any speed
SOON = 0.1


class Value:
    """Something that was made of an answer."""


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def large(stopping: threading.Event) -> OneLarge:
    return OneLarge(stopping)


@contextmanager
def another_thread(large: OneLarge) -> Iterator[Future[None]]:
    """Let another thread, which runs by now, take its turn."""
    runs = threading.Event()

    def take() -> None:
        runs.set()
        large.take()

    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(take)
        assert runs.wait(60)
        yield turn


def waits(turn: Future[None]) -> bool:
    with pytest.raises(TimeoutError):
        turn.result(SOON)
    return True


def test_a_thread_keeps_its_turn_until_it_gives_it_back(large: OneLarge) -> None:
    large.take()
    large.take()
    with another_thread(large) as turn:
        assert waits(turn)
        large.give_back()
        turn.result(60)


def test_a_turn_that_was_handed_over_ends_with_the_value(large: OneLarge) -> None:
    value = Value()
    large.take()
    large.hand_over(value)
    large.give_back()
    with another_thread(large) as turn:
        assert waits(turn)
        del value
        turn.result(60)


def test_a_thread_without_a_turn_neither_ends_nor_hands_over_that_of_another(
    large: OneLarge, stopping: threading.Event
) -> None:
    with another_thread(large) as turn:
        turn.result(60)
    large.give_back()
    large.hand_over(Value())
    with another_thread(large) as turn:
        assert waits(turn)
        stopping.set()
        with pytest.raises(NotSent):
            turn.result(60)


def test_a_run_that_stops_lets_nobody_wait(large: OneLarge, stopping: threading.Event) -> None:
    large.take()
    with another_thread(large) as turn:
        assert waits(turn)
        stopping.set()
        with pytest.raises(NotSent):
            turn.result(60)


def test_who_waits_too_long_may_try_again_later(
    large: OneLarge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("killsync.http.large._LONGEST_WAIT", 0)
    large.take()
    with another_thread(large) as turn, pytest.raises(ServerFault, match="too many large answers"):
        turn.result(60)


def test_a_value_in_a_circle_ends_its_turn_when_it_is_collected(large: OneLarge) -> None:
    value = Value()
    value.itself = value  # type: ignore[attr-defined]
    large.take()
    large.hand_over(value)
    with another_thread(large) as turn:
        assert waits(turn)
        del value
        gc.collect()
        turn.result(60)
