"""The simulator itself, over real HTTP: what it promises about ESI and SSO, it does."""

import base64
import contextlib
import hashlib
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import mean
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet
from world import simulator, wait_until

from killsync.simulator import Login, Options, Ready
from killsync.simulator.bodies import Killmail, killmail_hash, make_body
from killsync.simulator.limits import Allowance, Bucket, ErrorLimit
from killsync.simulator.options import change
from killsync.simulator.world import World

pytestmark = pytest.mark.long

NOW = 1_790_000_000.0
VERIFIER = "v" * 43


class Client:
    """A polite client of one simulator."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.url = ready.base_url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "tests/1 (tests@example.com)"
        self.session.headers["X-Compatibility-Date"] = "2025-01-01"

    def control(self, call: str, method: str = "POST", **body: Any) -> Any:
        answer = self.session.request(method, f"{self.url}/_control/{call}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, route: str, **rule: Any) -> None:
        self.control("faults", route=route, **rule)

    def log(self, route: str) -> list[dict[str, Any]]:
        entries = self.control("log", "GET")
        return [entry for entry in entries if entry["route"] == route]

    def token(self, **form: str) -> requests.Response:
        form = {"client_id": self.ready.client_id} | form
        return self.session.post(f"{self.url}/v2/oauth/token", data=form)

    def refresh(self, refresh_token: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def access(self, refresh_token: str) -> str:
        return str(self.refresh(refresh_token).json()["access_token"])

    def names(self, *ids: int) -> requests.Response:
        return self.session.post(f"{self.url}/universe/names", json=list(ids))

    def body(self, killmail_id: int, hash_: str, **headers: str) -> requests.Response:
        return self.session.get(f"{self.url}/killmails/{killmail_id}/{hash_}", headers=headers)


class Reader:
    """One character's lists, read with one access token."""

    def __init__(self, client: Client, character_id: int, refresh_token: str) -> None:
        self.client = client
        self.character_id = character_id
        self.access = client.access(refresh_token)

    def page(self, number: int = 1, **headers: str) -> requests.Response:
        return self.client.session.get(
            f"{self.client.url}/characters/{self.character_id}/killmails/recent?page={number}",
            headers={"Authorization": f"Bearer {self.access}"} | headers,
        )

    def ids(self, number: int = 1) -> list[int]:
        return [entry["killmail_id"] for entry in self.page(number).json()]

    def truth(self) -> list[int]:
        characters = self.client.control("truth?bodies=0", "GET")["characters"]
        return [killmail_id for killmail_id, _ in characters[str(self.character_id)]["list"]]


