"""What commands are made of: typer's classes, with a help that is drawn as killsync's is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType

from killsync.cli import help_drawing

if TYPE_CHECKING:
    from killsync.cli.help_pages import Groups


class Command(TyperCommand):
    """A command."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help."""
        formatter.write(help_drawing.help_of(self, ctx.command_path, {}))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what may follow the name."""
        return help_drawing.usage_of(self)


class Group(TyperGroup):
    """A command that has commands."""

    def summaries(self) -> "Groups":
        """Return its commands by heading, with a summary of each."""
        from killsync.cli.parameters import summary

        return {"Commands": {name: summary(one.help) for name, one in self.commands.items()}}

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help."""
        formatter.write(help_drawing.help_of(self, ctx.command_path, self.summaries()))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what may follow the name."""
        return help_drawing.usage_of(self)


class App(typer.Typer):
    """A command, or a group of commands, that a module of `cli` declares."""

    def __init__(self, *, cls: type[TyperGroup] = Group, **settings: Any) -> None:
        super().__init__(
            cls=cls,
            # `completion` does it: typer's own imports every command, and types names unquoted
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            **settings,
        )

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = Command, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Declare the function that follows as a command."""
        return super().command(name, cls=cls, **settings)
