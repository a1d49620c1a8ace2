"""Columns that fit a terminal: which of them are shown, and the cells of one line below another."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from killsync.terminal.text import is_right_to_left

if TYPE_CHECKING:
    from rich.text import Text

GAP = 2
# keeps what follows a name from right to left where it is
_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"


def first_fitting(
    layouts: Sequence[str], taken: Callable[[list[str]], int], width: int | None
) -> list[str]:
    """Return the columns of the first layout, the largest first, that takes no more than `width`.

    A layout is the names of its columns, between blanks. If none fits it is the last one; None,
    the first.
    """
    wanted = [layout.split() for layout in layouts]
    fits = (shown for shown in wanted if width is None or taken(shown) <= width)
    return next(fits, wanted[-1])


def cells_taken(names: Sequence[str], widths: Mapping[str, int]) -> int:
    """Return how wide a line of these columns is."""
    return sum(widths[name] for name in names) + GAP * (len(names) - 1)


def cut_to(lines: Sequence["Text"], width: int | None) -> None:
    """Cut off what is wider than the terminal; None: nothing."""
    for line in lines:
        if width is not None:
            line.truncate(width, overflow="ellipsis")


def aligned(
    row: Mapping[str, "Text"],
    widths: Mapping[str, int],
    *,
    right: Collection[str],
    close: Collection[str] = (),
) -> "Text":
    """Return one line of a table: each cell as wide as its column, cut off where it is wider.

    The columns in `right` are numbers; those in `close` stand but one blank behind what is
    before them.
    """
    from rich.text import Text

    line = Text()
    for name, shown in row.items():
        cell = shown.copy()
        if line:
            line.append(" " * (1 if name in close else GAP))
        cell.truncate(widths[name], overflow="ellipsis")
        cell.align("right" if name in right else "left", widths[name])
        line.append_text(cell)
        if is_right_to_left(cell.plain):
            line.append(_LEFT_TO_RIGHT)
    line.rstrip()
    return line
