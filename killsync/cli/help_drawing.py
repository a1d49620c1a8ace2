"""Help as a terminal or a pipe shows it.

Few commands are asked for it: what makes a page is imported then, and rich only at a terminal.
"""

import io
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from killsync.cli.help_pages import Groups, Line
    from killsync.cli.parameters import AnyCommand

# longer lines are hard to read
_WIDEST = 100
_NARROWEST = 40


def help_of(command: "AnyCommand", path: str, groups: "Groups") -> str:
    """Return a command's help for standard output; `groups` are its commands by heading."""
    from killsync.cli import help_pages

    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns - 1))
    lines = help_pages.page(command, path, groups, width)
    return drawn(lines) if _is_drawn(os.environ) else help_pages.plain(lines)


def usage_of(command: "AnyCommand") -> list[str]:
    """Return what may follow a command's name, as its usage shows it."""
    from killsync.cli import help_pages
    from killsync.cli.parameters import parameters

    return help_pages.usage_pieces(command, parameters(command))


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
