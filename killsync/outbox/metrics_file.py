"""The file of metrics: where it may stand, and writing it."""

import stat
from collections.abc import Iterator
from pathlib import Path

from killsync import files
from killsync.errors import UsageError
from killsync.settings.config import Settings
from killsync.settings.places import expanded
from killsync.store import paths

OWN = "is a file of killsync's own"
NOT_PLAIN = "is not a plain file, and is left alone"
# node_exporter is another user
_MODE = 0o644


def place(settings: Settings, configuration: Path) -> Path:
    """Return where `prometheus_file` is to stand.

    Raises UsageError if it would replace a file of killsync's own.
    """
    file = expanded(settings.prometheus_file)
    if is_own(file, settings, configuration):
        raise UsageError(f"prometheus_file: {file} {OWN}; name another, such as killsync.prom")
    return file


def is_own(file: Path, settings: Settings, configuration: Path) -> bool:
    """Return whether this is the `configuration` file, the database, or what belongs to either."""
    if paths.is_reserved(settings.database, file):
        return True
    return any(_is_same(file, one) for one in (configuration, *_secrets(settings)))


def is_plain(file: Path) -> bool:
    """Return whether a plain file, or nothing, is there: no link, device, pipe or directory.

    Raises OSError.
    """
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:
        return True


def write(file: Path, content: str) -> None:
    """Write the file beside its place, readable for all, and put it there whole.

    Raises UsageError if it cannot be written, or what is there is not a plain file.
    """
    try:
        if not is_plain(file):
            raise UsageError(f"{file} {NOT_PLAIN}; name another")
        with files.whole_file(file, mode=_MODE) as stream:
            stream.write(content.encode())
    except OSError as error:
        # it may name the draft
        raise UsageError(f"{file}: {error.strerror}") from error


def _secrets(settings: Settings) -> Iterator[Path]:
    for name in (settings.client_secret_file, settings.token_key_file):
        if name:
            yield expanded(name)


def _is_same(file: Path, other: Path) -> bool:
    if file.exists() and other.exists():
        return file.samefile(other)
    return file.resolve() == other.resolve()
