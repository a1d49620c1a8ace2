"""Single answers about corporations: what is sent, what is believed, what is a fault.

The real client and sender; requests-mock answers in place of ESI. No test waits.
"""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import requests_mock

from killsync.errors import (
    Misshapen,
    NotSent,
    RateLimited,
    Refused,
    ServerFault,
    TooLarge,
    Unavailable,
)
from killsync.esi.buckets import body_bucket, list_bucket, public_bucket
from killsync.esi.client import COMPATIBILITY_DATE, Esi
from killsync.esi.corporations import corporation_name, corporations_of
from killsync.esi.ratelimit import Limits
from killsync.http import Http
from killsync.model import Priority, Reader, UserKind

URL = "https://esi.example"
AGENT = "killsync/1.0 (ops@example.com)"
NOW = 1_800_000_000.0
PILOT, OTHER, CORPORATION = 90000001, 90000002, 98000001
AFFILIATIONS: list[dict[str, Any]] = [
    {"character_id": PILOT, "corporation_id": CORPORATION, "alliance_id": 99000001},
    {"character_id": OTHER, "corporation_id": 98000002},
]
PUBLIC = {"name": "Some Holdings", "ticker": "HOLD", "member_count": 12, "tax_rate": 0.1}
HTML = "<html><body><h1>Bad Gateway</h1></body></html>"


