"""Who is told of a killmail: which channel wants it."""

from collections.abc import Mapping

import msgspec

from killsync.killmail.sides import Role, Side
from killsync.settings.channels import Channel, Subject

_SUBJECTS = {Side.KILL: Subject.KILLS, Side.LOSS: Subject.LOSSES}


class News(msgspec.Struct, frozen=True):
    """A stored killmail, as far as it decides who is told: `age` in seconds, `value` in ISK.

    `roles` has those users of ours who take part; `value` is None if nothing of it is priced.
    """

    killmail_id: int
    age: float
    value: float | None
    roles: Mapping[int, Role]


def side_of(roles: Mapping[int, Role], users: frozenset[int] | None) -> Side | None:
    """Return what a killmail is to these users, None: to all of ours; None if they are not on it.

    It is a loss if one of them is the victim.
    """
    theirs = [role for user, role in roles.items() if users is None or user in users]
    if not theirs:
        return None
    return Side.LOSS if Role.VICTIM in theirs else Side.KILL


def wants(channel: Channel, users: frozenset[int] | None, news: News) -> bool:
    """Return whether a channel tells of a killmail; `users` are those it is about, None: all."""
    return news.age < channel.max_age and asks_for(channel, users, news)


def asks_for(channel: Channel, users: frozenset[int] | None, news: News) -> bool:
    """Return whether a channel tells of a killmail that is new enough, or was when it was queued.

    What has no price is not known to be worth anything.
    """
    worth = channel.min_value <= 0 or (news.value is not None and news.value >= channel.min_value)
    side = side_of(news.roles, users)
    return worth and side is not None and _SUBJECTS[side] in channel.what
