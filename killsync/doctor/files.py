"""Who may read the files with secrets, and where they stand."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from killsync import files
from killsync.doctor.diagnosis import Diagnosis, ok, problem, warning
from killsync.doctor.setup import Setup
from killsync.settings.config import Source
from killsync.settings.places import expanded
from killsync.store.paths import token_files
from killsync.tokens import copies


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how safe the files are."""
    private = _private_files(setup)
    wide = [file for file in private if files.open_to_others(file)]
    for file in wide:
        yield problem("permissions", f"{file}: others may read it", f"chmod 600 {_quoted(file)}")
    if private and not wide:
        names = ", ".join(file.name for file in private)
        yield ok("permissions", f"only the owner can read {names}")
    yield from _earlier_tokens(setup)
    yield from _key_beside_database(setup)


def _private_files(setup: Setup) -> list[Path]:
    """Return the files that are there and may hold a secret."""
    settings = setup.settings
    named = [settings.client_secret_file, settings.token_key_file]
    files = [setup.file, *(expanded(name) for name in named if name)]
    files = [file for file in files if file.is_file()]
    return [*files, *token_files(settings.database)]


def _earlier_tokens(setup: Setup) -> Iterator[Diagnosis]:
    for file in copies.left_plain(setup.settings.database):
        text = f"{file}: may hold earlier tokens that are not encrypted"
        yield warning("copies of tokens", text, f"rm {_quoted(file)}, if you do not need it")


def _key_beside_database(setup: Setup) -> Iterator[Diagnosis]:
    settings = setup.settings
    if setup.found.origins.get("token_key") is Source.FILE:
        name, key = "token_key", setup.file.resolve()
    elif settings.token_key_file:
        name, key = "token_key_file", expanded(settings.token_key_file).resolve()
    else:
        return
    if key.is_relative_to(settings.database.resolve().parent):
        text = f"{key}: lies beside the database, so that a copy of the directory holds both"
        yield warning(name, text, "move it elsewhere, and set token_key_file")


def _quoted(file: Path) -> str:
    return shlex.quote(str(file))
