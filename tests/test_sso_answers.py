"""What becomes of single answers of SSO, and what is sent to it: `Sso` over a mocked transport."""

import base64
import hashlib
import json
import re
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests.exceptions
from joserfc import jws
from joserfc.jwk import RSAKey
from kept_documents import KeptDocuments
from requests_mock import Mocker

from killsync.errors import (
    ApplicationError,
    KillsyncError,
    LoginNeeded,
    LoginRefused,
    NotSent,
    RateLimited,
    Refused,
    TokenBusy,
    TooManyAtOnce,
    Unavailable,
)
from killsync.http import Http
from killsync.login import accounts
from killsync.login.callback import extract_code
from killsync.login.sso import Sso
from killsync.tokens.tokens import Token, Tokens

URL = "https://login.eveonline.com"
METADATA = f"{URL}/.well-known/oauth-authorization-server"
JWKS = f"{URL}/oauth/jwks"
TOKEN = f"{URL}/v2/oauth/token"
REVOKE = f"{URL}/v2/oauth/revoke"
AUTHORIZE = f"{URL}/v2/oauth/authorize"
PUBLISHED = {
    "issuer": URL,
    "token_endpoint": TOKEN,
    "jwks_uri": JWKS,
    "authorization_endpoint": AUTHORIZE,
    "revocation_endpoint": REVOKE,
}
# RFC 7517, appendix A.1, is where this modulus stands
KEYS = {
    "keys": [
        {
            "kty": "RSA",
            "kid": "2011-04-29",
            "alg": "RS256",
            "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"
            "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"
            "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
            "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
            "Cur-kEgU8awapJzKnqDKgw",
        }
    ]
}
CLIENT_ID = "an-application"
SECRET = "the-secret-of-the-application"
NOW = 1_800_000_000.0
OLD, NEW, ACCESS = "old-refresh-token", "new-refresh-token", "opaque.access.token"
GRANT = {"access_token": ACCESS, "refresh_token": NEW, "expires_in": 1199}
CODE = "c0de-of-sso"
CALLBACK = "http://localhost:8635/callback"
SCOPE = "esi-killmails.read_killmails.v1"

Make = Callable[..., Sso]


