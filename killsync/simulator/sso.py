"""The endpoints of EVE SSO: login, tokens, keys and revocation."""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from killsync.simulator import consent
from killsync.simulator.options import Options
from killsync.simulator.players import Character
from killsync.simulator.routes import Target, to_number
from killsync.simulator.tokens import Grant, Tokens
from killsync.simulator.wire import Answer, Request, error, json_answer
from killsync.simulator.world import World


class Code(msgspec.Struct):
    """An authorization code that has not been exchanged yet; `expires` is a unix time."""

    grant: Grant
    expires: float
    redirect_uri: str
    challenge: str


class OAuthError(Exception):
    """An OAuth error, named as in RFC 6749."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.status = status

    def answer(self) -> Answer:
        """Return the error as an answer."""
        return json_answer({"error": self.code, "error_description": str(self)}, self.status)


class Sso:
    """Answers SSO's endpoints; holds the clients and the codes not yet exchanged."""

    def __init__(self, options: Options, world: World, tokens: Tokens) -> None:
        self.options = options
        self.world = world
        self.tokens = tokens
        self.clients = {options.client_id}
        self._codes: dict[str, Code] = {}

    def identify(self, request: Request, target: Target) -> None:
        """Set which character a token request is about, for faults and the log."""
        if target.route in ("token", "revoke"):
            form = _form(request)
            token = form.get("refresh_token") or form.get("token") or ""
            code = self._codes.get(form.get("code", ""))
            issued = self.tokens.find_issued(token)
            if issued is not None:
                target.character_id, target.generation = issued.character_id, issued.generation
            elif code is not None:
                target.character_id = code.grant.character_id

    def answer(
        self, request: Request, target: Target, base_url: str, in_flight: int, now: float
    ) -> Answer:
        """Answer one request; `in_flight` is the number of open requests to its route."""
        try:
            match target.route:
                case "metadata":
                    return json_answer(self._metadata(base_url))
                case "jwks":
                    return json_answer(self.tokens.key_set())
                case "authorize":
                    return self._authorize(request, now)
                case "revoke":
                    return self._revoke(request)
            return self._answer_token_request(request, in_flight, now)
        except OAuthError as failure:
            return failure.answer()

    def _metadata(self, base_url: str) -> dict[str, Any]:
        methods = ["client_secret_basic", "client_secret_post", "client_secret_jwt"]
        return {
            "issuer": self.options.issuer,
            "authorization_endpoint": f"{base_url}/v2/oauth/authorize",
            "token_endpoint": f"{base_url}/v2/oauth/token",
            "jwks_uri": f"{base_url}/oauth/jwks",
            "revocation_endpoint": f"{base_url}/v2/oauth/revoke",
            "response_types_supported": ["code", "token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["HS256"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ["HS256"],
            "revocation_endpoint_auth_methods_supported": methods,
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, request: Request, now: float) -> Answer:
        query = request.query
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") not in self.clients:
            raise OAuthError("invalid_client", "unknown client_id")
        if not self._accepts_redirect(redirect):
            raise OAuthError("invalid_request", "redirect_uri is not registered")
        if self._must_ask(request):
            return consent.page(query, self.world.characters.values())
        state = {"state": query["state"]} if "state" in query else {}
        try:
            answer = {"code": self._make_code(query, redirect, now)}
        except OAuthError as failure:
            answer = {"error": failure.code, "error_description": str(failure)}
        separator = "&" if urlsplit(redirect).query else "?"
        return Answer(302, headers={"Location": redirect + separator + urlencode(answer | state)})

    def _must_ask(self, request: Request) -> bool:
        is_person = "text/html" in request.headers.get("accept", "")
        decided = {"character_id", "cancel"} & request.query.keys()
        return self.options.consent_page and is_person and not decided

    def _accepts_redirect(self, uri: str) -> bool:
        if self.options.redirect_uri is not None:
            return uri == self.options.redirect_uri
        try:
            return urlsplit(uri).hostname in ("localhost", "127.0.0.1", "::1")
        except ValueError:
            return False

    def _make_code(self, query: dict[str, str], redirect: str, now: float) -> str:
        challenge = query.get("code_challenge", "")
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response_type must be code")
        if not query.get("state"):
            raise OAuthError("invalid_request", "state is missing")
        if challenge and query.get("code_challenge_method") != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256")
        if not challenge and self.options.client_secret is None:
            raise OAuthError("invalid_request", "code_challenge is missing")
        if self.options.deny or "cancel" in query:
            raise OAuthError("access_denied", "the user denied the request")
        character = self._choose_character(query)
        scopes = query.get("scope", "").split()
        grant = Grant(character.character_id, query["client_id"], scopes)
        code = secrets.token_urlsafe(16)
        self.tokens.ever_issued.add(code)
        self._codes[code] = Code(grant, now + self.options.code_lifetime, redirect, challenge)
        return code

    def _choose_character(self, query: dict[str, str]) -> Character:
        characters = self.world.characters
        chosen = to_number(query.get("character_id", "")) or self.options.login_as
        if chosen is None:
            chosen = next(iter(characters), 0)
        if chosen not in characters:
            raise OAuthError("access_denied", "there is no such character")
        return characters[chosen]

    def _revoke(self, request: Request) -> Answer:
        form = _form(request)
        self._authenticate(request, form)
        self.tokens.revoke(form.get("token", ""))
        return Answer(200)

    def _authenticate(self, request: Request, form: dict[str, str]) -> str:
        client_id, secret = _credentials(request, form)
        expected = self.options.client_secret
        if client_id not in self.clients:
            raise OAuthError("invalid_client", "unknown client", 401)
        if expected is not None and not secrets.compare_digest(secret.encode(), expected.encode()):
            raise OAuthError("invalid_client", "wrong client secret", 401)
        return client_id

    def _answer_token_request(self, request: Request, in_flight: int, now: float) -> Answer:
        form = _form(request)
        client_id = self._authenticate(request, form)
        match form.get("grant_type"):
            case "authorization_code":
                grant = self._exchange(form, client_id, now)
                return json_answer(self.tokens.start_grant(grant, now), headers=_NO_STORE)
            case "refresh_token":
                limit = self.options.refresh_limit
                if limit and in_flight > limit:
                    return self._too_many()
                tokens = self.tokens.renew(form.get("refresh_token", ""), client_id, now)
                if tokens is None:
                    raise OAuthError("invalid_grant", "refresh token is invalid or expired")
                return json_answer(tokens, headers=_NO_STORE)
        raise OAuthError("unsupported_grant_type", "grant_type is not supported")

    def _too_many(self) -> Answer:
        rest = self.options.refresh_rest
        if rest:
            return error(429, "too many refreshes at once", {"Retry-After": str(rest)})
        return OAuthError("server_error", "too many refreshes at once", 500).answer()

    def _exchange(self, form: dict[str, str], client_id: str, now: float) -> Grant:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or now >= code.expires or code.grant.client_id != client_id:
            raise OAuthError("invalid_grant", "authorization code is invalid or expired")
        if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri does not match")
        if code.challenge and _challenge(form.get("code_verifier", "")) != code.challenge:
            raise OAuthError("invalid_grant", "code_verifier does not match")
        return code.grant


_NO_STORE = {"Cache-Control": "no-store"}


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        raise OAuthError("invalid_client", "malformed Authorization header", 401) from None
    return unquote(user), unquote(password)
