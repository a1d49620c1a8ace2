"""What a pilot flies and where, and when all of them play: so that statistics look like real ones.

Everything follows from the seed and an id or a date; nothing is kept.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from random import Random
from zlib import crc32

import msgspec

from killsync.simulator import places
from killsync.simulator.catalogue import ID_OF

HOUR = 3600

_SMALL = ["Rifter", "Kestrel", "Tristan", "Punisher", "Catalyst", "Sabre", "Hound", "Nemesis"]
_MEDIUM = [
    "Caracal", "Vexor", "Thorax", "Rupture", "Gila", "Vagabond", "Ishtar", "Muninn", "Tengu",
    "Loki", "Ferox", "Cyclone", "Harbinger", "Drake", "Hurricane",
]  # fmt: skip
_LARGE = ["Raven", "Tempest", "Megathron", "Dominix", "Machariel"]
_PEACEFUL = ["Venture", "Procurer", "Retriever", "Badger", "Charon"]
_CAPITAL = ["Rorqual", "Thanatos"]
_CHOICES = [_SMALL, _MEDIUM, _LARGE, _PEACEFUL, _CAPITAL]
_CHANCES = [35, 45, 12, 6, 2]

_REGIONS = [
    list(places.LOW_SECURITY),
    list(places.NULL_SECURITY),
    list(places.HIGH_SECURITY),
    list(places.WORMHOLES),
    list(places.POCHVEN),
]
_ANYWHERE = [system_id for region in _REGIONS for system_id in region]
_HOMES = [38, 32, 16, 12, 2]

# how much is played in each hour of the day in EVE time, which has its downtime at 11:00
_HOURS = [
    5, 3, 2, 1, 0.8, 0.6, 0.6, 0.8, 1, 1.5, 2, 0.5, 2, 2.5, 3, 4, 6, 9, 12, 15, 16, 14, 11, 8,
]  # fmt: skip
# from Monday on
_WEEKDAYS = [0.5, 0.6, 0.7, 0.8, 1.3, 1.8, 1.6]


class Habits(msgspec.Struct, frozen=True):
    """A pilot's hulls and systems, the favourites first."""

    hulls: list[int]
    systems: list[int]

    def hull(self, rng: Random) -> int:
        """Choose a hull: half of the time one of the two favourites."""
        return _favourite(rng, self.hulls)

    def system(self, rng: Random) -> int:
        """Choose a system, now and then one far from home."""
        if rng.random() < 0.06:
            return _ANYWHERE[int(rng.random() * len(_ANYWHERE))]
        return _favourite(rng, self.systems)


def _favourite(rng: Random, choices: list[int]) -> int:
    return choices[int(rng.random() ** 1.6 * len(choices))]


@lru_cache(maxsize=8192)
def habits_of(seed: int, character_id: int) -> Habits:
    """Return a character's habits: 4 to 6 hulls, 3 to 5 systems of one kind of space."""
    rng = Random(f"{character_id}:{seed}")
    wanted = rng.randint(4, 6)
    named: dict[str, None] = {}
    while len(named) < wanted:
        named[rng.choice(rng.choices(_CHOICES, _CHANCES)[0])] = None
    home = rng.choices(_REGIONS, _HOMES)[0]
    # nobody flies a capital ship every day
    hulls = sorted(named, key=_CAPITAL.__contains__)
    return Habits([ID_OF[name] for name in hulls], rng.sample(home, rng.randint(3, 5)))


class Calendar:
    """When everybody plays: mostly in the evening, more at weekends, on some days hardly at all.

    `start` is a unix time on the hour; `hours` is how many follow it.
    """

    def __init__(self, seed: int, start: int, hours: int) -> None:
        self._start = start
        weights = list(_weights(seed, start, hours))
        scale = hours * HOUR / sum(weights)
        self._passed = [0.0, *accumulate(weight * scale for weight in weights)]

    def time(self, offset: int) -> int:
        """Return the unix time for an offset in seconds; it never falls as the offset rises.

        Evenly spread offsets give times as dense as people play. Before the first and after the
        last hour, the offset itself is added to the start.
        """
        hour = bisect_right(self._passed, offset) - 1
        if not 0 <= hour < len(self._passed) - 1:
            return self._start + offset
        begun, ended = self._passed[hour], self._passed[hour + 1]
        within = min((offset - begun) / (ended - begun), 1)
        return self._start + int((hour + within) * HOUR)


def _weights(seed: int, start: int, hours: int) -> Iterator[float]:
    quiet = Random(f"{seed}:quiet").randrange(4)
    for hour in range(start // HOUR, start // HOUR + hours):
        day, hour_of_day = divmod(hour, 24)
        # 1970-01-01 was a Thursday
        weekday = (day + 3) % 7
        chance = crc32(b"%d:%d" % (seed, day)) / 2**32
        factor = 0.05 if chance < 0.15 else 0.2 if weekday == quiet else 1
        yield _HOURS[hour_of_day] * _WEEKDAYS[weekday] * factor
