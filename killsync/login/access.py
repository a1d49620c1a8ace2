"""Access tokens: which character they belong to, verified in full.

Source of every fact: EVE's SSO documentation (RS256 JWTs, `sub` is `CHARACTER:EVE:<id>`).
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from killsync.errors import LoginNeeded, Refused, Unavailable
from killsync.login.published import Published

_CHARACTER_ID = re.compile(r"[1-9][0-9]{0,17}")
_LEEWAY = 60


class Character(msgspec.Struct, frozen=True):
    """The character that an access token belongs to, and what it allows.

    `owner` changes when the character is sold to another account.
    """

    character_id: int
    name: str
    owner: str
    scopes: frozenset[str]


def verified(
    access_token: str,
    scope: str,
    published: Published,
    client_id: str,
    clock: Callable[[], float],
) -> Character:
    """Return the character that an access token of the application `client_id` belongs to.

    Raises Refused if signature, issuer, audience or subject is wrong, LoginNeeded if the token
    lacks the scope, and Unavailable if SSO does not publish the key, or if this computer's
    clock must be wrong.
    """
    from joserfc.errors import InvalidKeyIdError, JoseError

    try:
        claims = _claims(access_token, published)
        character = _character(claims, published, client_id, clock())
    except InvalidKeyIdError as error:
        raise Unavailable("SSO signs with a key that it does not publish") from error
    except (JoseError, ValueError, KeyError, TypeError, OverflowError) as error:
        what = type(error).__name__
        raise Refused(
            f"SSO's access token is not valid here ({what}): check client_id and sso_url"
        ) from error
    if scope not in character.scopes:
        raise LoginNeeded(
            f"the token of {character.name!r} lacks the scope {scope}: "
            "give it to your EVE application at https://developers.eveonline.com"
        )
    return character


def claimed(access_token: str) -> Character:
    """Return the character that an access token claims to belong to, unverified: only a hint.

    Raises Refused if it names no character.
    """
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        payload = jws.extract_compact(access_token.encode()).payload
        return _named(msgspec.json.decode(payload, type=dict[str, Any]))
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise Refused("SSO's access token names no character") from error


def grants(access_token: str, scope: str) -> bool:
    """Return whether an access token that was verified when it came grants a scope."""
    try:
        return scope in claimed(access_token).scopes
    except Refused:
        return False


def _claims(access_token: str, published: Published) -> dict[str, Any]:
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return jwt.decode(access_token, published.keys(), algorithms=["RS256"]).claims
    except (JoseError, ValueError):
        # the key may be new: ask once more
        keys = published.keys(fresh=True)
        return jwt.decode(access_token, keys, algorithms=["RS256"]).claims


def _character(
    claims: dict[str, Any], published: Published, client_id: str, now: float
) -> Character:
    from joserfc.jwt import JWTClaimsRegistry

    # first, since a wrong clock is not the token's fault
    _check_times(claims, now)
    JWTClaimsRegistry(
        now=int(now),
        leeway=_LEEWAY,
        iss={"essential": True, "values": _forms(published.metadata().issuer)},
        exp={"essential": True},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
    ).validate(claims)
    return _named(claims)


def _named(claims: dict[str, Any]) -> Character:
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


def _forms(issuer: str) -> list[str]:
    """Return the forms in which SSO writes its name: with and without scheme and slash."""
    bare = issuer.rstrip("/").removeprefix("https://")
    return [scheme + bare + slash for scheme in ("https://", "") for slash in ("", "/")]


def _check_times(claims: dict[str, Any], now: float) -> None:
    """Raise Unavailable if a token just issued is not valid now, which blames no user."""
    issued, ends = float(claims.get("iat", 0)), float(claims["exp"])
    if not issued - _LEEWAY <= now <= ends + _LEEWAY:
        raise Unavailable("SSO's new token is not valid now: check this computer's clock")
