"""csv as all of killsync writes it: a row a line, read back by any csv reader exactly as it was.

The `csv` module puts a carriage return or a line feed between quotes only if its own line
terminator has that character. So it writes both, of which only the line feed is kept.
"""

import csv
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from killsync.terminal.text import safe_json

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


def csv_to_stdout() -> "Writer":
    """Return a writer to standard output; at a terminal, which a name might command, harmless."""
    return csv_writer(_write_harmless if sys.stdout.isatty() else _write)


def _write(row: str) -> None:
    sys.stdout.write(row)


def _write_harmless(row: str) -> None:
    _write(safe_json(row[:-1]) + "\n")
