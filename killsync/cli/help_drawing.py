"""Help as a terminal or a pipe shows it; rich is imported only to draw it at a terminal."""

import io
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from killsync.cli import help_pages
from killsync.cli.help_pages import Groups, Line, Style
from killsync.cli.parameters import parameters

# longer lines are hard to read
_WIDEST = 100
_NARROWEST = 40
_STYLES = {
    Style.TEXT: "",
    Style.HEADING: "bold",
    Style.NAME: "bold cyan",
    Style.VALUE: "yellow",
    Style.NOTE: "dim",
}


def explain(command: Any, groups: Groups | None = None) -> Any:
    """Make typer show a command's help as it is drawn here; return the command."""

    def format_help(context: Any, formatter: Any) -> None:
        formatter.write(_help(command, context.command_path, _groups(command, groups)))

    def collect_usage_pieces(_: Any) -> list[str]:
        commands = bool(getattr(command, "commands", None))
        return help_pages.usage_pieces(command, parameters(command), has_commands=commands)

    command.format_help = format_help
    command.collect_usage_pieces = collect_usage_pieces
    return command


def _groups(command: Any, groups: Groups | None) -> Groups:
    if groups is not None:
        return groups
    inner = getattr(command, "commands", {})
    summaries = {name: help_pages.summary(one) for name, one in inner.items()}
    return {"Commands": summaries} if summaries else {}


def _help(command: Any, path: str, groups: Groups) -> str:
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


def drawn(lines: list[Line]) -> str:
    """Return the lines with the colours that this terminal knows."""
    from rich.console import Console
    from rich.text import Text

    # assembled, not marked up: brackets in a text are the text's own
    whole = Text("\n").join(
        Text.assemble(*((text, _STYLES[style]) for style, text in line)) for line in lines
    )
    drawing = io.StringIO()
    console = Console(file=drawing, force_terminal=True, markup=False, emoji=False, highlight=False)
    console.print(whole, soft_wrap=True, end="")
    return drawing.getvalue()
