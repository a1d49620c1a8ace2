"""ESI's routes, typed in and out: booked before they are sent, settled by the answer.

Source of every fact: ESI's documentation and OpenAPI document, compatibility date 2026-07-21.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from killsync.errors import (
    AccessRejected,
    BodyRejected,
    KillmailUnknown,
    NotAKillmail,
    RateLimited,
    Refused,
    ServerFault,
    Unavailable,
)
from killsync.esi import listed
from killsync.esi.buckets import body_bucket, list_bucket, status_bucket
from killsync.esi.headers import cache_time, etag, http_date, pages
from killsync.esi.ratelimit import Bucket, Limits
from killsync.http import Answer, Http
from killsync.killmail import body as killmail
from killsync.killmail.body import Killmail
from killsync.killmail.raw import has_many_parts
from killsync.model import KillmailRef, Page, Priority, Reader, UserKind
from killsync.times import retry_after

COMPATIBILITY_DATE = "2026-07-21"
SCOPE = "esi-killmails.read_killmails.v1"
CORPORATION_SCOPE = "esi-killmails.read_corporation_killmails.v1"
_LISTS = {UserKind.CHARACTER: "characters", UserKind.CORPORATION: "corporations"}
# the text of an error may repeat the token, in base64 or quoted
_LIKE_A_SECRET = re.compile(r"[\w.~+/=%-]{20,}", re.ASCII)
_LONGEST_REASON = 65536
_ERROR_LIMIT_REST = 60.0
# what ESI never saw costs as much as an answer that says that it is down
_COSTS_NOTHING = 503


class StatusAnswer(msgspec.Struct, frozen=True):
    """ESI's answer to a status request; `date` is the time of its clock, if given."""

    status: int
    date: float | None


