"""The types of settings, and how their text is checked."""

from ipaddress import ip_address
from urllib.parse import urlsplit


class Duration(float):
    """A length of time in seconds, written `90s`, `15m`, `9h` or `7d`."""


class Url(str):
    """An https URL, or an http URL of a loopback address, without a trailing slash."""

    __slots__ = ()


class CallbackUrl(Url):
    """A URL exactly as it is registered with the EVE application."""

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
