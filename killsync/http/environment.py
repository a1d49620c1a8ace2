"""What the environment says of the way to a server: through which proxy, with which certificates.

Whatever cannot work with any request is found here, before the first one is sent.
"""

import os
import re
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

from killsync.errors import WrongEnvironment
from killsync.settings.values import is_loopback

_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_INSTALL_SOCKS = "install PySocks beside killsync (the extra `socks`)"
# the first that is set counts
_CERTIFICATE_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_CERTIFICATE_DIRECTORIES = "SSL_CERT_DIR"
# as `openssl rehash` names them; no other is looked at
_CERTIFICATE_NAME = re.compile(r"[0-9a-f]{8}\.\d+")


class Proxy(msgspec.Struct, frozen=True):
    """A proxy, whose URL has a scheme, and the variable that names it."""

    url: str
    variable: str

    @property
    def host(self) -> str:
        """Host and port, without user and password. Raises ValueError if it is not an address."""
        parts = urlsplit(self.url)
        if not parts.hostname or parts.port == 0 or parts.scheme not in _PROXY_SCHEMES:
            raise ValueError("not an address")
        return parts.netloc.rpartition("@")[2]

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS."""
        return urlsplit(self.url).scheme.startswith("socks")


class Certificates(msgspec.Struct, frozen=True):
    """The file or directory of certificates that are trusted, and the variable that names it."""

    path: str
    variable: str


class Environment(msgspec.Struct, frozen=True):
    """How to reach a server."""

    proxy: Proxy | None = None
    certificates: Certificates | None = None

    @property
    def proxies(self) -> dict[str, str]:
        """The proxy as requests takes it."""
        return {} if self.proxy is None else {"all": self.proxy.url}

    @property
    def verify(self) -> str | bool:
        """The certificates as requests takes them."""
        return True if self.certificates is None else self.certificates.path


def read(origin: str) -> Environment:
    """Return what the environment says of the way to an origin, such as `https://host:1`.

    Raises WrongEnvironment if no request can work like that; no password is in its text.
    """
    proxy = None if is_loopback(origin) else find_proxy(origin)
    if proxy is not None:
        _require_valid(proxy)
    if urlsplit(origin).scheme != "https":
        return Environment(proxy)
    certificates = find_certificates(os.environ)
    _require_readable(certificates or Certificates(DEFAULT_CA_BUNDLE_PATH, ""))
    return Environment(proxy, certificates)


def find_proxy(origin: str) -> Proxy | None:
    """Return the proxy that the environment names for an origin; it may be invalid."""
    named = get_environ_proxies(origin)
    for kind in (urlsplit(origin).scheme, "all"):
        if named.get(kind):
            names = (f"{kind}_proxy", f"{kind}_proxy".upper())
            # other systems have proxies in their own settings too
            variable = next((n for n in names if os.environ.get(n)), names[0])
            return proxy_at(named[kind], variable)
    return None


def proxy_at(address: str, variable: str) -> Proxy:
    """Return the proxy of an address; it may be invalid. Without a scheme it speaks HTTP."""
    # requests would take the name of a host for a scheme
    return Proxy(address if "://" in address else f"http://{address}", variable)


def find_certificates(env: Mapping[str, str]) -> Certificates | None:
    """Return the certificates that the environment names, None if those of certifi are used.

    Of several directories in SSL_CERT_DIR it is the first that holds certificates: requests takes
    one.
    """
    for variable in _CERTIFICATE_FILES:
        if env.get(variable):
            return Certificates(env[variable], variable)
    directories = [name for name in env.get(_CERTIFICATE_DIRECTORIES, "").split(os.pathsep) if name]
    if not directories:
        return None
    chosen = next((name for name in directories if _holds_certificates(name)), directories[0])
    return Certificates(chosen, _CERTIFICATE_DIRECTORIES)


def _require_valid(proxy: Proxy) -> None:
    try:
        host = proxy.host
    except ValueError:
        # requests would quote it with its password
        what = f"{proxy.variable} is not a valid address of a proxy"
        raise WrongEnvironment(what, "correct or unset it") from None
    if proxy.is_socks and find_spec("socks") is None:
        raise WrongEnvironment(
            f"{proxy.variable} names a SOCKS proxy ({host}), and the library for that is missing",
            f"{_INSTALL_SOCKS}, or unset {proxy.variable}",
        )


def _require_readable(certificates: Certificates) -> None:
    """Raise WrongEnvironment if no certificate can be read."""
    if Path(certificates.path).is_dir():
        reason = None if _holds_certificates(certificates.path) else "holds no certificates"
    else:
        reason = _unreadable(certificates)
    if reason is None:
        return
    variable, path = certificates.variable, certificates.path
    if variable:
        what = f"{variable} names {path}, which {reason}"
        raise WrongEnvironment(what, f"correct or unset {variable}")
    raise WrongEnvironment(f"{path}, the usual certificates, {reason}", "install certifi again")


def _unreadable(certificates: Certificates) -> str | None:
    """Return why a file of certificates cannot be used, None if it can."""
    if not certificates.variable:
        return None if Path(certificates.path).exists() else "is not there"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificates.path)
    except FileNotFoundError:
        return "is not there"
    except ssl.SSLError:
        return "holds no certificates (PEM)"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _holds_certificates(directory: str) -> bool:
    try:
        return any(_CERTIFICATE_NAME.fullmatch(name) for name in os.listdir(directory))  # noqa: PTH208
    except OSError:
        return False
