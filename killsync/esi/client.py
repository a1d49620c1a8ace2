"""ESI's routes, typed in and out: booked before they are sent, settled by the answer.

Source of every fact: ESI's documentation and OpenAPI document, compatibility date 2026-07-21.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn

import msgspec
from msgspec import Meta

from killsync.errors import (
    AccessRejected,
    BodyRejected,
    KillmailUnknown,
    Misshapen,
    RateLimited,
    Refused,
    ServerFault,
    Unavailable,
)
from killsync.esi.headers import cache_time, etag, http_date, pages
from killsync.esi.ratelimit import Bucket, Limits, body_bucket, list_bucket, status_bucket
from killsync.http import Answer, Http
from killsync.killmail import body as killmail
from killsync.killmail.body import Killmail
from killsync.model import KillmailRef, Page, Priority
from killsync.times import retry_after

COMPATIBILITY_DATE = "2026-07-21"
SCOPE = "esi-killmails.read_killmails.v1"
# the text of an error may repeat the token, in base64 or quoted
_LIKE_A_SECRET = re.compile(r"[\w.~+/=%-]{20,}", re.ASCII)
_ERROR_LIMIT_REST = 60.0


class _ListedKillmail(msgspec.Struct):
    killmail_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    # it becomes part of a path
    killmail_hash: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{40}\Z")]


class StatusAnswer(msgspec.Struct, frozen=True):
    """ESI's answer to a status request; `date` is the time of its clock, if given."""

    status: int
    date: float | None


_any_json = msgspec.json.Decoder(msgspec.Raw)
_list_decoder = msgspec.json.Decoder(list[_ListedKillmail])


