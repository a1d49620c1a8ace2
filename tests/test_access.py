"""Which access tokens are accepted: claims, keys and signatures, given to the functions that check.

That a refused token ends a command without a user is shown once, in `test_hostile_lists`.
"""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from kept_documents import KeptDocuments
from requests_mock import Mocker

from killsync.errors import LoginNeeded, Refused, Unavailable
from killsync.http import Http
from killsync.login.access import Character, claimed, verified
from killsync.login.published import Published

URL = "https://login.eveonline.com"
METADATA = f"{URL}/.well-known/oauth-authorization-server"
JWKS = f"{URL}/oauth/jwks"
CLIENT_ID = "an-application"
SCOPE = "esi-killmails.read_killmails.v1"
NOW = 1_800_000_000.0
KEY_ID = "JWT-Signature-Key"
NO_CHARACTER = r"^SSO's access token names no character$"
INVALID = r"SSO's access token is not valid here \(\w+\): check client_id and sso_url"

CLAIMS: dict[str, Any] = {
    "iss": URL,
    "sub": "CHARACTER:EVE:90000001",
    "aud": [CLIENT_ID, "EVE Online"],
    "iat": NOW,
    "exp": NOW + 1200,
    "name": "Aino Halla",
    "owner": "an account",
    "scp": ["publicData", SCOPE],
}

Check = Callable[[str], Character]


@cache
def key(owner: str, key_id: str = KEY_ID) -> RSAKey:
    """Return a private key of `sso` or of a `stranger`, made when it is first needed."""
    return RSAKey.generate_key(2048, {"kid": key_id})


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(payload: bytes, with_key: RSAKey | None = None, **header: Any) -> str:
    """Return a token with this payload; a field of the header that is None is left out."""
    signing = with_key or key("sso")
    header = {"alg": "RS256", "kid": signing.kid, "typ": "JWT"} | header
    named = {name: value for name, value in header.items() if value is not None}
    return jws.serialize_compact(named, payload, signing, algorithms=[header["alg"]])


def token(with_key: RSAKey | None = None, /, **claims: Any) -> str:
    """Return a token that SSO has signed, or another key; a claim of `...` is left out."""
    claims = CLAIMS | claims
    kept = {name: value for name, value in claims.items() if value is not ...}
    return signed(json.dumps(kept).encode(), with_key)


def with_header(header: bytes) -> str:
    """Return a token whose header is replaced."""
    return f"{encoded(header)}.{token().split('.', 1)[1]}"


def publish(mock: Mocker, *keys: RSAKey, issuer: str = URL) -> None:
    """Let SSO publish these keys from now on, the first time and when it is asked again."""
    mock.get(METADATA, json={"issuer": issuer, "token_endpoint": URL, "jwks_uri": JWKS})
    mock.get(JWKS, json={"keys": [key.as_dict(private=False) for key in keys]})


def times_keys_were_asked_for(mock: Mocker) -> int:
    return sum(request.url == JWKS for request in mock.request_history)


