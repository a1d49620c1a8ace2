"""The only place that sends: sessions, time-outs, retries, and the lower library's errors.

Certificates are checked, proxies of the environment honoured, redirects never followed.
"""

import errno
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection

from killsync.errors import KillsyncError, OutOfFiles, Refused, ServerFault, Stopped, Unavailable

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
DEADLINE = 60.0
# the largest killmail known, of 3,753 attackers, has less than 1 MiB
LARGEST_ANSWER = 4 * 1024 * 1024
ATTEMPTS = 3
_LONGEST_WAIT = 8.0
_TIMEOUT = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
_ONCE: dict[str, Any] = {"retries": False, "redirect": False, "timeout": _TIMEOUT}
# a proxy's pool sends to any host; an answer is read by `_read`
_ONCE |= {"assert_same_host": False, "preload_content": False}
_CHUNK = 65536

T = TypeVar("T")
S = TypeVar("S", bound=requests.Session)

_requests, _urllib3 = requests.exceptions, urllib3.exceptions
_LOWER = (_requests.RequestException, _urllib3.HTTPError, _urllib3.ProxySchemeUnsupported, OSError)

# the first that fits counts
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[ServerFault | Unavailable], str], ...] = (
    ((_requests.TooManyRedirects,), ServerFault, "redirected elsewhere, which is never followed"),
    (
        (_requests.ChunkedEncodingError, _urllib3.IncompleteRead),
        ServerFault,
        "the answer was cut short",
    ),
    (
        (_requests.ContentDecodingError, _urllib3.DecodeError),
        ServerFault,
        "the answer cannot be decompressed",
    ),
    ((_urllib3.NewConnectionError,), Unavailable, "cannot be reached"),
    ((_requests.Timeout, _urllib3.TimeoutError), Unavailable, "no answer in time"),
    ((_requests.SSLError, _urllib3.SSLError), Unavailable, "its certificate cannot be verified"),
    ((_urllib3.ProtocolError,), Unavailable, "the connection broke"),
)


class Answer(msgspec.Struct, frozen=True):
    """What came back: status, headers (by any case), the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Sends requests; each thread keeps its own connections alive.

    Once `stopping` is set, nothing is sent any more.
    """

    def __init__(self, user_agent: str, stopping: threading.Event | None = None) -> None:
        self.stopping = stopping or threading.Event()
        self._user_agent = user_agent
        self._headers = urllib3.make_headers(accept_encoding=True, user_agent=user_agent)
        self._local = threading.local()

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None = None
    ) -> Answer:
        """Send one request, once.

        Raises Unavailable or ServerFault if no whole answer comes, Refused if a header cannot be
        written, Stopped or OutOfFiles if the request cannot be sent.
        """
        self.raise_if_stopping()
        try:
            with own_errors(url):
                pool, target = self._way(url)
                answer = pool.urlopen(method, target, body, self._headers | dict(headers), **_ONCE)
                content = _read(answer).getvalue()
                if answer.get_redirect_location():
                    raise _requests.TooManyRedirects
                return Answer(answer.status, answer.headers, content)
        except ValueError as error:
            raise Refused("a header holds what cannot be sent") from error

    def _way(self, url: str) -> tuple[urllib3.HTTPConnectionPool, str]:
        """Return this thread's connections to a server, and what to ask for there."""
        ways: dict[str, tuple[urllib3.HTTPConnectionPool, bool]] = vars(self._local)
        scheme, server, path, query, _ = urlsplit(url)
        origin = f"{scheme}://{server}"
        if origin not in ways:
            ways[origin] = _find_way(self._prepared(requests.Session(), url), url)
        pool, by_proxy = ways[origin]
        target = urlunsplit(("", "", path or "/", query, ""))
        return pool, origin + target if by_proxy else target

    def raise_if_stopping(self) -> None:
        """Raise Stopped if nothing may be sent any more."""
        if self.stopping.is_set():
            raise Stopped

    def oauth_session(self, url: str, client_id: str, client_secret: str) -> "OAuth2Session":
        """Return a session of Authlib's for the SSO at `url`, bounded as all others are."""
        from authlib.integrations.requests_client import OAuth2Session

        session = OAuth2Session(
            client_id,
            client_secret or None,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if client_secret else "none",
            revocation_endpoint_auth_method="client_secret_basic" if client_secret else "none",
        )
        return self._prepared(session, url)

    def patiently(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it is answered, at most three times with growing pauses."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS)
            | tenacity.stop_when_event_set(self.stopping),
            wait=_wait,
            sleep=tenacity.sleep_using_event(self.stopping),
            retry=tenacity.retry_if_exception_type((Unavailable, ServerFault)),
            reraise=True,
        )
        last: Unavailable | ServerFault | None = None

        def once_more() -> T:
            nonlocal last
            if last is not None and self.stopping.is_set():
                raise last
            try:
                return attempt()
            except (Unavailable, ServerFault) as error:
                last = error
                raise

        return retrying(once_more)

    def _prepared(self, session: S, url: str) -> S:
        session.headers["User-Agent"] = self._user_agent
        # read once: requests would read the environment and ~/.netrc for every request,
        # and an entry there would replace the Authorization header
        session.trust_env = False
        session.proxies.update(get_environ_proxies(url))
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        session.verify = bundle or True
        session.max_redirects = 0
        for scheme in ("http://", "https://"):
            session.mount(scheme, _BoundedAdapter(pool_connections=2, pool_maxsize=1))
        return session