class Esi:
    """The client. All times are unix seconds of `clock`."""

    def __init__(
        self, http: Http, url: str, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._url = url
        self._limits = limits
        self._clock = clock
        self._decoding = threading.Lock()
        self.requests = 0

    def killmails(
        self, character_id: int, page: int, access_token: str, etag: str | None, priority: int
    ) -> Page:
        """Return one page of a character's list; with an `etag` it may be `unchanged`.

        Raises RateLimited, Unavailable, ServerFault, Misshapen, AccessRejected, Refused, NotSent
        or OutOfFiles.
        """
        headers = {"Authorization": f"Bearer {access_token}"}
        if etag is not None:
            headers["If-None-Match"] = etag
        path = f"/characters/{character_id}/killmails/recent?page={page}"
        bucket = list_bucket(character_id)

        def attempt() -> Page:
            answer = self._get(path, bucket, priority, headers)
            if answer.status == 404 and page > 1:
                return self._page(answer, [], past_end=True)
            if answer.status == 304 and etag is not None:
                return self._page(answer, [], unchanged=True)
            _raise_for_status(answer)
            refs = _decode_list(answer.body)
            return self._page(answer, refs, past_end=page > 1 and not refs)

        return self._http.patiently(attempt)

    def killmail(self, ref_id: int, ref_hash: str, priority: int) -> tuple[Killmail, int]:
        """Return a killmail's body, which needs no token, and how many bytes it had.

        Raises as `killmails`, KillmailUnknown (404, 422), or BodyRejected if it cannot be stored.
        """
        path = f"/killmails/{ref_id}/{ref_hash}"

        def attempt() -> tuple[Killmail, int]:
            answer = self._get(path, body_bucket(), priority, {})
            if answer.status in (404, 422):
                text = f"ESI says {answer.status}: {_reason(answer)}"
                raise KillmailUnknown(text, answer.status)
            _raise_for_status(answer)
            try:
                # one at a time: what a hostile body decodes to may be large
                with self._decoding:
                    return killmail.decode(answer.body, ref_id), len(answer.body)
            except BodyRejected as rejection:
                _raise_if_not_json(answer.body, rejection)

        return self._http.patiently(attempt)

    def status(self) -> StatusAnswer:
        """Ask once whether ESI is up, which needs no token.

        Raises Unavailable or ServerFault if no answer comes, RateLimited, NotSent or OutOfFiles.
        """
        answer = self._get("/status", status_bucket(), Priority.MANUAL, {})
        date, age = http_date(answer.headers.get("Date")), answer.headers.get("Age", "")
        if date is not None and age.isdecimal() and len(age) < 10:
            date += int(age)  # a cache on the way repeats an older answer
        return StatusAnswer(answer.status, date)

    def _get(self, path: str, bucket: Bucket, priority: int, headers: Mapping[str, str]) -> Answer:
        self._http.raise_if_stopping()
        self._limits.book(bucket, priority, self._clock())
        self.requests += 1
        answer: Answer | None = None
        try:
            answer = self._http.send(
                "GET",
                self._url + path,
                {
                    "Accept": "application/json",
                    "X-Compatibility-Date": COMPATIBILITY_DATE,
                    **headers,
                },
            )
        finally:
            status, seen = (answer.status, answer.headers) if answer else (None, {})
            self._limits.settle(bucket, self._clock(), status, seen)
        self._obey_rest(answer, bucket)
        self._limits.answered(bucket, self._clock())
        return answer

    def _obey_rest(self, answer: Answer, bucket: Bucket) -> None:
        now = self._clock()
        if answer.status == 420:
            seconds = retry_after(answer.headers.get("X-ESI-Error-Limit-Reset"), _ERROR_LIMIT_REST)
            until = self._limits.rest_all(now, seconds)
            raise RateLimited("ESI's error limit is used up (420)", until)
        # a 500 that says so is a throttle in disguise
        if answer.status == 429 or (answer.status == 500 and b"Undefined 429" in answer.body):
            seconds = retry_after(answer.headers.get("Retry-After"), bucket.window)
            until = self._limits.rest(bucket, now, seconds)
            raise RateLimited(f"ESI asks for a rest ({answer.status})", until)

    def _page(
        self,
        answer: Answer,
        refs: list[KillmailRef],
        *,
        unchanged: bool = False,
        past_end: bool = False,
    ) -> Page:
        return Page(
            refs=refs,
            pages=pages(answer.headers),
            etag=etag(answer.headers),
            modified=answer.headers.get("Last-Modified"),
            cached_until=self._clock() + cache_time(answer.headers),
            unchanged=unchanged,
            past_end=past_end,
        )


def _decode_list(body: bytes) -> list[KillmailRef]:
    try:
        return [KillmailRef(e.killmail_id, e.killmail_hash) for e in _list_decoder.decode(body)]
    except msgspec.ValidationError as error:
        raise Misshapen(f"ESI's list has the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServerFault("ESI's list is not JSON") from error


def _raise_if_not_json(body: bytes, rejection: BodyRejected) -> NoReturn:
    try:
        body.decode()
        # nothing is built: what a hostile body holds may need much memory
        _any_json.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError):
        # half a surrogate pair is JSON all the same
        if "surrogate" not in str(rejection):
            raise ServerFault("ESI's answer is not JSON") from None
    except RecursionError:
        pass
    raise rejection from None


def _reason(answer: Answer) -> str:
    """Return ESI's own reason, shortened; nothing of an HTML page, and no token."""
    try:
        text = str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given"
    text = _LIKE_A_SECRET.sub("...", text)
    return text.encode("ascii", "backslashreplace").decode()[:200]


def _raise_for_status(answer: Answer) -> None:
    status = answer.status
    if status == 200:
        return
    text = f"ESI says {status}: {_reason(answer)}"
    if status in (502, 503, 504):
        raise Unavailable(text, retry_after(answer.headers.get("Retry-After"), 0.0))
    if status >= 500 or status == 304:
        raise ServerFault(text, status)
    if status == 401 or (status == 403 and "expiry" in text):
        raise AccessRejected(text, status)
    raise Refused(text, status)