_any_json = msgspec.json.Decoder(msgspec.Raw)


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
        self, reader: Reader, page: int, access_token: str, etag: str | None, priority: int
    ) -> Page:
        """Return one page of a user's list; with an `etag` it may be `unchanged`.

        A page with entries that are no references is read again before they are skipped.

        Raises RateLimited, Unavailable, ServerFault, Misshapen, AccessRejected, Refused, NotSent
        or OutOfFiles.
        """
        headers = {"Authorization": f"Bearer {access_token}"}
        if etag is not None:
            headers["If-None-Match"] = etag
        path = f"/{_LISTS[reader.kind]}/{reader.user_id}/killmails/recent?page={page}"
        bucket = list_bucket(reader)
        seen_before = False

        def attempt() -> Page:
            nonlocal seen_before
            answer = self.ask(path, bucket, priority, headers)
            if answer.status == 404 and page > 1:
                return self._page(answer, [], past_end=True)
            if answer.status == 304 and etag is not None:
                # it vouches for what was sent, whatever ETag it names
                return msgspec.structs.replace(self._page(answer, [], unchanged=True), etag=etag)
            raise_for_status(answer)
            refs, skipped = listed.decode(answer.body)
            if skipped and not seen_before:
                seen_before = True
                raise ServerFault(f"{skipped} entries of ESI's list are no references to killmails")
            return self._page(answer, refs, past_end=page > 1 and not refs, skipped=skipped)

        return self._http.patiently(attempt)

    def killmail(self, ref_id: int, ref_hash: str, priority: int) -> tuple[Killmail, int]:
        """Return a killmail's body, which needs no token, and how many bytes it had.

        Raises as `killmails`, KillmailUnknown (404, 422), or BodyRejected if it cannot be stored;
        an answer that is no killmail at all is a ServerFault.
        """
        path = f"/killmails/{ref_id}/{ref_hash}"

        def attempt() -> tuple[Killmail, int]:
            answer = self.ask(path, body_bucket(), priority, {}, keeps_turn=True)
            if answer.status in (404, 422):
                text = f"ESI says {answer.status}: {_reason(answer)}"
                raise KillmailUnknown(text, answer.status)
            raise_for_status(answer)
            return self._decode_body(answer, ref_id), len(answer.body)

        def attempt_in_turn() -> tuple[Killmail, int]:
            try:
                return attempt()
            finally:
                self._http.large.give_back()

        return self._http.patiently(attempt_in_turn)

    def status(self) -> StatusAnswer:
        """Ask once whether ESI is up, which needs no token.

        Raises Unavailable or ServerFault if no answer comes, RateLimited, NotSent or OutOfFiles.
        """
        answer = self.ask("/status", status_bucket(), Priority.MANUAL, {})
        date, age = http_date(answer.headers.get("Date")), answer.headers.get("Age", "")
        if date is not None and age.isdecimal() and len(age) < 10:
            date += int(age)  # a cache on the way repeats an older answer
        return StatusAnswer(answer.status, date)

    def ask(
        self,
        path: str,
        bucket: Bucket,
        priority: int,
        headers: Mapping[str, str],
        *,
        body: str | None = None,
        keeps_turn: bool = False,
    ) -> Answer:
        """Send one request, once: a POST if it has a `body`, which is JSON.

        It is booked before and settled by the answer, whose status is the caller's to judge.
        Raises RateLimited, also if the answer asks for a rest, Unavailable, ServerFault, TooLarge,
        NotSent or OutOfFiles.
        """
        self._http.raise_if_stopping()
        self._limits.book(bucket, priority, self._clock())
        self.requests += 1
        answer: Answer | None = None
        unsent = False
        try:
            answer = self._http.send(
                "GET" if body is None else "POST",
                self._url + path,
                {
                    "Accept": "application/json",
                    "X-Compatibility-Date": COMPATIBILITY_DATE,
                    **({} if body is None else {"Content-Type": "application/json"}),
                    **headers,
                },
                body,
                keeps_turn=keeps_turn,
            )
        except Unavailable as error:
            unsent = not error.was_sent
            raise
        finally:
            lost = _COSTS_NOTHING if unsent else None
            status, seen = (answer.status, answer.headers) if answer else (lost, {})
            self._limits.settle(bucket, self._clock(), status, seen)
        self._obey_rest(answer, bucket)
        self._limits.answered(bucket, self._clock())
        return answer

    def _decode_body(self, answer: Answer, killmail_id: int) -> Killmail:
        if has_many_parts(answer.body):
            self._http.large.take()
        # one at a time: what a hostile body decodes to may be large
        with self._decoding:
            try:
                decoded = killmail.decode(answer.body, killmail_id)
            except BodyRejected as rejection:
                _raise_whose_fault(answer, rejection)
        # the next large one comes when this one is stored
        self._http.large.hand_over(decoded)
        return decoded

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
        skipped: int = 0,
    ) -> Page:
        return Page(
            refs=refs,
            pages=pages(answer.headers),
            etag=etag(answer.headers),
            modified=answer.headers.get("Last-Modified"),
            cached_until=self._clock() + cache_time(answer.headers),
            unchanged=unchanged,
            past_end=past_end,
            skipped=skipped,
        )


def _raise_whose_fault(answer: Answer, rejection: BodyRejected) -> NoReturn:
    """Raise ServerFault if an answer is not JSON or no killmail at all, else the rejection."""
    body = answer.body
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
    if isinstance(rejection, NotAKillmail):
        reason = reason_or_none(answer) or rejection
        raise ServerFault(f"ESI's answer is not a killmail: {reason}") from None
    raise rejection from None


def _reason(answer: Answer) -> str:
    """Return ESI's own reason, shortened; nothing of an HTML page, and no token."""
    return reason_or_none(answer) or "no reason given"


def reason_or_none(answer: Answer) -> str | None:
    """Return ESI's own reason as `_reason` does, None if the answer gives none."""
    if len(answer.body) > _LONGEST_REASON:
        return None  # what a hostile answer holds may need much memory
    try:
        text = str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    text = _LIKE_A_SECRET.sub("...", text)
    return text.encode("ascii", "backslashreplace").decode()[:200]


def raise_for_status(answer: Answer) -> None:
    """Raise what an answer's status means, unless it is 200.

    Raises Unavailable, ServerFault, AccessRejected or Refused.
    """
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
