"""What tables are made of: words and their style, an empty table, the cell of a name."""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


class Words(Struct, frozen=True):
    """What is said of something, and in which style."""

    text: str
    style: str = ""


def new_table(*columns: tuple[str, str]) -> "Table":
    """Return an empty table; each column has a heading and is justified `left` or `right`.

    Where there is too little room only the first column, a name, gives way.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for number, (name, justify) in enumerate(columns):
        table.add_column(name, justify=justify, no_wrap=number > 0)  # type: ignore[arg-type]
    return table


def styled(words: Words) -> "Text":
    """Return words as rich prints them."""
    from rich.text import Text

    return Text(words.text, words.style)


def name_cell(text: str) -> "Text":
    """Return a cell of a name, which keeps its beginning where there is too little room."""
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")
