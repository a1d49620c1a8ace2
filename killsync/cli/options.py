"""Options that several commands take, and words that may stand anywhere on the line."""

from collections import deque
from typing import Annotated

import typer

from killsync.errors import UsageError
from killsync.times import parse_duration

_WITH_VALUE = {"--db", "--config", "--log-format"}
# an option whose value, seconds, may be left out, with what is meant then
_IMPLIED = {"--watch": "1"}
_ALONE = {"-v", "--verbose", "-q", "--quiet"}


def seconds(option: str, text: str) -> float:
    """Return the seconds of an option's duration; raise UsageError if it is not one."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option} is {text!r}: {error}") from error


def as_seconds(text: str) -> float:
    """Return the seconds of a number or a duration; raise ValueError if it is neither."""
    try:
        return float(text)
    except ValueError:
        return parse_duration(text)


def named_users(names: list[str] | None, user: list[str] | None, missing: str) -> list[str]:
    """Return the words for users in either place; raise UsageError, as `missing`, without any."""
    words = [*(names or []), *(user or [])]
    if not words:
        raise UsageError(missing)
    return words


Users = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="USER...",
        help="An id, a name in any case, or how only one begins; quote one with spaces.",
    ),
]
AlsoUsers = Annotated[
    list[str] | None, typer.Option("--user", metavar="USER", help="The same, as an option.")
]

Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="From then on: 7d, 2w, yesterday, or 2026-11-24."),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Up to then; a day counts to its end.")
]
OnlyKills = Annotated[bool, typer.Option("--kills", help="Only kills.")]
OnlyLosses = Annotated[bool, typer.Option("--losses", help="Only losses.")]


def hoisted(arguments: list[str]) -> list[str]:
    """Return the arguments with the global options first: they may stand after the command too.

    An option that stands without the value that it may have gets the number that follows, or the
    one that is meant.
    """
    front: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return [*front, *_with_implied(rest), argument, *left]
        if argument in _ALONE or (argument.split("=")[0] in _WITH_VALUE and "=" in argument):
            front.append(argument)
        elif argument in _WITH_VALUE:
            front += [argument, *([value] if (value := next(left, None)) is not None else [])]
        else:
            rest.append(argument)
    return front + _with_implied(rest)


def _with_implied(arguments: list[str]) -> list[str]:
    """Return the arguments with a value joined to each option that may stand without one."""
    joined: list[str] = []
    left = deque(arguments)
    while left:
        argument = left.popleft()
        if argument in _IMPLIED:
            given = left.popleft() if left and _is_time(left[0]) else _IMPLIED[argument]
            argument = f"{argument}={given}"
        joined.append(argument)
    return joined


def _is_time(text: str) -> bool:
    try:
        as_seconds(text)
    except ValueError:
        return False
    return True
