"""Which files belong to a database: all of them stand beside it and start with its name."""

import glob
from collections.abc import Iterator
from pathlib import Path

from killsync import files


def token_file(database: Path) -> Path:
    """Return the token file of a database."""
    return _beside(database, ".tokens")


def lock_file(database: Path) -> Path:
    """Return the lock file of a database."""
    return _beside(database, ".lock")


def with_sqlite_files(file: Path) -> list[Path]:
    """Return a SQLite file and what SQLite keeps beside it while it is in use."""
    return [file, _beside(file, "-wal"), _beside(file, "-shm")]


def beside_in_use(file: Path) -> list[Path]:
    """Return every file that SQLite may keep beside one, and would play into another there."""
    return [*with_sqlite_files(file)[1:], _beside(file, "-journal")]


def that_sqlite_opens(file: Path) -> list[Path]:
    """Return every file that SQLite may open for a database, wherever a link to it leads."""
    return [file, file.resolve(), *beside_in_use(file.resolve())]


def is_reserved(database: Path, file: Path) -> bool:
    """Return whether killsync or SQLite uses a file of this name for the database, or may.

    That includes copies that killsync has made of it.
    """
    in_use = (database, token_file(database), lock_file(database))
    if file.exists() and any(one.exists() and file.samefile(one) for one in in_use):
        return True
    beside = file.resolve().parent == database.resolve().parent
    used = ("-", ".lock", ".tokens", ".before-", files.DRAFT)
    names = (database.name, database.resolve().name)
    return beside and any(
        file.name == name or file.name.startswith(tuple(name + one for one in used))
        for name in names
    )


def belongs_to(database: Path, file: Path) -> bool:
    """Return whether a file that exists is the database or one that stands beside it.

    That includes copies that killsync or SQLite made, by whatever name the file is given here.
    """
    family = [database, *_with_drafts(database, "[.-]*")]
    return any(one.exists() and file.samefile(one) for one in family)


def token_files(database: Path) -> list[Path]:
    """Return every file that may hold tokens and is there: the token file, SQLite's, copies.

    Drafts that a killed program has left are among them.
    """
    tokens = token_file(database)
    # copies stand beside the file that a link leads to
    places = [tokens, tokens.resolve()] if tokens.is_symlink() else [tokens]
    found = {file for place in places for file in _with_drafts(place, "*")}
    return sorted(file for file in found if file.is_file())


def _with_drafts(file: Path, ending: str) -> Iterator[Path]:
    pattern = glob.escape(file.name) + ending
    yield from file.parent.glob(pattern)
    yield from file.parent.glob(f"{pattern}{files.DRAFT}*/*")
    yield from file.parent.glob(f"{glob.escape(file.name)}{files.DRAFT}*/*")


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)