@pytest.fixture
def connect(requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Connect to an SSO that works unless a test says otherwise, without pauses."""
    monkeypatch.setattr("killsync.http.client._LONGEST_WAIT", 0)
    requests_mock.get(METADATA, json=PUBLISHED)
    requests_mock.get(JWKS, json=KEYS)
    requests_mock.post(TOKEN, json=GRANT)
    requests_mock.post(REVOKE)
    stopping = threading.Event()
    with closing(Http("killsync/0", stopping)) as http:

        def make(secret: str = "", documents: Any = None, now: float = NOW) -> Sso:
            kept = KeptDocuments() if documents is None else documents
            return Sso(http, URL, CLIENT_ID, secret, kept, lambda: now)

        make.stopping = stopping  # type: ignore[attr-defined]
        yield make


def sent(mock: Mocker, url: str) -> list[Any]:
    return [request for request in mock.request_history if request.url == url]


def form(request: Any) -> dict[str, str]:
    return dict(parse_qsl(request.text, strict_parsing=True))


def said_by(error: BaseException) -> str:
    """Return the error and all that `--verbose` would show of how it came about."""
    return "".join(traceback.format_exception(error))


def oauth(code: str, status: int = 400, description: str = "") -> dict[str, Any]:
    body = {"error": code, "error_description": f"{description} {OLD} {NEW} {ACCESS}"}
    return {"status_code": status, "json": body}


HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
UNREADABLE: dict[str, dict[str, Any]] = {
    "empty": {"text": ""},
    "HTML": {"text": HTML},
    "HTML with 403": {"text": HTML, "status_code": 403},
    "null": {"text": "null"},
    "a list": {"json": [GRANT]},
    "cut short": {"text": json.dumps(GRANT)[:-1]},
    "not UTF-8": {"content": b'{"access_token": "\xff"}'},
    "without end": {"text": "[" * 100_000},
    "without end where a lifetime is": {"text": '{"expires_in":' + "[" * 100_000},
    "nothing with 204": {"status_code": 204},
}
NO_TOKENS: dict[str, dict[str, Any]] = {
    "an empty object": {"json": {}},
    "JSON of another kind with 400": {"json": {"message": OLD}, "status_code": 400},
    "an error that is no text": {"json": {"error": 5}, "status_code": 400},
    "no access token": {"json": {"refresh_token": NEW, "expires_in": 1199}},
    "a token that is no text": {"json": GRANT | {"access_token": 5}},
    "null as token": {"json": GRANT | {"refresh_token": None}},
}
NO_ANSWER: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"status_code": 500}, "SSO says 500"),
    "502 HTML": ({"status_code": 502, "text": HTML}, "SSO says 502"),
    "503": ({"status_code": 503}, "SSO says 503"),
    "504": ({"status_code": 504}, "SSO says 504"),
    "500 with an error": (oauth("invalid_grant", 500), "SSO says 500"),
    "a redirect": (
        {"status_code": 302, "headers": {"Location": "https://elsewhere.example/"}},
        "login.eveonline.com: redirected elsewhere, which is never followed",
    ),
    "a redirect that is no address": (
        {"status_code": 302, "headers": {"Location": "/\u00ff"}},
        "login.eveonline.com: redirected elsewhere, which is never followed",
    ),
    "no connection": (
        {"exc": requests.exceptions.ConnectionError},
        "login.eveonline.com: cannot be reached",
    ),
    "no answer": (
        {"exc": requests.exceptions.ReadTimeout},
        "login.eveonline.com: no answer in time",
    ),
    "an answer cut short": (
        {"exc": requests.exceptions.ChunkedEncodingError},
        "login.eveonline.com: the answer was cut short",
    ),
}
RESTS = {
    "a number": ({"Retry-After": "120"}, 120),
    "no header": ({}, 60),
    "words": ({"Retry-After": "soon"}, 60),
    "a negative number": ({"Retry-After": "-5"}, 60),
    "a date": ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 60),
    "longer than a day": ({"Retry-After": "9" * 400}, 86400),
}


def fails(
    mock: Mocker, url: str, call: Callable[[], object], kind: type[KillsyncError], times: int
) -> KillsyncError:
    """Return the error of a call, which is of this very class after so many requests.

    No token is shown in it, and nobody but SSO was asked.
    """
    with pytest.raises(KillsyncError) as failure:
        call()
    assert type(failure.value) is kind, failure.value
    assert [name for name in (OLD, NEW, ACCESS, SECRET) if name in said_by(failure.value)] == []
    assert len(sent(mock, url)) == times
    assert {urlsplit(request.url).netloc for request in mock.request_history} == {
        "login.eveonline.com"
    }
    return failure.value


# what a refresh sends


def test_an_application_without_a_secret_names_itself_in_the_form(
    connect: Make, requests_mock: Mocker
) -> None:
    grant = connect().refresh(OLD)
    (request,) = sent(requests_mock, TOKEN)
    assert form(request) == {
        "grant_type": "refresh_token",
        "refresh_token": OLD,
        "client_id": CLIENT_ID,
    }
    assert "Authorization" not in request.headers
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"] == "killsync/0"
    assert (grant.access_token, grant.refresh_token) == (ACCESS, NEW)
    assert grant.expires_at == NOW + 1199


def test_an_application_with_a_secret_authenticates_with_http_basic(
    connect: Make, requests_mock: Mocker
) -> None:
    connect(SECRET).refresh(OLD)
    (request,) = sent(requests_mock, TOKEN)
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": OLD}
    basic = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {basic}"


def test_a_grant_does_not_show_its_tokens(connect: Make) -> None:
    grant = connect().refresh(OLD)
    assert NEW not in repr(grant)
    assert ACCESS not in repr(grant)


def test_every_request_is_counted(connect: Make, requests_mock: Mocker) -> None:
    sso = connect()
    requests_mock.post(TOKEN, [{"status_code": 503}, {"json": GRANT}])
    sso.prepare()
    sso.refresh(OLD)
    sso.revoke(NEW)
    assert sso.requests == len(requests_mock.request_history) == 5


def test_a_client_that_stops_sends_nothing(connect: Make, requests_mock: Mocker) -> None:
    sso = connect()
    sso.prepare()
    requests_mock.reset_mock()
    connect.stopping.set()  # type: ignore[attr-defined]
    for call in (sso.refresh, sso.revoke):
        with pytest.raises(NotSent):
            call(OLD)
    assert requests_mock.request_history == []


# what a refresh is answered


@pytest.mark.parametrize("status", [400, 401, 200])
@pytest.mark.parametrize("code", ["invalid_grant", "invalid_token"])
def test_a_token_that_sso_does_not_accept_needs_a_new_login(
    connect: Make, requests_mock: Mocker, code: str, status: int
) -> None:
    requests_mock.post(TOKEN, **oauth(code, status))
    error = fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), LoginNeeded, 1)
    assert str(error) == f"SSO no longer accepts the refresh token ({code})"


@pytest.mark.parametrize("secret", ["", SECRET], ids=["no secret", "secret"])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (oauth("invalid_client", 401), "invalid_client"),
        (oauth("invalid_client", 200), "invalid_client"),
        (oauth("unauthorized_client"), "unauthorized_client"),
        (oauth("unsupported_grant_type"), "unsupported_grant_type"),
        (oauth("invalid_request", 400, "Grant type not supported"), "unsupported_grant_type"),
    ],
    ids=["401", "200", "unauthorized", "unsupported", "in words"],
)
def test_an_application_that_sso_does_not_accept_is_no_fault_of_a_token(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any], code: str, secret: str
) -> None:
    requests_mock.post(TOKEN, **answer)
    call = connect(secret).refresh
    error = fails(requests_mock, TOKEN, lambda: call(OLD), ApplicationError, 1)
    assert str(error) == (
        f"SSO does not accept the EVE application ({code}): check client_id and client_secret"
    )


@pytest.mark.parametrize("status", [400, 403, 200])
@pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error", f"no {OLD}"])
def test_an_error_that_is_not_known_blames_nothing_and_is_not_shown(
    connect: Make, requests_mock: Mocker, code: str, status: int
) -> None:
    requests_mock.post(TOKEN, **oauth(code, status))
    error = fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), Unavailable, 3)
    assert str(error) == "SSO refused without a reason that is known"


def test_an_error_beside_tokens_is_an_error(connect: Make, requests_mock: Mocker) -> None:
    requests_mock.post(TOKEN, json=GRANT | {"error": "invalid_grant"})
    fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), LoginNeeded, 1)


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_answer_that_cannot_be_read_is_asked_for_again(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any]
) -> None:
    requests_mock.post(TOKEN, **answer)
    error = fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), Unavailable, 3)
    assert str(error) == "SSO's answer cannot be read"


@pytest.mark.parametrize("answer", NO_TOKENS.values(), ids=NO_TOKENS.keys())
def test_an_answer_without_tokens_blames_no_user(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any]
) -> None:
    requests_mock.post(TOKEN, **answer)
    error = fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), Unavailable, 1)
    assert str(error) == "SSO's answer holds no tokens"


@pytest.mark.parametrize(
    "answer",
    [
        {"json": GRANT, "status_code": 201},
        {"json": GRANT, "status_code": 400},
        {"json": GRANT | {"error": None}},
        {"json": GRANT | {"more": [{"nested": [None]}], "number": 10**400}},
        {"content": json.dumps(GRANT).encode("utf-16")},
        {"content": json.dumps(GRANT).encode("utf-8-sig")},
    ],
    ids=["201", "400", "null as error", "more", "UTF-16", "byte order mark"],
)
def test_tokens_are_taken_from_an_odd_answer_since_sso_may_have_rotated_them(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any]
) -> None:
    requests_mock.post(TOKEN, **answer)
    grant = connect().refresh(OLD)
    assert (grant.access_token, grant.refresh_token) == (ACCESS, NEW)
    assert grant.expires_at == NOW + 1199


def test_without_a_new_refresh_token_the_one_that_was_sent_stays(
    connect: Make, requests_mock: Mocker
) -> None:
    requests_mock.post(TOKEN, json={"access_token": ACCESS, "expires_in": 1199})
    grant = connect().refresh(OLD)
    assert (grant.access_token, grant.refresh_token) == (ACCESS, OLD)


@pytest.mark.parametrize(("answer", "text"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_without_an_answer_a_refresh_is_tried_three_times(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any], text: str
) -> None:
    requests_mock.post(TOKEN, **answer)
    error = fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), Unavailable, 3)
    assert str(error) == text


def test_a_refresh_that_fails_once_is_tried_again(connect: Make, requests_mock: Mocker) -> None:
    requests_mock.post(TOKEN, [{"status_code": 500}, {"json": GRANT}])
    assert connect().refresh(OLD).refresh_token == NEW
    assert len(sent(requests_mock, TOKEN)) == 2


@pytest.mark.parametrize("status", [500, 503])
def test_a_refresh_sent_beside_others_is_not_tried_again_under_load(
    connect: Make, requests_mock: Mocker, status: int
) -> None:
    requests_mock.post(TOKEN, status_code=status)
    sso = connect()
    error = fails(requests_mock, TOKEN, lambda: sso.refresh(OLD, lambda: False), TooManyAtOnce, 1)
    assert str(error) == f"SSO says {status} to several refreshes at once"


@pytest.mark.parametrize("status", [502, 504, 520])
def test_a_refresh_sent_beside_others_is_tried_again_as_one_alone_is(
    connect: Make, requests_mock: Mocker, status: int
) -> None:
    requests_mock.post(TOKEN, [{"status_code": status}, {"json": GRANT}])
    assert connect().refresh(OLD, lambda: False).refresh_token == NEW


def test_a_rotated_token_whose_answer_was_lost_needs_a_new_login(
    connect: Make, requests_mock: Mocker
) -> None:
    lost = {"exc": requests.exceptions.ReadTimeout}
    requests_mock.post(TOKEN, [lost, oauth("invalid_grant")])
    fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), LoginNeeded, 2)


@pytest.mark.parametrize("body", [{"json": {"error": "invalid_grant"}}, {"text": ""}])
@pytest.mark.parametrize(("headers", "seconds"), RESTS.values(), ids=RESTS.keys())
def test_a_rest_that_sso_asks_for_is_no_fault_of_a_token(
    connect: Make, requests_mock: Mocker, body: Any, headers: dict[str, str], seconds: float
) -> None:
    requests_mock.post(TOKEN, status_code=429, headers=headers, **body)
    error = fails(requests_mock, TOKEN, lambda: connect().refresh(OLD), RateLimited, 1)
    assert isinstance(error, RateLimited)
    assert error.until == NOW + seconds
    assert str(error) == "SSO asks for a rest (429)"


ODD_LIFETIMES = {
    "negative": "-5",
    "infinite": "1e999",
    "5,000 digits": "9" * 5_000,
    "words": '"soon"',
    "a number in quotes": '"1199"',
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "huge": "1e300",
    "huge and negative": "-1e300",
    "true": "true",
    "more than a day": "86400.5",
    "nested": "[" * 50 + "]" * 50,
}


@pytest.mark.parametrize("lifetime", ODD_LIFETIMES.values(), ids=ODD_LIFETIMES.keys())
def test_an_odd_lifetime_does_not_lose_a_rotated_token(
    connect: Make, requests_mock: Mocker, lifetime: str
) -> None:
    body = json.dumps(GRANT | {"expires_in": "LIFETIME"}).replace('"LIFETIME"', lifetime)
    requests_mock.post(TOKEN, text=body)
    grant = connect().refresh(OLD)
    assert grant.refresh_token == NEW
    # `true` may count as a second
    assert NOW <= grant.expires_at <= NOW + 1
    assert len(sent(requests_mock, TOKEN)) == 1


def test_a_missing_lifetime_does_not_lose_a_rotated_token(
    connect: Make, requests_mock: Mocker
) -> None:
    requests_mock.post(TOKEN, json={"access_token": ACCESS, "refresh_token": NEW})
    grant = connect().refresh(OLD)
    assert (grant.refresh_token, grant.expires_at) == (NEW, NOW)


@pytest.mark.parametrize("lifetime", [0, 1199.5, 86400])
def test_a_lifetime_of_up_to_a_day_is_believed(
    connect: Make, requests_mock: Mocker, lifetime: float
) -> None:
    requests_mock.post(TOKEN, json=GRANT | {"expires_in": lifetime})
    assert connect().refresh(OLD).expires_at == NOW + lifetime


# logins


def test_a_login_without_a_secret_is_proved_with_its_own_challenge(
    connect: Make, requests_mock: Mocker
) -> None:
    sso = connect()
    logins = [sso.authorize(CALLBACK, SCOPE) for _ in range(2)]
    for login in logins:
        address, _, query = login.url.partition("?")
        fields = dict(parse_qsl(query))
        challenge = fields.pop("code_challenge")
        assert address == AUTHORIZE
        assert fields == {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": login.state,
            "code_challenge_method": "S256",
        }
        requests_mock.reset_mock()
        sso.exchange("a-code", login)
        (request,) = sent(requests_mock, TOKEN)
        verifier = form(request).pop("code_verifier")
        digest = hashlib.sha256(verifier.encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        assert form(request) == {
            "grant_type": "authorization_code",
            "code": "a-code",
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
            "client_id": CLIENT_ID,
        }
        assert "Authorization" not in request.headers
        assert verifier not in repr(login)
        assert min(len(login.state), len(verifier) - 11) >= 32
    assert logins[0].state != logins[1].state
    assert logins[0].code_verifier != logins[1].code_verifier


def test_a_login_with_a_secret_has_no_challenge(connect: Make, requests_mock: Mocker) -> None:
    sso = connect(SECRET)
    login = sso.authorize(CALLBACK, SCOPE)
    assert parse_qs(urlsplit(login.url).query).keys() == {
        *("response_type", "client_id", "redirect_uri", "scope", "state")
    }
    assert SECRET not in login.url
    sso.exchange("a-code", login)
    (request,) = sent(requests_mock, TOKEN)
    assert form(request) == {
        "grant_type": "authorization_code",
        "code": "a-code",
        "redirect_uri": CALLBACK,
    }
    basic = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {basic}"


def test_an_sso_without_an_authorization_endpoint_offers_no_login(
    connect: Make, requests_mock: Mocker
) -> None:
    requests_mock.get(METADATA, json=PUBLISHED | {"authorization_endpoint": None})
    with pytest.raises(Refused, match=r"^SSO offers no login: check sso_url$"):
        connect().authorize(CALLBACK, SCOPE)


REFUSED_CODE = (
    "SSO does not accept the code: it is too old, used already, or of another login; "
    "log in again with `killsync login`"
)


@pytest.mark.parametrize(
    ("answer", "kind", "text", "times"),
    [
        (oauth("invalid_grant"), LoginRefused, REFUSED_CODE, 1),
        (oauth("invalid_client", 401), ApplicationError, "(invalid_client)", 1),
        (oauth("server_error"), Unavailable, "without a reason that is known", 3),
        ({"status_code": 503}, Unavailable, "SSO says 503", 3),
        ({"text": "[" * 100_000}, Unavailable, "cannot be read", 3),
        ({"json": {"access_token": ACCESS}}, Unavailable, "holds no tokens", 1),
        ({"status_code": 307, "headers": {"Location": f"{URL}/x"}}, Unavailable, "redirected", 3),
        ({"status_code": 429}, RateLimited, "asks for a rest", 1),
    ],
    ids=[
        "code",
        "application",
        "unknown error",
        "503",
        "unreadable",
        "incomplete",
        "redirect",
        "429",
    ],
)
def test_a_code_that_is_not_exchanged_is_not_shown(
    connect: Make,
    requests_mock: Mocker,
    answer: dict[str, Any],
    kind: type[KillsyncError],
    text: str,
    times: int,
) -> None:
    requests_mock.post(TOKEN, **answer)
    sso = connect()
    login = sso.authorize(CALLBACK, SCOPE)
    error = fails(requests_mock, TOKEN, lambda: sso.exchange(CODE, login), kind, times)
    assert text in str(error)
    assert CODE not in said_by(error)


@pytest.mark.parametrize("code", ["ü", "a\x1b[31mb", "a\nb"])
def test_what_cannot_be_a_code_is_not_sent(connect: Make, requests_mock: Mocker, code: str) -> None:
    sso = connect()
    login = sso.authorize(CALLBACK, SCOPE)
    error = fails(requests_mock, TOKEN, lambda: sso.exchange(code, login), LoginRefused, 0)
    assert code not in str(error)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ("access_denied", LoginRefused, "refused at SSO"),
        ("invalid_scope", ApplicationError, "does not have the scope"),
        ("unauthorized_client", ApplicationError, "(unauthorized_client): check client_id"),
        ("invalid_request", ApplicationError, "(invalid_request): check client_id"),
        ("unsupported_response_type", ApplicationError, "check client_id"),
        ("server_error", Unavailable, "(server_error)"),
        ("temporarily_unavailable", Unavailable, "(temporarily_unavailable)"),
        ("%1b%5b2J<b>", LoginRefused, "SSO gave no code"),
    ],
)
def test_an_error_of_a_login_says_what_to_do_and_nothing_from_outside(
    error: str, kind: type[KillsyncError], text: str
) -> None:
    query = f"state=mine&error={error}&error_description=<script>&code=a"
    with pytest.raises(kind, match=re.escape(text)) as failure:
        extract_code(query, "mine")
    assert re.search(r"[\x1b<]", str(failure.value)) is None


@pytest.mark.parametrize(
    "query", ["state=mine", "state=mine&code=", "state=mine&code=a&code=b"], ids=repr
)
def test_an_answer_without_one_code_holds_none(query: str) -> None:
    with pytest.raises(LoginRefused, match="holds no code"):
        extract_code(query, "mine")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("code=a", "not the whole address"),
        ("", "not the whole address"),
        ("state=forged&code=a", "another login"),
        ("state=forged&error=access_denied", "another login"),
        ("state=mine&state=forged&code=a", "another login"),
    ],
)
def test_the_answer_to_another_login_is_refused(query: str, text: str) -> None:
    with pytest.raises(Refused, match=text):
        extract_code(query, "mine")


def test_the_code_of_an_answer_is_taken() -> None:
    assert extract_code("code=a%2Fb&state=mine&x=1", "mine") == "a/b"


# revocations


@pytest.mark.parametrize("secret", ["", SECRET], ids=["no secret", "secret"])
@pytest.mark.parametrize("status", [200, 204])
def test_a_revocation_sends_the_refresh_token(
    connect: Make, requests_mock: Mocker, status: int, secret: str
) -> None:
    requests_mock.post(REVOKE, status_code=status)
    connect(secret).revoke(OLD)
    (request,) = sent(requests_mock, REVOKE)
    assert form(request) == {"token": OLD, "token_type_hint": "refresh_token"} | (
        {} if secret else {"client_id": CLIENT_ID}
    )
    assert ("Authorization" in request.headers) == bool(secret)


REVOCATIONS: dict[str, tuple[dict[str, Any], type[KillsyncError], str, int]] = {
    "404": ({"status_code": 404}, Refused, "SSO says 404", 1),
    "403 HTML": ({"status_code": 403, "text": HTML}, Refused, "SSO says 403", 1),
    "another error": (oauth("unsupported_token_type"), Refused, "SSO says 400", 1),
    "without end": ({"status_code": 400, "text": "[" * 100_000}, Refused, "SSO says 400", 1),
    "application": (
        oauth("invalid_client", 401),
        ApplicationError,
        "SSO does not accept the EVE application (invalid_client): "
        "check client_id and client_secret",
        1,
    ),
    "429": ({"status_code": 429}, RateLimited, "SSO asks for a rest (429)", 1),
    **{name: (answer, Unavailable, text, 3) for name, (answer, text) in NO_ANSWER.items()},
}


@pytest.mark.parametrize(
    ("answer", "kind", "text", "times"), REVOCATIONS.values(), ids=REVOCATIONS.keys()
)
def test_a_token_that_could_not_be_revoked_is_deleted_and_the_reason_given(
    connect: Make,
    requests_mock: Mocker,
    tokens: Tokens,
    answer: dict[str, Any],
    kind: type[KillsyncError],
    text: str,
    times: int,
) -> None:
    requests_mock.post(REVOKE, **answer)
    error = fails(requests_mock, REVOKE, lambda: connect().revoke(OLD), kind, times)
    assert str(error) == text
    tokens.put(7, Token(OLD, ACCESS, NOW + 600))
    assert accounts.forget(tokens, connect(documents=tokens), 7) == (
        f"the token could not be revoked: {text}; "
        "do it at https://developers.eveonline.com/authorized-apps"
    )
    assert tokens.get(7) is None


@pytest.mark.parametrize("code", ["invalid_token", "invalid_grant"])
def test_a_token_that_sso_no_longer_knows_counts_as_revoked(
    connect: Make, requests_mock: Mocker, tokens: Tokens, code: str
) -> None:
    requests_mock.post(REVOKE, **oauth(code))
    fails(requests_mock, REVOKE, lambda: connect().revoke(OLD), LoginNeeded, 1)
    tokens.put(7, Token(OLD))
    assert accounts.forget(tokens, connect(), 7) is None
    assert tokens.get(7) is None


def test_a_revocation_that_fails_once_is_tried_again(connect: Make, requests_mock: Mocker) -> None:
    requests_mock.post(REVOKE, [{"status_code": 503}, {"status_code": 200}])
    connect().revoke(OLD)
    assert len(sent(requests_mock, REVOKE)) == 2


def test_a_token_is_deleted_though_sso_offers_no_revocation(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    requests_mock.get(METADATA, json=PUBLISHED | {"revocation_endpoint": None})
    tokens.put(7, Token(OLD))
    problem = accounts.forget(tokens, connect(), 7)
    assert problem is not None
    assert "SSO offers no revocation" in problem
    assert tokens.get(7) is None


def test_a_damaged_token_is_deleted_without_being_sent(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    tokens.put(7, Token("damäged"))
    problem = accounts.forget(tokens, connect(), 7)
    assert problem is not None
    assert "the stored token is damaged" in problem
    assert requests_mock.request_history == []
    assert tokens.get(7) is None


def test_a_user_without_a_token_has_none_to_revoke(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    assert accounts.forget(tokens, connect(), 7) == "there was no token to revoke"
    assert requests_mock.request_history == []


# metadata and keys


ODD_DOCUMENTS: dict[str, dict[str, Any]] = {
    "an object": {"json": {}},
    "a list": {"json": []},
    "null": {"text": "null"},
    "cut short": {"text": "[[["},
    "empty": {"text": ""},
    "HTML": {"text": HTML},
    "not UTF-8": {"content": b'{"issuer": "\xff"}'},
    "without end": {"text": "[" * 100_000},
}
ODD_METADATA: dict[str, dict[str, Any]] = ODD_DOCUMENTS | {
    "a number as issuer": {"json": PUBLISHED | {"issuer": 5}},
    "an endpoint without TLS": {"json": PUBLISHED | {"token_endpoint": "http://sso.example/"}},
    "a revocation without TLS": {"json": PUBLISHED | {"revocation_endpoint": "http://x.example/"}},
    "keys without TLS": {"json": PUBLISHED | {"jwks_uri": "http://sso.example/"}},
    "a login without TLS": {"json": PUBLISHED | {"authorization_endpoint": "http://x.example/"}},
    "an endpoint of another kind": {"json": PUBLISHED | {"token_endpoint": "javascript:alert()"}},
}
ODD_KEYS: dict[str, dict[str, Any]] = ODD_DOCUMENTS | {
    "no key": {"json": {"keys": []}},
    "a number as keys": {"json": {"keys": 5}},
    "numbers in it": {"json": {"keys": [5]}},
    "a key of no kind": {"json": {"keys": [{}]}},
    "a key of another kind": {"json": {"keys": [{"kty": "?"}]}},
    "half a key": {"json": {"keys": [{"kty": "RSA", "n": "x"}]}},
}


def cannot_prepare(connect: Make, mock: Mocker, url: str, times: int) -> KillsyncError:
    """Return why SSO's documents cannot be used: nothing of this one is kept, no token sent."""
    kept = KeptDocuments()
    error = fails(mock, url, connect(documents=kept).prepare, Unavailable, times)
    assert url not in kept
    assert sent(mock, TOKEN) == []
    return error


@pytest.mark.parametrize("answer", ODD_METADATA.values(), ids=ODD_METADATA.keys())
def test_metadata_of_the_wrong_shape_is_not_kept(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any]
) -> None:
    requests_mock.get(METADATA, **answer)
    error = cannot_prepare(connect, requests_mock, METADATA, 3)
    assert str(error).startswith("SSO's metadata has the wrong shape: ")


