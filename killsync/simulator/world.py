"""Characters and their killmails: what happened, and when each list shows it."""

import hashlib
from bisect import bisect_left, insort
from collections import OrderedDict
from random import Random
from typing import Literal

import msgspec

from killsync.simulator import names
from killsync.simulator.bodies import Killmail, make_body, make_killmail
from killsync.simulator.habits import HOUR, Calendar
from killsync.simulator.lists import Snapshot, etag_of
from killsync.simulator.options import Options

SCOPE = "esi-killmails.read_killmails.v1"
FIRST_ID = 125_000_000
HISTORY = 80 * 86400
CACHED_BODIES = 2000

Order = Literal["newest", "shuffled"]


class WorldError(Exception):
    """A request that the world cannot fulfil; the message says why."""


class Character(msgspec.Struct):
    """A character that can log in; `listed` is sorted by id, ascending."""

    character_id: int
    name: str
    owner: str
    scopes: list[str]
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


def _by_id(killmail: Killmail) -> int:
    return killmail.killmail_id


class World:
    """Everything that exists in the simulated game.

    A killmail's time follows from its id, about one id per second, denser when people play, so that
    ids rise with time even if a killmail shows up late.
    """

    def __init__(self, options: Options, now: float) -> None:
        self.options = options
        self.characters: dict[int, Character] = {}
        self.killmails: dict[int, Killmail] = {}
        self._rng = Random(options.seed)
        # A whole hour, so that worlds made from one seed within that hour are equal.
        start = int(now) // HOUR * HOUR - 2 * HOUR - HISTORY
        self._calendar = Calendar(options.seed, start, HISTORY // HOUR)
        self._newest_id = FIRST_ID + HISTORY
        self._bodies: OrderedDict[int, tuple[bytes, str]] = OrderedDict()
        for _ in range(options.characters):
            self.add_character()
        self._fill(now)

    def add_character(
        self,
        character_id: int | None = None,
        name: str | None = None,
        scopes: list[str] | None = None,
        order: Order = "newest",
    ) -> Character:
        """Create a character; what is not given is made up.

        Raises WorldError if the id is taken.
        """
        number = len(self.characters)
        if character_id is None:
            character_id = max(self.characters, default=names.CHARACTER_BASE - 1) + 1
        if character_id in self.characters:
            raise WorldError(f"character {character_id} exists")
        character = Character(
            character_id=character_id,
            name=name or names.character_name(self.options.seed, number),
            owner=hashlib.sha1(f"{self.options.seed}:{character_id}".encode()).hexdigest(),
            scopes=[SCOPE] if scopes is None else scopes,
            order=order,
            listed=[],
        )
        self.characters[character_id] = character
        return character

    def character(self, character_id: int) -> Character:
        """Return a character; raises WorldError if there is none with this id."""
        if character_id not in self.characters:
            raise WorldError(f"no character {character_id}")
        return self.characters[character_id]

    def add_history(self, character: Character, count: int, now: float) -> None:
        """Add killmails at random times in the past, none of them shared."""
        for _ in range(count):
            self.add_killmail(character, self._free_id(FIRST_ID, FIRST_ID + HISTORY), now)

    def _fill(self, now: float) -> None:
        owners = list(self.characters.values())
        for index, owner in enumerate(owners):
            following = owners[(index + 1) % len(owners)]
            for _ in range(self.options.killmails):
                shared = self._rng.random() < self.options.shared and following is not owner
                killmail_id = self._free_id(FIRST_ID, FIRST_ID + HISTORY)
                self.add_killmail(owner, killmail_id, now, following if shared else None)

    def next_id(self) -> int:
        """Return an id above all others, usually with some free ids below it."""
        return self._newest_id + self._rng.randrange(1, 10)

    def late_id(self, character: Character) -> int:
        """Return a free id within the range of a character's list."""
        if not character.listed:
            return self._free_id(FIRST_ID, FIRST_ID + HISTORY)
        oldest, newest = character.listed[0].killmail_id, character.listed[-1].killmail_id
        return self._free_id(min(oldest, newest - 1000), newest)

    def _free_id(self, low: int, high: int) -> int:
        for _ in range(10_000):
            killmail_id = self._rng.randrange(low, high)
            if killmail_id not in self.killmails:
                return killmail_id
        raise WorldError(f"no free killmail id from {low} to {high}")

    def add_killmail(
        self, owner: Character, killmail_id: int, now: float, partner: Character | None = None
    ) -> Killmail:
        """Add a killmail; it is on the list of the owner and of the partner, if any.

        Raises WorldError if the id is taken.
        """
        if killmail_id in self.killmails:
            raise WorldError(f"killmail {killmail_id} exists")
        time = min(self._calendar.time(killmail_id - FIRST_ID), int(now))
        other = partner.character_id if partner else None
        seed = self.options.seed
        killmail = make_killmail(seed, killmail_id, max(time, 0), owner.character_id, other)
        self.killmails[killmail_id] = killmail
        self._newest_id = max(self._newest_id, killmail_id)
        for character in (owner, partner):
            if character:
                character.add(killmail)
        return killmail

    def remove(self, character: Character, killmail_ids: set[int]) -> None:
        """Remove killmails from a character's list; their bodies stay available."""
        character.listed = [k for k in character.listed if k.killmail_id not in killmail_ids]

    def snapshot(self, character: Character, now: float) -> Snapshot:
        """Return the list to serve now, which is frozen until it expires."""
        old = character.snapshot
        if old and now < old.expires and not self.options.refresh_between_pages:
            return old
        entries = character.newest_first()
        if character.order == "shuffled":
            Random(character.character_id).shuffle(entries)
        new = Snapshot(entries, self.options.page_size, now, self.options.list_max_age)
        if old:
            # A changed list must not have the same time as the previous one.
            new.modified = max(new.modified, old.modified + (old.entries != entries))
        character.snapshot = new
        return new

    def thaw(self, character_id: int | None = None) -> None:
        """Make the next request see the current list, of one character or of all."""
        for character in self.characters.values():
            if character.snapshot and character_id in (None, character.character_id):
                character.snapshot.expires = 0

    def body(self, killmail: Killmail) -> tuple[bytes, str]:
        """Return a killmail's encoded body and its ETag, from the cache if possible."""
        cached = self._bodies.get(killmail.killmail_id)
        if cached is None:
            cached = self._bodies[killmail.killmail_id] = self.encode_body(killmail)
            if len(self._bodies) > CACHED_BODIES:
                self._bodies.popitem(last=False)
        return cached

    def encode_body(self, killmail: Killmail) -> tuple[bytes, str]:
        """Return a killmail's encoded body and its ETag, bypassing the cache."""
        if killmail.text is None:
            body = msgspec.json.encode(make_body(self.options.seed, killmail))
        else:
            body = killmail.text.encode("utf-8", "surrogatepass")
        return body, etag_of(body)

    def name(self, thing_id: int) -> names.Name | None:
        """Return the name of an id, or None if it is unknown."""
        if thing_id in self.characters:
            return names.Name(thing_id, self.characters[thing_id].name, "character")
        return names.name_of(self.options.seed, thing_id)