def _find_way(session: requests.Session, url: str) -> tuple[urllib3.HTTPConnectionPool, bool]:
    """Return the connections by which requests would send, and whether a proxy wants whole URLs.

    Its rules of proxies and certificates hold, and cost as much as a request: once a server.
    """
    request = session.prepare_request(requests.Request("GET", url))
    adapter: Any = session.get_adapter(url)
    pool = adapter.get_connection_with_tls_context(request, session.verify, session.proxies)
    adapter.cert_verify(pool, url, session.verify, None)
    return pool, adapter.request_url(request, session.proxies) != request.path_url


class _TimedReading(io.RawIOBase):
    """Reads from a socket until a deadline, however slowly the bytes drip."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + DEADLINE

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(min(left, READ_TIMEOUT))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    """An answer that must be whole within DEADLINE, headers and all."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_TimedReading(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _SecureConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Whole(io.BytesIO):
    """An answer that has been read; requests would copy it in pieces, twice."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


class _BoundedAdapter(HTTPAdapter):
    """Sends with time-outs, and reads an answer only up to a size and a time."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        # a SOCKS proxy has pools of its own, which know the way through it
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> Any:
        response = super().send(request, **options | {"stream": True, "timeout": _TIMEOUT})
        response.raw = _read(response.raw)
        return response


@contextmanager
def own_errors(url: str) -> Iterator[None]:
    """Turn every error of requests and urllib3 into one of killsync's own."""
    try:
        yield
    except _LOWER as error:
        raise _own(error, urlsplit(url).netloc) from error


def _own(error: Exception, host: str) -> KillsyncError:
    if _out_of_files(error):
        return OutOfFiles()
    if isinstance(error.__cause__, IncompleteRead):
        return ServerFault(f"{host}: the answer was cut short")
    for kinds, own, text in _MEANINGS:
        if isinstance(error, kinds):
            return own(f"{host}: {text}")
    return Unavailable(f"{host}: cannot be reached")


def _out_of_files(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _read(raw: Any) -> _Whole:
    # read1 returns what is there: a slow drip cannot hold the deadline up
    answer = _Whole()
    try:
        while chunk := raw.read1(_CHUNK, decode_content=True):
            answer.write(chunk)
            if answer.tell() > LARGEST_ANSWER:
                raise ServerFault(f"the answer is larger than {LARGEST_ANSWER >> 20} MiB")
    except BaseException:
        raw.close()
        raise
    return answer


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    backoff = tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT)(state)
    return backoff if asked is None else min(max(asked, backoff), _LONGEST_WAIT)
