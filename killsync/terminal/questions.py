"""Questions at a terminal, on standard error, repeated until the answer is valid."""

import sys
from collections.abc import Callable
from getpass import getpass

from killsync.errors import UsageError
from killsync.terminal.text import safe, wrapped

Check = Callable[[str], str]


class Unanswered(UsageError):
    """Ctrl-D: there are no more answers."""


def prompt(text: str) -> None:
    """Write a line for whoever answers."""
    sys.stderr.write(wrapped(text, sys.stderr) + "\n")
    sys.stderr.flush()


def ask(question: str, check: Check) -> str:
    """Return an answer as `check` returns it; its UsageError is shown, and the question repeated.

    Raises Unanswered.
    """
    return _until_valid(lambda: _line(f"{question}: "), check)


def ask_hidden(question: str, check: Check) -> str:
    """Do the same as `ask` without showing what is typed."""
    return _until_valid(lambda: _hidden(f"{question}: "), check)


def agree(question: str, *, default: bool = True) -> bool:
    """Return whether the answer is yes; Enter alone is the `default`, and Ctrl-D is no."""
    choices = "[Y/n]" if default else "[y/N]"
    while True:
        try:
            answer = _line(f"{question} {choices} ").lower()
        except Unanswered:
            return False
        if answer in ("", "y", "yes", "n", "no"):
            return answer[:1] == "y" or (default and not answer)
        prompt("Answer y or n.")


def _until_valid(answer: Callable[[], str], check: Check) -> str:
    while True:
        try:
            return check(answer())
        except Unanswered:
            raise
        except UsageError as error:
            prompt(safe(error, 300))


def _line(shown: str) -> str:
    sys.stderr.write(shown)
    sys.stderr.flush()
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError as error:
        raise UsageError("that is not valid text; try again") from error
    except KeyboardInterrupt:
        prompt("")
        raise
    if not line:
        prompt("")
        raise Unanswered
    return line.strip()


def _hidden(shown: str) -> str:
    try:
        return getpass(shown, sys.stderr).strip()
    except UnicodeDecodeError as error:
        raise UsageError("that is not valid text; try again") from error
    except EOFError:
        prompt("")
        raise Unanswered from None
    except KeyboardInterrupt:
        prompt("")
        raise
