"""How the pages show numbers and names: short text, and what its colour depends on."""

from datetime import date

from killsync.terminal import percent as terminal
from killsync.terminal.isk import isk

# names that no locale changes: EVE is spoken of in English
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_NOT_KNOWN = "\N{EN DASH}"
_HIGH_SECURITY, _LOW_SECURITY = 0.5, 0.1
# wormholes and the abyss
_NO_KNOWN_SPACE = range(31_000_000, 33_000_000)


def short_isk(value: float | None) -> str:
    """Return ISK as `1.2b`; a dash if it is not known."""
    return _NOT_KNOWN if value is None else isk(value)


def whole_isk(value: float | None) -> str:
    """Return every digit of an amount of ISK."""
    return "value not known" if value is None else f"{value:,.0f} ISK"


def percent(share: float | None) -> str:
    """Return a share of 0 to 1 as `84%`; a dash if there is none."""
    return terminal.percent(share, _NOT_KNOWN)


def security_class(value: float | None, system_id: int = 0) -> str:
    """Return `high`, `low` or `null`; `none` where security means nothing."""
    if value is None or system_id in _NO_KNOWN_SPACE:
        return "none"
    if value >= _HIGH_SECURITY:
        return "high"
    return "low" if value >= _LOW_SECURITY else "null"


def day(text: str) -> str:
    """Return a day, `2026-11-24`, as `Tue 24 Nov 2026`."""
    one = date.fromisoformat(text)
    return f"{_WEEKDAYS[one.weekday()]} {one.day} {_MONTHS[one.month - 1]} {one.year}"


def counted(number: int, thing: str) -> str:
    """Return `1 kill`, `1,200 kills`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "es" if thing.endswith("s") else "s")
