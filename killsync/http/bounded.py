"""Answers bounded in size and time, whatever a server does, and through whatever proxy."""

import io
import socket
import time
from collections.abc import Iterator
from functools import cache
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from killsync.errors import ServerFault, TooLarge
from killsync.http.large import LARGE, OneLarge

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
TIMEOUT = (CONNECT_TIMEOUT, READ_TIMEOUT)
DEADLINE = 60.0
# the largest killmail known, of 3,753 attackers, has less than 1 MiB; one of 60,000 items 7
LARGEST_ANSWER = 8 * 1024 * 1024
_CHUNK = 65536
_BROKEN_OFF = (
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.SSLError,
    OSError,
)


class BoundedAdapter(HTTPAdapter):
    """Sends as requests does, and reads an answer only up to a size and until a deadline.

    A large answer waits for its turn, which its reader ends. One that is asked for as a stream is
    left to be read, until the same deadline: DEADLINE, if no other is given.
    """

    def __init__(self, large: OneLarge, deadline: float | None = None, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(**options)
        self._large = large

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Bound every direct connection."""
        super().init_poolmanager(*arguments, **options)
        _bound(self.poolmanager, self._deadline)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Bound the connections through a proxy too, of whatever kind."""
        manager = super().proxy_manager_for(proxy, **options)
        _bound(manager, self._deadline)
        return manager

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> Any:
        """Send one request, and read the whole of its answer unless a stream is asked for."""
        response = super().send(request, **options | {"stream": True})
        if not options.get("stream"):
            response.raw = _read(response.raw, self._large)
        return response


class _TimedReading(io.RawIOBase):
    """Reads from a socket until a deadline, however slowly the bytes drip."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + deadline

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
    """An answer that must be whole within `deadline` seconds, or DEADLINE, headers and all."""

    deadline: float | None = None

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(
            _TimedReading(self.fp.detach(), sock, self.deadline or DEADLINE)
        )


def _bound(manager: Any, deadline: float | None) -> None:
    """Make every pool of a manager read in time, however it connects."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {s: _timed(pool, deadline) for s, pool in pools.items()}


@cache
def _timed(pool: Any, deadline: float | None) -> Any:
    """Return a class of pools whose connections give timed responses."""
    if issubclass(pool.ConnectionCls.response_class, _TimedResponse):
        return pool
    response = type("TimedResponse", (_TimedResponse,), {"deadline": deadline})
    connection = type(
        f"Timed{pool.ConnectionCls.__name__}",
        (pool.ConnectionCls,),
        {"response_class": response},
    )
    return type(f"Timed{pool.__name__}", (pool,), {"ConnectionCls": connection})


class _Whole(io.BytesIO):
    """An answer that has been read; requests would copy it in pieces, twice."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


def _read(raw: Any, large: OneLarge) -> _Whole:
    """Return the whole of one of urllib3's answers.

    Raises TooLarge if it is too large, ServerFault if a large one is cut short, and what urllib3
    and `large` raise.
    """
    # read1 returns what is there: a slow drip cannot hold the deadline up
    answer = _Whole()
    try:
        while chunk := raw.read1(_CHUNK, decode_content=True):
            answer.write(chunk)
            if answer.tell() > LARGEST_ANSWER:
                raise TooLarge(f"the answer is larger than {LARGEST_ANSWER >> 20} MiB")
            if answer.tell() > LARGE:
                large.take()
    except BaseException as error:
        read = answer.tell()
        raw.close()
        answer.close()  # the error may be kept for a while, and this frame with it
        # it may have waited for its turn for too long: its server is not silent
        if read > LARGE and isinstance(error, _BROKEN_OFF):
            raise ServerFault("a large answer was cut short") from error
        raise
    return answer
