"""Snapshots of lists, which ESI serves from its cache page by page."""

import hashlib
import math

import msgspec

from killsync.simulator.bodies import Killmail


class Page(msgspec.Struct):
    """One encoded page."""

    body: bytes
    etag: str


class Snapshot:
    """A character's list as it was at one moment, served until it expires (in unix time)."""

    def __init__(self, entries: list[Killmail], page_size: int, made_at: float, max_age: float):
        self.entries = entries
        self.page_size = page_size
        self.modified = int(made_at)
        # Rounded up, since headers have whole seconds: after Expires the list must be a new one.
        self.expires = math.ceil(made_at + max_age) if max_age else made_at
        self._pages: dict[int, Page] = {}

    @property
    def page_count(self) -> int:
        """Return the number of pages; an empty list has one."""
        return max(1, math.ceil(len(self.entries) / self.page_size))

    def page(self, number: int) -> Page:
        """Return one page; `number` counts from 1 to `page_count`."""
        if number not in self._pages:
            start = (number - 1) * self.page_size
            self._pages[number] = _encode_page(self.entries[start : start + self.page_size])
        return self._pages[number]


def _encode_page(entries: list[Killmail]) -> Page:
    body = msgspec.json.encode(
        [{"killmail_hash": e.killmail_hash, "killmail_id": e.killmail_id} for e in entries]
    )
    return Page(body, etag_of(body))


def etag_of(body: bytes) -> str:
    """Derive a strong ETag from a body."""
    return f'"{hashlib.sha1(body).hexdigest()}"'
