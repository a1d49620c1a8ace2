"""Who may read the files with secrets, and where they stand."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from killsync import permissions
from killsync.doctor.diagnosis import Diagnosis, mend, ok, warning
from killsync.doctor.setup import Setup
from killsync.store.connection import token_file


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how safe the files are."""
    private = _private_files(setup)
    wide = [file for file in private if permissions.open_to_others(file)]
    for file in wide:
        yield mend("permissions", f"{file}: others may read it", f"chmod 600 {_quoted(file)}")
    if private and not wide:
        names = ", ".join(file.name for file in private)
        yield ok("permissions", f"only the owner can read {names}")
    yield from _key_beside_database(setup)


def _private_files(setup: Setup) -> list[Path]:
    """Return the files that are there and may hold a secret."""
    settings = setup.settings
    named = [settings.client_secret_file, settings.token_key_file]
    files = [setup.file, *(Path(name).expanduser() for name in named if name)]
    tokens = token_file(settings.database)
    # SQLite's own files beside it, and copies
    files += sorted(tokens.parent.glob(f"{tokens.name}*")) if tokens.parent.is_dir() else []
    return [file for file in files if file.is_file()]


def _key_beside_database(setup: Setup) -> Iterator[Diagnosis]:
    settings = setup.settings
    key = Path(settings.token_key_file).expanduser().resolve()
    directory = settings.database.resolve().parent
    if settings.token_key_file and key.is_relative_to(directory):
        text = f"{key}: lies beside the database, so that a copy of the directory holds both"
        yield warning("token_key_file", text, "move it elsewhere, and set token_key_file")


def _quoted(file: Path) -> str:
    return shlex.quote(str(file))
