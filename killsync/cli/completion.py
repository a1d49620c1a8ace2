"""What Tab completes: commands, options, and the names that the database knows.

`shell_scripts` holds what the shells call this with: the program itself, with the variable that
names the shell and what is typed as arguments. It answers with lines: what kind of word is wanted
(`words`, or `files`, which the shell knows itself), then what completes it.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from killsync.cli.parameters import Parameter, parameters
from killsync.cli.typed_words import replacements, split

if TYPE_CHECKING:
    from killsync.settings.config import Settings

_FILES = {"PATH", "FILE", "ZIP"}
# of `killsync tell`
_CHANNEL = "--test"
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SOURCE = "source_"

Found = list[tuple[str, str]]


class _Line(msgspec.Struct):
    """Where in the commands the words of a line lead."""

    command: Any
    root: list[Parameter]
    own: list[Parameter]
    # options that take a value, by name, with the value that was given last
    given: dict[str, str] = {}
    awaited: Parameter | None = None
    arguments: int = 0
    no_options: bool = False

    @property
    def options(self) -> dict[str, Parameter]:
        """The options that may stand here: the command's own, and those of killsync."""
        return {name: one for one in [*self.root, *self.own] for name in one.names}


def answer(shell: str, arguments: list[str], root: Any) -> None:
    """Print what completes the words; nothing but an empty line if that cannot be known.

    Old scripts of earlier versions ask otherwise, and get nothing.
    """
    from killsync.cli import shell_scripts

    if shell.startswith(_SOURCE):
        sys.stdout.write(shell_scripts.script(shell.removeprefix(_SOURCE)))
        return
    if shell not in shell_scripts.SHELLS:
        return
    try:
        lines = _answered(shell, arguments, root)
    except Exception:  # nobody has asked for anything yet: an error is nobody's
        lines = []
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _answered(shell: str, arguments: list[str], root: Any) -> list[str]:
    environment = dict(os.environ)
    if shell == "bash":
        line, replaced = arguments
        *words, last = split(line)[1:]
        given = [word.value for word in words]
        kind, lead, found = complete(root, given, last.value, environment)
        return [kind, *replacements(last, replaced, lead, [value for value, _ in found])]
    *given, typed = _without_program(arguments, environment)
    if shell == "fish":
        # zsh gives the word without its quotes
        typed = " ".join(word.value for word in split(typed))
    kind, lead, found = complete(root, given, typed, environment)
    return [kind, *(f"{lead}{value}\t{about}" for value, about in found)]


def _without_program(arguments: list[str], environment: dict[str, str]) -> list[str]:
    """Return what follows the program, whose own assignments before it are taken over."""
    words = list(arguments)
    while words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
        environment[assigned[1]] = assigned[2]
        del words[0]
    return words[1:]


def complete(
    root: Any, words: list[str], typed: str, environment: Mapping[str, str]
) -> tuple[str, str, Found]:
    """Return the kind of word that is wanted, what stands before it, and what completes it.

    `words` stand between the program and the word that is `typed` so far.
    """
    line = _Line(root, parameters(root), [], given={})
    for word in words:
        _take(line, word)
    lead, wanted = "", line.awaited
    if wanted is None and typed.startswith("-") and not line.no_options:
        name, equals, value = typed.partition("=")
        if not equals:
            return "words", "", _option_names(line, typed)
        lead, wanted, typed = f"{name}=", line.options.get(name), value
    elif wanted is None:
        if hasattr(line.command, "commands"):
            return "words", "", _commands(line.command, typed)
        wanted = _argument(line)
    if wanted is not None and wanted.value in _FILES:
        return "files", lead, []
    return "words", lead, _values(wanted, typed, line, environment) if wanted else []


def _take(line: _Line, word: str) -> None:
    """Follow a complete word."""
    if line.awaited is not None:
        line.given[line.awaited.names[-1]] = word
        line.awaited = None
    elif word == "--" and not line.no_options:
        line.no_options = True
    elif word.startswith("-") and not line.no_options:
        name, equals, value = word.partition("=")
        option = line.options.get(name)
        if option is not None and option.shown:
            line.awaited = option if option.takes_next and not equals else None
            line.given[option.names[-1]] = value
    elif hasattr(line.command, "commands"):
        line.command = line.command.commands[word]
        line.own = parameters(line.command)
    else:
        line.arguments += 1


def _argument(line: _Line) -> Parameter | None:
    arguments = [one for one in line.own if not one.names]
    if line.arguments < len(arguments):
        return arguments[line.arguments]
    return arguments[-1] if arguments and arguments[-1].repeats else None


def _option_names(line: _Line, typed: str) -> Found:
    here = [*line.own, *line.root] if line.own else line.root
    found = {name: one.help for one in here for name in one.names if name.startswith(typed)}
    return list(found.items())


def _commands(command: Any, typed: str) -> Found:
    return [
        (name, about)
        for group in command.summaries().values()
        for name, about in group.items()
        if name.startswith(typed)
    ]


def _values(wanted: Parameter, typed: str, line: _Line, environment: Mapping[str, str]) -> Found:
    if wanted.choices:
        return [(choice, "") for choice in wanted.choices if choice.startswith(typed)]
    from killsync.cli import completed_names

    if wanted.value == "USER":
        return completed_names.user_names(_settings(line, environment).database, typed)
    # a NAME may be anybody's: the option says whose
    for subject in (wanted.value, *wanted.names):
        if subject in completed_names.NAMED:
            database = _settings(line, environment).database
            return completed_names.names_of(database, subject, typed)
    if _CHANNEL in wanted.names:
        names = [channel.name for channel in _settings(line, environment).tell]
        return [(name, "") for name in names if name.startswith(typed) and name.isprintable()]
    return []


def _settings(line: _Line, environment: Mapping[str, str]) -> "Settings":
    """Return the settings that the line is about; those that are wrong count as not given."""
    from killsync.settings import config

    db, file = (_expanded(line.given.get(name)) for name in ("--db", "--config"))
    named = Path(file) if file else None
    return config.examine(named, {"db": db}, environment).settings


def _expanded(path: str | None) -> str | None:
    # the shell has not replaced it yet; a home directory is replaced with the rest of the settings
    return os.path.expandvars(path) if path else None
