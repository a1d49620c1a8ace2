"""The channels that `[[tell]]` tables name: where to tell what, of whom, how soon."""

from enum import StrEnum

import msgspec

from killsync.settings.values import Duration


class Subject(StrEnum):
    """What a channel tells of."""

    KILLS = "kills"
    LOSSES = "losses"
    TROUBLE = "trouble"


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[tell]]` table: either a `url`, which is a secret, or a `command`.

    `users` are ids, names or how only one begins; none means everybody. Durations are in seconds.
    """

    name: str
    url: str = ""
    command: str | tuple[str, ...] = ()
    what: tuple[Subject, ...] = tuple(Subject)
    users: tuple[int | str, ...] = ()
    min_value: float | str = 0.0
    max_age: Duration = Duration(3600)
    delay: Duration = Duration(0)
