"""The end of a login: a listener on the loopback interface that the browser comes back to.

A browser may open connections that it never uses, ask for an icon, or come back from an earlier
login. So every connection has a thread of its own, and `wait` returns only what was sent to the
callback URL.
"""

import errno
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from queue import Empty, SimpleQueue
from socketserver import ThreadingTCPServer
from urllib.parse import parse_qs, urlsplit

from killsync.errors import ApplicationError, LoginRefused, Refused, Unavailable, UsageError
from killsync.esi.client import CORPORATION_SCOPE, SCOPE
from killsync.login.page import BrowserPage, rendered

# a browser may take either address for localhost, and another program must not sit at one of them
_ADDRESSES = {
    "localhost": ("127.0.0.1", "::1"),
    "127.0.0.1": ("127.0.0.1",),
    "::1": ("::1",),
}
_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_IDLE_TIMEOUT = 10.0
_LONGEST_ANSWER = 120.0
UNDECIDED = BrowserPage(
    "Nothing has been decided", "Look at the terminal where killsync runs.", False
)
_NOTHING_HERE = BrowserPage("Nothing is here", "killsync waits for the end of a login here.", False)
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Visit:
    """A browser that has come back; it waits for the page that `reply` gives it."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.page: BrowserPage | None = None
        self.replied = threading.Event()
        self.sent = threading.Event()

    def reply(self, page: BrowserPage) -> None:
        """Show the browser a page; only the first one counts."""
        if not self.replied.is_set():
            self.page = page
            self.replied.set()
            # the program may end next, and the thread that sends with it
            self.sent.wait(_IDLE_TIMEOUT)


class Listener:
    """Listens at a callback URL, at every one of these addresses that this machine has.

    Raises UsageError, which says what to do, if that is impossible.
    """

    def __init__(self, addresses: Sequence[str], port: int, path: str) -> None:
        self._visits: SimpleQueue[Visit] = SimpleQueue()
        self._servers: list[_Server] = []
        missing: OSError | None = None
        for address in addresses:
            try:
                self._servers.append(_Server(address, port, path, self._visits))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    self._close_servers()
                    raise UsageError(_why_not(error, address, port)) from error
                missing = error
        if not self._servers and missing is not None:
            raise UsageError(_why_not(missing, addresses[0], port)) from missing

    def wait(self, seconds: float) -> Visit | None:
        """Return the next browser that comes back, None if none does in time."""
        try:
            return self._visits.get(timeout=max(0.0, seconds))
        except Empty:
            return None

    def start(self) -> None:
        """Begin to listen."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop listening; browsers that still wait are sent to the terminal."""
        for server in self._servers:
            server.shutdown()
        self._close_servers()
        while (left := self.wait(0)) is not None:
            left.reply(UNDECIDED)

    def _close_servers(self) -> None:
        for server in self._servers:
            server.server_close()


@contextmanager
def listen(url: str) -> Iterator[Listener]:
    """Listen at a callback URL of this machine.

    Raises UsageError, which says what to do, if that is impossible.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _ADDRESSES:
        raise UsageError(
            f"callback_url is {url}: killsync can listen at http://localhost:PORT/… only; "
            "use --no-browser to paste the answer"
        )
    listener = Listener(_ADDRESSES[parts.hostname], parts.port or 80, parts.path or "/")
    listener.start()
    try:
        yield listener
    finally:
        listener.close()


def extract_code(query: str, state: str) -> str:
    """Return the code in the query that SSO sends a browser back with.

    Raises Refused if it belongs to another login than that of `state`. Raises LoginRefused,
    ApplicationError or Unavailable if SSO says that this login has failed.
    """
    fields = parse_qs(query)
    if "state" not in fields:
        raise Refused("this is not the whole address on which the login ended")
    if fields.get("state") != [state]:
        raise Refused("this is the answer to another login than the one that waits here")
    if "error" in fields:
        raise _failure(fields["error"][0])
    codes = fields.get("code", [])
    if len(codes) != 1:
        raise LoginRefused("SSO's answer holds no code; log in again with `killsync login`")
    return codes[0]


def _failure(error: str) -> Exception:
    # the word is shown only if it is known: anybody may send a browser here
    match error:
        case "access_denied":
            return LoginRefused(
                "the login was refused at SSO, nothing has changed; "
                "log in again with `killsync login`"
            )
        case "server_error" | "temporarily_unavailable":
            return Unavailable(f"SSO cannot log anybody in now ({error})")
        case "invalid_scope":
            return ApplicationError(
                "the EVE application does not have the scope that killsync needs (invalid_scope): "
                f"add {SCOPE} and, for corporations, {CORPORATION_SCOPE}, at "
                "https://developers.eveonline.com"
            )
        case "unauthorized_client" | "invalid_request" | "unsupported_response_type":
            return ApplicationError(
                f"SSO does not accept the EVE application ({error}): check client_id, "
                "client_secret and callback_url"
            )
    return LoginRefused("SSO gave no code; log in again with `killsync login`")


def _why_not(error: OSError, address: str, port: int) -> str:
    other_way = (
        "use --no-browser, or give the EVE application a callback URL with another port and set "
        "callback_url"
    )
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is in use at {address} by another program, perhaps another "
            f"`killsync login`, and the code could go there: end that program, or {other_way}"
        )
    return f"port {port} cannot be listened on at {address} ({error.strerror}): {other_way}"


class _Server(ThreadingTCPServer):
    daemon_threads = True
    # the port of a login that has just ended; two at once cannot share it
    allow_reuse_address = True

    def __init__(self, address: str, port: int, path: str, visits: SimpleQueue[Visit]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)
        self.path = path
        self.visits = visits

    def handle_error(self, *_: object) -> None:
        """Print nothing: a browser that goes away is not an error, and its request holds a code."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "killsync"
    sys_version = ""
    timeout = _IDLE_TIMEOUT

    def do_GET(self) -> None:
        """Pass on a browser that comes back, and show it the page it is given."""
        parts = urlsplit(self.path)
        if parts.path != self.server.path or not parts.query:
            self._send(_NOTHING_HERE, HTTPStatus.NOT_FOUND)
            return
        visit = Visit(parts.query)
        self.server.visits.put(visit)
        visit.replied.wait(_LONGEST_ANSWER)
        page = visit.page or UNDECIDED
        try:
            self._send(page, HTTPStatus.OK if page.good else HTTPStatus.BAD_REQUEST)
        finally:
            visit.sent.set()

    def _send(self, page: BrowserPage, status: HTTPStatus) -> None:
        body = rendered(page)
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing: a request holds a code."""
