"""Keeping files with secrets private: checked whenever a command starts."""

from collections.abc import Iterator
from pathlib import Path

from killsync import files
from killsync.settings import config
from killsync.settings.config import Settings
from killsync.settings.places import expanded
from killsync.store.paths import token_files
from killsync.terminal.text import safe


def keep_private(settings: Settings, file: Path) -> Iterator[str]:
    """Make private what others may read, and yield a line for each file that they could.

    That is the configuration `file`, the token file and its copies, and what `client_secret_file`
    and `token_key_file` name. One that cannot be made private stays as it is, such as a secret that
    a container is given; it is mentioned only if killsync itself keeps secrets in it.
    """
    for path in (file, *token_files(settings.database), *_secret_files(settings)):
        if not files.open_to_others(path):
            continue
        if files.make_private(path):
            yield f"{safe(path, 400)} could be read by others; it is now private (0600)"
        elif secrets := _held(path, settings, file):
            yield (
                f"{safe(path, 400)} can be read by others, holds {' and '.join(secrets)}, and "
                "could not be made private: have its owner `chmod 600` it"
            )


def _held(path: Path, settings: Settings, file: Path) -> list[str]:
    if path == file:
        return config.secrets_in(file)
    return ["tokens"] if path in token_files(settings.database) else []


def _secret_files(settings: Settings) -> list[Path]:
    names = (settings.client_secret_file, settings.token_key_file)
    return [expanded(name) for name in names if name]
