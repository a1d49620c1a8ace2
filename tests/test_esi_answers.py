"""Single answers of ESI's: what is sent for each, what is made of it, and what the limits learn.

The real client and sender; requests-mock answers in place of ESI. No test waits.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import pytest
import requests
import requests_mock
import urllib3
from hostile_bodies import plain

from killsync.errors import (
    AccessRejected,
    BodyRejected,
    KillmailUnknown,
    Misshapen,
    NotSent,
    RateLimited,
    Refused,
    ServerFault,
    Unavailable,
)
from killsync.esi.client import COMPATIBILITY_DATE, Esi, StatusAnswer
from killsync.esi.ratelimit import ERROR_LIMIT, Bucket, Limits
from killsync.http import Http
from killsync.http.client import ATTEMPTS
from killsync.killmail.body import Killmail
from killsync.model import KillmailRef, Page, Priority, own_reader
from killsync.times import DAY, HOUR

Answer = dict[str, Any]

URL = "https://esi.example"
AGENT = "killsync/1.0 (ops@example.com)"
NOW = 1_800_000_000.0
CHARACTER = 90000001
KILLMAIL = 125_000_000
HASH = "a" * 40
TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
ETAG = '"5d41402abc4b2a76b9719d911017c592"'
REF = {"killmail_id": KILLMAIL, "killmail_hash": HASH}
HTML = "<html><head><title>502</title></head><body><h1>502 Bad Gateway</h1></body></html>"
LIST: Answer = {"json": [REF]}
BODY: Answer = {"text": json.dumps(plain(KILLMAIL))}
REASON = '{"error":"no luck"}'
THROTTLED = '{"error":"Undefined 429 response. Original message: Too many errors."}'


class Client:
    """An Esi whose clock stands still; answers are given in order, the last one for ever."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.mock = mock
        self.now = NOW
        self.stopping = threading.Event()
        self.limits = Limits(reserve=0.0)
        self.http = Http(AGENT, self.stopping)
        self.esi = Esi(self.http, URL, self.limits, lambda: self.now)

    def answer(self, *answers: Answer) -> None:
        self.mock.get(requests_mock.ANY, list(answers))

    def page(self, number: int = 1, etag: str | None = None, character: int = CHARACTER) -> Page:
        return self.esi.killmails(own_reader(character), number, TOKEN, etag, Priority.BACKGROUND)

    def body(self) -> Killmail:
        return self.esi.killmail(KILLMAIL, HASH, Priority.BACKGROUND)[0]

    def ask(self, route: str) -> object:
        """Ask for a page, a body or ESI's status."""
        if route == "status":
            return self.esi.status()
        return self.page() if route == "list" else self.body()

    @property
    def sent(self) -> int:
        return self.mock.call_count

    def buckets(self) -> dict[str, Bucket]:
        """Return what the limits have learnt since the last call, by group."""
        return {bucket.group: bucket for bucket in self.limits.take_changed()}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("killsync.http.client._LONGEST_WAIT", 0)
    with requests_mock.Mocker() as mock:
        made = Client(mock)
        yield made
        made.http.close()


def fails(client: Client, route: str, kind: type[Exception]) -> str:
    """Ask, and return the text of the error, which must be of exactly this class."""
    with pytest.raises(kind) as raised:
        client.ask(route)
    assert type(raised.value) is kind
    return str(raised.value)


def error(text: str) -> str:
    return json.dumps({"error": text})


# what is sent


def test_a_list_is_asked_for_with_token_agent_and_compatibility_date(client: Client) -> None:
    client.answer(LIST)
    client.page(number=3)
    (request,) = client.mock.request_history
    assert request.url == f"{URL}/characters/{CHARACTER}/killmails/recent?page=3"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["User-Agent"] == AGENT
    assert request.headers["X-Compatibility-Date"] == COMPATIBILITY_DATE
    assert request.headers["Accept"] == "application/json"
    assert "If-None-Match" not in request.headers


def test_an_etag_is_sent_back_as_it_was_given(client: Client) -> None:
    client.answer(LIST)
    client.page(etag=ETAG)
    assert client.mock.last_request is not None
    assert client.mock.last_request.headers["If-None-Match"] == ETAG


