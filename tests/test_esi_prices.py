"""ESI's market prices: how they are asked for, and what is made of every answer.

The real client and sender; requests-mock answers in place of ESI. No test waits.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests_mock

from killsync.errors import Misshapen, RateLimited, Refused, ServerFault, Unavailable
from killsync.esi import prices
from killsync.esi.buckets import body_bucket
from killsync.esi.client import COMPATIBILITY_DATE, Esi
from killsync.esi.prices import decode
from killsync.esi.ratelimit import Limits
from killsync.http import Http
from killsync.model import Priority, TypePrice

URL = "https://esi.example"
NOW = 1_800_000_000.0
GOOD = {"type_id": 34, "average_price": 4.31, "adjusted_price": 4.5}


class Client:
    """An Esi whose clock stands still."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.mock = mock
        self.limits = Limits(reserve=0.2)
        self.http = Http("killsync/1.0 (ops@example.com)", threading.Event())
        self.esi = Esi(self.http, URL, self.limits, lambda: NOW)

    def ask(self, **answer: Any) -> list[TypePrice]:
        self.mock.get(f"{URL}/markets/prices", **answer)
        return prices.prices(self.esi)


@pytest.fixture
def client() -> Iterator[Client]:
    with requests_mock.Mocker() as mock:
        made = Client(mock)
        yield made
        made.http.close()


def decoded(*entries: object) -> list[TypePrice]:
    return decode(json.dumps(entries).encode())


def test_prices_are_asked_for_without_a_token(client: Client) -> None:
    assert client.ask(json=[GOOD]) == [TypePrice(34, 4.31, 4.5)]
    (request,) = client.mock.request_history
    assert request.headers["X-Compatibility-Date"] == COMPATIBILITY_DATE
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, Refused), (400, Refused), (500, ServerFault), (502, Unavailable), (503, Unavailable)],
)
def test_an_error_is_not_tried_again(client: Client, status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        client.ask(status_code=status, json={"error": "no luck"})
    assert client.mock.call_count == 1


def test_the_error_limit_stops_bodies_too(client: Client) -> None:
    with pytest.raises(RateLimited):
        client.ask(status_code=420, headers={"X-ESI-Error-Limit-Reset": "44"})
    assert client.limits.ready_at(body_bucket(), Priority.MANUAL, NOW) == NOW + 44


def test_a_rest_that_the_route_is_asked_for_stops_no_bodies(client: Client) -> None:
    with pytest.raises(RateLimited) as limited:
        client.ask(status_code=429, headers={"Retry-After": "600"})
    assert limited.value.until == NOW + 600
    assert client.limits.ready_at(body_bucket(), Priority.GAP, NOW) == NOW


def test_each_type_comes_once_by_rising_id_and_its_first_entry_counts() -> None:
    again = {"type_id": 34, "average_price": 9.0}
    assert decoded(GOOD, {"type_id": 18, "adjusted_price": 1}, again) == [
        TypePrice(18, None, 1.0),
        TypePrice(34, 4.31, 4.5),
    ]


def test_fields_that_are_not_known_do_not_matter() -> None:
    assert decoded(GOOD | {"volume": [1, {}]}) == [TypePrice(34, 4.31, 4.5)]


@pytest.mark.parametrize(
    "entry",
    [
        '{"type_id": 18, "average_price": -0.01}',
        '{"type_id": 18, "average_price": 1, "adjusted_price": -1}',
        '{"type_id": 18, "average_price": 1e400}',
        '{"type_id": 18, "average_price": 1e16}',
        '{"type_id": 18, "average_price": "5"}',
        '{"type_id": 18, "average_price": [5]}',
        '{"type_id": 18, "average_price": ' + "9" * 5000 + "}",
        '{"type_id": 18}',
        '{"type_id": 18, "average_price": null}',
        '{"type_id": 0, "average_price": 1}',
        '{"type_id": -18, "average_price": 1}',
        '{"type_id": 9223372036854775808, "average_price": 1}',
        '{"type_id": true, "average_price": 1}',
        '{"type_id": "18", "average_price": 1}',
        '{"average_price": 1}',
        "[18, 1]",
        "null",
        "18",
        "{}",
    ],
)
def test_an_entry_that_is_no_price_is_left_out(entry: str) -> None:
    assert decode(f"[{entry},{json.dumps(GOOD)}]".encode()) == [TypePrice(34, 4.31, 4.5)]


@pytest.mark.parametrize("answer", ["{}", "null", "[]", "5", '"[]"', '{"error": "x"}', "[{}, 1]"])
def test_an_answer_without_any_price_is_refused(answer: str) -> None:
    with pytest.raises(Misshapen):
        decode(answer.encode())


@pytest.mark.parametrize(
    "answer",
    [b"", b"[", b"<html>", b'[{"type_id": 18, "average_price": NaN}]', b"\xff", b"[" * 100_000],
)
def test_an_answer_that_is_not_json_is_a_fault(answer: bytes) -> None:
    with pytest.raises(ServerFault):
        decode(answer)


def test_a_list_too_long_for_memory_is_refused_unread() -> None:
    with pytest.raises(Misshapen, match="far too long"):
        decode(b"[" + b"1," * 1_100_000 + b"1]")
