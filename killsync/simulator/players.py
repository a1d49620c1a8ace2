"""Who plays: the characters that can log in, and the corporations that they are members of."""

from killsync.simulator import names
from killsync.simulator.lists import ListOwner

SCOPE = "esi-killmails.read_killmails.v1"
CORPORATION_SCOPE = "esi-killmails.read_corporation_killmails.v1"
_CREW = 10


class Character(ListOwner, kw_only=True):
    """A character that can log in; without a `corporation_id` it is where its id puts it.

    `first_corporation_id` is where it was in the years before.
    """

    owner: str
    scopes: list[str]
    corporation_id: int | None = None
    first_corporation_id: int | None = None

    @property
    def character_id(self) -> int:
        """Return its id."""
        return self.owner_id

    def join(self, corporation_id: int) -> None:
        """Enter a corporation, for the killmails to come."""
        self.corporation_id = corporation_id
        if self.first_corporation_id is None:
            self.first_corporation_id = corporation_id


class Corporation(ListOwner, kw_only=True):
    """A corporation whose list can be read; `directors` holds ids, also of those who have left."""

    directors: set[int]

    @property
    def corporation_id(self) -> int:
        """Return its id."""
        return self.owner_id

    @property
    def crew(self) -> range:
        """Return its pilots who never log in: the victims and final blows of its own killmails."""
        first = names.PILOT_BASE + self.corporation_id * _CREW % names.PILOTS
        return range(first, first + _CREW)