@pytest.mark.parametrize(
    ("route", "path"), [("body", f"/killmails/{KILLMAIL}/{HASH}"), ("status", "/status")]
)
def test_what_needs_no_token_is_asked_for_without_one(
    client: Client, route: str, path: str
) -> None:
    client.answer(BODY)
    client.ask(route)
    (request,) = client.mock.request_history
    assert request.url == URL + path
    assert request.headers["User-Agent"] == AGENT
    assert request.headers["X-Compatibility-Date"] == COMPATIBILITY_DATE
    assert request.headers.keys().isdisjoint({"Authorization", "If-None-Match", "Cookie"})


def test_a_token_of_an_earlier_list_does_not_go_with_a_body(client: Client) -> None:
    client.answer(LIST | {"headers": {"Set-Cookie": "session=1"}}, BODY)
    client.page()
    client.body()
    assert client.mock.last_request is not None
    assert client.mock.last_request.headers.keys().isdisjoint({"Authorization", "Cookie"})


@pytest.mark.parametrize("route", ["list", "body", "status"])
def test_a_run_that_stops_sends_and_books_nothing(client: Client, route: str) -> None:
    client.stopping.set()
    client.answer(LIST)
    fails(client, route, NotSent)
    assert (client.sent, client.esi.requests, client.buckets()) == (0, 0, {})


# answers that succeed


def test_a_page_holds_its_references_and_what_the_headers_say(client: Client) -> None:
    headers = {
        "ETag": ETAG,
        "X-Pages": "7",
        "Last-Modified": "Tue, 24 Nov 2026 03:00:00 GMT",
        "Expires": formatdate(NOW + 120, usegmt=True),
        "Date": formatdate(NOW, usegmt=True),
    }
    client.answer(LIST | {"headers": headers})
    assert client.page() == Page(
        refs=[KillmailRef(KILLMAIL, HASH)],
        pages=7,
        etag=ETAG,
        modified="Tue, 24 Nov 2026 03:00:00 GMT",
        cached_until=NOW + 120,
    )


def test_a_page_without_headers_is_taken_as_it_is(client: Client) -> None:
    client.answer(LIST)
    refs = [KillmailRef(KILLMAIL, HASH)]
    assert client.page() == Page(refs, None, None, None, cached_until=NOW + 300)


def test_fields_of_a_reference_that_are_not_known_are_ignored(client: Client) -> None:
    client.answer({"json": [REF | {"killmail_time": None}]})
    assert client.page().refs == [KillmailRef(KILLMAIL, HASH)]


def other(killmail_id: Any, killmail_hash: Any = HASH) -> Any:
    return {"killmail_id": killmail_id, "killmail_hash": killmail_hash}


NO_REFERENCES: list[Any] = [
    *(None, 7, "7", True, [], [7, HASH], {}, {"error": "none"}, {"killmail_id": 7}),
    *(other(i) for i in (None, 0, -5, 2**63, 10**400, "7", True, 7.5, 0.0, 2e18, [7])),
    *(other(7, h) for h in (None, 5, "", "a" * 39, "g" * 40, "\u0663" * 40, HASH + "\n", "../x")),
    json.loads("[" * 80 + "]" * 80),
]


@pytest.mark.long
@pytest.mark.parametrize("bad", NO_REFERENCES, ids=lambda bad: repr(bad)[:40])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_entry_that_is_no_reference_is_skipped_alone_after_a_second_look(
    client: Client, bad: Any, place: int
) -> None:
    entries = [REF, other(5)]
    entries.insert(place, bad)
    client.answer({"json": entries})
    page = client.page()
    assert (page.refs, page.skipped) == ([KillmailRef(KILLMAIL, HASH), KillmailRef(5, HASH)], 1)
    assert client.sent == 2


def test_an_entry_that_is_whole_at_the_second_look_is_not_skipped(client: Client) -> None:
    client.answer({"json": [REF, other(5, None)]}, {"json": [REF, other(5)]})
    page = client.page()
    assert (page.refs, page.skipped) == ([KillmailRef(KILLMAIL, HASH), KillmailRef(5, HASH)], 0)


def test_the_second_look_at_a_page_is_not_taken_from_an_outage(client: Client) -> None:
    bad: Answer = {"json": [REF, None]}
    client.answer(bad, {"status_code": 502}, bad)
    assert client.page().skipped == 1
    assert client.sent == 3


