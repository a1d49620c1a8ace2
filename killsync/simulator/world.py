"""Characters, corporations and their killmails: what happened, and when each list shows it."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from random import Random

import msgspec

from killsync.simulator import names
from killsync.simulator.bodies import Killmail, make_body, make_killmail
from killsync.simulator.habits import HOUR, Calendar
from killsync.simulator.lists import ListOwner, Order, Snapshot, etag_of
from killsync.simulator.options import Options
from killsync.simulator.past import Past
from killsync.simulator.players import CORPORATION_SCOPE, SCOPE, Character, Corporation

FIRST_ID = 125_000_000
HISTORY = 80 * 86400
CACHED_BODIES = 2000
DIRECTORS = 2


class WorldError(Exception):
    """A request that the world cannot fulfil; the message says why."""


class World:
    """Everything that exists in the simulated game.

    A killmail's time follows from its id, about one id per second, denser when people play, so that
    ids rise with time even if a killmail shows up late.
    """

    def __init__(self, options: Options, now: float) -> None:
        self.options = options
        self.characters: dict[int, Character] = {}
        self.corporations: dict[int, Corporation] = {}
        self.killmails: dict[int, Killmail] = {}
        self._rng = Random(options.seed)
        # A whole hour, so that worlds made from one seed within that hour are equal.
        start = int(now) // HOUR * HOUR - 2 * HOUR - HISTORY
        self._calendar = Calendar(options.seed, start, HISTORY // HOUR)
        self._start = start
        self._newest_id = FIRST_ID + HISTORY
        self._played_until = now
        self._bodies: OrderedDict[int, tuple[bytes, str]] = OrderedDict()
        for _ in range(options.characters):
            self.add_character()
        zero = start - FIRST_ID
        self.past = Past(options, now, zero, list(self.characters.values()), self.corporations)
        self._found_corporations()
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
            owner_id=character_id,
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

    def _found_corporations(self) -> None:
        """Spread the characters over the corporations of the start; the first ones direct them."""
        characters = list(self.characters.values())
        for number in range(self.options.corporations):
            members = characters[number :: self.options.corporations]
            directors = members[:DIRECTORS]
            self.add_corporation(members, [character.character_id for character in directors])
            for director in directors:
                director.scopes = [SCOPE, CORPORATION_SCOPE]

    def add_corporation(
        self,
        members: Iterable[Character] = (),
        directors: Iterable[int] = (),
        corporation_id: int | None = None,
        name: str | None = None,
        order: Order = "newest",
    ) -> Corporation:
        """Create a corporation; what is not given is made up.

        Its members' killmails so far are on its list too, unless another corporation has them:
        their bodies change, and the old ones too, so create it before anybody reads them. Raises
        WorldError if the id is taken.
        """
        number = len(self.corporations)
        if corporation_id is None:
            corporation_id = max(self.corporations, default=names.PLAYED_BASE - 1) + 1
        if self.corporation_name(corporation_id):
            raise WorldError(f"corporation {corporation_id} exists")
        corporation = Corporation(
            owner_id=corporation_id,
            name=name or names.played_name(number),
            order=order,
            listed=[],
            directors=set(directors),
        )
        self.corporations[corporation_id] = corporation
        for member in members:
            member.join(corporation_id)
            for killmail in member.listed:
                if killmail.take_side(member.character_id, corporation_id):
                    corporation.add(killmail)
                    self._bodies.pop(killmail.killmail_id, None)
        self.past.forget()
        return corporation

    def corporation(self, corporation_id: int) -> Corporation:
        """Return a corporation with a list; raises WorldError if there is none with this id."""
        if corporation_id not in self.corporations:
            raise WorldError(f"no corporation {corporation_id} with a list")
        return self.corporations[corporation_id]

    def corporation_name(self, corporation_id: int) -> str | None:
        """Return the name of any corporation of the game, or None if there is none."""
        found = self.name(corporation_id)
        return found.name if found and found.category == "corporation" else None

    def corporation_of(self, character_id: int) -> int | None:
        """Return the corporation that a character is in today; None if nobody has this id."""
        character = self.characters.get(character_id)
        if character is None and not names.is_stranger(character_id):
            return None
        if character and character.corporation_id is not None:
            return character.corporation_id
        crews = (c for c in self.corporations.values() if character_id in c.crew)
        return next((c.corporation_id for c in crews), names.corporation_of(character_id))

    def members(self, corporation_id: int) -> list[int]:
        """Return the characters that are in a corporation today, without strangers."""
        return [i for i in self.characters if self.corporation_of(i) == corporation_id]

    def move(self, character: Character, corporation_id: int) -> None:
        """Put a character into another corporation, for the killmails to come.

        Raises WorldError if there is no such corporation.
        """
        if self.corporation_name(corporation_id) is None:
            raise WorldError(f"no corporation {corporation_id}")
        character.join(corporation_id)

    def add_history(self, owner: ListOwner, count: int, now: float) -> None:
        """Add killmails at random times in the past, none of them shared."""
        for _ in range(count):
            self.add_killmail(owner, self._free_id(FIRST_ID, FIRST_ID + HISTORY), now)

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

    def play_on(self, now: float) -> None:
        """Let time pass: each character has had a new killmail every `new_every` seconds."""
        every = self.options.new_every
        if not every:
            self._played_until = now
            return
        while self._played_until + every <= now:
            self._played_until += every
            for character in list(self.characters.values()):
                of_then = FIRST_ID + int(self._played_until) - self._start
                self.add_killmail(character, max(of_then, self.next_id()), now)

    def late_id(self, owner: ListOwner) -> int:
        """Return a free id within the range of a list."""
        if not owner.listed:
            return self._free_id(FIRST_ID, FIRST_ID + HISTORY)
        oldest, newest = owner.listed[0].killmail_id, owner.listed[-1].killmail_id
        return self._free_id(min(oldest, newest - 1000), newest)

    def _free_id(self, low: int, high: int) -> int:
        for _ in range(10_000):
            killmail_id = self._rng.randrange(low, high)
            if killmail_id not in self.killmails:
                return killmail_id
        raise WorldError(f"no free killmail id from {low} to {high}")

    def add_killmail(
        self,
        owner: ListOwner,
        killmail_id: int,
        now: float,
        partner: Character | None = None,
        corporation: Corporation | None = None,
    ) -> Killmail:
        """Add a killmail; it is on the lists of the owner, of the partner and of who they are in.

        A corporation's own is one of its crew's. If `corporation` is given, the owner was in it
        then, whatever it is in today. Raises WorldError if the id is taken.
        """
        if killmail_id in self.killmails:
            raise WorldError(f"killmail {killmail_id} exists")
        pilot = owner.owner_id
        if isinstance(owner, Corporation):
            pilot, corporation = owner.crew[killmail_id % len(owner.crew)], owner
        time = min(self._calendar.time(killmail_id - FIRST_ID), int(now))
        other = partner.character_id if partner else None
        killmail = make_killmail(self.options.seed, killmail_id, max(time, 0), pilot, other)
        self.killmails[killmail_id] = killmail
        self._newest_id = max(self._newest_id, killmail_id)
        sides = {pilot: corporation.corporation_id if corporation else _employer(owner)}
        owner.add(killmail)
        if partner:
            sides[partner.character_id] = _employer(partner)
            partner.add(killmail)
        self._take_sides(killmail, sides)
        return killmail

    def _take_sides(self, killmail: Killmail, sides: dict[int, int | None]) -> None:
        """Put a killmail on the lists of the corporations that characters are in, and name them."""
        for character_id, corporation_id in sides.items():
            corporation = self.corporations.get(corporation_id or 0)
            if corporation_id is not None:
                killmail.take_side(character_id, corporation_id)
            if corporation:
                corporation.add(killmail)

    def find(self, killmail_id: int) -> Killmail | None:
        """Return a killmail, however old; None if there is none with this id."""
        return self.killmails.get(killmail_id) or self.past.find(killmail_id)

    def everything(self) -> Iterator[Killmail]:
        """Yield all killmails, also those that are on no list."""
        yield from self.past.everything()
        yield from self.killmails.values()

    def list_owners(self) -> Iterator[ListOwner]:
        """Yield all who have a list."""
        yield from self.characters.values()
        yield from self.corporations.values()

    def snapshot(self, owner: ListOwner, now: float) -> Snapshot:
        """Return the list to serve now, which is frozen until it expires."""
        options = self.options
        return owner.frozen(
            now, options.page_size, options.list_max_age, refresh=options.refresh_between_pages
        )

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
        if thing_id in self.corporations:
            return names.Name(thing_id, self.corporations[thing_id].name, "corporation")
        return names.name_of(self.options.seed, thing_id)


def _employer(owner: ListOwner) -> int | None:
    return owner.corporation_id if isinstance(owner, Character) else None
