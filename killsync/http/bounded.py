"""Answers bounded in size and time, whatever a server does."""

import io
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from killsync.errors import ServerFault

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
DEADLINE = 60.0
# the largest killmail known, of 3,753 attackers, has less than 1 MiB
LARGEST_ANSWER = 4 * 1024 * 1024
TIMEOUT = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
_CHUNK = 65536


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


class BoundedAdapter(HTTPAdapter):
    """Sends with time-outs, and reads an answer only up to a size and a time."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let every pool make connections that are bounded."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Let the pools of a proxy do so too."""
        manager = super().proxy_manager_for(proxy, **options)
        # a SOCKS proxy has pools of its own, which know the way through it
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> Any:
        """Send one request, and read all of its answer."""
        response = super().send(request, **options | {"stream": True, "timeout": TIMEOUT})
        response.raw = read(response.raw)
        return response


def read(raw: Any) -> _Whole:
    """Return the whole of an answer of urllib3's.

    Raises ServerFault if it is too large, and what urllib3 raises.
    """
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
