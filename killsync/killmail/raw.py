"""The bytes of a killmail body, looked at without building anything of what they hold."""

import re
from itertools import islice

# one of 60,000 items has 840,000; the largest killmail known, of 3,753 attackers, 80,000
MOST_PARTS = 1_000_000
_MANY_PARTS = 50_000
# the longest integer that msgspec and Python's json read
MOST_DIGITS = 4300

_MARKS = (b",", b":", b"[", b"{")
# one that is not closed goes to the end: nothing is read twice
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"?'
_STRING_OR_MARK = re.compile(_STRING + rb"|[,:\[{]", re.DOTALL)
_HUGE_INTEGER = re.compile(_STRING + rb"|(?P<huge>-?[0-9]{%d,})" % MOST_DIGITS, re.DOTALL)
_SURROGATE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def has_too_many_parts(raw: bytes) -> bool:
    """Return whether there are more names and values than there is memory for."""
    if not _may_have_more_than(MOST_PARTS, raw):
        return False
    marks = (1 for found in _STRING_OR_MARK.finditer(raw) if found[0] in _MARKS)
    return next(islice(marks, MOST_PARTS, None), None) is not None


def has_many_parts(raw: bytes) -> bool:
    """Return whether a body may need some megabytes once it is decoded, however short it is."""
    return _may_have_more_than(_MANY_PARTS, raw)


def _may_have_more_than(parts: int, raw: bytes) -> bool:
    return len(raw) > parts and sum(map(raw.count, _MARKS)) > parts


def first_not_utf8(raw: bytes) -> int:
    """Return the place of the first byte that is not UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def first_huge_integer(raw: bytes) -> int:
    """Return the place of the first integer that is too long to be read."""
    return next((found.start() for found in _HUGE_INTEGER.finditer(raw) if found["huge"]), 0)


def first_half_pair(raw: bytes) -> int | None:
    """Return the place of the first half of a surrogate pair, None if each has its other half."""
    return next((found.start() for found in _SURROGATE.finditer(raw) if found["lone"]), None)
