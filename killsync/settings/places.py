"""Where files are: those that are named, and those that nobody names, below the home directory."""

import os
from pathlib import Path

from killsync.errors import UsageError


def expanded(path: str | Path) -> Path:
    """Return a path with its `~` replaced.

    Raises UsageError if that home directory is not known, or the path begins in a directory that
    is gone.
    """
    try:
        found = Path(path).expanduser()
        if not found.is_absolute():
            Path.cwd()
    except RuntimeError:
        raise UsageError(
            f"{path}: that home directory is not known: write the whole path, or set HOME"
        ) from None
    except FileNotFoundError:
        raise UsageError(
            f"{path}: the current directory does not exist any more: go to another, or write the "
            "whole path"
        ) from None
    return found


def default_file() -> Path:
    """Return where the configuration file is if none is named.

    Raises UsageError if the home directory is not known.
    """
    return _user_directory("config") / "config.toml"


def default_database() -> Path:
    """Return where the database is if none is named.

    Raises UsageError if the home directory is not known.
    """
    return _user_directory("data") / "killsync.db"


def is_default_file(file: Path) -> bool:
    """Return whether a configuration file is the one that is found without being named."""
    try:
        return file == default_file()
    except UsageError:
        return False


def _user_directory(kind: str) -> Path:
    # platformdirs honours XDG_*_HOME, and cron sets HOME
    import platformdirs

    find = {
        "data": platformdirs.user_data_path,
        "config": platformdirs.user_config_path,
    }[kind]
    try:
        directory = find("killsync", appauthor=False)
    except RuntimeError:
        directory = Path("~")
    # older versions leave a `~` that they do not know
    if directory.is_absolute():
        return directory
    raise UsageError(
        f"the home directory of user {os.geteuid()} is not known: set HOME to an absolute path, or "
        "name both the configuration file (KILLSYNC_CONFIG) and the database (KILLSYNC_DB)"
    )
