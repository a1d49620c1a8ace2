"""What is wrong with a setting, in one line that shows no secret."""

import difflib
import re
from collections.abc import Mapping, Sequence

SWITCHES = ("names", "prices", "images")
"""The settings that are on or off."""

PATHS = ("db", "client_secret_file", "token_key_file", "prometheus_file")
"""The settings that name a file."""

_EXPECTED = {
    **dict.fromkeys(PATHS, "expected a path, without a NUL character"),
    "time_zone": "expected eve or local",
    "ping_url": "expected an https URL such as https://hc-ping.com/your-uuid, without a query",
} | dict.fromkeys(SWITCHES, "expected true or false")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
}
_BOUNDS = {">=": "of at least", "<=": "of at most"}
# as msgspec words it
_KIND = re.compile(r"expected `(\w+)`, got `\w+`")
_BOUND = re.compile(r"expected `(\w+)` (>=|<=) (\S+)")
_PASSWORD = re.compile(r"//[^/]*@")
_SECRET = ("secr", "token", "key", "pass", "pwd", "ping")


def explained(message: str, values: Mapping[str, object], where: str, known: Sequence[str]) -> str:
    """Return what is wrong in words of its own: which key, its value unless secret, and where.

    `message` is msgspec's, `known` are the keys that there are.
    """
    unknown = re.search(r"unknown field `(.*?)`", message)
    if unknown:
        key, near = unknown[1], difflib.get_close_matches(unknown[1], known, 1)
        meant = f"; {near[0]} may be meant" if near else ""
        return f"{where}: unknown key {key!r}, set to {_shown(key, values, known)}{meant}"
    reason, _, path = message.partition(" - at `$.")
    key = path.rstrip("`")
    reason = reason[:1].lower() + reason[1:]
    reason = _EXPECTED.get(key, _in_plain_words(reason))
    return f"{where}: {key} is {_shown(key, values, known)}: {reason}"


def _in_plain_words(reason: str) -> str:
    """Return what msgspec expects without the names of Python's types."""
    if (match := _BOUND.fullmatch(reason)) is not None:
        return f"expected {_KINDS[match[1]]} {_BOUNDS[match[2]]} {match[3]}"
    if (match := _KIND.fullmatch(reason)) is not None:
        return f"expected {_KINDS[match[1]]}"
    return reason.replace("`", "")


def _shown(key: str, values: Mapping[str, object], known: Sequence[str]) -> str:
    """Return a value for a message; what may be a secret, also one misspelt, is hidden."""
    shown = repr(values.get(key))
    # the address of a channel, which is a secret, may stand anywhere by mistake
    secret = any(part in key.lower() for part in _SECRET) or ("://" in shown and key not in known)
    return "(hidden)" if secret else _PASSWORD.sub("//(hidden)@", shown)
