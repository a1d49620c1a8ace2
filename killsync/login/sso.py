"""EVE SSO: login, refreshed tokens, revocation.

Source of every fact: EVE's SSO documentation (OAuth 2.0; PKCE for applications without a secret).
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from killsync.errors import (
    ApplicationError,
    KillsyncError,
    LoginNeeded,
    LoginRefused,
    Refused,
    TooManyAtOnce,
    Unavailable,
)
from killsync.http import Answer, Http
from killsync.login import access
from killsync.login.access import Character
from killsync.login.published import Documents, Published, blaming_no_user, obey_rest
from killsync.times import DAY
from killsync.tokens.succession import may_be_refresh_token

_VERIFIER_BYTES = 48
_STATE_BYTES = 24
_FINGERPRINT_DIGITS = 16
_WRONG_APPLICATION = {"invalid_client", "unauthorized_client", "unsupported_grant_type"}
# answered to too many refreshes at once, or by an SSO that does not work at all
_OVERLOADED = {500, 503}
_LOGIN_HELPS = {"invalid_grant", "invalid_token"}
_FORM = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


def always_alone() -> bool:
    """Say that nothing else is sent to SSO meanwhile."""
    return True


class Grant(msgspec.Struct, frozen=True):
    """What SSO answered a login or a refresh, not verified yet; the refresh token may be new."""

    access_token: str
    refresh_token: str
    expires_at: float

    def __repr__(self) -> str:
        return "Grant(...)"


class Authorization(msgspec.Struct, frozen=True):
    """A login in progress: where the browser goes, and what its end is checked against."""

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
        self._sent = 0

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self._sent + self._published.requests

    def fingerprint(self, refused: str) -> str:
        """Return what tells a refusal from another: of this token, or reason, for this client id.

        Nothing can be concluded from it about the token.
        """
        told_apart = json.dumps([self._client_id, refused]).encode()
        return hashlib.sha256(told_apart).hexdigest()[:_FINGERPRINT_DIGITS]

    def prepare(self) -> None:
        """Fetch the metadata and keys, so that nothing is missing between a grant and its check.

        Raises Unavailable if SSO does not provide them, RateLimited if it asks for a rest: neither
        blames a user.
        """
        self._published.metadata()
        self._published.keys()

    def refresh(self, refresh_token: str, is_alone: Callable[[], bool] = always_alone) -> Grant:
        """Exchange a refresh token. The answer may hold a new one: store it before anything else.

        A text in its place that cannot be one counts as none: then the one that was sent stays.
        Raises LoginNeeded, ApplicationError, Unavailable or RateLimited; and TooManyAtOnce, after
        one attempt, if SSO may be overloaded by others that are sent meanwhile, unless this one
        `is_alone` when it fails.
        """
        sent = {"refresh_token": refresh_token}
        # RFC 6749, 6: the answer names a refresh token only if it is a new one
        return self._grant("refresh_token", sent, usual=sent, is_alone=is_alone)

    def authorize(self, redirect_uri: str, *scopes: str) -> Authorization:
        """Start a login, with PKCE (S256) or, if the application has a secret, without.

        SSO takes one of the two from an application: it is registered for PKCE or has a secret.

        Raises Refused if SSO offers no login, and what `prepare` raises.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        endpoint = self._published.metadata().authorization_endpoint
        if endpoint is None:
            raise Refused("SSO offers no login: check sso_url")
        verifier, challenge = None, {}
        if not self._client_secret:
            verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
            challenge = {
                "code_challenge": create_s256_code_challenge(verifier),  # type: ignore[no-untyped-call]
                "code_challenge_method": "S256",
            }
        state = secrets.token_urlsafe(_STATE_BYTES)
        url = prepare_grant_uri(
            endpoint, self._client_id, "code", redirect_uri, " ".join(scopes), state, **challenge
        )
        return Authorization(url, state, redirect_uri, verifier)

    def exchange(self, code: str, login: Authorization) -> Grant:
        """Exchange the code that a login ended with, which works once and for minutes.

        Raises LoginRefused, ApplicationError, Unavailable or RateLimited.
        """
        if not code.isascii() or not code.isprintable():
            raise LoginRefused("that is not a code; log in again with `killsync login`")
        proof = {"code_verifier": login.code_verifier} if login.code_verifier else {}
        try:
            sent = {"code": code, "redirect_uri": login.redirect_uri, **proof}
            return self._grant("authorization_code", sent)
        except LoginNeeded as error:
            raise LoginRefused(
                "SSO does not accept the code: it is too old, used already, or of another login; "
                "log in again with `killsync login`"
            ) from error

    def revoke(self, refresh_token: str) -> None:
        """Revoke a refresh token (RFC 7009: SSO answers 200, also to an unknown one).

        Raises as `refresh`, LoginNeeded if SSO no longer knows the token, and Refused if SSO does
        not revoke it.
        """
        from authlib.oauth2.rfc7009 import prepare_revoke_token_request

        endpoint = self._published.metadata().revocation_endpoint
        if endpoint is None:
            raise Refused("SSO offers no revocation")
        body, _ = prepare_revoke_token_request(refresh_token, "refresh_token", "", {})
        with blaming_no_user():
            answer = self._http.patiently(lambda: self._post(endpoint, body))
        if not 200 <= answer.status < 300:
            raise _revocation_failure(answer)

    def verify(self, access_token: str, scope: str) -> Character:
        """Return the character that an access token belongs to. Raises as `access.verified`."""
        return access.verified(access_token, scope, self._published, self._client_id, self._clock)

    def _grant(
        self,
        grant_type: str,
        sent: Mapping[str, str],
        usual: Mapping[str, str] | None = None,
        is_alone: Callable[[], bool] = always_alone,
    ) -> Grant:
        """Return what SSO grants; `usual` stands in for what its answer leaves out."""
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        endpoint = self._published.metadata().token_endpoint
        body = prepare_token_request(grant_type, **sent)
        with blaming_no_user():
            answer = self._http.patiently(lambda: _accepted(self._post(endpoint, body, is_alone)))
        named = answer.get("refresh_token")
        if isinstance(named, str) and not may_be_refresh_token(named):
            del answer["refresh_token"]
        try:
            granted = msgspec.convert({**(usual or {}), **answer}, _Granted)
        except msgspec.ValidationError:
            raise Unavailable("SSO's answer holds no tokens") from None
        expires_at = self._clock() + _lifetime(granted.expires_in)
        return Grant(granted.access_token, granted.refresh_token, expires_at)

    def _post(
        self, endpoint: str, body: str, is_alone: Callable[[], bool] = always_alone
    ) -> Answer:
        """Send a form as this application.

        Raises Unavailable, RateLimited, TooManyAtOnce unless it `is_alone`, and as `Http.send`.
        """
        from authlib.oauth2.auth import ClientAuth

        self._http.raise_if_stopping()
        self._sent += 1
        method = "client_secret_basic" if self._client_secret else "none"
        client = ClientAuth(self._client_id, self._client_secret, method)
        url, headers, form = client.prepare(  # type: ignore[no-untyped-call]
            "POST", endpoint, dict(_FORM), body
        )
        answer = self._http.send("POST", url, headers, form)
        obey_rest(answer.status, answer.headers, self._clock())
        if answer.status in _OVERLOADED and not is_alone():
            raise TooManyAtOnce(f"SSO says {answer.status} to several refreshes at once")
        if answer.status >= 500:
            raise Unavailable(f"SSO says {answer.status}")
        return answer


