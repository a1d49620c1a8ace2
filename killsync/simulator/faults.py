"""Rules that make selected requests fail, and how each rule changes the answer."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal

import msgspec

from killsync.simulator.lists import etag_of
from killsync.simulator.routes import Target
from killsync.simulator.wire import Answer

Route = Literal[
    "list", "corp_list", "body", "names", "affiliation", "corporation", "prices", "status",
    "metadata", "authorize", "token", "jwks", "revoke", "archive", "totals", "zkb", "any",
]  # fmt: skip
Seconds = Annotated[float, msgspec.Meta(ge=0)]

_HTML = b"<html><head><title>%d</title></head><body><h1>%d Bad Gateway</h1></body></html>"


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One rule: which requests it covers, how many of them, and what it does to them.

    `headers` alone are put into the normal answer; `edit` maps texts in it to what stands there
    instead.
    """

    route: Route = "any"
    character_id: int | None = None
    corporation_id: int | None = None
    page: int | None = None
    killmail_id: int | None = None
    day: date | None = None
    after: int = 0
    times: int | None = None

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    keep_limit_headers: bool = True
    html: bool = False
    redirect: str | None = None
    huge: Annotated[int, msgspec.Meta(ge=0)] | None = None
    reset: bool = False
    close: bool = False
    hang: Seconds | None = None
    delay: Seconds = 0
    cut: bool = False
    wrong_json: str | None = None
    edit: dict[str, str] = {}
    drip: Seconds | None = None
    drip_head: Seconds | None = None
    refuse: Seconds | None = None
    unreachable: Seconds | None = None
    after_effect: bool = False

    @property
    def withholds_answer(self) -> bool:
        """Return whether the client gets no answer at all."""
        silent = (self.hang, self.refuse, self.unreachable)
        return self.reset or self.close or any(seconds is not None for seconds in silent)

    @property
    def streams(self) -> bool:
        """Return whether the answer is streamed rather than written at once."""
        slow = (self.huge, self.drip, self.drip_head)
        return any(amount is not None for amount in slow)

    def covers(self, target: Target) -> bool:
        """Return whether the rule is about this request."""
        return (
            self.route in ("any", target.route)
            and self.character_id in (None, target.character_id)
            and self.corporation_id in (None, target.corporation_id)
            and self.page in (None, target.page)
            and self.killmail_id in (None, target.killmail_id)
            and self.day in (None, target.day)
        )

    def replacement(self) -> Answer | None:
        """Return the answer to send instead of the normal one, or None."""
        if self.redirect is not None:
            return Answer(self.status or 302, b"", {"Location": self.redirect} | self.headers)
        if self.huge is not None:
            return Answer(200, b"", dict(self.headers))
        if self.html:
            status = self.status or 502
            return Answer(status, _HTML % (status, status), dict(self.headers), "text/html")
        if self.status is not None:
            body = '{"error":"simulated"}' if self.body is None else self.body
            return Answer(self.status, body.encode(), dict(self.headers))
        return None


class FaultRules:
    """The rules in the order they were added; the first active one that matches wins."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> None:
        """Add a rule."""
        self._rules.append((fault, [0]))

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()

    def match(self, target: Target) -> Fault | None:
        """Return the rule for a request, if any; each rule counts the requests it covers."""
        for fault, seen in self._rules:
            if not fault.covers(target):
                continue
            seen[0] += 1
            position = seen[0] - fault.after
            if position > 0 and (fault.times is None or position <= fault.times):
                return fault
        return None


def apply(fault: Fault | None, effect: Callable[[], Answer]) -> Answer:
    """Answer under a fault; `effect` carries out the request and may never be called."""
    if fault is None:
        return effect()
    replacement = fault.replacement()
    if fault.withholds_answer or replacement is not None:
        lost = effect() if fault.after_effect else Answer(0)
        return lost if fault.withholds_answer or replacement is None else replacement
    answer = effect()
    if fault.wrong_json is not None:
        return _with_content(answer, 200, fault.wrong_json.encode(), fault)
    if fault.edit and answer.body:
        # an archive is no text
        body = answer.body
        for found, put in fault.edit.items():
            body = body.replace(found.encode(), put.encode())
        return _with_content(answer, answer.status, body, fault)
    answer.headers = answer.headers | fault.headers
    return answer


def _with_content(answer: Answer, status: int, body: bytes, fault: Fault) -> Answer:
    """Return an answer with another content, by an ETag of its own if there is one."""
    tag = {"ETag": etag_of(body)} if "ETag" in answer.headers else {}
    return Answer(status, body, answer.headers | tag | fault.headers, answer.content_type)