def test_an_id_with_a_fraction_of_zero_is_that_integer(client: Client) -> None:
    client.answer({"text": json.dumps([other(5.0), other(2.0**53), REF])})
    page = client.page()
    assert [ref.killmail_id for ref in page.refs] == [5, 2**53, KILLMAIL]
    assert all(type(ref.killmail_id) is int for ref in page.refs)
    assert page.skipped == 0
    assert client.sent == 1


def test_an_empty_page_1_is_an_empty_list_and_no_end(client: Client) -> None:
    client.answer({"json": []})
    page = client.page()
    assert (page.refs, page.past_end) == ([], False)


@pytest.mark.parametrize(
    "answer", [{"json": []}, {"status_code": 404, "text": error("Requested page does not exist!")}]
)
def test_a_later_page_that_is_missing_or_empty_lies_past_the_end(
    client: Client, answer: Answer
) -> None:
    client.answer(answer | {"headers": {"X-Pages": "2"}})
    page = client.page(number=3)
    assert (page.refs, page.past_end, page.pages, client.sent) == ([], True, 2, 1)


def test_a_304_leaves_the_list_unchanged_and_renews_its_cache_time(client: Client) -> None:
    headers = {"ETag": ETAG, "Cache-Control": "max-age=60", "X-Pages": "2"}
    client.answer({"status_code": 304, "headers": headers})
    page = client.page(etag=ETAG)
    assert (page.unchanged, page.refs, page.past_end) == (True, [], False)
    assert (page.etag, page.pages, page.cached_until) == (ETAG, 2, NOW + 60)
    assert client.sent == 1


def test_a_body_is_decoded_and_its_size_returned(client: Client) -> None:
    client.answer(BODY)
    body, size = client.esi.killmail(KILLMAIL, HASH, Priority.MANUAL)
    assert (body.killmail_id, size) == (KILLMAIL, len(BODY["text"]))
    assert client.esi.requests == client.sent == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ETAG, ETAG),
        (f"W/{ETAG}", f"W/{ETAG}"),
        ("", None),
        ("*", None),
        ("no quotes", None),
        ('"two", "tags"', None),
        ('"a b"', None),
        ('"tab\t"', None),
        (f'"{"x" * 200}"', f'"{"x" * 200}"'),
        (f'"{"x" * 201}"', None),
        ('w/"weak"', None),
    ],
)
def test_an_etag_is_kept_only_if_it_is_valid(
    client: Client, text: str, expected: str | None
) -> None:
    client.answer(LIST | {"headers": {"ETag": text}})
    assert client.page().etag == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("0", 0),
        ("999999999", 999999999),
        ("1000000000", None),
        ("9" * 5_000, None),
        ("-1", None),
        ("1.5", None),
        ("many", None),
        ("", None),
        ("\u00b2", None),
    ],
)
def test_x_pages_counts_only_if_it_is_a_number(
    client: Client, text: str, expected: int | None
) -> None:
    client.answer(LIST | {"headers": {"X-Pages": text}})
    assert client.page().pages == expected