def test_an_endpoint_without_tls_is_said_to_need_it(connect: Make, requests_mock: Mocker) -> None:
    requests_mock.get(METADATA, **ODD_METADATA["an endpoint without TLS"])
    assert "https://" in str(cannot_prepare(connect, requests_mock, METADATA, 3))


@pytest.mark.parametrize("answer", ODD_KEYS.values(), ids=ODD_KEYS.keys())
def test_keys_of_the_wrong_shape_are_not_kept(
    connect: Make, requests_mock: Mocker, answer: dict[str, Any]
) -> None:
    requests_mock.get(JWKS, **answer)
    error = cannot_prepare(connect, requests_mock, JWKS, 3)
    assert str(error) == "SSO's keys have the wrong shape"


@pytest.mark.parametrize("url", [METADATA, JWKS], ids=["metadata", "keys"])
@pytest.mark.parametrize(
    ("answer", "text", "times"),
    [
        ({"status_code": 404}, "SSO says 404 for its metadata or keys", 1),
        ({"status_code": 403}, "SSO says 403 for its metadata or keys", 1),
        ({"status_code": 204}, "SSO says 204 for its metadata or keys", 1),
        ({"status_code": 503}, "SSO says 503 for its metadata or keys", 3),
        *((NO_ANSWER[name] + (3,)) for name in ("a redirect", "no connection", "no answer")),
    ],
)
def test_documents_that_sso_does_not_give_blame_no_user(
    connect: Make, requests_mock: Mocker, url: str, answer: dict[str, Any], text: str, times: int
) -> None:
    requests_mock.get(url, **answer)
    assert str(cannot_prepare(connect, requests_mock, url, times)) == text


