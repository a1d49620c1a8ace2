"""zKillboard's lists of kills and losses: ids and hashes, also of what no list of ESI's shows.

Source: zKillboard's documentation of its API. A list names who took part, as in the bodies.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from killsync.simulator.bodies import Killmail
from killsync.simulator.options import Options
from killsync.simulator.routes import Target
from killsync.simulator.wire import Answer, Request, json_answer
from killsync.simulator.world import World

PAGE_SIZE = 200
# it asks for one request a second, and measures no better than this
SHORTEST_PAUSE = 0.9


class NewListing(msgspec.Struct, forbid_unknown_fields=True):
    """What zKillboard's lists say from now on; what is left out stays as it is.

    `hashes` are wrong ones by killmail id, None for the right one; pages in `empty` are empty
    whatever would be on them; `hidden` killmails are on no list.
    """

    hashes: dict[int, str | None] = {}
    empty: list[int] | None = None
    hidden: list[int] | None = None


class Zkillboard:
    """The lists of one world; times are unix times."""

    def __init__(self, options: Options, world: World) -> None:
        self._options = options
        self._world = world
        self._hashes: dict[int, str] = {}
        self._empty: set[int] = set()
        self._hidden: set[int] = set()
        self._asked_at = 0.0

    def change(self, new: NewListing) -> None:
        """Make lists wrong, or right again."""
        for killmail_id, killmail_hash in new.hashes.items():
            if killmail_hash is None:
                self._hashes.pop(killmail_id, None)
            else:
                self._hashes[killmail_id] = killmail_hash
        if new.empty is not None:
            self._empty = set(new.empty)
        if new.hidden is not None:
            self._hidden = set(new.hidden)

    def comes_too_soon(self, now: float) -> bool:
        """Return whether less than a second has passed since the last request, and count this."""
        pause, self._asked_at = now - self._asked_at, now
        return pause < SHORTEST_PAUSE

    def answer(self, request: Request, target: Target, *, too_soon: bool) -> Answer:
        """Answer one request; the path must end with a slash."""
        if not request.headers.get("user-agent"):
            return Answer(403, b"<html>who are you?</html>", content_type="text/html")
        if not request.path.endswith("/"):
            return Answer(301, headers={"Location": f"{request.path}/"})
        if too_soon and self._options.zkb_strict:
            return json_answer({"error": "too many requests"}, 429, {"Retry-After": "1"})
        if not target.page:
            return json_answer({"error": "page must be a number from 1"}, 400)
        entries = [] if target.page in self._empty else list(self._entries(target))
        start = (target.page - 1) * PAGE_SIZE
        return json_answer([self._entry(k) for k in entries[start : start + PAGE_SIZE]])

    def _entries(self, target: Target) -> Iterator[Killmail]:
        """Yield what a list shows, newest first."""
        everything = sorted(self._world.everything(), key=lambda k: k.killmail_id, reverse=True)
        for killmail in everything:
            if killmail.killmail_id not in self._hidden and _is_on(killmail, target):
                yield killmail

    def _entry(self, killmail: Killmail) -> dict[str, Any]:
        value = float(10_000 + killmail.killmail_id % 1_000_000_007)
        about = {
            "locationID": 50_000_000 + killmail.killmail_id % 14_000,
            "hash": self._hashes.get(killmail.killmail_id, killmail.killmail_hash),
            "fittedValue": value,
            "droppedValue": 0,
            "destroyedValue": value,
            "totalValue": value,
            "points": 1 + killmail.killmail_id % 50,
            "npc": killmail.final_blow_id is None,
            "solo": False,
            "awox": False,
        }
        return {"killmail_id": killmail.killmail_id, "zkb": about}


def _is_on(killmail: Killmail, target: Target) -> bool:
    """Return whether the character or corporation of a list took part on its side."""
    parties = [killmail.victim] if target.side == "losses" else killmail.attackers
    wanted = (target.character_id, target.corporation_id)
    return any(
        party == asked
        for ids in parties
        for party, asked in zip(ids, wanted, strict=True)
        if asked is not None
    )
