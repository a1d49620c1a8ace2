"""Killmails as csv files in a directory: `killmails.csv`, `attackers.csv`, `items.csv`.

The columns are the database's, by their names; NULL is empty. Text stands as it is, whatever a
spreadsheet would take it for: the files are for programs.
"""

import io
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from killsync import files
from killsync.errors import UsageError
from killsync.lake.csv_lines import csv_writer
from killsync.store import exporting
from killsync.store.exporting import Selection

# of every table, the last of the columns that it has had from the beginning
_LAST_AT_FIRST = "extra"
# bytes: no header of ours is longer
_LONGEST_HEADER = 10_000


def write(
    conn: sqlite3.Connection, wanted: Selection, directory: Path, *, with_hash: bool, mode: int
) -> int:
    """Write the three files, each whole, in place of those of an earlier export; count killmails.

    The directory is created if it is missing. After an error no file has changed. Raises
    UsageError if the files cannot be written, or would replace a file that no export has written.
    """
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory}: is not a directory, as csv needs one for its three files")
    columns = exporting.columns(conn, with_hash=with_hash)
    every = exporting.columns(conn, with_hash=True)
    written = 0
    with _named_errors(directory):
        paths = {table: directory / f"{table}.csv" for table in columns}
        directory.mkdir(parents=True, exist_ok=True)
        for table, path in paths.items():
            _check_replaceable(path, every[table])
        with _writers(paths, mode) as writers:
            for table, names in columns.items():
                writers[table].writerow(names)
            for batch in exporting.rows(conn, wanted, with_hash=with_hash):
                written += len(batch["killmails"])
                for table, rows in batch.items():
                    writers[table].writerows(rows)
                batch.clear()  # before the next is read
    return written


@contextmanager
def _named_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror}") from error


@contextmanager
def _writers(paths: Mapping[str, Path], mode: int) -> Iterator[dict[str, Any]]:
    """Yield a csv writer for each file; the files appear together, when all are complete."""
    with ExitStack() as stack:
        texts = {
            table: io.TextIOWrapper(
                stack.enter_context(files.whole_file(path, mode=mode)), "utf-8", newline=""
            )
            for table, path in paths.items()
        }
        yield {table: csv_writer(text.write) for table, text in texts.items()}
        for text in texts.values():
            text.flush()


def _check_replaceable(path: Path, columns: list[str]) -> None:
    """Raise UsageError unless a path is free, or leads to a file that an export has written."""
    if not path.is_symlink() and not path.exists():
        return
    if not path.is_file() or not _is_ours(path, columns):
        raise UsageError(
            f"{path}: was not written by an earlier export; move it away, or name another directory"
        )


def _is_ours(path: Path, columns: list[str]) -> bool:
    """Return whether a file begins as ours do, or did in an earlier version: with fewer columns."""
    with path.open("rb") as file:
        first_line = file.readline(_LONGEST_HEADER)
    # no name of a column is quoted
    header = first_line.decode(errors="replace").rstrip("\r\n").split(",")
    without_hash = [name for name in columns if name != exporting.HASH]
    return _LAST_AT_FIRST in header and header in (
        columns[: len(header)],
        without_hash[: len(header)],
    )