@pytest.mark.parametrize("url", [METADATA, JWKS], ids=["metadata", "keys"])
@pytest.mark.parametrize(("headers", "seconds"), RESTS.values(), ids=RESTS.keys())
def test_a_rest_asked_for_before_any_refresh_is_taken(
    connect: Make, requests_mock: Mocker, url: str, headers: dict[str, str], seconds: float
) -> None:
    requests_mock.get(url, status_code=429, headers=headers)
    error = fails(requests_mock, url, connect().prepare, RateLimited, 1)
    assert isinstance(error, RateLimited)
    assert error.until == NOW + seconds


@pytest.mark.parametrize(
    ("later", "asked"), [(1, 1), (86399, 1), (86400, 2), (-1, 2)], ids=["1s", "day", "over", "past"]
)
def test_documents_are_kept_for_a_day(
    connect: Make, requests_mock: Mocker, later: float, asked: int
) -> None:
    kept = KeptDocuments()
    connect(documents=kept).prepare()
    connect(documents=kept, now=NOW + later).prepare()
    assert [len(sent(requests_mock, url)) for url in (METADATA, JWKS)] == [asked, asked]


def test_kept_documents_that_cannot_be_read_are_fetched_again(
    connect: Make, requests_mock: Mocker
) -> None:
    kept = KeptDocuments({METADATA: (b"damaged", NOW), JWKS: (b"damaged", NOW)})
    connect(documents=kept).prepare()
    assert json.loads(kept[METADATA][0]) == PUBLISHED
    assert [len(sent(requests_mock, url)) for url in (METADATA, JWKS)] == [1, 1]


