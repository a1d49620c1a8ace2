"""Who may ask the killboard, and what a browser may do with its answers."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

IMAGES = "https://images.evetech.net"

_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
_METHODS = {"GET", "HEAD"}
_STATIC = ("/-/static/", "/-/static-plugins/")
_NO_ONE_ELSE = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# Datasette's own pages have scripts within them
_DATASETTE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; connect-src 'self'; {_NO_ONE_ELSE}"
)
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_UNLESS_GIVEN = {
    "content-security-policy": _DATASETTE,
    # the style too is another one after an upgrade
    "cache-control": "no-cache",
}


def guard(app: App) -> App:
    """Return an application that answers this machine's own browser only, and changes nothing.

    A page from elsewhere that has its own name lead to the loopback address sends that name as
    Host (DNS rebinding); one that embeds something from here is told by Sec-Fetch-Site.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_headers(message.get("headers", []))
            await send(message)

        refusal = refuse(scope["method"], scope["path"], dict(scope["headers"]))
        if refusal is None:
            await app(scope, receive, send_guarded)
        else:
            await _answer(send_guarded, *refusal)

    return guarded


def refuse(method: str, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
    """Return the status and the line with which a request is refused, None if it is not."""
    if method not in _METHODS:
        return 405, "Only GET: nothing can be changed here."
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name not in _HOSTS:
        return 421, "The killboard is at 127.0.0.1 and localhost only."
    # what Datasette tells of itself: paths, plugins, settings
    if path.startswith("/-/") and not path.startswith(_STATIC):
        return 404, "Not found."
    site = headers.get(b"sec-fetch-site")
    if site == b"cross-site" and headers.get(b"sec-fetch-mode") != b"navigate":
        return 403, "The killboard is not for other sites."
    return None


def content_policy(images: bool) -> str:
    """Return the Content-Security-Policy of the killboard's own pages, which have no script."""
    sources = f"'self' {IMAGES}" if images else "'self'"
    return f"default-src 'none'; style-src 'self'; img-src {sources}; {_NO_ONE_ELSE}"


def with_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with those that limit a browser; its own policy stays."""
    kept = list(headers)
    given = {name.lower().decode("latin-1") for name, _ in kept}
    own = {name: value for name, value in _UNLESS_GIVEN.items() if name not in given}
    return kept + [(name.encode(), value.encode()) for name, value in (_HEADERS | own).items()]


async def _answer(send: Send, status: int, line: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{line}\n".encode()})