def at(seconds: float) -> str:
    return formatdate(NOW + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache-Control": "public, max-age=600"}, 600),
        ({"Cache-Control": "MAX-AGE=600"}, 600),
        ({"Cache-Control": "no-cache"}, 300),
        ({"Cache-Control": "max-age"}, 300),
        ({"Cache-Control": "max-age=-5, max-age=1e9"}, 300),
        ({"Cache-Control": "max-age=0"}, 0),
        ({"Cache-Control": f"max-age={'9' * 4_000}"}, HOUR),
        ({"Expires": at(200), "Date": at(0)}, 200),
        ({"Expires": at(200), "Date": at(-50)}, 250),
        ({"Expires": at(200), "Date": at(0), "Cache-Control": "max-age=400"}, 400),
        ({"Expires": at(200), "Date": at(0), "Cache-Control": "max-age=100"}, 200),
        ({"Expires": at(200)}, 300),
        ({"Expires": at(DAY), "Date": at(0)}, HOUR),
        ({"Expires": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": at(0)}, HOUR),
        ({"Expires": "Fri, 99 Foo 99999 99:99:99 +9999", "Date": at(0)}, 300),
        ({"Expires": "-1", "Date": at(0)}, 300),
        ({"Expires": at(200), "Date": "today"}, 300),
    ],
)
def test_a_list_is_cached_as_long_as_its_headers_say_but_an_hour_at_most(
    client: Client, headers: dict[str, str], seconds: float
) -> None:
    client.answer(LIST | {"headers": headers})
    assert client.page().cached_until == NOW + seconds


# answers that fail: (route, answer, error, its text, how often it is asked for)

FAILURES: list[tuple[str, Answer, type[Exception], str, int]] = [
    # refused at once
    ("list", {"status_code": 400, "text": REASON}, Refused, "ESI says 400: no luck", 1),
    ("list", {"status_code": 401, "text": REASON}, AccessRejected, "ESI says 401: no luck", 1),
    (
        "list",
        {"status_code": 403, "text": error("token expiry is in the past")},
        AccessRejected,
        "ESI says 403: token expiry is in the past",
        1,
    ),
    (
        "list",
        {"status_code": 403, "text": error("Token is not valid for any required scope")},
        Refused,
        "ESI says 403: Token is not valid for any required scope",
        1,
    ),
    (
        "list",
        {"status_code": 403, "text": error("Character does not have required role(s)")},
        Refused,
        "ESI says 403: Character does not have required role(s)",
        1,
    ),
    ("list", {"status_code": 404, "text": REASON}, Refused, "ESI says 404: no luck", 1),
    ("list", {"status_code": 422, "text": REASON}, Refused, "ESI says 422: no luck", 1),
    ("body", {"status_code": 400, "text": HTML}, Refused, "ESI says 400: no reason given", 1),
    ("body", {"status_code": 404, "text": REASON}, KillmailUnknown, "ESI says 404: no luck", 1),
    (
        "body",
        {"status_code": 422, "text": error("Invalid killmail_id and/or killmail_hash")},
        KillmailUnknown,
        "ESI says 422: Invalid killmail_id and/or killmail_hash",
        1,
    ),
    # of the wrong shape
    (
        "list",
        {"json": {"error": "none"}},
        Misshapen,
        "ESI's list has the wrong shape: Expected `array`, got `object`",
        1,
    ),
    (
        "list",
        {"json": [{"killmail_id": 1}]},
        Misshapen,
        "ESI's list has the wrong shape: Object missing required field `killmail_hash` - at `$[0]`",
        1,
    ),
    (
        "list",
        {"json": [REF | {"killmail_id": 0}, None]},
        Misshapen,
        "ESI's list has the wrong shape: Expected `int` >= 1 - at `$[0].killmail_id`",
        1,
    ),
    (
        "body",
        {"text": json.dumps(plain(KILLMAIL + 1))},
        BodyRejected,
        f"killmail_id: expected {KILLMAIL}, got {KILLMAIL + 1}",
        1,
    ),
    (
        "body",
        {"text": BODY["text"].replace("30000142", '"Jita"')},
        BodyRejected,
        "solar_system_id: expected int, got str",
        1,
    ),
    # asked for again
    ("list", {"text": HTML}, ServerFault, "ESI's list is not JSON", ATTEMPTS),
    ("list", {"text": '[{"killmail_id":'}, ServerFault, "ESI's list is not JSON", ATTEMPTS),
    ("list", {"text": ""}, ServerFault, "ESI's list is not JSON", ATTEMPTS),
    ("list", {"json": [REF] * 20_000}, ServerFault, "ESI's list is larger than 1 MiB", ATTEMPTS),
    ("list", {"content": b"\xff"}, ServerFault, "ESI's list is not JSON", ATTEMPTS),
    ("body", {"text": HTML}, ServerFault, "ESI's answer is not JSON", ATTEMPTS),
    ("body", {"text": BODY["text"][:-5]}, ServerFault, "ESI's answer is not JSON", ATTEMPTS),
    ("body", {"text": ""}, ServerFault, "ESI's answer is not JSON", ATTEMPTS),
    *(
        ("body", {"text": text}, ServerFault, f"ESI's answer is not a killmail: {why}", ATTEMPTS)
        for text, why in (
            ("{}", "killmail_id: missing"),
            ("null", "the body: expected object, got null"),
            ("[]", "the body: expected object, got array"),
            ("[" * 9_999 + "]" * 9_999, "the body: nested deeper than 64 levels"),
            ('"text"', "the body: expected object, got str"),
            ("5", "the body: expected object, got int"),
            (REASON, "no luck"),
            (json.dumps({"error": f"not now, {TOKEN}"}), "not now, ..."),
        )
    ),
    ("list", {"status_code": 304}, ServerFault, "ESI says 304: no reason given", ATTEMPTS),
    ("body", {"status_code": 304}, ServerFault, "ESI says 304: no reason given", ATTEMPTS),
    *(
        (route, {"status_code": status, "text": REASON}, kind, f"ESI says {status}: no luck", 3)
        for route in ("list", "body")
        for status, kind in (
            (500, ServerFault),
            (502, Unavailable),
            (503, Unavailable),
            (504, Unavailable),
            (520, ServerFault),
        )
    ),
    (
        "body",
        {"status_code": 502, "text": HTML},
        Unavailable,
        "ESI says 502: no reason given",
        ATTEMPTS,
    ),
    (
        "list",
        {"exc": requests.ConnectionError(urllib3.exceptions.ProtocolError("aborted"))},
        Unavailable,
        "esi.example: the connection broke",
        ATTEMPTS,
    ),
    (
        "body",
        {"exc": requests.ReadTimeout()},
        Unavailable,
        "esi.example: no answer in time",
        ATTEMPTS,
    ),
    (
        "body",
        {"exc": requests.exceptions.ChunkedEncodingError()},
        ServerFault,
        "esi.example: the answer was cut short",
        ATTEMPTS,
    ),
]


def named(rows: list[tuple[str, Answer, type[Exception], str, int]]) -> list[str]:
    return [f"{route}: {text[:50]}" for route, _, _, text, _ in rows]


@pytest.mark.parametrize(("route", "answer", "kind", "text", "sent"), FAILURES, ids=named(FAILURES))
def test_an_answer_that_fails_has_its_error_text_and_number_of_attempts(
    client: Client, route: str, answer: Answer, kind: type[Exception], text: str, sent: int
) -> None:
    client.answer(answer)
    assert fails(client, route, kind) == text
    assert client.sent == client.esi.requests == sent


TRANSIENT = [row for row in FAILURES if row[4] == ATTEMPTS]


@pytest.mark.parametrize(
    ("route", "answer", "kind", "text", "sent"), TRANSIENT, ids=named(TRANSIENT)
)
def test_what_fails_twice_and_then_succeeds_is_no_failure(
    client: Client, route: str, answer: Answer, kind: type[Exception], text: str, sent: int
) -> None:
    client.answer(answer, answer, LIST if route == "list" else BODY)
    assert client.ask(route)
    assert client.sent == sent


@pytest.mark.parametrize(
    "text",
    ["", HTML, "[]", '"error"', '{"message":"x"}', "[" * 100_000, error("much " * 20_000)],
    ids=["empty", "HTML", "array", "text", "no error", "nested", "long"],
)
def test_an_error_without_a_reason_says_so(client: Client, text: str) -> None:
    client.answer({"status_code": 400, "text": text})
    assert fails(client, "list", Refused) == "ESI says 400: no reason given"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"bad token {TOKEN}!", "bad token ...!"),
        ("bad \u202eluck", "bad \\u202eluck"),
        ("many words " * 100, ("many words " * 100)[:200]),
        ({"code": 5}, "{'code': 5}"),
    ],
    ids=["a token", "not ASCII", "long", "an object"],
)
def test_a_reason_is_shortened_and_shows_no_token(client: Client, said: object, shown: str) -> None:
    client.answer({"status_code": 400, "json": {"error": said}})
    assert fails(client, "list", Refused) == f"ESI says 400: {shown}"


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("soon", 0.0), ("-1", 0.0), (None, 0.0), ("9" * 400, DAY)]
)
def test_an_outage_says_how_long_to_wait_before_the_next_attempt(
    client: Client, header: str | None, seconds: float
) -> None:
    headers = {} if header is None else {"Retry-After": header}
    client.answer({"status_code": 503, "headers": headers})
    with pytest.raises(Unavailable) as raised:
        client.page()
    assert raised.value.retry_after == seconds