# renewals


USER = 90000001


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 420, 422, 429, 500, 503, 520])
@pytest.mark.parametrize("url", [TOKEN, REVOKE, METADATA, JWKS])
def test_an_answer_that_repeats_a_token_in_any_form_is_not_repeated(
    connect: Make, requests_mock: Mocker, url: str, status: int
) -> None:
    coded = base64.b64encode(f"{OLD} {SECRET}".encode()).decode()
    said = f"{OLD} {NEW} {ACCESS} {SECRET} {coded}"
    headers = {"WWW-Authenticate": f'Bearer error="{said}"', "Warning": said, "X-Error": said}
    bodies = (
        {"error": said, "error_description": said, "sso_status": said},
        {"error": "invalid_request " + said},
        {"access_token": 5, "refresh_token": [said]},
        {"issuer": [said], "keys": [{"kty": said}]},
        said,
    )
    for body in bodies:
        answer = requests_mock.get if url in (METADATA, JWKS) else requests_mock.post
        answer(url, status_code=status, headers=headers, json=body)
        sso = connect(SECRET)
        call = sso.revoke if url == REVOKE else sso.refresh
        try:
            sso.prepare()
            call(OLD)
        except KillsyncError as error:
            shown = said_by(error)
            assert [s for s in (OLD, NEW, ACCESS, SECRET, coded) if s in shown] == []
        else:
            assert (url, status) == (REVOKE, 200)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    with closing(Tokens(tmp_path / "killsync.db")) as opened:
        yield opened


