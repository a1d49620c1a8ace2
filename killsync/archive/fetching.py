"""EVE Ref's daily archives over HTTP: which there are, and one at a time.

Source: docs.everef.net/datasets/killmails. Downloading all of them is allowed; `totals.json`, which
counts the killmails of each day, lies beside the years.
"""

import io
from datetime import date
from urllib.parse import urlsplit

import msgspec

from killsync.archive.days import Totals, archive_name, totals_in
from killsync.errors import Misshapen, Refused, ServerFault, Unavailable
from killsync.http import Answer, Http
from killsync.times import retry_after

LARGEST_ARCHIVE = 32 << 20
"""It is in memory as a whole, so that an attempt that fails costs nothing; a day has about 3 MB."""
DEADLINE = 600.0
"""In seconds, for one archive over a slow line."""
_GONE = (404, 410)
_BROKEN_DOWN = (429, 502, 503, 504)


class Fetched(msgspec.Struct, frozen=True):
    """An archive: its bytes, and its ETag, or else its Last-Modified; "" if it has neither."""

    content: bytes
    version: str


class Unchanged(msgspec.Struct, frozen=True):
    """The version that is known is still the newest."""


class Missing(msgspec.Struct, frozen=True):
    """There is no archive of that day."""


def totals(http: Http, address: str) -> Totals:
    """Return how many killmails there are of each day.

    They are for show: `http` need not wait as long for them as for an archive.

    Raises Refused or Unavailable, and what `http` raises.
    """

    def attempt() -> bytes:
        answer = http.send("GET", f"{address}/totals.json", {})
        _raise_for_status(address, answer)
        return answer.body

    try:
        return totals_in(http.patiently(attempt))
    except ValueError as error:
        raise Misshapen(f"{urlsplit(address).netloc}: totals.json: {error}") from None


def fetch(http: Http, address: str, day: date, known: str | None) -> Fetched | Unchanged | Missing:
    """Return the archive of a day, unless it is still of the `known` version.

    Raises Refused if it cannot be had, Unavailable if nothing can, and what `http` raises.
    """
    into = io.BytesIO()

    def attempt() -> Answer:
        into.seek(0)
        into.truncate()
        url = f"{address}/{day:%Y}/{archive_name(day)}"
        answer = http.download(url, into, LARGEST_ARCHIVE, _unless(known))
        # nobody who was not asked can know that nothing has changed
        if answer.status not in ((304, *_GONE) if known else _GONE):
            _raise_for_status(address, answer)
        return answer

    answer = http.patiently(attempt)
    if answer.status in _GONE:
        return Missing()
    if answer.status == 304:
        return Unchanged()
    headers = answer.headers
    return Fetched(into.getvalue(), headers.get("ETag") or headers.get("Last-Modified") or "")


def _unless(known: str | None) -> dict[str, str]:
    """Return the header that asks for an archive only if it is not of the known version."""
    if not known:
        return {}
    is_etag = known.startswith(('"', 'W/"'))
    return {"If-None-Match" if is_etag else "If-Modified-Since": known}


def _raise_for_status(address: str, answer: Answer) -> None:
    if answer.status == 200:
        return
    text = f"{urlsplit(address).netloc} says {answer.status}"
    if answer.status in _BROKEN_DOWN:
        raise Unavailable(text, retry_after(answer.headers.get("Retry-After"), 0.0))
    if answer.status >= 500 or answer.status == 304:
        raise ServerFault(text, answer.status)
    raise Refused(text, answer.status)
