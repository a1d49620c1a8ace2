"""What a help says of one command besides its options."""

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