# ESI's own status


@pytest.mark.parametrize("status", [200, 304, 403, 500, 502, 503, 504, 520])
def test_whatever_status_esi_answers_is_reported_after_one_request(
    client: Client, status: int
) -> None:
    client.answer({"status_code": status, "text": HTML, "headers": {"Date": at(-3)}})
    assert client.esi.status() == StatusAnswer(status, NOW - 3)
    assert client.sent == 1


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        ({}, None),
        ({"Date": "today"}, None),
        ({"Age": "40"}, None),
        ({"Date": at(-60), "Age": "40"}, NOW - 20),
        ({"Date": at(-60), "Age": "-40"}, NOW - 60),
        ({"Date": at(-60), "Age": "9" * 10}, NOW - 60),
    ],
)
def test_the_time_of_esis_clock_is_its_date_and_the_age_of_the_answer(
    client: Client, headers: dict[str, str], date: float | None
) -> None:
    client.answer({"headers": headers})
    assert client.esi.status() == StatusAnswer(200, date)


def test_a_status_request_that_gets_no_answer_is_not_sent_again(client: Client) -> None:
    client.answer({"exc": requests.ConnectTimeout()})
    assert fails(client, "status", Unavailable) == "esi.example: no answer in time"
    assert client.sent == 1


# what the limits remember