class Start(Protocol):
    def __call__(self, **options: Any) -> Client: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start simulators in processes of their own."""
    with contextlib.ExitStack() as stack:

        def begin(**options: Any) -> Client:
            options = {"characters": 1, "killmails": 5, "page_size": 2} | options
            esi = stack.enter_context(simulator(**options))
            logins = msgspec.convert(esi.logins, list[Login])
            client = Client(Ready(esi.url, esi.everef_url, esi.zkb_url, esi.client_id, logins))
            stack.callback(client.session.close)
            return client

        yield begin


def reader(client: Client) -> Reader:
    login = client.ready.logins[0]
    return Reader(client, login.character_id, login.refresh_token)


def test_pages_hold_the_whole_list_and_stay_frozen(start: Start) -> None:
    mine = reader(start())
    before = mine.truth()
    first = mine.page(1)
    mine.client.control("killmails", character_id=mine.character_id, count=3)
    assert first.headers["X-Pages"] == "3"
    assert [i for page in (1, 2, 3) for i in mine.ids(page)] == before
    assert mine.page(3).headers["Last-Modified"] == first.headers["Last-Modified"]
    expires = parsedate_to_datetime(first.headers["Expires"])
    left = expires - parsedate_to_datetime(first.headers["Date"])
    assert timedelta(seconds=295) < left <= timedelta(seconds=301)
    mine.client.control("thaw")
    assert mine.ids(1) == mine.truth()[:2]
    assert mine.page(1).headers["X-Pages"] == "4"


def test_entries_move_between_pages_if_asked_to(start: Start) -> None:
    mine = reader(start(refresh_between_pages=True, list_tokens=0))
    first = mine.page(1)
    mine.client.control("killmails", character_id=mine.character_id)
    assert mine.ids(2)[0] == first.json()[-1]["killmail_id"]
    assert mine.page(2).headers["Last-Modified"] != first.headers["Last-Modified"]


def test_a_late_killmail_takes_its_place_by_id(start: Start) -> None:
    mine = reader(start())
    newest = mine.truth()[0]
    [[late, _]] = mine.client.control("killmails", character_id=mine.character_id, late=True)
    assert late < newest
    assert late in mine.truth()[1:]
    mine.client.control("remove", character_id=mine.character_id, killmail_ids=[newest])
    assert mine.truth() == sorted(mine.truth(), reverse=True)
    assert newest not in mine.truth()


def test_a_shuffled_list_has_every_entry(start: Start) -> None:
    client = start(page_size=50)
    new = client.control("characters", killmails=30, order="shuffled")
    mine = Reader(client, new["character_id"], new["refresh_token"])
    assert sorted(mine.ids(), reverse=True) == mine.truth() != mine.ids()


def test_an_empty_list_has_one_page(start: Start) -> None:
    mine = reader(start(killmails=0))
    assert mine.page().json() == []
    assert mine.page().headers["X-Pages"] == "1"


def test_costs_and_the_full_bucket(start: Start) -> None:
    mine = reader(start(list_tokens=10))
    ok = mine.page()
    same = mine.page(1, **{"If-None-Match": ok.headers["ETag"]})
    missing = mine.page(4)
    last = mine.page()
    over = mine.page()
    answers = [ok, same, missing, last, over]
    assert [a.status_code for a in answers] == [200, 304, 404, 200, 429]
    assert [a.headers["X-Ratelimit-Used"] for a in answers] == ["2", "3", "8", "10", "10"]
    assert {a.headers["X-Ratelimit-Limit"] for a in answers} == {"10/15m"}
    assert {a.headers["X-Ratelimit-Group"] for a in answers} == {"char-killmail"}
    assert same.headers["X-Pages"] == "3"
    assert "X-Pages" not in missing.headers
    assert missing.json() == {"error": "Requested page does not exist!"}
    assert 890 < int(over.headers["Retry-After"]) <= 900
    log = mine.client.log("list")
    assert [(e["cost"], e["remaining"]) for e in log] == [(2, 8), (1, 7), (5, 2), (2, 0), (0, 0)]
    assert mine.client.control("log?count=1", "GET")["list"] == 5


def test_past_the_end_may_be_an_empty_array(start: Start) -> None:
    answer = reader(start(past_end="empty")).page(4)
    assert (answer.status_code, answer.json()) == (200, [])
    assert "X-Pages" not in answer.headers


def test_tokens_and_their_characters_are_checked(start: Start) -> None:
    client = start(characters=2, list_tokens=0)
    mine = reader(client)
    other = Reader(
        client, client.ready.logins[1].character_id, client.ready.logins[0].refresh_token
    )
    assert other.page().status_code == 403
    bare = client.control("tokens", character_id=mine.character_id, scopes=[])
    assert Reader(client, mine.character_id, bare["refresh_token"]).page().status_code == 403
    client.control("expire_access")
    assert mine.page().json() == {"error": "Unauthorized - Invalid token"}
    client.control("options", access_lifetime=0)
    assert reader(client).page().status_code == 401
    assert mine.page(Authorization="Bearer made-up").status_code == 401


def test_a_user_agent_and_a_compatibility_date_are_required(start: Start) -> None:
    client = start(characters=0)
    wrong = [{"X-Compatibility-Date": date} for date in ("", "soon", "2999-01-01", "2025-1-1")]
    for headers in [*wrong, {"User-Agent": ""}]:
        answer = client.session.get(f"{client.url}/status", headers=headers)
        assert answer.status_code == 400
    assert answer.headers["X-Ratelimit-Used"] == "25"


def test_bodies_are_the_true_ones_and_never_change(start: Start) -> None:
    client = start()
    truth = client.control("truth", "GET")
    [character] = truth["characters"].values()
    for killmail_id, hash_ in character["list"]:
        answer = client.body(killmail_id, hash_)
        assert answer.json() == truth["bodies"][str(killmail_id)]
        assert answer.headers["Cache-Control"] == "public, max-age=2592000"
    etag = answer.headers["ETag"]
    assert client.body(killmail_id, hash_, **{"If-None-Match": etag}).status_code == 304
    wrong = client.body(killmail_id, "0" * 40)
    assert wrong.status_code == 422
    assert wrong.json() == {"error": "Invalid killmail_id and/or killmail_hash"}


def test_a_hostile_body_is_served_verbatim(start: Start) -> None:
    mine = reader(start())
    text = '{"killmail_id": 1e400, "x": "\\ud800"'
    [[killmail_id, hash_]] = mine.client.control(
        "killmails", character_id=mine.character_id, body_text=text, killmail_hash="a" * 40
    )
    assert hash_ == "a" * 40
    assert mine.client.body(killmail_id, hash_).text == text


def test_names_are_known_for_all_that_bodies_mention(start: Start) -> None:
    client = start(characters=2, killmails=10)
    bodies = client.control("truth", "GET")["bodies"].values()
    ids = {i for body in bodies for i in mentioned(body)}
    answer = client.names(*list(ids)[:1000])
    assert answer.status_code == 200
    assert answer.headers["X-ESI-Error-Limit-Remain"] == "100"
    assert client.names(1).status_code == 404
    assert client.names().status_code == 400
    assert client.names(587, 587).headers["X-ESI-Error-Limit-Remain"] == "97"


def mentioned(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for part in value:
            yield from mentioned(part)
    elif isinstance(value, dict):
        named = ("character_id", "corporation_id", "alliance_id", "faction_id", "solar_system_id")
        for key, part in value.items():
            if key in named or key.endswith("type_id"):
                yield part
            else:
                yield from mentioned(part)


def test_too_many_errors_stop_every_route(start: Start) -> None:
    client = start(error_limit=2)
    mine = reader(client)
    assert [client.names(1).status_code for _ in range(3)] == [404, 404, 420]
    refused = mine.page()
    assert refused.status_code == 420
    assert refused.headers["X-ESI-Error-Limit-Remain"] == "0"
    assert 50 < int(refused.headers["X-ESI-Error-Limit-Reset"]) <= 60
    client.control("error_limit", seconds=0)
    assert mine.page().status_code == 200


def login(client: Client, **query: str) -> dict[str, str]:
    """Walk through the authorization endpoint and return what it redirects with."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    query = {
        "response_type": "code",
        "client_id": client.ready.client_id,
        "redirect_uri": "http://127.0.0.1:9/callback",
        "scope": "esi-killmails.read_killmails.v1 publicData",
        "state": "s",
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    } | query
    answer = client.session.get(
        f"{client.url}/v2/oauth/authorize", params=query, allow_redirects=False
    )
    assert answer.status_code == 302
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def exchange(client: Client, code: str, verifier: str = VERIFIER) -> requests.Response:
    return client.token(grant_type="authorization_code", code=code, code_verifier=verifier)


