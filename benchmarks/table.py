"""The table of figures, for a terminal and for README."""

from collections.abc import Sequence

from figures import Figure
from rich import box
from rich.console import Console
from rich.table import Table

COLUMNS = ("figure", "measured", "floor or peer", "ratio", "goal", "met", "reference")
_RIGHT = {"ratio"}
_MET = {True: "met", False: "NOT met", None: ""}


def print_table(console: Console, figures: Sequence[Figure]) -> None:
    """Print a row for each figure, with the notes below."""
    rows = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        rows.add_column(column, justify="right" if column in _RIGHT else "left")
    for figure in figures:
        rows.add_row(*_cells(figure))
    console.print(rows)
    for figure in figures:
        if figure.note:
            console.print(f"{figure.what}: {figure.note}")


def markdown(figures: Sequence[Figure]) -> str:
    """Return the table in Markdown, followed by the notes as a list."""
    ruler = ["---:" if column in _RIGHT else "---" for column in COLUMNS]
    rows = [COLUMNS, ruler, *map(_cells, figures)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = [f"- {figure.what}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([table, "", *notes]) if notes else table


def _cells(figure: Figure) -> list[str]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return [
        figure.what,
        figure.measured,
        figure.peer,
        ratio,
        figure.goal,
        _MET[figure.met],
        figure.reference,
    ]
