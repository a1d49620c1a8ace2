"""Refresh tokens, access tokens and their signing keys."""

import base64
import hmac
import json
import secrets
from functools import cache
from typing import Any

import msgspec
from joserfc import jws
from joserfc.jwk import RSAKey

from killsync.simulator.options import Options
from killsync.simulator.players import Character
from killsync.simulator.world import World

PUBLISHED_KEYS = 2
KEY_BITS = 2048


class Grant(msgspec.Struct):
    """What a refresh token allows: one client may act for one character."""

    character_id: int
    client_id: str
    scopes: list[str]


class Issued(msgspec.Struct, frozen=True):
    """The character of a refresh token, valid or not; later tokens have higher generations."""

    character_id: int
    generation: int


class AccessToken(msgspec.Struct):
    """What the server remembers about an access token; `expires` is a unix time."""

    grant: Grant
    expires: float


@cache
def first_key() -> RSAKey:
    """Make the initial signing key, once for all simulators of a process and its forks."""
    return RSAKey.generate_key(KEY_BITS)


class Tokens:
    """All tokens and keys of one simulated SSO; every character starts with a refresh token.

    `ever_issued` holds every token and authorization code so far, valid or not.
    """

    def __init__(self, options: Options, world: World) -> None:
        self.options = options
        self.world = world
        self._refresh: dict[str, Grant] = {}
        # includes those that are no longer valid
        self._issued: dict[str, Issued] = {}
        self._access: dict[str, AccessToken] = {}
        self._keys: list[RSAKey] = []
        self.ever_issued: set[str] = set()
        self._use_key(first_key())
        for character in world.characters.values():
            self.issue(character, options.client_id)

    def issue(self, character: Character, client_id: str, scopes: list[str] | None = None) -> str:
        """Issue a new refresh token for a character, by default for its own scopes."""
        scopes = character.scopes if scopes is None else scopes
        return self._make_refresh_token(Grant(character.character_id, client_id, scopes))

    def _make_refresh_token(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(24)
        self._refresh[token] = grant
        self.ever_issued.add(token)
        self._issued[token] = Issued(grant.character_id, len(self._issued) + 1)
        return token

    def find_issued(self, refresh_token: str) -> Issued | None:
        """Look up a refresh token, valid or not; return None if it was never issued."""
        return self._issued.get(refresh_token)

    def revoke(self, refresh_token: str) -> None:
        """Invalidate a refresh token."""
        self._refresh.pop(refresh_token, None)

    def start_grant(self, grant: Grant, now: float) -> dict[str, Any]:
        """Answer a login with a grant's first tokens."""
        return self._token_answer(grant, self._make_refresh_token(grant), now)

    def key_set(self) -> dict[str, Any]:
        """Return the published keys as a JWKS."""
        return {"keys": [_public(key) for key in self._keys]}

    def refresh_token(self, character_id: int) -> str | None:
        """Return the newest valid refresh token of a character."""
        for token, grant in reversed(self._refresh.items()):
            if grant.character_id == character_id:
                return token
        return None

    def find_access(self, token: str | None) -> AccessToken | None:
        """Look up an access token, expired or not; return None if it is unknown."""
        return self._access.get(token) if token else None

    def revoke_character(self, character_id: int) -> None:
        """Invalidate all refresh tokens of a character."""
        for token, grant in list(self._refresh.items()):
            if grant.character_id == character_id:
                del self._refresh[token]

    def expire_access(self) -> None:
        """Expire all access tokens issued so far."""
        for token in self._access.values():
            token.expires = 0

    def rotate_key(self) -> None:
        """Sign with a new key from now on; the previous one stays published."""
        self._use_key(RSAKey.generate_key(KEY_BITS))

    def _use_key(self, key: RSAKey) -> None:
        name = f"JWT-Signature-Key-{secrets.token_hex(4)}"
        named = RSAKey(key.raw_value, key.raw_value, {"kid": name})
        self._keys = [named, *self._keys][:PUBLISHED_KEYS]

    def renew(self, refresh_token: str, client_id: str, now: float) -> dict[str, Any] | None:
        """Answer a refresh; return None if the token is not valid for this client."""
        grant = self._refresh.get(refresh_token)
        if grant is None or grant.client_id != client_id:
            return None
        if self.options.rotate:
            del self._refresh[refresh_token]
            refresh_token = self._make_refresh_token(grant)
        return self._token_answer(grant, refresh_token, now)

    def _token_answer(self, grant: Grant, refresh_token: str, now: float) -> dict[str, Any]:
        access = self._make_access_token(grant, now)
        lifetime = self.options.access_lifetime
        self._access[access] = AccessToken(grant, int(now) + lifetime)
        self.ever_issued.add(access)
        return {
            "access_token": access,
            "expires_in": lifetime,
            "token_type": "Bearer",
            "refresh_token": refresh_token,
        }

    def _make_access_token(self, grant: Grant, now: float) -> str:
        character, key = self.world.character(grant.character_id), self._keys[0]
        claims: dict[str, Any] = {
            "jti": secrets.token_hex(16),
            "kid": key.kid,
            "sub": f"CHARACTER:EVE:{character.character_id}",
            "azp": grant.client_id,
            "tenant": "tranquility",
            "tier": "live",
            "region": "world",
            "aud": [grant.client_id, "EVE Online"],
            "name": character.name,
            "owner": character.owner,
            "exp": int(now) + self.options.access_lifetime,
            "iat": int(now),
            "iss": self.options.issuer,
        }
        if grant.scopes:
            claims["scp"] = grant.scopes[0] if len(grant.scopes) == 1 else grant.scopes
        claims |= json.loads(self.options.claims).get(str(grant.character_id), {})
        return _sign(claims, key, self.options.signature)


def _sign(claims: dict[str, Any], key: RSAKey, algorithm: str) -> str:
    """Sign as SSO does, or as a forger who knows only the published key would."""
    header = {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
    payload = json.dumps(claims).encode()
    if algorithm == "RS256":
        return jws.serialize_compact(header, payload, key)
    unsigned = f"{_base64(json.dumps(header).encode())}.{_base64(payload)}"
    published = key.as_pem(private=False)
    mac = hmac.digest(published, unsigned.encode(), "sha256") if algorithm == "HS256" else b""
    return f"{unsigned}.{_base64(mac)}"


def _base64(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _public(key: RSAKey) -> dict[str, Any]:
    public: dict[str, Any] = {**key.as_dict(private=False), "alg": "RS256", "use": "sig"}
    return public