@pytest.mark.sample
def test_login_with_pkce(start: Start) -> None:
    client = start(characters=2)
    second = client.ready.logins[1]
    back = login(client, character_id=str(second.character_id))
    assert back["state"] == "s"
    tokens = exchange(client, back["code"]).json()
    claims = claims_of(client, tokens["access_token"])
    assert claims["sub"] == f"CHARACTER:EVE:{second.character_id}"
    assert claims["aud"] == [client.ready.client_id, "EVE Online"]
    assert claims["scp"] == ["esi-killmails.read_killmails.v1", "publicData"]
    assert claims["name"] == second.name
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == 1200
    assert exchange(client, back["code"]).json()["error"] == "invalid_grant"
    assert exchange(client, login(client)["code"], "w" * 43).json()["error"] == "invalid_grant"
    client.control("options", deny=True)
    assert login(client)["error"] == "access_denied"


def test_a_login_is_granted_what_it_asks_for(start: Start) -> None:
    client = start()
    scopes = [
        "esi-killmails.read_killmails.v1",
        "esi-killmails.read_corporation_killmails.v1",
    ]
    back = login(client, scope=" ".join(scopes))
    tokens = exchange(client, back["code"]).json()
    assert claims_of(client, tokens["access_token"])["scp"] == scopes
    again = client.refresh(tokens["refresh_token"]).json()
    assert claims_of(client, again["access_token"])["scp"] == scopes


def claims_of(client: Client, access_token: str) -> dict[str, Any]:
    metadata = client.session.get(f"{client.url}/.well-known/oauth-authorization-server").json()
    keys = KeySet.import_key_set(client.session.get(metadata["jwks_uri"]).json())
    return dict(jwt.decode(access_token, keys, algorithms=["RS256"]).claims)


