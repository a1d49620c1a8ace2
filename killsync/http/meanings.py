"""What the errors of requests and urllib3 mean, as errors of killsync's own."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from urllib.parse import urlsplit

import requests
import urllib3

from killsync.errors import KillsyncError, OutOfFiles, ServerFault, Unavailable

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
