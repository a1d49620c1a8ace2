"""The request log, without any secrets."""

from collections import Counter
from datetime import date

import msgspec


class Entry(msgspec.Struct):
    """One request; times are unix times, and `status` is None if no answer was sent.

    `ids` are those that a request for names or affiliations holds. `sent` counts the bytes of
    a huge answer that have been sent. Of a corporation's list, the character is the one whose token
    was sent.
    """

    n: int
    start: float
    method: str
    path: str
    route: str
    character_id: int | None
    corporation_id: int | None
    page: int | None
    killmail_id: int | None
    user_agent: str | None
    compatibility_date: str | None
    if_none_match: str | None
    authorized: bool
    connection: int
    in_flight: int
    end: float | None = None
    status: int | None = None
    cost: int = 0
    group: str | None = None
    remaining: int | None = None
    # the number of the refresh token in a token request; later tokens have higher numbers
    generation: int | None = None
    ids: list[int] | None = None
    day: date | None = None
    # less than a second after another request to zKillboard
    too_soon: bool = False
    fault: bool = False
    sent: int = 0


class Log:
    """The requests so far, and how many of each route are in flight."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._in_flight: Counter[str] = Counter()
        self._number = 0

    def enter(self, route: str) -> tuple[int, int]:
        """Count a request as in flight; return its number and its route's count in flight."""
        self._number += 1
        self._in_flight[route] += 1
        return self._number, self._in_flight[route]

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        self.entries.append(entry)

    def leave(self, entry: Entry, now: float) -> None:
        """Record that a request has ended, answered or not."""
        entry.end = now
        self._in_flight[entry.route] -= 1

    def counts(self) -> dict[str, int]:
        """Count the entries by route."""
        return dict(Counter(entry.route for entry in self.entries))