@pytest.mark.sample
def test_a_rotated_key_signs_and_the_old_one_still_verifies(start: Start) -> None:
    client = start()
    token = client.ready.logins[0].refresh_token
    old = client.access(token)
    client.control("rotate_key")
    new = client.access(token)
    assert claims_of(client, old)["sub"] == claims_of(client, new)["sub"]
    assert claims_of(client, old)["kid"] != claims_of(client, new)["kid"]
    assert claims_of(client, new)["scp"] == "esi-killmails.read_killmails.v1"


def test_rotation_and_revocation_of_refresh_tokens(start: Start) -> None:
    client = start()
    first = client.ready.logins[0].refresh_token
    assert client.refresh(first).json()["refresh_token"] == first
    client.control("options", rotate=True)
    second = client.refresh(first).json()["refresh_token"]
    assert second != first
    assert client.refresh(first).json()["error"] == "invalid_grant"
    revoked = client.session.post(
        f"{client.url}/v2/oauth/revoke",
        data={"token": second, "client_id": client.ready.client_id},
    )
    assert revoked.status_code == 200
    assert client.refresh(second).status_code == 400
    assert client.token(client_id="nobody", grant_type="refresh_token").status_code == 401


def test_every_secret_that_was_ever_issued_is_told(start: Start) -> None:
    client = start(rotate=True)
    first = client.ready.logins[0].refresh_token
    tokens = client.refresh(first).json()
    code = login(client)["code"]
    client.control("options", client_secret="s3cret")
    client.control("options", client_secret=None)
    secrets = client.control("secrets", "GET")
    assert {first, tokens["refresh_token"], tokens["access_token"], code, "s3cret"} <= set(secrets)


def test_claims_of_access_tokens_may_be_replaced(start: Start) -> None:
    client = start()
    odd = {"sub": "CHARACTER:DUST:7", "name": "\ud800"}
    character_id = client.ready.logins[0].character_id
    client.control("options", claims=json.dumps({character_id: odd}))
    claims = claims_of(client, client.access(client.ready.logins[0].refresh_token))
    assert (claims["sub"], claims["name"]) == ("CHARACTER:DUST:7", "\ud800")
    for wrong in ("[]", "{"):
        with pytest.raises(AssertionError, match="400"):
            client.control("options", claims=wrong)


def test_more_than_five_refreshes_at_once_fail(start: Start) -> None:
    client = start(latency_sso=3)
    token = client.ready.logins[0].refresh_token
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: client.refresh(token).status_code, range(8)))
    assert sorted(statuses) == [200] * 5 + [500] * 3
    assert max(entry["in_flight"] for entry in client.log("token")) == 8


def test_too_many_refreshes_at_once_may_be_asked_for_a_rest_instead(start: Start) -> None:
    client = start(latency_sso=3, refresh_limit=1, refresh_rest=7)
    token = client.ready.logins[0].refresh_token
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: client.refresh(token), range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
    rests = [a.headers["Retry-After"] for a in answers if a.status_code == 429]
    assert rests == ["7", "7"]


def test_a_client_secret_needs_basic_authentication(start: Start) -> None:
    client = start(client_secret="s3cret")
    form = {"grant_type": "refresh_token", "refresh_token": client.ready.logins[0].refresh_token}
    url = f"{client.url}/v2/oauth/token"
    for secret, status in (("s3cret", 200), ("wrong", 401)):
        answer = client.session.post(url, data=form, auth=(client.ready.client_id, secret))
        assert answer.status_code == status


def test_faults_that_answer(start: Start) -> None:
    client = start()
    mine = reader(client)
    client.fault("list", page=2, after=1, times=1, html=True, status=502)
    assert [mine.page(2).status_code for _ in range(3)] == [200, 502, 200]
    client.fault(
        "list", times=1, status=429, headers={"Retry-After": "7"}, keep_limit_headers=False
    )
    answer = mine.page()
    assert answer.headers["Retry-After"] == "7"
    assert "X-Ratelimit-Group" not in answer.headers
    client.fault("list", times=1, wrong_json="null")
    answer = mine.page()
    assert answer.json() is None
    assert answer.headers["X-Pages"] == "3"
    client.fault("list", times=1, huge=1_000_000)
    assert len(mine.page().content) == 1_000_000
    client.fault("list", times=1, drip=0.0001)
    assert len(mine.page().json()) == 2
    client.fault("list", times=1, redirect=f"{client.url}/status")
    assert mine.page().history[0].status_code == 302
    assert [entry["status"] for entry in client.log("list")] == [
        200,
        502,
        200,
        429,
        200,
        200,
        200,
        302,
    ]
    assert sum(entry["fault"] for entry in client.log("list")) == 6