GROUPS = {"list": "char-killmail", "body": "killmail", "status": "status"}
FULL = {"list": 30, "body": 3600, "status": 600}
RESTS = [
    ({"status_code": 429}, "ESI asks for a rest (429)"),
    ({"status_code": 500, "text": THROTTLED}, "ESI asks for a rest (500)"),
]
REST_IDS = ["429", "500 that is a throttle"]


@pytest.mark.parametrize("route", GROUPS)
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("200", 200),
        (None, 900),
        ("soon", 900),
        ("-1", 900),
        ("0.5", 900),
        (at(200), 900),
        ("9" * 4_000, HOUR),
    ],
)
@pytest.mark.parametrize(("answer", "text"), RESTS, ids=REST_IDS)
def test_a_throttled_bucket_rests_as_long_as_asked_or_for_its_window(
    client: Client, answer: Answer, text: str, header: str | None, seconds: float, route: str
) -> None:
    client.answer(answer | {"headers": {} if header is None else {"Retry-After": header}})
    with pytest.raises(RateLimited, match=text.replace("(", r"\(").replace(")", r"\)")) as raised:
        client.ask(route)
    assert raised.value.until == NOW + seconds
    (bucket,) = client.limits.take_changed()
    assert (bucket.group, bucket.retry_at) == (GROUPS[route], NOW + seconds)
    # neither costs a token
    assert bucket.remaining(NOW) == FULL[route]
    assert client.sent == 1


@pytest.mark.parametrize("route", ["list", "body"])
@pytest.mark.parametrize(("answer", "text"), RESTS, ids=REST_IDS)
def test_a_resting_bucket_is_left_alone_until_its_time(
    client: Client, answer: Answer, text: str, route: str
) -> None:
    other = "body" if route == "list" else "list"
    good = {"list": LIST, "body": BODY}
    client.answer(answer | {"headers": {"Retry-After": "200"}}, good[other], good[route])
    assert fails(client, route, RateLimited) == text
    client.now += 199
    assert "rests until 2027-01-15T08:03:20Z" in fails(client, route, RateLimited)
    assert client.sent == client.esi.requests == 1
    client.ask(other)
    client.now += 1
    client.ask(route)
    assert client.sent == 3


def test_the_rest_of_one_characters_list_is_no_other_characters(client: Client) -> None:
    client.answer({"status_code": 429}, LIST)
    fails(client, "list", RateLimited)
    assert client.page(character=CHARACTER + 1).refs
    (_, other) = client.limits.take_changed()
    assert (other.key, other.retry_at) == (str(CHARACTER + 1), None)