def access_token(key: RSAKey, **claims: Any) -> str:
    claims = {
        "iss": URL,
        "sub": f"CHARACTER:EVE:{USER}",
        "aud": CLIENT_ID,
        "iat": NOW,
        "exp": NOW + 1200,
        "name": "Aino Halla",
        "scp": SCOPE,
    } | claims
    return jws.serialize_compact(
        {"alg": "RS256", "kid": key.kid}, json.dumps(claims).encode(), key, algorithms=["RS256"]
    )


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "JWT-Signature-Key"})


def renewable(mock: Mocker, tokens: Tokens, key: RSAKey, **claims: Any) -> str:
    """Store a token of the user, and let SSO replace it; return the new access token."""
    text = access_token(key, **claims)
    mock.get(JWKS, json={"keys": [key.as_dict(private=False)]})
    mock.post(TOKEN, json=GRANT | {"access_token": text})
    tokens.put(USER, Token(OLD, "old-access-token", NOW - 1))
    return text


def test_a_renewed_token_is_stored_and_used(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey
) -> None:
    text = renewable(requests_mock, tokens, key)
    access = accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert (access.token, access.expires_at) == (text, NOW + 1199)
    assert tokens.get(USER) == Token(NEW, text, NOW + 1199, (OLD,))


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"aud": "another"}, Refused),
        ({"iss": "https://login.example.com"}, Refused),
        ({"scp": "publicData"}, LoginNeeded),
        ({"sub": "nobody"}, Refused),
        ({"iat": 0, "exp": 1}, Unavailable),
    ],
    ids=["audience", "issuer", "scope", "character", "clock"],
)
def test_of_a_renewal_that_fails_its_check_only_the_refresh_tokens_are_kept(
    connect: Make,
    requests_mock: Mocker,
    tokens: Tokens,
    key: RSAKey,
    claims: dict[str, Any],
    kind: type[KillsyncError],
) -> None:
    text = renewable(requests_mock, tokens, key, **claims)
    with pytest.raises(kind) as failure:
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert type(failure.value) is kind
    assert text not in said_by(failure.value)
    kept = tokens.get(USER)
    assert kept is not None
    assert (kept.refresh_tokens, kept.access_token) == ((NEW, OLD), None)
    assert accounts.stored_access(tokens, USER, NOW) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (oauth("invalid_grant"), LoginNeeded),
        (oauth("invalid_client"), ApplicationError),
        ({"status_code": 503}, Unavailable),
        ({"status_code": 429}, RateLimited),
        ({"text": HTML}, Unavailable),
    ],
    ids=["token", "application", "503", "429", "HTML"],
)
def test_a_renewal_that_fails_leaves_the_stored_token_as_it_was(
    connect: Make,
    requests_mock: Mocker,
    tokens: Tokens,
    answer: dict[str, Any],
    kind: type[KillsyncError],
) -> None:
    stored = Token(OLD, "old-access-token", NOW - 1)
    tokens.put(USER, stored)
    requests_mock.post(TOKEN, **answer)
    for _ in range(2):
        requests_mock.reset_mock()
        fails(
            requests_mock,
            TOKEN,
            lambda: accounts.renew(tokens, connect(), USER, lambda: NOW),
            kind,
            3 if kind is Unavailable else 1,
        )
        assert tokens.get(USER) == stored


