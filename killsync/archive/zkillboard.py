"""zKillboard's lists of killmails: ids and hashes, 200 a page, at most one request a second.

Source of every fact: zKillboard's documentation of its API, and its answers, as of 2026. The
addresses need their trailing slash; a page past the last one is an empty list.
"""

from enum import StrEnum

import msgspec

from killsync.archive.zkb_pace import Pace
from killsync.errors import RateLimited, Refused, ServerFault, Unavailable
from killsync.esi.client import reason_or_none
from killsync.esi.listed import ListedHash, ListedId, PageForm, decode_page
from killsync.http import Answer, Http
from killsync.model import KillmailRef, UserKind
from killsync.times import MINUTE, iso_after, retry_after

PAGE_SIZE = 200
# a rest that is waited for
_SHORT_REST = 10.0
# if an answer asks for a rest and does not say for how long
_USUAL_REST = MINUTE
_RESTS = (420, 429)
# 520 to 524: what stands before zKillboard does not reach it
_DOWN = (502, 503, 504, 520, 521, 522, 523, 524)
_CHARACTER, _CORPORATION = "characterID", "corporationID"


class Side(StrEnum):
    """The two lists of a character or corporation, by their words in an address."""

    KILLS = "kills"
    LOSSES = "losses"


class ZkbPage(msgspec.Struct, frozen=True):
    """One page as zKillboard answered it; `skipped` counts entries that are no references."""

    refs: list[KillmailRef]
    skipped: int = 0

    @property
    def entries(self) -> int:
        """How many entries the page has, valid or not."""
        return len(self.refs) + self.skipped


class _Zkb(msgspec.Struct):
    hash: ListedHash


class _Entry(msgspec.Struct):
    killmail_id: ListedId
    zkb: _Zkb


_FORM = PageForm(
    "zKillboard",
    2 * 1024 * 1024,  # a page of 200 killmails has 60 kB
    msgspec.json.Decoder(list[_Entry]),
    msgspec.json.Decoder(_Entry),
    lambda entry: KillmailRef(entry.killmail_id, entry.zkb.hash),
)


class ZKillboard:
    """The client; `url` is where the API begins."""

    def __init__(self, http: Http, url: str, pace: Pace) -> None:
        self._http = http
        self._url = url
        self._pace = pace
        self.requests = 0

    def page(self, kind: UserKind, user_id: int, side: Side, number: int) -> ZkbPage:
        """Return a page of a list, newest killmails first; beyond the last one it is empty.

        Raises Unavailable, ServerFault, Misshapen, Refused, RateLimited, NotSent or OutOfFiles.
        """
        whose = _CORPORATION if kind is UserKind.CORPORATION else _CHARACTER
        address = f"{self._url}/{side}/{whose}/{user_id}/page/{number}/"
        return self._http.patiently(lambda: self._ask(address))

    def _ask(self, address: str) -> ZkbPage:
        self._pace.wait()
        self.requests += 1
        try:
            answer = self._http.send("GET", address, {"Accept": "application/json"})
        finally:
            self._pace.answered()
        if answer.status in _RESTS:
            asked = retry_after(answer.headers.get("Retry-After"), _USUAL_REST)
            until = self._pace.rest(asked)
            text = f"zKillboard asks for a rest until {iso_after(until)} ({answer.status})"
            # asked again in its turn, which is after the rest
            raise Unavailable(text) if asked <= _SHORT_REST else RateLimited(text, until)
        _raise_for_status(answer)
        return decode(answer.body)


def decode(body: bytes) -> ZkbPage:
    """Return what a page lists. Raises what `decode_page` raises."""
    return ZkbPage(*decode_page(body, _FORM))


def _raise_for_status(answer: Answer) -> None:
    status = answer.status
    if status == 200:
        return
    reason = reason_or_none(answer)
    text = f"zKillboard says {status}" + (f": {reason}" if reason else "")
    if status in _DOWN:
        raise Unavailable(text, retry_after(answer.headers.get("Retry-After"), 0.0))
    if status >= 500:
        raise ServerFault(text, status)
    raise Refused(text, status)
