"""Requests that another library makes through requests: how they go, and what became of each.

For a process of its own: what it sends is watched from then on, and cannot be let go.
"""

import math
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from killsync.delivery import Delivery, Outcome
from killsync.errors import WrongEnvironment
from killsync.http import environment
from killsync.http.bounded import CONNECT_TIMEOUT, BoundedAdapter
from killsync.http.large import OneLarge
from killsync.http.refusals import causes, connect_status
from killsync.times import DAY, MINUTE

_TOO_MANY_REQUESTS = 429
# a gateway had handed it on, and lost sight of it
_GATEWAY_TIMEOUT = 504
_MEANINGS = {
    401: "the token or password is wrong",
    403: "it is not allowed there",
    404: "that is not there, or was deleted",
    410: "that is no longer there",
    413: "the message is too long",
    _TOO_MANY_REQUESTS: "too many messages at a time",
}
_ONLY_ASKING = ("GET", "HEAD", "OPTIONS")
_Kinds = type[BaseException] | tuple[type[BaseException], ...]
# the first that fits any of what has led to an error counts
_WORDS: tuple[tuple[_Kinds, str], ...] = (
    ((socket.gaierror, urllib3.exceptions.NameResolutionError), "there is no host of that name"),
    (ConnectionRefusedError, "connection refused"),
    (ssl.SSLCertVerificationError, "its certificate cannot be verified"),
    ((ssl.SSLError, urllib3.exceptions.SSLError), "TLS error"),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "timed out"),
    ((ConnectionError, urllib3.exceptions.ProtocolError), "the connection broke"),
)


class Watch:
    """The attempts of this process, which has until `ends_at` on the monotonic clock for them."""

    def __init__(self, ends_at: float, sending: Callable[[], None]) -> None:
        """`sending` is called whenever a part of a message may have left."""
        self.attempts: list[Delivery] = []
        self.has_left = False
        self.went_elsewhere = False
        self._is_attempting = False
        self._ends_at = ends_at
        self._sending = sending

    @property
    def seconds_left(self) -> float:
        """How long an attempt may still take."""
        return max(0.1, self._ends_at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether another attempt would hand the same over again, or come too soon."""
        return any(
            attempt.outcome is Outcome.UNKNOWN or attempt.retry_after is not None
            for attempt in self.attempts
        )

    @contextmanager
    def attempting(self) -> Iterator[None]:
        """Make one attempt, nothing of which has left."""
        before, self._is_attempting = self._is_attempting, True
        self.has_left = False
        try:
            yield
        finally:
            self._is_attempting = before

    def connect(self) -> None:
        """Note that something is connected to; beside an attempt, anything may become of it."""
        if not self._is_attempting:
            self.went_elsewhere = True
            self.leave()

    def leave(self) -> None:
        """Note that a part of a message may have left."""
        self.has_left = True
        self._sending()

    def note(self, outcome: Outcome, reason: str | None = None, after: float | None = None) -> None:
        """Note what became of an attempt."""
        self.attempts.append(Delivery(outcome, reason, after))


def watch_requests(watch: Watch) -> None:
    """Note each request that this process makes from now on.

    Proxies and certificates are those that `environment` finds, whatever the library has found.
    """

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        # what asks a proxy for a tunnel is no message yet
        if event == "http.client.send" and not bytes(arguments[1]).startswith(b"CONNECT "):
            watch.leave()
        elif event == "socket.connect":
            watch.connect()

    sys.addaudithook(hear)
    # each session takes its adapters from there
    vars(requests.sessions)["HTTPAdapter"] = partial(_WatchedAdapter, watch)


def describe(error: BaseException) -> str:
    """Return what went wrong on the way to a server, without its address."""
    if isinstance(error, WrongEnvironment):
        return str(error)
    led_to_it = list(_causes(error))
    for status in map(connect_status, led_to_it):
        if status is not None:
            return f"the proxy answers HTTP {status}"
    for kinds, words in _WORDS:
        if any(isinstance(cause, kinds) for cause in led_to_it):
            return words
    return "it cannot be reached"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what has led to an error, also what urllib3 only packs into one of its own."""
    for cause in causes(error):
        yield cause
        yield from (packed for packed in cause.args if isinstance(packed, Exception))


class _WatchedAdapter(BoundedAdapter):
    def __init__(self, watch: Watch, **options: Any) -> None:
        super().__init__(OneLarge(threading.Event()), watch.seconds_left, **options)
        self._watch = watch

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> Any:
        """Send a request as the environment says, and note what became of it."""
        watch = self._watch
        if watch.is_over:
            raise requests.ConnectionError("nothing is sent once more")
        only_asks = request.method in _ONLY_ASKING
        try:
            with watch.attempting():
                response = super().send(request, **options | self._way(request, options))
        except Exception as error:
            is_unknown = watch.has_left and not only_asks
            by_proxy = isinstance(error, requests.exceptions.ProxyError) and not watch.has_left
            reason = f"its proxy: {describe(error)}" if by_proxy else describe(error)
            watch.note(Outcome.UNKNOWN if is_unknown else Outcome.REFUSED, reason)
            raise requests.ConnectionError("no answer") from error
        if not 200 <= response.status_code < 300:
            watch.note(*_refusal(response, only_asks))
        elif not only_asks:
            watch.note(Outcome.DELIVERED)
        return response

    def _way(self, request: requests.PreparedRequest, options: dict[str, Any]) -> dict[str, Any]:
        parts = urlsplit(request.url or "")
        found = environment.read(f"{parts.scheme}://{parts.netloc}")
        left = self._watch.seconds_left
        return {
            "proxies": found.proxies,
            # whoever gave the address may have said that it needs no valid certificate
            "verify": options.get("verify") and found.verify,
            "timeout": (min(CONNECT_TIMEOUT, left), left),
        }


def _refusal(response: requests.Response, only_asks: bool) -> tuple[Outcome, str, float | None]:
    status = response.status_code
    after = _seconds(response.headers.get("Retry-After"))
    if status == _TOO_MANY_REQUESTS and after is None:
        after = MINUTE
    is_unknown = status == _GATEWAY_TIMEOUT and not only_asks
    meaning = _MEANINGS.get(status)
    reason = f"HTTP {status}: {meaning}" if meaning else f"HTTP {status}"
    return Outcome.UNKNOWN if is_unknown else Outcome.REFUSED, reason, after


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a day at most; None if it names none."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(seconds, DAY) if math.isfinite(seconds) and seconds >= 0 else None
