"""Lists of killmails: who has one, and the snapshots that ESI serves from its cache."""

import hashlib
import math
from bisect import bisect_left, insort
from random import Random
from typing import Literal

import msgspec

from killsync.simulator.bodies import Killmail

Order = Literal["newest", "shuffled"]


class Page(msgspec.Struct):
    """One encoded page."""

    body: bytes
    etag: str


class Snapshot:
    """A list as it was at one moment, served until it expires (in unix time)."""

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


class ListOwner(msgspec.Struct, kw_only=True):
    """Who has a list of killmails; `listed` is sorted by id, ascending."""

    owner_id: int
    name: str
    order: Order = "newest"
    listed: list[Killmail] = []
    snapshot: Snapshot | None = None

    def newest_first(self) -> list[Killmail]:
        """Return the current list, sorted by id, descending."""
        return self.listed[::-1]

    def add(self, killmail: Killmail) -> None:
        """Insert a killmail in order of id, unless it is already listed."""
        place = bisect_left(self.listed, killmail.killmail_id, key=_by_id)
        known = self.listed[place : place + 1]
        if not known or known[0].killmail_id != killmail.killmail_id:
            insort(self.listed, killmail, key=_by_id)

    def remove(self, killmail_ids: set[int]) -> None:
        """Remove killmails from the list; their bodies stay available."""
        self.listed = [k for k in self.listed if k.killmail_id not in killmail_ids]

    def thaw(self) -> None:
        """Make the next request see the current list."""
        if self.snapshot:
            self.snapshot.expires = 0

    def frozen(self, now: float, page_size: int, max_age: float, *, refresh: bool) -> Snapshot:
        """Return the list to serve now: the last snapshot until it expires, unless `refresh`."""
        old = self.snapshot
        if old and now < old.expires and not refresh:
            return old
        entries = self.newest_first()
        if self.order == "shuffled":
            Random(self.owner_id).shuffle(entries)
        new = Snapshot(entries, page_size, now, max_age)
        if old:
            # A changed list must not have the same time as the previous one.
            new.modified = max(new.modified, old.modified + (old.entries != entries))
        self.snapshot = new
        return new


def _by_id(killmail: Killmail) -> int:
    return killmail.killmail_id