def test_a_fault_puts_odd_headers_into_a_normal_answer(start: Start) -> None:
    mine = reader(start())
    odd = {"X-Ratelimit-Limit": "1/7d", "Cache-Control": "max-age=99999999"}
    mine.client.fault("list", times=1, headers=odd)
    answer, normal = mine.page(), mine.page()
    assert {name: answer.headers[name] for name in odd} == odd
    assert answer.json() == normal.json()
    assert normal.headers["X-Ratelimit-Limit"] == "30/15m"
    assert answer.headers["ETag"] == normal.headers["ETag"]


def test_a_fault_edits_an_answer_whose_etag_is_then_another(start: Start) -> None:
    mine = reader(start())
    normal = mine.page()
    newest = normal.json()[0]
    mine.client.fault("list", times=1, edit={f'"{newest["killmail_hash"]}"': "null"})
    answer = mine.page()
    assert answer.json() == [newest | {"killmail_hash": None}, *normal.json()[1:]]
    assert answer.headers["X-Pages"] == normal.headers["X-Pages"]
    assert mine.page(1, **{"If-None-Match": answer.headers["ETag"]}).json() == normal.json()


@pytest.mark.sample
@pytest.mark.parametrize(
    "rule", [{"reset": True}, {"close": True}, {"hang": 0.05}, {"cut": True}], ids=str
)
def test_faults_that_break_the_connection(start: Start, rule: dict[str, Any]) -> None:
    client = start()
    mine = reader(client)
    client.fault("list", times=1, **rule)
    with pytest.raises(requests.RequestException):
        mine.page()
    assert mine.page().status_code == 200
    broken = client.log("list")[0]
    assert broken["fault"]
    assert broken["end"]
    assert broken["status"] == (200 if "cut" in rule else None)


def test_headers_may_drip_as_a_body_may(start: Start) -> None:
    client = start()
    mine = reader(client)
    client.fault("list", times=1, drip_head=0.001)
    began = time.monotonic()
    assert len(mine.page().json()) == 2
    assert time.monotonic() - began > 0.001 * len("HTTP/1.1 200 OK")


def test_a_huge_answer_counts_what_has_left(start: Start) -> None:
    client = start()
    mine = reader(client)
    client.fault("list", times=1, huge=1 << 30)
    client.session.stream = True
    with mine.page() as answer:
        assert len(answer.raw.read(100_000)) == 100_000
    assert mine.page().status_code == 200
    assert 100_000 <= client.log("list")[0]["sent"] < 1 << 28


@pytest.mark.parametrize(
    ("fault", "error"),
    [("refuse", requests.ConnectionError), ("unreachable", requests.ConnectTimeout)],
)
def test_the_whole_address_may_vanish_and_comes_back(
    start: Start, fault: str, error: type[Exception]
) -> None:
    client = start()
    mine = reader(client)
    idle = requests.Session()
    assert idle.get(f"{client.url}/_control/options").status_code == 200
    client.fault("list", times=1, **{fault: 6})
    with pytest.raises(requests.ConnectionError):
        mine.page()
    with pytest.raises(error):
        requests.get(client.url, timeout=0.2)
    with pytest.raises(requests.ConnectionError):
        idle.get(client.url, timeout=0.2)
    wait_until(lambda: is_reachable(client.url))
    assert mine.page().status_code == 200
    assert [entry["status"] for entry in client.log("list")] == [None, 200]


