"""EVE SSO: refreshed and verified tokens, revocation.

Source of every fact: EVE's SSO documentation (OAuth 2.0, RS256 access tokens of 20 minutes).
"""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from killsync.errors import (
    ApplicationError,
    LoginNeeded,
    Refused,
    Unavailable,
)
from killsync.http import Http, own_errors
from killsync.published import Documents, Published, nobodys_fault, obey_rest
from killsync.times import DAY

if TYPE_CHECKING:
    from requests import Response

_CHARACTER_ID = re.compile(r"[1-9][0-9]{0,17}")
_LEEWAY = 60
_WRONG_APPLICATION = {"invalid_client", "unauthorized_client", "unsupported_grant_type"}
_LOGIN_HELPS = {"invalid_grant", "invalid_token"}


class Grant(msgspec.Struct, frozen=True):
    """What SSO answered a refresh, not verified yet; the refresh token may be a new one."""

    access_token: str
    refresh_token: str
    expires_at: float

    def __repr__(self) -> str:
        return "Grant(...)"


class Character(msgspec.Struct, frozen=True):
    """Whom a verified access token belongs to, and what it allows."""

    character_id: int
    name: str
    owner: str
    scopes: frozenset[str]


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
        with nobodys_fault():
            token = self._http.patiently(
                lambda: self._call(lambda s: s.refresh_token(endpoint, refresh_token=refresh_token))
            )
        access, renewed = token.get("access_token"), token.get("refresh_token")
        lifetime = token.get("expires_in")
        if not isinstance(access, str) or not isinstance(renewed, str):
            raise Unavailable("SSO's answer holds no tokens")
        seconds = 0.0
        if isinstance(lifetime, int | float) and 0 <= lifetime <= DAY:
            seconds = float(lifetime)
        return Grant(access, renewed, self._clock() + seconds)

    def revoke(self, refresh_token: str) -> None:
        """Tell SSO to forget a refresh token. Raises as `refresh`."""
        self.prepare()
        endpoint = self._published.metadata().revocation_endpoint
        if endpoint is None:
            raise Refused("SSO offers no revocation")
        self._call(
            lambda s: s.revoke_token(
                endpoint, token=refresh_token, token_type_hint="refresh_token"
            ),
            parse=False,
        )

    def verify(self, access_token: str, scope: str) -> Character:
        """Return whom an access token belongs to, checked in full.

        Raises Refused if signature, issuer, audience or subject is wrong, LoginNeeded if the
        scope lacks, and Unavailable if SSO does not publish the key, or if this computer's
        clock must be wrong.
        """
        from joserfc.errors import InvalidKeyIdError, JoseError

        try:
            claims = self._claims(access_token)
            character = self._checked(claims)
        except InvalidKeyIdError as error:
            raise Unavailable("SSO signs with a key that it does not publish") from error
        except (JoseError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise Refused(f"SSO's access token is not valid: {type(error).__name__}") from error
        if scope not in character.scopes:
            raise LoginNeeded(f"the token of {character.name!r} lacks the scope {scope}")
        return character

    def _claims(self, access_token: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            return jwt.decode(access_token, self._published.keys(), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            # the key may be new: ask once more
            keys = self._published.keys(fresh=True)
            return jwt.decode(access_token, keys, algorithms=["RS256"]).claims

    def _checked(self, claims: dict[str, Any]) -> Character:
        from joserfc.jwt import JWTClaimsRegistry

        self._check_times(claims)
        issuer = self._published.metadata().issuer.rstrip("/")
        bare = issuer.removeprefix("https://")
        JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=_LEEWAY,
            iss={"essential": True, "values": [issuer, issuer + "/", bare, bare + "/"]},
            exp={"essential": True},
            sub={"essential": True},
            aud={"essential": True, "value": self._client_id},
        ).validate(claims)
        kind, game, character_id = str(claims["sub"]).split(":")
        if (kind, game) != ("CHARACTER", "EVE") or not _CHARACTER_ID.fullmatch(character_id):
            raise ValueError("not a character")
        name = str(claims["name"])
        name.encode()  # half a surrogate pair cannot be stored
        scopes = claims.get("scp", [])
        return Character(
            int(character_id),
            name,
            str(claims.get("owner", "")),
            frozenset([scopes] if isinstance(scopes, str) else scopes),
        )

    def _check_times(self, claims: dict[str, Any]) -> None:
        """Raise Unavailable if a token just issued is not valid now: no user is to blame."""
        issued, ends = float(claims.get("iat", 0)), float(claims["exp"])
        if not issued - _LEEWAY <= self._clock() <= ends + _LEEWAY:
            raise Unavailable("SSO's new token is not valid now: check this computer's clock")

    def _call(self, send: Callable[[Any], Any], *, parse: bool = True) -> dict[str, Any]:
        from authlib.integrations.base_client import OAuthError

        self._http.raise_if_stopping()
        self._sent += 1
        try:
            with own_errors(self._url):
                answer = send(self._session())
                if parse:
                    return dict(answer)
                self._check_status(answer)
                return {}
        except OAuthError as error:
            raise _explained(error) from None
        except (ValueError, OverflowError):
            # Authlib stumbles over an odd expires_in; a rotated token must not be lost by that
            if isinstance(self._local.answer, dict) and "refresh_token" in self._local.answer:
                return self._local.answer
            raise Unavailable("SSO's answer is not JSON") from None

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._http.oauth_session(
                self._url, self._client_id, self._client_secret
            )
            # before Authlib looks at the body, which loses the status
            session.register_compliance_hook("refresh_token_response", self._check_status)
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
        except ValueError:
            self._local.answer = None
        return response


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
    return Unavailable("SSO refused the refresh without a reason that is known")
