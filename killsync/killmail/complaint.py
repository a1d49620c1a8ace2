"""What is wrong with a killmail body, in one short line that names the field or the byte."""

import re

import msgspec

from killsync.killmail import raw as raw_body

DEEPEST = 64
TOO_LARGE = "expected a number of 64 bits, got a larger one"

_LONGEST_SHOWN = 60
_MISSING = "Object missing required field "  # as msgspec says it
_AT_BYTE = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)")


def complaint(error: Exception, raw: bytes) -> str:
    """Return what an error of msgspec's says about a body."""
    if isinstance(error, RecursionError):
        return f"the body: nested deeper than {DEEPEST} levels"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {raw_body.first_not_utf8(raw)}: not UTF-8"
    if isinstance(error, msgspec.ValidationError):
        return _field_complaint(str(error), raw)
    return _byte_complaint(str(error), raw)


def shown_path(path: tuple[str | int, ...]) -> str:
    """Return the place of a value, `attackers[0].new`, as short ASCII."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shown(text.removeprefix(".")) or "the body"


def shown(text: str) -> str:
    """Return text from outside as short ASCII without control characters."""
    escaped = text.encode("unicode_escape").decode("ascii")
    half = _LONGEST_SHOWN // 2
    return escaped if len(escaped) <= _LONGEST_SHOWN else f"{escaped[:half]}...{escaped[-half:]}"


def _field_complaint(text: str, raw: bytes) -> str:
    """Turn ``Expected `int`, got `str` - at `$.victim.flag` `` into `victim.flag: expected...`."""
    if text.startswith("Integer value out of range"):
        digits = f"a number of more than {raw_body.MOST_DIGITS:,} digits"
        return f"byte {raw_body.first_huge_integer(raw)}: {digits}"
    what, _, path = text.replace("`", "").partition(" - at $")
    path = path.removeprefix(".")
    if what.startswith(_MISSING):
        return f"{path}{'.' if path else ''}{what.removeprefix(_MISSING)}: missing"
    return f"{path or 'the body'}: {what[:1].lower()}{what[1:]}"


def _byte_complaint(text: str, raw: bytes) -> str:
    half = raw_body.first_half_pair(raw)
    if half is not None:
        return f"byte {half}: half of a surrogate pair"
    if match := _AT_BYTE.fullmatch(text):
        return f"byte {match['byte']}: {match['what']}"
    return f"byte {len(raw)}: the JSON ends too early"