@pytest.fixture
def check(requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """Check a token against what SSO publishes."""
    monkeypatch.setattr("killsync.http.client._LONGEST_WAIT", 0)
    publish(requests_mock, key("sso"))
    with closing(Http("killsync/0")) as http:
        published = Published(http, URL, KeptDocuments(), lambda: NOW)
        yield lambda text: verified(text, SCOPE, published, CLIENT_ID, lambda: NOW)


# claims


def test_a_token_gives_its_character(check: Check) -> None:
    scopes = frozenset({"publicData", SCOPE})
    assert check(token()) == Character(90000001, "Aino Halla", "an account", scopes)


def test_a_single_scope_may_be_a_text(check: Check) -> None:
    assert check(token(scp=SCOPE)).scopes == {SCOPE}


def test_the_audience_may_be_the_application_alone(check: Check) -> None:
    assert check(token(aud=CLIENT_ID)).character_id == 90000001


def test_a_token_without_an_owner_is_accepted(check: Check) -> None:
    assert check(token(owner=...)).owner == ""


def test_the_largest_character_id_is_accepted(check: Check) -> None:
    assert check(token(sub=f"CHARACTER:EVE:{'9' * 18}")).character_id == int("9" * 18)


ODD_SUBJECTS: dict[str, Any] = {
    "a corporation": "CORPORATION:EVE:98000001",
    "another game": "CHARACTER:DUST:90000001",
    "no number": "CHARACTER:EVE:Bob",
    "a negative number": "CHARACTER:EVE:-7",
    "zero": "CHARACTER:EVE:0",
    "a leading zero": "CHARACTER:EVE:090000001",
    "a line feed": "CHARACTER:EVE:90000001\n",
    "other digits": "CHARACTER:EVE:٣²",
    "beyond 64 bits": f"CHARACTER:EVE:{2**63}",
    "5,000 digits": f"CHARACTER:EVE:{'9' * 5_000}",
    "too many parts": "CHARACTER:EVE:90000001:1",
    "too few parts": "EVE:1",
    "a number alone": 90000001,
    "a list": ["CHARACTER:EVE:90000001"],
    "null": None,
    "no subject": ...,
}

OTHER_ODD_CLAIMS: dict[str, dict[str, Any]] = {
    "another audience": {"aud": ["somebody-else"]},
    "the game alone as audience": {"aud": ["EVE Online"]},
    "part of the audience": {"aud": [CLIENT_ID + "-2", CLIENT_ID[:-1]]},
    "an audience that is a number": {"aud": 5},
    "an empty audience": {"aud": []},
    "no audience": {"aud": ...},
    "another issuer": {"iss": "https://login.example.com"},
    "an issuer that starts the same": {"iss": f"{URL}.example.com"},
    "an issuer below": {"iss": f"{URL}/v2"},
    "an issuer without TLS": {"iss": "http://login.eveonline.com"},
    "issuers in a list": {"iss": [URL]},
    "no issuer": {"iss": ...},
    "no end": {"exp": ...},
    "an end in text": {"exp": "tomorrow"},
    "an end beyond time": {"exp": -(10**400)},
    "an infinite end": {"exp": float("inf")},
    "a start in text": {"iat": "yesterday"},
    "a start that is null": {"iat": None},
    "not valid before tomorrow": {"nbf": NOW + 86400},
    "scopes a number": {"scp": 5},
    "scopes null": {"scp": None},
    "scopes nested": {"scp": [[SCOPE]]},
    "half a surrogate pair as name": {"name": "\ud800"},
    "no name": {"name": ...},
}


@pytest.mark.parametrize(
    "claims",
    [*({"sub": subject} for subject in ODD_SUBJECTS.values()), *OTHER_ODD_CLAIMS.values()],
    ids=[*(f"subject {name}" for name in ODD_SUBJECTS), *OTHER_ODD_CLAIMS],
)
def test_a_token_with_an_odd_claim_is_refused_and_not_shown(
    check: Check, claims: dict[str, Any]
) -> None:
    odd = token(**claims)
    with pytest.raises(Refused, match=f"^{INVALID}$") as refusal:
        check(odd)
    assert type(refusal.value) is Refused
    assert odd not in str(refusal.value)


NO_CLAIMS = {
    "a list": b"[]",
    "null": b"null",
    "a text": b'"CHARACTER:EVE:90000001"',
    "cut short": b"{",
    "empty": b"",
    "not UTF-8": b"\xff",
    "without end": b"[" * 100_000,
}


@pytest.mark.parametrize("payload", NO_CLAIMS.values(), ids=NO_CLAIMS.keys())
def test_a_signed_payload_that_holds_no_claims_is_refused(check: Check, payload: bytes) -> None:
    with pytest.raises(Refused, match=INVALID):
        check(signed(payload))


@pytest.mark.parametrize("name", [5, None, ["x"], "", " ", "\u202e" * 1_000], ids=repr)
def test_a_name_of_any_kind_is_taken_as_text(check: Check, name: Any) -> None:
    assert check(token(name=name)).name == str(name)


@pytest.mark.parametrize("published", [URL, f"{URL}/", URL[8:], f"{URL[8:]}/"])
@pytest.mark.parametrize("written", [URL, f"{URL}/", URL[8:], f"{URL[8:]}/"])
def test_the_issuer_may_be_written_with_and_without_scheme_and_slash(
    check: Check, requests_mock: Mocker, published: str, written: str
) -> None:
    publish(requests_mock, key("sso"), issuer=published)
    assert check(token(iss=written)).character_id == 90000001


@pytest.mark.parametrize(
    "scopes",
    [[], "", ..., ["publicData"], f"{SCOPE}0", SCOPE[:-1], [SCOPE.upper()]],
    ids=["none", "empty", "no claim", "another", "longer", "shorter", "upper case"],
)
def test_a_token_without_the_scope_needs_a_new_login(check: Check, scopes: Any) -> None:
    with pytest.raises(LoginNeeded) as refusal:
        check(token(scp=scopes))
    assert str(refusal.value) == (
        f"the token of 'Aino Halla' lacks the scope {SCOPE}: "
        "give it to your EVE application at https://developers.eveonline.com"
    )


# times


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 59},
        {"iat": NOW + 60},
        {"iat": NOW + 0.5, "exp": NOW + 1199.5},
        {"iat": ...},
        {"iat": 0},
    ],
    ids=["ended", "not begun", "fractions", "no start", "long ago"],
)
def test_a_clock_that_is_a_minute_wrong_is_tolerated(check: Check, claims: dict[str, Any]) -> None:
    assert check(token(**claims)).character_id == 90000001


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 61},
        {"iat": NOW - 300, "exp": NOW - 120},
        {"iat": NOW + 61},
        {"exp": 1},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": NOW - 61, "aud": ["somebody-else"]},
    ],
    ids=["ended", "past", "not begun", "long ago", "true", "not a number", "and another audience"],
)
def test_a_token_that_is_not_valid_now_is_the_clocks_fault(
    check: Check, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unavailable) as refusal:
        check(token(**claims))
    text = "SSO's new token is not valid now: check this computer's clock"
    assert str(refusal.value) == text


