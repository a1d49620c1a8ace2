"""The errors of requests and urllib3, translated into killsync's own."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from urllib.parse import urlsplit

import requests
import urllib3

from killsync.errors import KillsyncError, OutOfFiles, Refused, ServerFault, Unavailable

_requests, _urllib3 = requests.exceptions, urllib3.exceptions
_LOWER = (
    _requests.RequestException,
    _urllib3.HTTPError,
    _urllib3.ProxySchemeUnsupported,
    OSError,
    UnicodeError,
)

# the first that fits counts
_TRANSLATIONS: tuple[
    tuple[tuple[type[Exception], ...], type[ServerFault | Unavailable], str], ...
] = (
    (
        (_requests.TooManyRedirects, UnicodeDecodeError),
        ServerFault,
        "redirected elsewhere, which is never followed",
    ),
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
def translated_errors(url: str) -> Iterator[None]:
    """Raise every error of requests and urllib3 as one of killsync's own that names the host."""
    host = urlsplit(url).netloc
    try:
        yield
    except _LOWER as error:
        if _is_about_our_header(error):
            # requests quotes the header, which may be a token
            raise Refused(f"{host}: a header holds what cannot be sent") from None
        raise _translate(error, host) from error


def _is_about_our_header(error: Exception) -> bool:
    # requests gives urllib3's error about a header of the answer the same class
    of_the_answer = bool(error.args) and isinstance(error.args[0], _urllib3.InvalidHeader)
    kinds = (_requests.InvalidHeader, UnicodeEncodeError)
    return isinstance(error, kinds) and not of_the_answer


def _translate(error: Exception, host: str) -> KillsyncError:
    if _out_of_files(error):
        return OutOfFiles()
    if isinstance(error.__cause__, IncompleteRead):
        return ServerFault(f"{host}: the answer was cut short")
    for kinds, own, text in _TRANSLATIONS:
        if isinstance(_unwrapped(error), kinds):
            return own(f"{host}: {text}")
    return Unavailable(f"{host}: cannot be reached")


def _unwrapped(error: Exception) -> object:
    """Return the error of urllib3's for which requests has nothing but its ConnectionError."""
    wrapped = type(error) is _requests.ConnectionError and error.args
    return error.args[0] if wrapped else error


def _out_of_files(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False
