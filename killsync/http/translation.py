"""The errors of requests and urllib3, translated into killsync's own."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from urllib.parse import urlsplit

import requests
import urllib3

from killsync.errors import KillsyncError, OutOfFiles, Refused, ServerFault, Unavailable
from killsync.http.environment import Environment
from killsync.http.refusals import causes, connect_status, refusal

_requests, _urllib3 = requests.exceptions, urllib3.exceptions
_LOWER = (
    _requests.RequestException,
    _urllib3.HTTPError,
    _urllib3.ProxySchemeUnsupported,
    OSError,
    UnicodeError,
)

_DIRECT = Environment()
_UNVERIFIED = "its certificate cannot be verified"

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
    ((_requests.Timeout, _urllib3.TimeoutError), Unavailable, "no answer in time"),
    ((_requests.SSLError, _urllib3.SSLError), Unavailable, _UNVERIFIED),
    ((_urllib3.ProtocolError,), Unavailable, "the connection broke"),
)


@contextmanager
def translated_errors(url: str, environment: Environment = _DIRECT) -> Iterator[None]:
    """Raise every error of requests and urllib3 as one of killsync's own that names the host.

    And the proxy, if the request went through one.
    """
    host = urlsplit(url).netloc
    try:
        yield
    except _LOWER as error:
        if _is_about_our_header(error):
            # requests quotes the header, which may be a token
            raise Refused(f"{host}: a header holds what cannot be sent") from None
        raise _translate(error, host, environment) from error


def _is_about_our_header(error: Exception) -> bool:
    # requests gives urllib3's error about a header of the answer the same class
    of_the_answer = bool(error.args) and isinstance(error.args[0], _urllib3.InvalidHeader)
    kinds = (_requests.InvalidHeader, UnicodeEncodeError)
    return isinstance(error, kinds) and not of_the_answer


def _translate(error: Exception, host: str, environment: Environment) -> KillsyncError:
    if _out_of_files(error):
        return OutOfFiles()
    proxy = environment.proxy
    if proxy is None:
        return _on_the_way(error, host, environment)
    return refusal(error, proxy, host) or _on_the_way(
        error, f"{host} through the proxy {proxy.host}", environment
    )


def _on_the_way(error: Exception, host: str, environment: Environment) -> KillsyncError:
    if isinstance(error.__cause__, IncompleteRead):
        return ServerFault(f"{host}: the answer was cut short")
    if isinstance(_unwrapped(error), _urllib3.NewConnectionError) or isinstance(
        getattr(_unwrapped(error), "reason", None), _urllib3.NewConnectionError
    ):
        return Unavailable(f"{host}: cannot be reached", was_sent=False)
    for kinds, own, text in _TRANSLATIONS:
        if isinstance(_unwrapped(error), kinds):
            return own(f"{host}: {text}{_trusted(environment) if text == _UNVERIFIED else ''}")
    status = next((s for e in causes(error) if (s := connect_status(e)) is not None), None)
    shown = "" if status is None else f" (the proxy says {status})"
    return Unavailable(f"{host}: cannot be reached{shown}")


def _trusted(environment: Environment) -> str:
    found = environment.certificates
    return f" with {found.variable}={found.path}" if found else ""


def _unwrapped(error: Exception) -> object:
    """Return the error of urllib3's for which requests has nothing but its ConnectionError."""
    wrapped = type(error) is _requests.ConnectionError and error.args
    return error.args[0] if wrapped else error


def _out_of_files(error: BaseException) -> bool:
    numbers = (errno.EMFILE, errno.ENFILE)
    return any(isinstance(e, OSError) and e.errno in numbers for e in causes(error))
