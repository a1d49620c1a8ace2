"""EVE SSO: login, refreshed tokens, revocation.

Source of every fact: EVE's SSO documentation (OAuth 2.0; PKCE for applications without a secret).
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from killsync.errors import ApplicationError, LoginNeeded, LoginRefused, Refused, Unavailable
from killsync.http import Http, own_errors
from killsync.login import access
from killsync.login.access import Character
from killsync.login.published import Documents, Published, nobodys_fault, obey_rest
from killsync.times import DAY

if TYPE_CHECKING:
    from requests import Response

_VERIFIER_BYTES = 48
_STATE_BYTES = 24
_WRONG_APPLICATION = {"invalid_client", "unauthorized_client", "unsupported_grant_type"}
_LOGIN_HELPS = {"invalid_grant", "invalid_token"}


class Grant(msgspec.Struct, frozen=True):
    """What SSO answered a login or a refresh, not verified yet; the refresh token may be new."""

    access_token: str
    refresh_token: str
    expires_at: float

    def __repr__(self) -> str:
        return "Grant(...)"


class Authorization(msgspec.Struct, frozen=True):
    """A login that has begun: where the browser goes, and what its end is checked against."""

    url: str
    state: str
    redirect_uri: str
    code_verifier: str | None

    def __repr__(self) -> str:
        return "Authorization(...)"


class Sso:
    """The client of one SSO and one EVE application, used by several threads."""

    def __init__(
        self,
        http: Http,
        url: str,
        client_id: str,
        client_secret: str,
        documents: Documents,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._url = url
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._published = Published(http, url, documents, clock)
        self._local = threading.local()
        self._sent = 0

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self._sent + self._published.requests

    def prepare(self) -> None:
        """Have the metadata and keys at hand, so that nothing stands between grant and check.

        Raises Unavailable if SSO does not give them, RateLimited if it asks for a rest: that is no
        user's fault.
        """
        self._published.metadata()
        self._published.keys()

    def refresh(self, refresh_token: str) -> Grant:
        """Exchange a refresh token. The answer may hold a new one: store it before anything else.

        Raises LoginNeeded, ApplicationError, Unavailable or RateLimited.
        """
        endpoint = self._published.metadata().token_endpoint
        return self._grant(lambda s: s.refresh_token(endpoint, refresh_token=refresh_token))

    def authorize(self, redirect_uri: str, scope: str) -> Authorization:
        """Begin a login, with PKCE (S256) or, if the application has a secret, without.

        SSO takes one of the two from an application: it is registered for PKCE or has a secret.

        Raises Refused if SSO offers no login, and what `prepare` raises.
        """
        endpoint = self._published.metadata().authorization_endpoint
        if endpoint is None:
            raise Refused("SSO offers no login: check sso_url")
        verifier = None if self._client_secret else secrets.token_urlsafe(_VERIFIER_BYTES)
        url, state = self._session().create_authorization_url(
            endpoint,
            state=secrets.token_urlsafe(_STATE_BYTES),
            code_verifier=verifier,
            redirect_uri=redirect_uri,
            scope=scope,
        )
        return Authorization(url, state, redirect_uri, verifier)

    def exchange(self, code: str, login: Authorization) -> Grant:
        """Exchange the code that a login ended with, which works once and for minutes.

        Raises LoginRefused, ApplicationError, Unavailable or RateLimited.
        """
        if not code.isascii() or not code.isprintable():
            raise LoginRefused("that is no code; begin again with `killsync login`")
        endpoint = self._published.metadata().token_endpoint
        proof = {"code_verifier": login.code_verifier} if login.code_verifier else {}
        try:
            return self._grant(
                lambda s: s.fetch_token(
                    endpoint,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=login.redirect_uri,
                    **proof,
                )
            )
        except LoginNeeded as error:
            raise LoginRefused(
                "SSO does not accept the code: it is too old, used already, or of another login; "
                "begin again with `killsync login`"
            ) from error

    def revoke(self, refresh_token: str) -> None:
        """Tell SSO to forget a refresh token.

        Raises as `refresh`, LoginNeeded if SSO does not know it any more, and Refused if SSO does
        not do so.
        """
        endpoint = self._published.metadata().revocation_endpoint
        if endpoint is None:
            raise Refused("SSO offers no revocation")
        hint = "refresh_token"
        with nobodys_fault():
            self._http.patiently(
                lambda: self._call(
                    lambda s: self._check_revoked(
                        s.revoke_token(endpoint, token=refresh_token, token_type_hint=hint)
                    ),
                    parse=False,
                )
            )

    def verify(self, access_token: str, scope: str) -> Character:
        """Return whom an access token belongs to. Raises as `access.verified`."""
        return access.verified(access_token, scope, self._published, self._client_id, self._clock)

    def _grant(self, ask: Callable[[Any], Any]) -> Grant:
        with nobodys_fault():
            token = self._http.patiently(lambda: self._call(ask))
        access_token, refresh_token = token.get("access_token"), token.get("refresh_token")
        lifetime = token.get("expires_in")
        if not isinstance(access_token, str) or not isinstance(refresh_token, str):
            raise Unavailable("SSO's answer holds no tokens")
        seconds = 0.0
        if isinstance(lifetime, int | float) and 0 <= lifetime <= DAY:
            seconds = float(lifetime)
        return Grant(access_token, refresh_token, self._clock() + seconds)

    def _call(self, send: Callable[[Any], Any], *, parse: bool = True) -> dict[str, Any]:
        from authlib.integrations.base_client import OAuthError

        self._http.raise_if_stopping()
        self._sent += 1
        # an answer of before belongs to another user
        self._local.answer = None
        try:
            with own_errors(self._url):
                answer = send(self._session())
                return dict(answer) if parse else {}
        except OAuthError as error:
            raise _explained(error) from None
        except (ValueError, OverflowError, RecursionError):
            # Authlib stumbles over an odd expires_in; a rotated token must not be lost by that
            read = self._local.answer
            if parse and isinstance(read, dict) and "refresh_token" in read:
                return read
            raise Unavailable("SSO's answer cannot be read") from None

    def _check_revoked(self, response: "Response") -> None:
        """Raise unless SSO has done as it was told (RFC 7009: 200, also of an unknown token)."""
        self._check_status(response)
        if not 200 <= response.status_code < 300:
            raise _unrevoked(response)

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._http.oauth_session(
                self._url, self._client_id, self._client_secret
            )
            # before Authlib looks at the body, which loses the status
            for kind in ("refresh_token_response", "access_token_response"):
                session.register_compliance_hook(kind, self._check_status)
        return session

    def _check_status(self, response: "Response") -> "Response":
        status = response.status_code
        obey_rest(status, response.headers, self._clock())
        if status >= 500:
            raise Unavailable(f"SSO says {status}")
        try:
            # a number of any length: Python's own limit must not cost a rotated token
            text = response.content if status == 200 else b"null"
            self._local.answer = json.loads(text, parse_int=float)
        except (ValueError, RecursionError):
            self._local.answer = None
        return response


def _unrevoked(response: "Response") -> Exception:
    from authlib.integrations.base_client import OAuthError

    try:
        code = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        code = None
    if code in _LOGIN_HELPS or code in _WRONG_APPLICATION:
        return _explained(OAuthError(code))
    return Refused(f"SSO says {response.status_code}")


def _explained(error: Any) -> Exception:
    # SSO's own words may repeat the token: only the code of the error is shown
    code = str(error.error)
    if code in _LOGIN_HELPS:
        return LoginNeeded(f"SSO does not accept the refresh token any more ({code})")
    if code in _WRONG_APPLICATION or "Grant type" in str(error.description):
        known = code if code in _WRONG_APPLICATION else "unsupported_grant_type"
        return ApplicationError(
            f"SSO does not accept the EVE application ({known}): check client_id and client_secret"
        )
    return Unavailable("SSO refused without a reason that is known")
