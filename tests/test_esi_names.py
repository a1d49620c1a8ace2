"""Single answers to a request for names: what is sent, what is believed, what is a fault.

The real client and sender; requests-mock answers in place of ESI. No test waits.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import requests_mock

from killsync.errors import (
    IdsUnknown,
    Misshapen,
    NotSent,
    RateLimited,
    Refused,
    ServerFault,
    Unavailable,
)
from killsync.esi.buckets import body_bucket
from killsync.esi.client import COMPATIBILITY_DATE, Esi
from killsync.esi.ratelimit import Limits
from killsync.esi.universe import Named, Names, names
from killsync.http import Http
from killsync.model import Priority

URL = "https://esi.example"
AGENT = "killsync/1.0 (ops@example.com)"
NOW = 1_800_000_000.0
IDS = [90000001, 98000001]
ANSWER: list[dict[str, Any]] = [
    {"id": 90000001, "name": "Some Pilot", "category": "character"},
    {"id": 98000001, "name": "Some Corporation", "category": "corporation"},
]
NAMED = [Named(**entry) for entry in ANSWER]
UNKNOWN = '{"error":"Ensure all IDs are valid before resolving."}'
HTML = "<html><body><h1>404 Not Found</h1></body></html>"


class Client:
    """An Esi whose clock stands still, and what it is answered."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.mock = mock
        self.stopping = threading.Event()
        self.limits = Limits(reserve=0.0)
        self.http = Http(AGENT, self.stopping)
        self.esi = Esi(self.http, URL, self.limits, lambda: NOW)

    def ask(self, **answer: Any) -> Names:
        self.mock.post(f"{URL}/universe/names", **answer)
        return names(self.esi, IDS)


@pytest.fixture
def client() -> Iterator[Client]:
    with requests_mock.Mocker() as mock:
        made = Client(mock)
        yield made
        made.http.close()


def test_ids_are_sent_as_json_without_a_token(client: Client) -> None:
    assert client.ask(json=ANSWER) == Names(NAMED, None)
    (request,) = client.mock.request_history
    assert (request.method, request.json()) == ("POST", IDS)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Compatibility-Date"] == COMPATIBILITY_DATE
    assert request.headers["User-Agent"] == AGENT
    assert request.headers.keys().isdisjoint({"Authorization", "Cookie", "If-None-Match"})


@pytest.mark.parametrize(("text", "left"), [("49", 49), ("0", 0), ("-1", None), ("many", None)])
def test_an_answer_says_how_many_errors_are_left(
    client: Client, text: str, left: int | None
) -> None:
    headers = {"X-ESI-Error-Limit-Remain": text}
    assert client.ask(json=ANSWER, headers=headers).errors_left == left
    with pytest.raises(IdsUnknown) as raised:
        client.ask(status_code=404, text=UNKNOWN, headers=headers)
    assert raised.value.errors_left == left


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refused_batch_says_that_one_of_its_ids_is_unknown(client: Client, status: int) -> None:
    with pytest.raises(IdsUnknown, match="one of these ids is unknown"):
        client.ask(status_code=status, text=UNKNOWN)
    assert client.mock.call_count == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 404, "text": HTML}, ServerFault),
        ({"status_code": 500, "text": UNKNOWN}, ServerFault),
        ({"status_code": 502, "text": HTML}, Unavailable),
        ({"status_code": 503}, Unavailable),
        ({"status_code": 401, "text": UNKNOWN}, Refused),
        ({"status_code": 204}, Refused),
        ({"text": HTML}, ServerFault),
        ({"text": ""}, ServerFault),
        ({"text": json.dumps(ANSWER)[:-5]}, ServerFault),
        ({"content": b'[{"id":90000001,"name":"\xff","category":"character"}]'}, ServerFault),
        ({"exc": requests.exceptions.ReadTimeout}, Unavailable),
        ({"exc": requests.exceptions.ConnectionError}, Unavailable),
        ({"status_code": 420}, RateLimited),
        ({"status_code": 429}, RateLimited),
        ({"status_code": 500, "text": '{"error":"Undefined 429 response."}'}, RateLimited),
    ],
)
def test_a_fault_is_not_tried_again(
    client: Client, answer: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client.ask(**answer)
    # IdsUnknown would blame the ids
    assert isinstance(raised.value, kind)
    assert not isinstance(raised.value, IdsUnknown | Misshapen)
    assert client.mock.call_count == 1


def entry(**values: object) -> dict[str, object]:
    return ANSWER[0] | values


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"error": "none"},
        [],
        [None],
        [entry(), entry()],
        [entry(), entry(name="Another")],
        [entry(), entry(id=90000002)],
        *([entry(id=bad)] for bad in (None, "90000001", 0, -1, 2**63, 1.5, True)),
        *([entry(name=bad)] for bad in (None, 5, False, "x" * 10_241)),
        *([entry(category=bad)] for bad in (None, 7)),
        [{"id": 90000001, "name": "no category"}],
    ],
    ids=lambda answer: repr(answer)[:50],
)
def test_an_answer_of_the_wrong_shape_or_for_others_names_nobody(
    client: Client, answer: object
) -> None:
    with pytest.raises(Misshapen):
        client.ask(text=json.dumps(answer))
    assert client.mock.call_count == 1


@pytest.mark.parametrize(
    "name",
    ["", " ", "[bold]x[/]", "\x1b]0;x\x07", "a\x00b", "\u202eevil", "x" * 10_240, "'; DROP", "😀"],
)
def test_a_name_may_be_any_text(client: Client, name: str) -> None:
    assert client.ask(json=[entry(name=name)]).named == [Named(90000001, name, "character")]


def test_an_answer_may_leave_ids_out_and_name_new_fields(client: Client) -> None:
    assert client.ask(json=[entry(ticker="NEW")]).named == [NAMED[0]]


def test_a_420_rests_every_route(client: Client) -> None:
    with pytest.raises(RateLimited):
        client.ask(status_code=420, headers={"X-ESI-Error-Limit-Reset": "31"})
    assert client.limits.ready_at(body_bucket(), Priority.MANUAL, NOW) == NOW + 31


def test_a_limit_that_an_answer_names_is_believed(client: Client) -> None:
    headers = {"X-Ratelimit-Limit": "600/15m", "X-Ratelimit-Remaining": "1"}
    client.ask(json=ANSWER, headers=headers)
    with pytest.raises(RateLimited):
        client.ask(json=ANSWER)
    assert client.mock.call_count == 1


def test_a_run_that_stops_asks_for_no_names(client: Client) -> None:
    client.stopping.set()
    with pytest.raises(NotSent):
        client.ask(json=ANSWER)
    assert client.mock.call_count == client.esi.requests == 0
