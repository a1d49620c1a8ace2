"""What a help says of one command besides its options; each module has it as `HELP`."""

from collections.abc import Mapping

import msgspec


class HelpText(msgspec.Struct, frozen=True):
    """Of one command: lines to type with what each is for, and what its exit codes mean."""

    examples: Mapping[str, str]
    exit_codes: Mapping[str, str]


def exits(done: str, **others: str) -> dict[str, str]:
    """Return what exit code 0 means and each other: `_2`, `_75`, `_130_143`."""
    codes = {", ".join(code.strip("_").split("_")): text for code, text in others.items()}
    return {"0": done} | codes


STOPPED = "stopped by Ctrl-C or a signal, in good order"
UNUSABLE = "the database cannot be used"
UNKNOWN_USER = "no such user, or the database cannot be used"
LOCKED = "another program keeps the database locked: try later"
BUSY = "another run is at work: try later"

IMPORTED = exits(
    "all is read",
    _1="something was refused; the rest is imported",
    _2="nobody is registered, a path cannot be read, or the disk is full",
    _75="it cannot be done now: try later",
    _130_143="stopped by a signal; the next call goes on",
)
