"""Every command that killsync has, for tests that walk them all."""

from collections.abc import Iterator
from typing import Any

import typer.main

from killsync.cli.app import app


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that is registered, the program itself first."""
    command = command or typer.main.get_command(app)
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = list(commands())
WORDS = [" ".join(path) or "killsync" for path in COMMANDS]


def command_at(path: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return command
