"""Help as a terminal or a pipe shows it.

Every command is made to show it so, and few are asked to: what makes a page is imported then, and
rich only at a terminal.
"""

import io
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from killsync.cli.help_pages import Groups, Line

# longer lines are hard to read
_WIDEST = 100
_NARROWEST = 40


def explain(command: Any, groups: "Groups | None" = None) -> Any:
    """Make typer show a command's help as it is drawn here; return the command.

    `groups` are its commands by heading, with a summary of each; it offers them as `summaries`.
    """

    def summaries() -> "Groups":
        return groups or _groups(command)

    def format_help(context: Any, formatter: Any) -> None:
        formatter.write(_help(command, context.command_path, summaries()))

    def collect_usage_pieces(_: Any) -> list[str]:
        from killsync.cli import help_pages
        from killsync.cli.parameters import parameters

        commands = bool(getattr(command, "commands", None))
        return help_pages.usage_pieces(command, parameters(command), has_commands=commands)

    command.summaries = summaries
    command.format_help = format_help
    command.collect_usage_pieces = collect_usage_pieces
    return command


def _groups(command: Any) -> "Groups":
    from killsync.cli.parameters import summary

    inner = getattr(command, "commands", {})
    about = {name: summary(one) for name, one in inner.items()}
    return {"Commands": about} if about else {}


def _help(command: Any, path: str, groups: "Groups") -> str:
    from killsync.cli import help_pages

    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns - 1))
    lines = help_pages.page(command, path, groups, width)
    return drawn(lines) if _is_drawn(os.environ) else help_pages.plain(lines)


def _is_drawn(environment: Mapping[str, str]) -> bool:
    """Return whether standard output is a terminal that is to have colours."""
    return (
        sys.stdout.isatty()
        and not environment.get("NO_COLOR")
        and environment.get("TERM", "dumb") not in ("dumb", "unknown", "")
    )


def drawn(lines: "list[Line]") -> str:
    """Return the lines with the colours that this terminal knows."""
    from rich.console import Console
    from rich.text import Text

    from killsync.cli.help_pages import Style

    styles = {
        Style.TEXT: "",
        Style.HEADING: "bold",
        Style.NAME: "bold cyan",
        Style.VALUE: "yellow",
        Style.NOTE: "dim",
    }
    # assembled, not marked up: brackets in a text are the text's own
    whole = Text("\n").join(
        Text.assemble(*((text, styles[style]) for style, text in line)) for line in lines
    )
    drawing = io.StringIO()
    console = Console(file=drawing, force_terminal=True, markup=False, emoji=False, highlight=False)
    console.print(whole, soft_wrap=True, end="")
    return drawing.getvalue()