# keys and signatures


def forged_with_the_published_key() -> str:
    """Return a token with an HMAC whose key is what SSO publishes."""
    header = {"alg": "HS256", "kid": KEY_ID, "typ": "JWT"}
    text = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(CLAIMS).encode())}"
    mac = hmac.digest(key("sso").as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{encoded(mac)}"


def with_another_payload() -> str:
    header, _, signature = token().split(".")
    return f"{header}.{encoded(json.dumps(CLAIMS | {'name': 'Nobody'}).encode())}.{signature}"


FORGED: dict[str, Callable[[], str]] = {
    "a stranger's key": lambda: token(key("stranger")),
    "HS256 with the published key": forged_with_the_published_key,
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "none": lambda: with_header(b'{"alg":"none"}').rpartition(".")[0] + ".",
    "PS256": lambda: signed(json.dumps(CLAIMS).encode(), alg="PS256"),
    "RS512": lambda: signed(json.dumps(CLAIMS).encode(), alg="RS512"),
    "another payload": with_another_payload,
    "no algorithm": lambda: with_header(b"{}"),
    "a header without end": lambda: with_header(b"[" * 100_000),
    "a key id of another type": lambda: with_header(b'{"alg":"RS256","kid":[]}'),
    "an encrypted token": lambda: "a.b.c.d.e",
    "three letters": lambda: "a.b.c",
    "empty": str,
    "not ASCII": lambda: "ü",
    "half a surrogate pair": lambda: "\ud800",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_a_token_that_sso_has_not_signed_is_refused_and_not_shown(
    check: Check, requests_mock: Mocker, forged: Callable[[], str]
) -> None:
    text = forged()
    with pytest.raises(Refused, match=f"^{INVALID}$") as refusal:
        check(text)
    assert not text or text not in str(refusal.value)
    assert times_keys_were_asked_for(requests_mock) == 2


def test_a_token_without_a_key_id_is_checked_with_the_published_key(check: Check) -> None:
    assert check(signed(json.dumps(CLAIMS).encode(), kid=None)).character_id == 90000001
    with pytest.raises(Refused, match=INVALID):
        check(signed(json.dumps(CLAIMS).encode(), key("stranger"), kid=None))


def test_a_key_that_is_not_published_blames_no_user(check: Check, requests_mock: Mocker) -> None:
    with pytest.raises(Unavailable, match=r"^SSO signs with a key that it does not publish$"):
        check(token(key("sso", "the-next-key")))
    assert times_keys_were_asked_for(requests_mock) == 2


def test_keys_are_asked_for_once_for_many_tokens(check: Check, requests_mock: Mocker) -> None:
    for _ in range(3):
        check(token())
    assert times_keys_were_asked_for(requests_mock) == 1


@pytest.mark.parametrize("key_id", ["the-next-key", KEY_ID], ids=["new id", "same id"])
def test_a_new_key_is_fetched_once_when_a_token_is_signed_with_it(
    check: Check, requests_mock: Mocker, key_id: str
) -> None:
    check(token())
    new = key("sso, later", key_id)
    publish(requests_mock, new)
    for _ in range(2):
        assert check(token(new)).character_id == 90000001
    assert times_keys_were_asked_for(requests_mock) == 2
    assert sum(request.url == METADATA for request in requests_mock.request_history) == 1


def test_a_token_whose_new_key_cannot_be_fetched_blames_no_user(
    check: Check, requests_mock: Mocker
) -> None:
    check(token())
    requests_mock.get(JWKS, status_code=503)
    with pytest.raises(Unavailable, match=r"^SSO says 503 for its metadata or keys$"):
        check(token(key("sso", "the-next-key")))


# without a signature


def test_whose_token_it_claims_to_be_is_known_without_a_key() -> None:
    late = {"exp": 1, "aud": "somebody-else", "iss": "x"}
    found = claimed(token(key("stranger"), **late))
    assert (found.character_id, found.name) == (90000001, "Aino Halla")


@pytest.mark.parametrize("subject", ODD_SUBJECTS.values(), ids=ODD_SUBJECTS.keys())
def test_a_token_that_claims_an_odd_subject_names_no_character(subject: Any) -> None:
    with pytest.raises(Refused, match=NO_CHARACTER):
        claimed(token(sub=subject))


@pytest.mark.parametrize(
    "text", ["", "opaque", "a.b.c", "ü.ü.ü", "\ud800"], ids=["empty", "opaque", "dots", "ü", "half"]
)
def test_what_is_no_token_names_no_character(text: str) -> None:
    with pytest.raises(Refused, match=NO_CHARACTER):
        claimed(text)


@pytest.mark.parametrize("payload", NO_CLAIMS.values(), ids=NO_CLAIMS.keys())
def test_a_payload_that_holds_no_claims_names_no_character(payload: bytes) -> None:
    with pytest.raises(Refused, match=NO_CHARACTER):
        claimed(signed(payload))