@pytest.mark.parametrize("route", GROUPS)
@pytest.mark.parametrize(
    ("header", "seconds"), [("40", 40), (None, 60), ("soon", 60), ("9" * 4_000, HOUR)]
)
def test_a_420_rests_everything_until_the_reset_or_for_60_seconds(
    client: Client, header: str | None, seconds: float, route: str
) -> None:
    headers = {} if header is None else {"X-ESI-Error-Limit-Reset": header}
    client.answer({"status_code": 420, "headers": headers}, LIST)
    with pytest.raises(RateLimited, match=r"^ESI's error limit is used up \(420\)$") as raised:
        client.ask(route)
    assert raised.value.until == NOW + seconds
    assert client.buckets()[ERROR_LIMIT].retry_at == NOW + seconds
    client.now += seconds - 1
    for asked in GROUPS:
        fails(client, asked, RateLimited)
    assert client.sent == 1
    client.now += 1
    assert client.page()
    assert client.sent == 2


@pytest.mark.parametrize(
    ("route", "answer", "spent"),
    [
        ("list", LIST, 2),
        ("list", {"status_code": 403, "text": REASON}, 5),
        ("list", {"status_code": 420}, 5),
        ("list", {"status_code": 500}, 0),
        ("list", {"status_code": 503}, 0),
        ("list", {"text": HTML}, 2 * ATTEMPTS),
        ("list", {"exc": requests.ReadTimeout()}, 2 * ATTEMPTS),
        ("body", BODY, 2),
        ("body", {"status_code": 422}, 5),
        ("body", {"text": "[]"}, 2 * ATTEMPTS),
        ("body", {"text": BODY["text"].replace("30000142", '"Jita"')}, 2),
        ("list", {"json": [REF, None]}, 4),
        ("body", {"status_code": 504}, 0),
        ("status", {}, 2),
    ],
)
def test_an_answer_costs_what_its_status_costs_and_a_lost_one_what_was_booked(
    client: Client, route: str, answer: Answer, spent: int
) -> None:
    client.answer(answer)
    with suppress(Refused, BodyRejected, Unavailable, RateLimited):
        client.ask(route)
    assert client.buckets()[GROUPS[route]].remaining(NOW) == FULL[route] - spent


def test_a_304_costs_one_token(client: Client) -> None:
    client.answer({"status_code": 304})
    client.page(etag=ETAG)
    assert client.buckets()["char-killmail"].remaining(NOW) == 29


@pytest.mark.parametrize(
    ("headers", "limit", "window", "remaining"),
    [
        ({"X-Ratelimit-Limit": "12/30m"}, 12, 1800, 10),
        ({"X-Ratelimit-Limit": "12/30m", "X-Ratelimit-Remaining": "3"}, 12, 1800, 3),
        ({"X-Ratelimit-Remaining": "3"}, 30, 900, 3),
        ({"X-Ratelimit-Remaining": "29"}, 30, 900, 28),
        ({"X-Ratelimit-Limit": "0/0s", "X-Ratelimit-Remaining": "-1"}, 30, 900, 28),
        ({"X-Ratelimit-Limit": "many", "X-Ratelimit-Remaining": "9" * 5_000}, 30, 900, 28),
        ({"X-Ratelimit-Limit": "9" * 40 + "/15m", "X-Ratelimit-Remaining": "\u00b2"}, 30, 900, 28),
    ],
)
def test_a_limit_is_learnt_from_the_headers_if_they_can_be_believed(
    client: Client, headers: dict[str, str], limit: int, window: float, remaining: int
) -> None:
    client.answer(LIST | {"headers": headers})
    client.page()
    bucket = client.buckets()["char-killmail"]
    assert (bucket.limit, bucket.window, bucket.remaining(NOW)) == (limit, window, remaining)


@pytest.mark.parametrize("route", ["list", "body"])
def test_the_limits_of_an_answer_that_fails_are_learnt_too(client: Client, route: str) -> None:
    limit = FULL[route] // 2
    headers = {"X-Ratelimit-Limit": f"{limit}/1h", "X-Ratelimit-Remaining": "0"}
    client.answer({"status_code": 403, "headers": headers})
    fails(client, route, Refused)
    bucket = client.buckets()[GROUPS[route]]
    assert (bucket.limit, bucket.window, bucket.remaining(NOW)) == (limit, 3600, 0)
    fails(client, route, RateLimited)
    assert client.sent == 1


def test_a_retry_that_the_limit_does_not_allow_is_not_sent(client: Client) -> None:
    spent = {"headers": {"X-Ratelimit-Remaining": "0"}}
    client.answer({"status_code": 500} | spent)
    fails(client, "list", RateLimited)
    assert client.sent == 1