class Client:
    """An Esi whose clock stands still, and what it is answered."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.mock = mock
        self.stopping = threading.Event()
        self.limits = Limits(reserve=0.0)
        self.http = Http(AGENT, self.stopping)
        self.esi = Esi(self.http, URL, self.limits, lambda: NOW)

    def affiliations(self, **answer: Any) -> dict[int, int]:
        self.mock.post(f"{URL}/characters/affiliation", **answer)
        return corporations_of(self.esi, [PILOT, OTHER])

    def name(self, **answer: Any) -> str:
        self.mock.get(f"{URL}/corporations/{CORPORATION}", **answer)
        return corporation_name(self.esi, CORPORATION)


@pytest.fixture
def client() -> Iterator[Client]:
    with requests_mock.Mocker() as mock:
        made = Client(mock)
        yield made
        made.http.close()


Question = Callable[..., Any]


@pytest.fixture(params=["affiliations", "name"])
def ask(client: Client, request: pytest.FixtureRequest) -> Question:
    """Ask either question."""
    question: Question = getattr(client, request.param)
    return question


def test_characters_are_sent_as_json_without_a_token(client: Client) -> None:
    assert client.affiliations(json=AFFILIATIONS) == {PILOT: CORPORATION, OTHER: 98000002}
    (request,) = client.mock.request_history
    assert (request.method, request.json()) == ("POST", [PILOT, OTHER])
    assert request.headers["X-Compatibility-Date"] == COMPATIBILITY_DATE
    assert request.headers["User-Agent"] == AGENT
    assert request.headers.keys().isdisjoint({"Authorization", "Cookie", "If-None-Match"})


def test_a_corporation_is_asked_for_without_a_token(client: Client) -> None:
    assert client.name(json=PUBLIC) == "Some Holdings"
    (request,) = client.mock.request_history
    assert (request.method, request.path) == ("GET", f"/corporations/{CORPORATION}")
    assert request.headers.keys().isdisjoint({"Authorization", "Cookie", "If-None-Match"})


def test_both_questions_share_a_limit_of_killsyncs_own(client: Client) -> None:
    client.affiliations(json=AFFILIATIONS)
    client.name(json=PUBLIC)
    (bucket,) = client.limits.take_changed()
    assert (bucket.group, bucket.remaining(NOW)) == (public_bucket().group, 96)


def test_a_character_may_be_left_out(client: Client) -> None:
    assert client.affiliations(json=AFFILIATIONS[:1]) == {PILOT: CORPORATION}


def test_affiliations_of_others_are_not_believed(client: Client) -> None:
    others = [{"character_id": 5, "corporation_id": CORPORATION}]
    assert client.affiliations(json=[*others, *AFFILIATIONS[:1]]) == {PILOT: CORPORATION}
    for answer in (others, []):
        with pytest.raises(Misshapen, match="other characters"):
            client.affiliations(json=answer)


def affiliation(**values: object) -> list[dict[str, object]]:
    return [AFFILIATIONS[0] | values]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        "",
        {"error": "none"},
        [None],
        [{"character_id": PILOT}],
        [{"corporation_id": CORPORATION}],
        *(affiliation(corporation_id=bad) for bad in (None, "98000001", 0, -1, 2**63, 1.5, True)),
        *(affiliation(character_id=bad) for bad in (None, "90000001", 0, 2**64, [PILOT])),
    ],
    ids=lambda answer: repr(answer)[:60],
)
def test_affiliations_of_the_wrong_shape_are_not_believed(client: Client, answer: object) -> None:
    with pytest.raises(Misshapen):
        client.affiliations(text=json.dumps(answer))
    assert client.mock.call_count == 1


NO_NAMES: tuple[object, ...] = (None, 5, False, [], "", "x" * 10_241)


@pytest.mark.parametrize(
    "answer",
    [None, [], "", {}, *({"name": bad} for bad in NO_NAMES)],
    ids=lambda answer: repr(answer)[:40],
)
def test_a_corporation_of_the_wrong_shape_has_no_name(client: Client, answer: object) -> None:
    with pytest.raises(Misshapen):
        client.name(text=json.dumps(answer))
    assert client.mock.call_count == 1


@pytest.mark.parametrize(
    "content",
    [b'{"name": "\\ud800 x"}', b'{"name": "\\udfff"}', b'{"name":"\xff"}', b'{"x":' * 100_000],
    ids=["high surrogate", "low surrogate", "not UTF-8", "deep"],
)
def test_what_cannot_be_text_is_no_name(client: Client, content: bytes) -> None:
    with pytest.raises((Misshapen, ServerFault)):
        client.name(content=content)


@pytest.mark.parametrize(
    "name",
    ["[bold]x[/]", "\x1b]0;x\x07", "a\x00b", "\u202eevil", "x" * 10_240, "'; DROP", "😀"],
)
def test_a_name_may_be_any_text(client: Client, name: str) -> None:
    assert client.name(json=PUBLIC | {"name": name}) == name


def test_an_unknown_corporation_is_said_to_be_that(client: Client) -> None:
    with pytest.raises(Refused, match=f"ESI knows no corporation {CORPORATION}") as raised:
        client.name(status_code=404, json={"error": "Corporation not found"})
    assert raised.value.status == 404


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 500, "text": '{"error":"oops"}'}, ServerFault),
        ({"status_code": 502, "text": HTML}, Unavailable),
        ({"status_code": 503}, Unavailable),
        ({"status_code": 304}, ServerFault),
        ({"status_code": 400, "text": '{"error":"bad"}'}, Refused),
        ({"status_code": 204}, Refused),
        ({"text": HTML}, ServerFault),
        ({"text": ""}, ServerFault),
        ({"text": "nul"}, ServerFault),
        ({"exc": requests.exceptions.ReadTimeout}, Unavailable),
        ({"exc": requests.exceptions.ConnectionError}, Unavailable),
        ({"status_code": 420}, RateLimited),
        ({"status_code": 429}, RateLimited),
        ({"status_code": 500, "text": '{"error":"Undefined 429 response."}'}, RateLimited),
    ],
)
def test_a_fault_is_not_tried_again(
    client: Client, ask: Question, answer: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        ask(**answer)
    assert not isinstance(raised.value, Misshapen)
    assert client.mock.call_count == 1


def test_a_huge_answer_is_refused(ask: Question) -> None:
    with pytest.raises((TooLarge, Misshapen)):
        ask(text=json.dumps([{"name": "x" * (40 << 20)}]))


def test_a_420_rests_every_route(client: Client, ask: Question) -> None:
    with pytest.raises(RateLimited):
        ask(status_code=420, headers={"X-ESI-Error-Limit-Reset": "31"})
    director = Reader(CORPORATION, UserKind.CORPORATION, PILOT)
    for bucket in (body_bucket(), list_bucket(director)):
        assert client.limits.ready_at(bucket, Priority.MANUAL, NOW) == NOW + 31


def test_a_429_rests_what_is_public_alone(client: Client, ask: Question) -> None:
    with pytest.raises(RateLimited):
        ask(status_code=429, headers={"Retry-After": "7"})
    assert client.limits.ready_at(public_bucket(), Priority.MANUAL, NOW) == NOW + 7
    assert client.limits.ready_at(body_bucket(), Priority.MANUAL, NOW) == NOW


def test_a_client_that_stops_asks_nothing(client: Client, ask: Question) -> None:
    client.stopping.set()
    with pytest.raises(NotSent):
        ask(json=PUBLIC)
    assert client.mock.call_count == client.esi.requests == 0
