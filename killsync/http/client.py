"""The one sender, on requests: a session for each thread, and retries.

Certificates are checked, redirects never followed; `environment` says what is honoured of it.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from http.cookiejar import DefaultCookiePolicy
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import tenacity

from killsync.errors import NotSent, ServerFault, TooLarge, Unavailable
from killsync.http import environment
from killsync.http.bounded import TIMEOUT, BoundedAdapter
from killsync.http.environment import Environment
from killsync.http.large import OneLarge
from killsync.http.translation import translated_errors

ATTEMPTS = 3
_LONGEST_WAIT = 8.0
_PIECE = 65536

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """What came back: status, headers (by any case), the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Sends requests; each thread keeps its own connections alive.

    Once `stopping` is set, nothing is sent any more. An answer must be whole within `deadline`
    seconds, or a minute.
    """

    def __init__(
        self,
        user_agent: str,
        stopping: threading.Event | None = None,
        deadline: float | None = None,
    ) -> None:
        self.stopping = stopping or threading.Event()
        self.large = OneLarge(self.stopping)
        self._user_agent = user_agent
        self._deadline = deadline
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._environments: dict[str, Environment] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: str | None = None,
        *,
        keeps_turn: bool = False,
    ) -> Answer:
        """Send one request, once.

        A large answer waits for its turn; who `keeps_turn` ends it in `large`.

        Raises Unavailable, ServerFault or TooLarge if no whole answer comes, Refused if a header
        cannot be written, NotSent or OutOfFiles if the request cannot be sent, and
        WrongEnvironment if the environment's proxy or certificates let no request through.
        """
        self.raise_if_stopping()
        found = self._environment_for(url)
        with ExitStack() as turn, translated_errors(url, found):
            turn.callback(self.large.give_back)
            response = self._session().request(
                method,
                url,
                headers=headers,
                data=body,
                proxies=found.proxies,
                verify=found.verify,
                timeout=TIMEOUT,
            )
            answer = Answer(response.status_code, response.headers, response.content)
            if keeps_turn:
                turn.pop_all()
            return answer

    def download(
        self, url: str, into: BinaryIO, largest: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Write the body of an answer 200 into a file, piece by piece; return status and headers.

        Raises TooLarge once it has more than `largest` bytes, what `send` raises, and OSError if
        the file cannot be written.
        """
        self.raise_if_stopping()
        found = self._environment_for(url)
        with translated_errors(url, found):
            response = self._session().get(
                url,
                headers=headers,
                proxies=found.proxies,
                verify=found.verify,
                timeout=TIMEOUT,
                stream=True,
            )
        size = 0
        with closing(response):
            while response.status_code == 200:
                self.raise_if_stopping()
                # an error of the file's is none of the server's
                with translated_errors(url, found):
                    piece = response.raw.read1(_PIECE, decode_content=True)
                if not piece:
                    break
                size += len(piece)
                if size > largest:
                    raise TooLarge(f"{url}: the answer is larger than {largest >> 20} MiB")
                into.write(piece)
        return Answer(response.status_code, response.headers, b"")

    def raise_if_stopping(self) -> None:
        """Raise NotSent if nothing may be sent any more."""
        if self.stopping.is_set():
            raise NotSent

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

    def close(self) -> None:
        """Close every thread's connections; nothing is sent any more."""
        for session in self._sessions:
            session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = self._user_agent
            # requests would read the environment and ~/.netrc for every request, and an entry
            # there would replace the Authorization header
            session.trust_env = False
            # one session serves many users: no cookie that one was given goes with another
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.max_redirects = 0
            for scheme in ("http://", "https://"):
                adapter = BoundedAdapter(
                    self.large, self._deadline, pool_connections=2, pool_maxsize=1
                )
                session.mount(scheme, adapter)
            self._sessions.append(session)
        return session

    def _environment_for(self, url: str) -> Environment:
        """Return the environment's proxies and certificates for a server, read once for each."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._environments:
            self._environments[origin] = environment.read(origin)
        return self._environments[origin]


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    backoff = tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT)(state)
    return backoff if asked is None else min(max(asked, backoff), _LONGEST_WAIT)
