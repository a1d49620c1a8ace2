"""Which refresh tokens are kept after an answer of SSO, and in which order they are sent."""

import pytest

from killsync.tokens.succession import Whose, beside, kept, may_be_refresh_token

OURS, UNCLEAR, ANOTHERS = Whose.OURS, Whose.UNCLEAR, Whose.ANOTHERS
CASES = {
    "the same": ("a", "a", "a", OURS, "a"),
    "a new one": ("a", "a", "b", OURS, "b a"),
    "the same, which proves it": ("b a", "b", "b", OURS, "b"),
    "a new one, which proves the one before": ("b a", "b", "c", OURS, "c b"),
    "the earlier one works": ("b a", "a", "a", OURS, "a"),
    "the earlier one is replaced": ("b a", "a", "c", OURS, "c a"),
    "the same, unreadable": ("a", "a", "a", UNCLEAR, "a"),
    "a new one, unreadable": ("a", "a", "b", UNCLEAR, "b a"),
    "unreadable, with one that had no turn": ("b a", "b", "c", UNCLEAR, "a c b"),
    "unreadable, of those sent last": ("b a", "a", "a", UNCLEAR, "b a"),
    "unreadable, already kept": ("b a", "a", "b", UNCLEAR, "b a"),
    "unreadable, with three": ("c b a", "c", "d", UNCLEAR, "a d c"),
    "another's": ("a", "a", "x", ANOTHERS, "a"),
    "another's, with one that had no turn": ("b a", "b", "x", ANOTHERS, "a b"),
}


@pytest.mark.parametrize(
    ("before", "sent", "answered", "whose", "after"), CASES.values(), ids=CASES.keys()
)
def test_what_is_kept_after_an_answer(
    before: str, sent: str, answered: str, whose: Whose, after: str
) -> None:
    assert kept(before.split(), sent, answered, whose) == tuple(after.split())


def test_the_newest_stand_before_those_that_are_stored() -> None:
    assert beside(["c", "a"], ["b", "a", "z"]) == ("c", "a", "b")


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "\x7f", "\u00e9", "\ufffd", "x" * 4097])
def test_what_cannot_be_a_refresh_token(text: str) -> None:
    assert not may_be_refresh_token(text)


@pytest.mark.parametrize("text", ["x", "x" * 4096, "!~+/=._-"])
def test_what_may_be_a_refresh_token(text: str) -> None:
    assert may_be_refresh_token(text)
