"""The peer of what a person looks at: a bare Typer app that prints a rich table.

`python bare_app.py ROWS` prints so many rows of eight columns, with nothing to read or compute.
"""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

_COLUMNS = ("Time", "Ship", "Victim", "System", "Final blow", "Shot by", "ISK", "Id")


def main(rows: Annotated[int, typer.Argument()]) -> None:
    """Print a table."""
    table = Table(*_COLUMNS)
    for number in range(rows):
        table.add_row(*(f"{column} {number}" for column in _COLUMNS))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
