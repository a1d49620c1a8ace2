"""What a person gives for the configuration file, checked; and changing a file that is there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from killsync import files
from killsync.cli.invocation import Invocation, print_result
from killsync.errors import UsageError
from killsync.settings import application, config
from killsync.settings.places import expanded
from killsync.terminal.text import safe

_PATHS = ("db", "client_secret_file", "token_key_file", "prometheus_file")
# what a type cannot say of a value
CHECKS: dict[str, Callable[[str], str]] = {
    "client_id": application.check_client_id,
    "client_secret": application.check_client_secret,
    "contact": application.check_contact,
}


def change(call: Invocation, changes: list[str]) -> None:
    """Set what is given as KEY=VALUE in the file that is there, and leave the rest.

    Raises UsageError if there is no file, or a value is not one that it could hold.
    """
    from killsync.settings import edit

    named = config.config_file(call.config, os.environ).absolute()
    if not named.is_file():
        raise UsageError(f"{named}: no such configuration file: `killsync init` writes one")
    # to fail if it is not valid
    config.values_in(named)
    values = config.checked(dict(map(_pair, changes)), "--set")
    complete(values)
    try:
        text = edit.changed(files.read_text(named), values)
    except ValueError as error:
        raise UsageError(f"{named}: not valid TOML: {error}") from error
    files.write_private(written_to(named), text.encode())
    if not call.quiet:
        print_result(f"{', '.join(values)} set in {safe(named)}")


def complete(values: dict[str, Any]) -> None:
    """Check what is given further than its type, and make paths work from any directory.

    Raises UsageError.
    """
    for key in _PATHS:
        if values.get(key):
            values[key] = str(expanded(values[key]).absolute())
    for key, check in CHECKS.items():
        if key in values:
            values[key] = check(values[key])


def written_to(named: Path) -> Path:
    """Return the file to write for a name: of a link, what it leads to."""
    return named.resolve() if named.is_symlink() else named


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals:
        # it may be a secret
        raise UsageError("--set takes KEY=VALUE, such as --set workers=4")
    return key.strip(), value.strip()
