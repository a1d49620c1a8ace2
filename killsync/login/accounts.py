"""Tokens in use: renewing a character's access, adding characters, removing them."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import msgspec

from killsync.errors import (
    DatabaseError,
    KillsyncError,
    LoginNeeded,
    Refused,
    TokenBusy,
    TryLater,
    WrongEnvironment,
)
from killsync.esi.client import SCOPE
from killsync.login import access
from killsync.login.access import Character
from killsync.login.sso import Authorization, Grant, Sso, always_alone
from killsync.model import Access
from killsync.settings.config import Settings
from killsync.store import origin, users
from killsync.store.connection import Store
from killsync.times import DAY
from killsync.tokens.succession import Whose, may_be_refresh_token
from killsync.tokens.tokens import Token, Tokens

FRESH_FOR = 60.0
# source: CCP's page for what a player has granted to applications
REVOKE_BY_HAND = "do it at https://developers.eveonline.com/authorized-apps"
_Clock = Callable[[], float]
_IsAlone = Callable[[], bool]


def stored_access(tokens: Tokens, user_id: int, now: float) -> Access | None:
    """Return the stored access token if it lasts for another minute, else None.

    Raises LoginNeeded if the character has no token at all.
    """
    token = tokens.get(user_id)
    if token is None:
        raise _no_token()
    if token.access_token is None or token.access_expires_at is None:
        return None
    if not token.access_token.isascii():
        return None
    # SSO's access tokens last 20 minutes: one that claims a day was stored by a wrong clock
    if not now + FRESH_FOR <= token.access_expires_at <= now + DAY:
        return None
    return Access(token.access_token, token.access_expires_at)


def renew(
    tokens: Tokens,
    sso: Sso,
    user_id: int,
    clock: _Clock = time.time,
    *,
    is_alone: _IsAlone = always_alone,
) -> Access:
    """Refresh a character's access token, and store what SSO answers before it is used.

    If SSO refuses the stored refresh token, those before it are sent that are still kept. Raises
    LoginNeeded with its evidence, TokenBusy, and whatever `Sso.refresh`, which asks whether it
    `is_alone`, and `Sso.verify` raise.
    """
    sso.prepare()
    try:
        grant = _renewed(tokens, sso, user_id, clock, is_alone)
    finally:
        tokens.release(user_id)
    try:
        _verify(sso, user_id, grant)
    except KillsyncError:
        # a token that was stored and then failed its verification must not be used
        tokens.forget_access(user_id, grant.access_token)
        raise
    # a token that lasts less than a minute is still the best there is: ESI decides
    return Access(grant.access_token, max(grant.expires_at, clock() + 2 * FRESH_FOR))


def _renewed(tokens: Tokens, sso: Sso, user_id: int, clock: _Clock, is_alone: _IsAlone) -> Grant:
    """Refresh the stored token, again whenever one that is refused is no longer the stored one."""
    while True:
        stored, accepted = _accepted(tokens, sso, user_id, clock, is_alone)
        if accepted is None:
            continue
        sent, grant = accepted
        whose = _whose(grant, user_id)
        answered = Token(grant.refresh_token, grant.access_token, grant.expires_at)
        if not tokens.renew(user_id, stored, sent, answered, whose):
            _drop(tokens, sso, user_id, grant, whose)
        return grant


def _accepted(
    tokens: Tokens, sso: Sso, user_id: int, clock: _Clock, is_alone: _IsAlone
) -> tuple[Token, tuple[str, Grant] | None]:
    """Return what is stored, with the first refresh token of it that SSO accepts and its answer.

    Without them if one was refused that is no longer stored. Raises LoginNeeded with the refusal
    of the first if SSO accepts none.
    """
    _claim(tokens, user_id, clock)
    stored = _stored(tokens, sso, user_id)
    refusal: LoginNeeded | None = None
    for sent in stored.refresh_tokens:
        if refusal is not None:
            # each is sent under a claim that lasts until its answer
            _claim(tokens, user_id, clock)
        try:
            return stored, (sent, sso.refresh(sent, is_alone))
        except LoginNeeded as error:
            if _stored(tokens, sso, user_id).refresh_tokens != stored.refresh_tokens:
                return stored, None
            if refusal is None:
                error.evidence = sso.fingerprint(sent)
                refusal = error
    assert refusal is not None
    raise refusal


def _claim(tokens: Tokens, user_id: int, clock: _Clock) -> None:
    if not tokens.claim(user_id, clock()):
        raise TokenBusy("another process is refreshing this character's token")


def _whose(grant: Grant, user_id: int) -> Whose:
    """Return whose access SSO has granted by its own word, which `_verify` checks."""
    try:
        character = access.claimed(grant.access_token)
    except Refused:
        return Whose.UNCLEAR
    if character.character_id != user_id:
        return Whose.ANOTHERS
    return Whose.OURS if SCOPE in character.scopes else Whose.UNCLEAR


def _drop(tokens: Tokens, sso: Sso, user_id: int, grant: Grant, whose: Whose) -> NoReturn:
    """Give up what SSO has answered to a token that is no longer the stored one."""
    # beside a newer login it is left alone: SSO may revoke with it all that the application has
    if tokens.get(user_id) is None and whose is not Whose.ANOTHERS:
        turn_away(sso, grant)
    raise TokenBusy("this character was removed or given a new token meanwhile")


def _verify(sso: Sso, user_id: int, grant: Grant) -> None:
    # SSO may replace the refresh token at each refresh: what is wrong stays the same
    try:
        character = sso.verify(grant.access_token, SCOPE)
    except LoginNeeded as error:
        error.evidence = sso.fingerprint(f"without {SCOPE}")
        raise
    if character.character_id != user_id:
        raise LoginNeeded(
            f"the token belongs to another character, {character.name!r}",
            evidence=sso.fingerprint(f"of character {character.character_id}"),
        )


def _stored(tokens: Tokens, sso: Sso, user_id: int) -> Token:
    token = tokens.get(user_id)
    if token is None:
        raise _no_token()
    if token.is_damaged:
        # nothing is asked with it: it is not a token that could be refused by mistake
        raise LoginNeeded("the stored token of this character is damaged")
    return token


def _no_token() -> LoginNeeded:
    return LoginNeeded("there is no token for this character")


class Candidate(msgspec.Struct, frozen=True):
    """A character that has logged in, and is not registered yet.

    `sold` says that a known character belongs to another account than at its last login.
    `unverified` says why SSO's word for who it is could not be checked yet; the access token is
    not used then, and the next refresh is checked as each one is. `sent` is the refresh token that
    SSO has accepted for it, None after a login.
    """

    character: Character
    grant: Grant
    sold: bool
    unverified: str | None = None
    sent: str | None = None


def add(store: Store, tokens: Tokens, sso: Sso, refresh_token: str) -> Candidate:
    """Use a refresh token, and return its character, to be registered.

    Raises LoginNeeded, ApplicationError, Refused, TryLater or DatabaseError; then no character is
    registered. If SSO has replaced the token, a candidate that cannot be verified now, because
    SSO's keys, the way to them or the right time are missing, is returned all the same.
    """
    if not may_be_refresh_token(refresh_token):
        raise Refused("this is not a refresh token")
    # SSO may replace the token: it must not be used up where its successor cannot be kept
    _prepare(store, tokens, sso)
    grant = sso.refresh(refresh_token)
    try:
        return _added(tokens, sso, grant, refresh_token)
    except KillsyncError:
        # it may be the stored one of a user, which then has been replaced
        tokens.add_successor(refresh_token, grant.refresh_token)
        raise


def _added(tokens: Tokens, sso: Sso, grant: Grant, refresh_token: str) -> Candidate:
    try:
        return _candidate(tokens, sso, grant, refresh_token)
    except (TryLater, WrongEnvironment) as error:
        if grant.refresh_token == refresh_token:
            raise
        character = access.claimed(grant.access_token)
        return Candidate(character, grant, False, unverified=str(error), sent=refresh_token)


def log_in(store: Store, tokens: Tokens, sso: Sso, code: str, login: Authorization) -> Candidate:
    """Complete a login with the code that SSO gave, and return its character, to be registered.

    Raises LoginRefused, LoginNeeded, ApplicationError, Refused, TryLater or DatabaseError; then
    nothing is stored, and no token is left valid.
    """
    _prepare(store, tokens, sso)
    grant = sso.exchange(code, login)
    try:
        return _candidate(tokens, sso, grant)
    except KillsyncError:
        turn_away(sso, grant)
        raise


def register(
    store: Store, tokens: Tokens, settings: Settings, candidate: Candidate, now: float
) -> bool:
    """Store a candidate's tokens and register it as a user; return whether it is a new one.

    The database is bound to the hosts of the settings with its first user. Raises DatabaseError
    if it has been bound to others meanwhile.
    """
    character, grant = candidate.character, candidate.grant
    with store.transaction() as conn:
        origin.bind(conn, settings.sso_url, settings.esi_url)
        new = users.add(conn, character.character_id, character.name, now)
        earlier = () if candidate.sent in (None, grant.refresh_token) else (candidate.sent,)
        # first on disk: a user without its token could not be synced
        if candidate.unverified:
            token, owner = Token(grant.refresh_token, earlier=earlier), None
        else:
            token = Token(grant.refresh_token, grant.access_token, grant.expires_at, earlier)
            owner = character.owner
        tokens.put(character.character_id, token, owner)
    return new


def turn_away(sso: Sso, grant: Grant) -> None:
    """Revoke the token of a character that is not registered, if SSO can be reached."""
    with suppress(KillsyncError):
        sso.revoke(grant.refresh_token)


def _prepare(store: Store, tokens: Tokens, sso: Sso) -> None:
    sso.prepare()
    tokens.prove_writable()
    store.prove_writable()


def _candidate(tokens: Tokens, sso: Sso, grant: Grant, sent: str | None = None) -> Candidate:
    character = sso.verify(grant.access_token, SCOPE)
    before = tokens.owner(character.character_id)
    return Candidate(character, grant, bool(before) and before != character.owner, sent=sent)


def forget(tokens: Tokens, sso: Sso, user_id: int) -> str | None:
    """Revoke a character's refresh token at SSO, and those kept from before; then delete them.

    Returns why one was not revoked, if one was not; they are deleted all the same. Raises
    DatabaseError, and then they are not deleted.
    """
    problem: str | None = "there was no token to revoke"
    while (token := tokens.get(user_id)) is not None:
        problem = _revoke_all(sso, token)
        # another process may have renewed it meanwhile
        if tokens.remove(user_id, token):
            break
    return problem


def _revoke_all(sso: Sso, token: Token) -> str | None:
    if token.is_damaged:
        return _not_revoked("the stored token is damaged")
    problems = [_revoke(sso, refresh_token) for refresh_token in token.refresh_tokens]
    return next(filter(None, problems), None)


def _revoke(sso: Sso, refresh_token: str) -> str | None:
    try:
        sso.revoke(refresh_token)
    except LoginNeeded:
        return None  # SSO no longer knows it
    except DatabaseError:
        raise
    except KillsyncError as error:
        return _not_revoked(str(error))
    return None


def _not_revoked(why: str) -> str:
    return f"the token could not be revoked: {why}; {REVOKE_BY_HAND}"
