"""The types of settings, and how their text is checked."""

import math
import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
# commas only between thousands: elsewhere one of them is a decimal comma
_ISK = re.compile(
    r"((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e\d{1,2})?)([kmbt]?)", re.IGNORECASE | re.ASCII
)


# no file system knows a name with a NUL in it
FileName = Annotated[str, Meta(pattern=r"\A[^\0]*\Z")]
"""A path as it is written, with or without a `~`."""


class Duration(float):
    """A length of time in seconds, written `90s`, `15m`, `9h` or `7d`."""


class Url(str):
    """An https URL, or an http URL of a loopback address, without a trailing slash."""

    __slots__ = ()


class CallbackUrl(Url):
    """A URL exactly as it is registered with the EVE application."""

    __slots__ = ()


class PingUrl(Url):
    """A URL that whoever knows it may call, and so a secret; the empty text is none."""

    __slots__ = ()


def check_url(text: str) -> str:
    """Return a URL without its trailing slash.

    Raises ValueError unless it is https, or http on a loopback address, and names no user.
    """
    parts = urlsplit(text)
    plain = text.isascii() and text.isprintable() and " " not in text
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc or not plain:
        raise ValueError("expected a URL such as https://esi.evetech.net")
    if parts.port == 0:  # reading an invalid port raises ValueError by itself
        raise ValueError("expected a port from 1 to 65535")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(text)):
        raise ValueError("expected https:// (http:// only for a loopback address)")
    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Return whether a URL names this machine's loopback interface."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_isk(text: str) -> float:
    """Return the ISK of `100m`, `1.2b`, `500k`, `1e9` or `1,000,000`; raise ValueError otherwise.

    It is a lower bound: anything is worth at least 0.
    """
    match = _ISK.fullmatch(text.strip())
    if match is None:
        raise ValueError("give ISK such as 100m, 1.2b, 500k or 1000000")
    isk = float(match[1].replace(",", "")) * _UNITS[match[2].lower()]
    if math.isinf(isk):
        raise ValueError("nothing is worth as much")
    return isk