def evidence_of(tokens: Tokens, sso: Sso) -> str | None:
    with pytest.raises(LoginNeeded) as failure:
        accounts.renew(tokens, sso, USER, lambda: NOW)
    return failure.value.evidence


def test_the_refusal_of_the_same_token_again_has_the_same_evidence(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    requests_mock.post(TOKEN, **oauth("invalid_grant"))
    tokens.put(USER, Token(OLD))
    first = evidence_of(tokens, connect())
    assert evidence_of(tokens, connect()) == first
    assert re.fullmatch("[0-9a-f]{16}", str(first))
    tokens.put(USER, Token(NEW))
    assert evidence_of(tokens, connect()) != first


def test_the_refusal_of_a_token_has_other_evidence_under_another_client_id(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    requests_mock.post(TOKEN, **oauth("invalid_grant"))
    tokens.put(USER, Token(OLD))
    with closing(Http("killsync/0", threading.Event())) as http:
        other = Sso(http, URL, "another-application", "", KeptDocuments(), lambda: NOW)
        assert evidence_of(tokens, other) != evidence_of(tokens, connect())


@pytest.mark.parametrize(
    "claims", [{"scp": "publicData"}, {"sub": "CHARACTER:EVE:90000002"}], ids=["scope", "character"]
)
def test_a_token_of_the_wrong_kind_has_the_same_evidence_though_sso_replaces_it(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey, claims: dict[str, Any]
) -> None:
    renewable(requests_mock, tokens, key, **claims)
    first = evidence_of(tokens, connect())
    assert evidence_of(tokens, connect()) == first


def test_neither_a_damaged_nor_a_missing_token_is_evidence(connect: Make, tokens: Tokens) -> None:
    assert evidence_of(tokens, connect()) is None
    with pytest.raises(LoginNeeded) as failure:
        accounts.stored_access(tokens, USER, NOW)
    assert failure.value.evidence is None
    tokens.put(USER, Token("\ufffd"))
    assert evidence_of(tokens, connect()) is None


def elsewhere(path: Path, change: Callable[[Tokens], object], answer: Any) -> Any:
    """Return an answer of SSO's before which another process changes the stored tokens."""

    def answered(_: Any, context: Any) -> Any:
        with closing(Tokens(path / "killsync.db")) as others:
            change(others)
        context.status_code = answer.get("status_code", 200)
        return answer.get("json")

    return answered


def test_what_sso_answers_to_a_token_that_was_stored_meanwhile_is_kept(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey, tmp_path: Path
) -> None:
    text = renewable(requests_mock, tokens, key)
    other = Token("another-login", "its-access-token", NOW + 1200)
    stored = elsewhere(tmp_path, lambda others: others.put(USER, other), oauth("invalid_grant"))
    rotated = GRANT | {"access_token": text}
    requests_mock.post(TOKEN, [{"json": stored}, {"json": rotated}])
    assert accounts.renew(tokens, connect(), USER, lambda: NOW).token == text
    assert [form(request)["refresh_token"] for request in sent(requests_mock, TOKEN)] == [
        OLD,
        "another-login",
    ]
    assert tokens.get(USER) == Token(NEW, text, NOW + 1199, ("another-login",))


def test_a_token_stored_while_sso_replaces_another_is_kept_and_nothing_revoked(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey, tmp_path: Path
) -> None:
    renewable(requests_mock, tokens, key)
    other = Token("another-login", "its-access-token", NOW + 1200)
    stored = elsewhere(tmp_path, lambda others: others.put(USER, other), {"json": GRANT})
    requests_mock.post(TOKEN, json=stored)
    with pytest.raises(TokenBusy):
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert tokens.get(USER) == other
    assert sent(requests_mock, REVOKE) == []


def test_an_answer_is_kept_though_the_claim_was_lost_meanwhile(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey, tmp_path: Path
) -> None:
    text = renewable(requests_mock, tokens, key)

    def claim_elsewhere(_: Tokens) -> None:
        with closing(sqlite3.connect(tmp_path / "killsync.db.tokens")) as conn, conn:
            conn.execute("UPDATE tokens SET claimed_by = 'elsewhere:1', claimed_until = 1e10")

    answer = {"json": GRANT | {"access_token": text}}
    requests_mock.post(TOKEN, json=elsewhere(tmp_path, claim_elsewhere, answer))
    accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert tokens.get(USER) == Token(NEW, text, NOW + 1199, (OLD,))
    with closing(sqlite3.connect(tmp_path / "killsync.db.tokens")) as conn:
        assert conn.execute("SELECT claimed_by FROM tokens").fetchall() == [("elsewhere:1",)]


def test_a_token_stored_while_the_one_before_it_is_revoked_is_revoked_too(
    connect: Make, requests_mock: Mocker, tokens: Tokens, tmp_path: Path
) -> None:
    tokens.put(USER, Token(OLD))
    stored = elsewhere(tmp_path, lambda others: others.put(USER, Token(NEW)), {})
    requests_mock.post(REVOKE, [{"json": stored}, {"json": {}}])
    assert accounts.forget(tokens, connect(), USER) is None
    assert [form(request)["token"] for request in sent(requests_mock, REVOKE)] == [OLD, NEW]
    assert tokens.get(USER) is None


def test_the_new_token_of_a_user_removed_during_a_refresh_is_revoked(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey, tmp_path: Path
) -> None:
    renewable(requests_mock, tokens, key)
    old = tokens.get(USER)
    assert old is not None
    removed = elsewhere(tmp_path, lambda others: others.remove(USER, old), {"json": GRANT})
    requests_mock.post(TOKEN, json=removed)
    with pytest.raises(TokenBusy):
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert [form(request)["token"] for request in sent(requests_mock, REVOKE)] == [NEW]
    assert tokens.get(USER) is None


# tokens that are kept until their successor has proved itself


def refreshed_with(mock: Mocker) -> list[str]:
    return [form(request)["refresh_token"] for request in sent(mock, TOKEN)]


@pytest.mark.parametrize("text", ["", "\u00e9", "a\nb", "a b", "x" * 4097], ids=ascii)
def test_a_text_that_cannot_be_a_refresh_token_counts_as_none(
    connect: Make, requests_mock: Mocker, text: str
) -> None:
    requests_mock.post(TOKEN, json=GRANT | {"refresh_token": text})
    assert connect().refresh(OLD).refresh_token == OLD


def test_a_login_whose_refresh_token_cannot_be_one_has_brought_none(
    connect: Make, requests_mock: Mocker
) -> None:
    requests_mock.post(TOKEN, json=GRANT | {"refresh_token": ""})
    sso = connect()
    login = sso.authorize(CALLBACK, SCOPE)
    fails(requests_mock, TOKEN, lambda: sso.exchange(CODE, login), Unavailable, 1)


def test_an_answer_for_another_character_changes_no_refresh_token(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey
) -> None:
    renewable(requests_mock, tokens, key, sub="CHARACTER:EVE:90000002")
    with pytest.raises(LoginNeeded, match="belongs to another character"):
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert tokens.get(USER) == Token(OLD)


def test_after_a_refusal_the_token_before_it_is_sent_and_alone_stays_if_it_works(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey
) -> None:
    text = renewable(requests_mock, tokens, key)
    tokens.put(USER, Token(NEW, earlier=(OLD,)))
    works = {"json": {"access_token": text, "expires_in": 1199}}
    requests_mock.post(TOKEN, [oauth("invalid_grant"), works])
    assert accounts.renew(tokens, connect(), USER, lambda: NOW).token == text
    assert refreshed_with(requests_mock) == [NEW, OLD]
    assert tokens.get(USER) == Token(OLD, text, NOW + 1199)


def test_where_all_are_refused_the_first_is_blamed_and_all_stay(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    requests_mock.post(TOKEN, **oauth("invalid_grant"))
    tokens.put(USER, Token(NEW))
    alone = evidence_of(tokens, connect())
    stored = Token(NEW, earlier=(OLD, "the-oldest"))
    tokens.put(USER, stored)
    requests_mock.reset_mock()
    assert evidence_of(tokens, connect()) == alone
    assert refreshed_with(requests_mock) == [NEW, OLD, "the-oldest"]
    assert tokens.get(USER) == stored


def test_a_refusal_proves_nothing_while_the_token_before_it_gets_no_answer(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    stored = Token(NEW, earlier=(OLD,))
    tokens.put(USER, stored)
    requests_mock.post(TOKEN, [oauth("invalid_grant"), {"status_code": 503}])
    with pytest.raises(Unavailable):
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert tokens.get(USER) == stored


def test_a_token_is_proved_by_its_refresh_though_sso_signs_with_a_key_it_does_not_publish(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey
) -> None:
    renewable(requests_mock, tokens, key)
    requests_mock.get(JWKS, json=KEYS)
    for new in ("second", "third"):
        requests_mock.post(TOKEN, json=rotated(key, new))
        with pytest.raises(Unavailable):
            accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert tokens.get(USER) == Token("third", earlier=("second",))


def rotated(key: RSAKey, refresh_token: str) -> dict[str, Any]:
    return GRANT | {"access_token": access_token(key), "refresh_token": refresh_token}


def test_an_answer_that_cannot_be_read_is_kept_behind_a_token_that_had_no_turn(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    requests_mock.post(TOKEN, json=GRANT)
    tokens.put(USER, Token("second", earlier=(OLD,)))
    with pytest.raises(KillsyncError):
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert tokens.get(USER) == Token(OLD, earlier=(NEW, "second"))


def test_all_that_are_kept_are_revoked_with_their_user(
    connect: Make, requests_mock: Mocker, tokens: Tokens
) -> None:
    tokens.put(USER, Token(NEW, earlier=(OLD,)))
    assert accounts.forget(tokens, connect(), USER) is None
    assert [form(request)["token"] for request in sent(requests_mock, REVOKE)] == [NEW, OLD]
    assert tokens.get(USER) is None


def test_anothers_token_that_came_for_a_user_removed_meanwhile_is_not_revoked(
    connect: Make, requests_mock: Mocker, tokens: Tokens, key: RSAKey, tmp_path: Path
) -> None:
    text = renewable(requests_mock, tokens, key, sub="CHARACTER:EVE:90000002")
    anothers = {"json": GRANT | {"access_token": text}}
    removed = elsewhere(tmp_path, lambda others: others.remove(USER), anothers)
    requests_mock.post(TOKEN, json=removed)
    with pytest.raises(TokenBusy):
        accounts.renew(tokens, connect(), USER, lambda: NOW)
    assert sent(requests_mock, REVOKE) == []
