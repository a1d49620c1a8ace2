"""What the headers of ESI's answers say, believed within reason."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from killsync.times import HOUR

# no list stays unchanged for longer, whatever an answer says
LONGEST_CACHE = HOUR
_LIST_CACHE = 300.0
_ETAG = re.compile(r'(W/)?"[!#-~]{1,200}"')


def etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag if RFC 9110 allows it: `*` would match everything for ever."""
    text = headers.get("ETag", "")
    return text if _ETAG.fullmatch(text) else None


def pages(headers: Mapping[str, str]) -> int | None:
    """Return X-Pages, the number of pages of a list; None if it is absent or not a number."""
    text = headers.get("X-Pages", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def errors_left(headers: Mapping[str, str]) -> int | None:
    """Return how many errors the legacy error limit still allows; None if that is not said."""
    text = headers.get("X-ESI-Error-Limit-Remain", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def cache_time(headers: Mapping[str, str]) -> float:
    """Return for how many seconds nothing can change, by Expires or max-age, the longer."""
    found = []
    for directive in headers.get("Cache-Control", "").split(","):
        name, _, value = directive.strip().partition("=")
        if name.lower() == "max-age" and value.isdecimal():
            found.append(float(value))
    expires, date = http_date(headers.get("Expires")), http_date(headers.get("Date"))
    if expires is not None and date is not None:
        found.append(expires - date)
    return min(max(found, default=_LIST_CACHE), LONGEST_CACHE)


def http_date(text: str | None) -> float | None:
    """Return a date of HTTP's as unix seconds, None if it is absent or invalid."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
