"""Sessions, retries, and one request at a time.

Certificates are checked, proxies of the environment honoured, redirects never followed.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import tenacity
import urllib3
from requests.utils import get_environ_proxies

from killsync.errors import Refused, ServerFault, Stopped, Unavailable, UsageError
from killsync.http.bounded import TIMEOUT, BoundedAdapter, read
from killsync.http.meanings import own_errors

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session

ATTEMPTS = 3
_LONGEST_WAIT = 8.0
_ONCE: dict[str, Any] = {"retries": False, "redirect": False, "timeout": TIMEOUT}
# a proxy's pool sends to any host; an answer is read by `read`
_ONCE |= {"assert_same_host": False, "preload_content": False}

T = TypeVar("T")
S = TypeVar("S", bound=requests.Session)


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
                content = read(answer).getvalue()
                if answer.get_redirect_location():
                    raise requests.TooManyRedirects
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
        session.proxies.update(_proxies(url))
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        session.verify = bundle or True
        session.max_redirects = 0
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter(pool_connections=2, pool_maxsize=1))
        return session


def _proxies(url: str) -> Mapping[str, str]:
    """Return the proxies that the environment names for a URL.

    Raises UsageError if one is no address: requests would say so with its password.
    """
    proxies: Mapping[str, str] = get_environ_proxies(url)
    for scheme, proxy in proxies.items():
        try:
            parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
            sound = bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound and scheme != "no":
            raise UsageError(f"the environment's {scheme}_proxy is no address: correct it")
    return proxies


def _find_way(session: requests.Session, url: str) -> tuple[urllib3.HTTPConnectionPool, bool]:
    """Return the connections by which requests would send, and whether a proxy wants whole URLs.

    Its rules of proxies and certificates hold, and cost as much as a request: once a server.
    """
    request = session.prepare_request(requests.Request("GET", url))
    adapter: Any = session.get_adapter(url)
    pool = adapter.get_connection_with_tls_context(request, session.verify, session.proxies)
    adapter.cert_verify(pool, url, session.verify, None)
    return pool, adapter.request_url(request, session.proxies) != request.path_url


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    backoff = tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT)(state)
    return backoff if asked is None else min(max(asked, backoff), _LONGEST_WAIT)
