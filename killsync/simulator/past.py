"""The years before: killmails that are too old for any list, by the UTC days they happened on.

They follow from the seed and the day; a day is made when it is first asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from killsync.simulator import names
from killsync.simulator.bodies import Killmail, make_killmail
from killsync.simulator.options import Options
from killsync.simulator.players import Character, Corporation

DAY = 86400
LISTED_DAYS = 90
# how often somebody of ours who takes part has neither died nor had the final blow
_ONLY_ATTACKED = 0.3


class Past:
    """The old killmails of one world, in which the characters of its start take part.

    `now` is a unix time; a killmail's id and `zero` are together the unix time when it happened.
    """

    def __init__(
        self,
        options: Options,
        now: float,
        zero: int,
        characters: Sequence[Character],
        corporations: Mapping[int, Corporation],
    ) -> None:
        last = int(now) // DAY - LISTED_DAYS - 1
        self.days = range(last - options.archive_days + 1, last + 1)
        self._options = options
        self._zero = zero
        self._characters = characters
        self._corporations = corporations
        self._more: dict[int, int] = {}
        self._made: dict[int, dict[int, Killmail]] = {}

    def forget(self) -> None:
        """Make every day again, with all corporations that there are now."""
        self._made.clear()

    def grow(self, day: int, killmails: int) -> None:
        """Find more killmails of an old day, counted in days since 1970, than were known before."""
        self._more[day] = self._more.get(day, 0) + killmails
        self._made.pop(day, None)

    def count(self, day: int) -> int:
        """Return how many old killmails are known of a day; of a day that is not old, none."""
        if day not in self.days:
            return 0
        return self._options.archive_killmails + self._more.get(day, 0)

    def day(self, day: int) -> dict[int, Killmail]:
        """Return the killmails of a day by id."""
        if day not in self._made:
            self._made[day] = self._make(day)
        return self._made[day]

    def everything(self) -> Iterator[Killmail]:
        """Yield all old killmails, day by day."""
        for day in self.days:
            yield from self.day(day).values()

    def of(self, owner_id: int) -> list[Killmail]:
        """Return the old killmails of a character or corporation, newest first."""
        mine = [
            killmail
            for killmail in self.everything()
            if any(owner_id in party for party in (killmail.victim, *killmail.attackers))
        ]
        return sorted(mine, key=lambda killmail: killmail.killmail_id, reverse=True)

    def find(self, killmail_id: int) -> Killmail | None:
        """Return an old killmail, or None if there is none with this id."""
        day = (killmail_id + self._zero) // DAY
        return self.day(day).get(killmail_id) if day in self.days else None

    def _make(self, day: int) -> dict[int, Killmail]:
        rng = Random(f"{day}:{self._options.seed}")
        parties: list[Character | Corporation] = [*self._characters]
        parties += self._corporations.values()
        made: dict[int, Killmail] = {}
        while len(made) < self.count(day):
            time = day * DAY + int(rng.random() * DAY)
            killmail_id = time - self._zero
            if killmail_id not in made:
                made[killmail_id] = self._happen(rng, parties, killmail_id, time)
        return made

    def _happen(
        self,
        rng: Random,
        parties: Sequence[Character | Corporation],
        killmail_id: int,
        time: int,
    ) -> Killmail:
        seed = self._options.seed
        stranger = names.PILOT_BASE + int(rng.random() * names.PILOTS)
        if not parties or rng.random() >= self._options.archive_share:
            return make_killmail(seed, killmail_id, time, stranger)
        pilot, corporation_id = _pilot(rng, parties)
        if rng.random() < _ONLY_ATTACKED:
            killmail = make_killmail(seed, killmail_id, time, stranger)
            killmail.others = ((pilot, corporation_id),)
        else:
            killmail = make_killmail(seed, killmail_id, time, pilot)
            if corporation_id is not None:
                killmail.take_side(pilot, corporation_id)
        return killmail


def _pilot(rng: Random, parties: Sequence[Character | Corporation]) -> tuple[int, int | None]:
    """Choose one of the characters, or of a corporation's crew, and what it was in then."""
    party = rng.choice(parties)
    if isinstance(party, Corporation):
        return rng.choice(party.crew), party.corporation_id
    return party.character_id, party.first_corporation_id
