"""Questions at a terminal, on standard error, asked again until the answer will do."""

import sys
from collections.abc import Callable
from getpass import getpass

from killsync.errors import UsageError
from killsync.terminal.text import safe, wrapped

Check = Callable[[str], str]


class Unanswered(UsageError):
    """Ctrl-D: no more answers come."""


def tell(text: str) -> None:
    """Write a line for whoever answers."""
    sys.stderr.write(wrapped(text, sys.stderr) + "\n")
    sys.stderr.flush()


def ask(question: str, check: Check) -> str:
    """Return an answer as `check` returns it; what that raises as UsageError is said.

    Raises Unanswered.
    """
    return _until_right(lambda: _line(f"{question}: "), check)


def ask_hidden(question: str, check: Check) -> str:
    """Do the same without showing what is typed."""
    return _until_right(lambda: _hidden(f"{question}: "), check)


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
        tell("Answer y or n.")


def _until_right(answer: Callable[[], str], check: Check) -> str:
    while True:
        try:
            return check(answer())
        except Unanswered:
            raise
        except UsageError as error:
            tell(safe(error, 300))


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError as error:
        raise UsageError("that is no text; try again") from error
    except KeyboardInterrupt:
        tell("")
        raise
    if not line:
        tell("")
        raise Unanswered
    return line.strip()


def _hidden(prompt: str) -> str:
    try:
        return getpass(prompt, sys.stderr).strip()
    except UnicodeDecodeError as error:
        raise UsageError("that is no text; try again") from error
    except EOFError:
        tell("")
        raise Unanswered from None
    except KeyboardInterrupt:
        tell("")
        raise