def is_reachable(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{url}/_control/options", timeout=1).ok
    return False


def test_an_effect_may_outlive_its_answer(start: Start) -> None:
    client = start(rotate=True)
    token = client.ready.logins[0].refresh_token
    client.fault("token", times=1, reset=True, after_effect=True)
    with pytest.raises(requests.ConnectionError):
        client.refresh(token)
    assert client.refresh(token).json()["error"] == "invalid_grant"
    assert client.log("token")[0]["character_id"] == client.ready.logins[0].character_id


def test_garbage_is_refused_and_survived(start: Start) -> None:
    client = start()
    address = ("127.0.0.1", urlsplit(client.url).port)
    for garbage in (b"\x16\x03\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\nx\r\n\r\n", b"a" * 70_000):
        with socket.create_connection(address) as raw, contextlib.suppress(ConnectionError):
            raw.sendall(garbage)
            assert raw.recv(1000).startswith(b"HTTP/1.1 4")
    with socket.create_connection(address) as raw:
        for part in (
            b"POST /universe/names HTTP/1.1\r\nUser-Agent: x\r\nX-Compatib",
            b"ility-Date: 2025-01-01\r\nContent-Length: 5\r\n\r\n[5",
            b"87]",
        ):
            raw.sendall(part)
            time.sleep(0.01)
        assert b'"Rifter"' in raw.recv(1000)


def test_no_secret_is_logged(start: Start) -> None:
    mine = reader(start())
    mine.page()
    text = mine.client.session.get(f"{mine.client.url}/_control/log").text
    assert mine.access not in text
    assert mine.client.ready.logins[0].refresh_token not in text
    assert '"authorized":true' in text


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([1, 2, 5])), max_size=40))
def test_tokens_come_back_one_window_after_they_were_spent(steps: list[tuple[int, int]]) -> None:
    allowance, bucket = Allowance("g", 30, 100), Bucket()
    spent: list[tuple[float, int]] = []
    now = 0.0
    for pause, cost in steps:
        now += pause
        expected = sum(paid for at, paid in spent if at + 100 > now)
        assert bucket.used(allowance, now) == expected
        wait = bucket.wait(allowance, now)
        assert (wait > 0) == (expected >= 30)
        assert sum(paid for at, paid in spent if at + 100 > now + wait) < 30
        if not wait:
            bucket.spend(cost, now)
            spent.append((now, cost))


def test_windows_are_announced_in_their_unit() -> None:
    windows = {15: "30/15s", 900: "30/15m", 3600: "30/1h", 86400: "30/1d", 90: "30/90s"}
    assert {window: Allowance("g", 30, window).label for window in windows} == windows


def test_the_error_limit_starts_again_after_its_reset() -> None:
    errors = ErrorLimit()
    for _ in range(3):
        errors.count(60, NOW)
    assert errors.exceeded(3, 60, NOW + 59)
    assert not errors.exceeded(3, 60, NOW + 60)


def test_options_change_all_or_none() -> None:
    options = Options()
    with pytest.raises(msgspec.ValidationError):
        change(options, {"rotate": True, "page_size": 0})
    assert not options.rotate
    with pytest.raises(msgspec.ValidationError):
        change(options, {"seed": 2})


def test_generated_killmails_are_like_real_ones() -> None:
    world = World(Options(characters=3, killmails=300), NOW)
    killmails = sorted(world.killmails.values(), key=lambda k: k.killmail_id)
    times = [k.killmail_time for k in killmails]
    assert times == sorted(times)
    assert NOW - 90 * 86400 < times[0] < times[-1] < NOW
    bodies = [make_body(1, k) for k in killmails]
    assert bodies == [make_body(1, k) for k in killmails]
    for killmail, body in zip(killmails, bodies, strict=True):
        assert recomputed_hash(body) == killmail.killmail_hash
    assert 6 < mean(len(body["attackers"]) for body in bodies) < 16
    assert 12 < mean(len(body["victim"].get("items", [])) for body in bodies) < 24
    kinds = Counter(kind for body in bodies for kind in kinds_of(body))
    assert min(kinds.values()) >= 5
    assert len(kinds) == 11


def recomputed_hash(body: dict[str, Any]) -> str:
    finals = [a for a in body["attackers"] if a["final_blow"]] or body["attackers"]
    return killmail_hash(
        Killmail(
            body["killmail_id"],
            int(datetime.fromisoformat(body["killmail_time"]).timestamp()),
            body["victim"].get("character_id"),
            finals[0].get("character_id"),
            body["victim"]["ship_type_id"],
        )
    )


def kinds_of(body: dict[str, Any]) -> Iterator[str]:
    victim = body["victim"]
    yield "no items" if "items" not in victim else "items" if victim["items"] else "empty items"
    yield "place" if "position" in victim else "no place"
    yield "player" if "character_id" in victim else "thing"
    for item in victim.get("items", []):
        if "items" in item:
            yield "container"
    for attacker in body["attackers"]:
        if "character_id" not in attacker:
            yield "npc" if "faction_id" in attacker else "structure"
    if "war_id" in body:
        yield "war"


def test_a_shared_killmail_is_in_two_lists() -> None:
    world = World(Options(characters=3, killmails=100, shared=0.2), NOW)
    lists = [{k.killmail_id for k in c.listed} for c in world.characters.values()]
    assert lists[0] & lists[1]
    assert sum(map(len, lists)) > len(set().union(*lists)) == 300
