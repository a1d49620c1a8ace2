"""csv as the result of a command, on standard output."""

import sys
from typing import TYPE_CHECKING

from killsync.lake.csv_lines import csv_writer
from killsync.terminal.text import safe_json

if TYPE_CHECKING:
    from _csv import Writer


def csv_to_stdout() -> "Writer":
    """Return a writer to standard output; at a terminal, which a name might command, harmless."""
    return csv_writer(_write_harmless if sys.stdout.isatty() else _write)


def _write(row: str) -> None:
    sys.stdout.write(row)


def _write_harmless(row: str) -> None:
    _write(safe_json(row[:-1]) + "\n")
