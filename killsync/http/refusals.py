"""How a proxy's plain refusal looks like below requests: no request can work until it is fixed.

Anything else that goes wrong on the way through a proxy may pass by itself.
"""

import re
import socket
from collections.abc import Iterator

from killsync.errors import WrongEnvironment
from killsync.http.environment import Proxy

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_ASKS_WHO = (401, 407)
# 502 to 504 are the way behind the proxy; a web server in its place answers 400, 405 or 501
_REFUSES = (400, 403, 405, 501)
_SOCKS_REFUSES = re.compile(r"0x(02|5c|5d):", re.IGNORECASE)
_UNKNOWN_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def refusal(error: BaseException, proxy: Proxy, host: str) -> WrongEnvironment | None:
    """Return what an error of requests says, if it is that the proxy refuses to serve `host`."""
    for cause in causes(error):
        if type(cause).__name__ == "GeneralProxyError" and isinstance(
            cause.__context__, socket.gaierror
        ):
            # a name that is looked up here, not by the proxy: that of the server
            return None
        found = _explained(cause, proxy, host)
        if found is not None:
            return found
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that have led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explained(cause: BaseException, proxy: Proxy, host: str) -> WrongEnvironment | None:
    name, variable = f"the proxy {proxy.host}", proxy.variable
    correct = f"correct or unset {variable}"
    text = str(cause)
    if isinstance(cause, ConnectionRefusedError):
        return WrongEnvironment(f"{name} ({variable}) refuses the connection", correct)
    if isinstance(cause, socket.gaierror) and cause.errno in _UNKNOWN_NAME:
        return WrongEnvironment(f"{name} ({variable}): there is no host of that name", correct)
    status = connect_status(cause)
    if status in _ASKS_WHO or type(cause).__name__ == "SOCKS5AuthError":
        shown = "" if status is None else f" ({status})"
        what = f"{name} does not accept its user and password, or asks for them{shown}"
        return WrongEnvironment(what, f"correct them in {variable}")
    if status in _REFUSES or _is_socks_refusal(cause):
        shown = "" if status is None else f" ({status})"
        what = f"{name} ({variable}) refuses to connect to {host}{shown}"
        return WrongEnvironment(what, f"have it allowed there, or {correct}")
    if "proxy appears to only use HTTP" in text:
        what = f"{name} speaks plain HTTP, and {variable} begins with https://"
        return WrongEnvironment(what, f"write http:// in {variable}")
    return None


def connect_status(cause: BaseException) -> int | None:
    """Return what a proxy answers to CONNECT, if an error says so."""
    found = _TUNNEL.match(str(cause)) if type(cause) is OSError else None
    return int(found[1]) if found else None


def _is_socks_refusal(cause: BaseException) -> bool:
    kind = type(cause)
    return kind.__module__ == "socks" and _SOCKS_REFUSES.match(str(cause)) is not None
