"""csv as all of killsync writes it: a row a line, read back by any csv reader exactly as it was.

The `csv` module puts a carriage return or a line feed between quotes only if its own line
terminator has that character. So it writes both, of which only the line feed is kept.
"""

import csv
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Writer

_TERMINATOR = "\r\n"


class _Lines:
    """What `csv` writes rows to, one a call."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def write(self, row: str) -> None:
        self._write(row[: -len(_TERMINATOR)] + "\n")


def csv_writer(write: Callable[[str], object]) -> "Writer":
    """Return a writer of rows that gives each, as text that ends with a line feed, to `write`."""
    return csv.writer(_Lines(write), lineterminator=_TERMINATOR)
