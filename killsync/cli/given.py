"""What a person gives for the configuration file, checked; and changing a file that is there."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from killsync import files
from killsync.cli.invocation import Invocation, print_result
from killsync.errors import UsageError
from killsync.settings import application, config
from killsync.settings.config import Settings
from killsync.settings.mistakes import PATHS
from killsync.settings.places import expanded
from killsync.settings.text import config_text
from killsync.terminal.text import safe

_TABLES = "tell"
# what a type cannot say of a value
CHECKS: dict[str, Callable[[str], str]] = {
    "client_id": application.check_client_id,
    "client_secret": application.check_client_secret,
    "contact": application.check_contact,
}


def change(call: Invocation, changes: list[str]) -> None:
    """Set what is given as KEY=VALUE in the file, and leave the rest; without a file, write one.

    Raises UsageError if a value is not one that the file could hold.
    """
    named = config.config_file(call.config, os.environ).absolute()
    pairs = dict(map(_pair, changes))
    if _TABLES in pairs:
        raise UsageError(
            f"{_TABLES} takes tables: write a line [[{_TABLES}]] at the end of {named}, and below "
            "it a name, and a url or a command"
        )
    values = config.checked(pairs, "--set")
    complete(values)
    require_secrets(values)
    is_new = not named.exists()
    written = text(values) if is_new else _changed(named, values)
    files.write_private(written_to(named), written.encode())
    if call.quiet:
        return
    where = f"{safe(named)}, which is new" if is_new else safe(named)
    print_result(f"{', '.join(values)} set in {where}")
    if variables := _overriding(values):
        call.warn(f"not in force here: the environment sets {', '.join(variables)}")


def text(values: Mapping[str, Any]) -> str:
    """Return a whole configuration file. Raises UsageError if a value is not valid UTF-8."""
    try:
        usual = str(Settings().database)
    except UsageError:  # nobody knows this user's home
        usual = ""
    return config_text(values, Settings(db=usual))


def _changed(file: Path, values: Mapping[str, Any]) -> str:
    from killsync.settings import edit

    # to fail if it is not valid
    config.values_in(file)
    try:
        return edit.changed(files.read_text(file), values)
    except ValueError as error:
        raise UsageError(f"{file}: not valid TOML: {error}") from error


def complete(values: dict[str, Any]) -> None:
    """Check what is given further than its type, and make paths work from any directory.

    Raises UsageError.
    """
    for key in PATHS:
        if values.get(key):
            values[key] = str(expanded(values[key]).absolute())
    for key, check in CHECKS.items():
        if key in values:
            values[key] = check(values[key])


def require_secrets(values: Mapping[str, Any]) -> None:
    """Raise UsageError now, not at the first scan, if a secret or its file cannot be used."""
    from killsync.tokens.sealing import Keyring

    settings = Settings(**values)
    config.client_secret(settings)
    Keyring(lambda: config.token_keys(settings))


def _overriding(values: Mapping[str, Any]) -> list[str]:
    """Return the variables that are set and override settings of the file."""
    keys = {key for given in values for key in (given, config.other_of_pair(given))}
    named = {key: config.ENVIRONMENT_PREFIX + key.upper() for key in sorted(keys)}
    return [variable for variable in named.values() if os.environ.get(variable)]


def written_to(named: Path) -> Path:
    """Return the file to write for a name: of a link, what it leads to."""
    return named.resolve() if named.is_symlink() else named


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals:
        # it may be a secret
        raise UsageError("--set takes KEY=VALUE, such as --set workers=4")
    return key.strip(), value.strip()