class _Granted(msgspec.Struct):
    """SSO's answer to a grant."""

    access_token: str
    refresh_token: str
    expires_in: Any = 0


class _Failure(msgspec.Struct):
    """SSO's answer to what it refuses (RFC 6749, 5.2)."""

    error: str
    error_description: Any = None


def _accepted(answer: Answer) -> dict[str, Any]:
    """Return what SSO answers to a grant, whatever its status: a rotated token must not be lost."""
    failure = _failure(answer)
    if failure is not None:
        raise _explained(failure)
    fields = _fields(answer)
    if fields is None:
        raise Unavailable("SSO's answer cannot be read")
    return fields


def _fields(answer: Answer) -> dict[str, Any] | None:
    """Return the fields of an answer, None if it holds none.

    As leniently as can be, in numbers of any length and in UTF-16 too: a rotated token must not
    be lost because of what stands beside it.
    """
    try:
        found = json.loads(answer.body, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _lifetime(seconds: object) -> float:
    """Return for how many seconds an access token lasts, 0 if that cannot be believed."""
    if isinstance(seconds, int | float) and 0 <= seconds <= DAY:
        return float(seconds)
    return 0.0


def _failure(answer: Answer) -> _Failure | None:
    try:
        return msgspec.convert(_fields(answer), _Failure)
    except msgspec.ValidationError:
        return None


def _revocation_failure(answer: Answer) -> KillsyncError:
    failure = _failure(answer)
    if failure is not None and failure.error in _LOGIN_HELPS | _WRONG_APPLICATION:
        return _explained(failure)
    return Refused(f"SSO says {answer.status}")


def _explained(failure: _Failure) -> KillsyncError:
    # SSO's own words may repeat the token: only an error code that is known is shown
    code = failure.error
    if code in _LOGIN_HELPS:
        return LoginNeeded(f"SSO no longer accepts the refresh token ({code})")
    if code in _WRONG_APPLICATION or "Grant type" in str(failure.error_description):
        known = code if code in _WRONG_APPLICATION else "unsupported_grant_type"
        return ApplicationError(
            f"SSO does not accept the EVE application ({known}): check client_id and client_secret"
        )
    return Unavailable("SSO refused without a reason that is known")
