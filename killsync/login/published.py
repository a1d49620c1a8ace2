"""What SSO publishes: its metadata and its keys, kept for a day.

Source: EVE's SSO documentation (the metadata of RFC 8414, the keys as a JWKS).
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import msgspec

from killsync.errors import RateLimited, Refused, ServerFault, Unavailable
from killsync.http import Http
from killsync.settings.values import check_url
from killsync.times import DAY, retry_after

_METADATA_PATH = "/.well-known/oauth-authorization-server"
_KEPT_FOR = DAY
_REST = 60.0

T = TypeVar("T")


class Documents(Protocol):
    """Where metadata and keys are kept from run to run."""

    def document(self, url: str) -> tuple[bytes, float] | None:
        """Return a document and when it was fetched."""

    def keep_document(self, url: str, body: bytes, now: float) -> None:
        """Keep a document."""


class Metadata(msgspec.Struct):
    """SSO's endpoints and issuer."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None

    def __post_init__(self) -> None:
        for url in (
            self.token_endpoint,
            self.jwks_uri,
            self.authorization_endpoint,
            self.revocation_endpoint,
        ):
            if url is not None:
                check_url(url)


class Published:
    """The metadata and keys of one SSO, used by several threads.

    All raise Unavailable if SSO does not provide them, RateLimited if it asks for a rest: neither
    blames a user.
    """

    def __init__(
        self, http: Http, url: str, documents: Documents, clock: Callable[[], float]
    ) -> None:
        self._http = http
        self._url = url
        self._documents = documents
        self._clock = clock
        self._lock = threading.RLock()
        self._metadata: Metadata | None = None
        self._keys: Any = None
        self.requests = 0

    def metadata(self) -> Metadata:
        """Return the metadata."""
        with self._lock:
            if self._metadata is None:
                self._metadata = self._document(self._url + _METADATA_PATH, _metadata_of)
            return self._metadata

    def keys(self, *, fresh: bool = False) -> Any:
        """Return the keys as a KeySet of joserfc's; `fresh` asks for them again."""
        with self._lock:
            if self._keys is None or fresh:
                self._keys = self._document(self.metadata().jwks_uri, _keys_of, fresh=fresh)
            return self._keys

    def _document(self, url: str, read: Callable[[bytes], T], *, fresh: bool = False) -> T:
        """Return what SSO publishes at `url`, as kept for a day if not `fresh`."""
        kept = self._documents.document(url)
        now = self._clock()
        if kept is not None and not fresh and now - _KEPT_FOR < kept[1] <= now:
            with suppress(ServerFault):
                return read(kept[0])
        with blaming_no_user(Refused):
            body, value = self._http.patiently(lambda: self._fetch(url, read))
        self._documents.keep_document(url, body, now)
        return value

    def _fetch(self, url: str, read: Callable[[bytes], T]) -> tuple[bytes, T]:
        self._http.raise_if_stopping()
        self.requests += 1
        answer = self._http.send("GET", url, {"Accept": "application/json"})
        obey_rest(answer.status, answer.headers, self._clock())
        if answer.status != 200:
            kind = Unavailable if answer.status >= 500 else Refused
            raise kind(f"SSO says {answer.status} for its metadata or keys")
        return answer.body, read(answer.body)


def obey_rest(status: int, headers: Mapping[str, str], now: float) -> None:
    """Raise RateLimited if SSO asks for a rest."""
    if status == 429:
        rest = retry_after(headers.get("Retry-After"), _REST)
        raise RateLimited("SSO asks for a rest (429)", now + rest)


@contextmanager
def blaming_no_user(kind: type[Refused] = ServerFault) -> Iterator[None]:
    """Turn an answer that has nothing to do with a character into Unavailable."""
    try:
        yield
    except kind as error:
        raise Unavailable(str(error)) from error


def _metadata_of(body: bytes) -> Metadata:
    try:
        return msgspec.json.decode(body, type=Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServerFault(f"SSO's metadata has the wrong shape: {error}") from error


def _keys_of(body: bytes) -> Any:
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        return KeySet.import_key_set(msgspec.json.decode(body))
    except (
        *(JoseError, msgspec.DecodeError, ValueError),
        *(KeyError, TypeError, RecursionError),
    ) as error:
        raise ServerFault("SSO's keys have the wrong shape") from error
