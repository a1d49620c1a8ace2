"""What telling reports, and each in a sentence."""

from killsync.events import Event, Trouble
from killsync.terminal.channels_table import describe_unclear
from killsync.terminal.lines import sentence
from killsync.terminal.moments import Zone, in_line
from killsync.terminal.text import count, safe

_MOST_IDS = 20
_LONGEST = 400


class Delivered(Event, frozen=True):
    """A channel has told of so many killmails, and of troubles or their ends."""

    channel: str
    killmails: int
    troubles: int


class DeliveryFailed(Trouble, frozen=True, kw_only=True):
    """A channel has failed, and tries again after `until`; so many wait for it, and are expired."""

    channel: str
    reason: str
    until: str
    waiting: int
    expired: int


class DeliveryUncertain(Trouble, frozen=True, kw_only=True):
    """What nobody knows of whether a channel has told it; it is not sent again."""

    channel: str
    reason: str
    killmail_ids: list[int]
    troubles: int


class DeliveriesExpired(Trouble, frozen=True, kw_only=True):
    """What waited for a channel that is not in the configuration any more."""

    channel: str
    number: int


class UsersUnclear(Trouble, frozen=True, kw_only=True):
    """What a channel names as users and means nobody, or several: it is not told of them."""

    channel: str
    words: list[str]


@sentence.register
def _(event: Delivered, zone: Zone) -> str:
    return f"{_channel(event.channel)}: told {_what(event.killmails, event.troubles)}"


@sentence.register
def _(event: DeliveryFailed, zone: Zone) -> str:
    left = [f"{event.waiting:,} wait, tried again after {in_line(event.until, zone)}"]
    if event.expired:
        left.append(f"{event.expired:,} given up after a day")
    more = "`killsync tell` says more"
    return f"{_channel(event.channel)}: {safe(event.reason, _LONGEST)}; {'; '.join(left)}; {more}"


@sentence.register
def _(event: DeliveryUncertain, zone: Zone) -> str:
    what = _what(len(event.killmail_ids), event.troubles)
    ids = ", ".join(map(str, event.killmail_ids[:_MOST_IDS]))
    more = ", ..." if len(event.killmail_ids) > _MOST_IDS else ""
    which = f" ({ids}{more})" if ids else ""
    return (
        f"{_channel(event.channel)}: it is not known whether {what}{which} arrived, and nothing is "
        f"sent twice: {safe(event.reason, _LONGEST)}"
    )


@sentence.register
def _(event: DeliveriesExpired, zone: Zone) -> str:
    waited = f"{event.number:,} waited for it" if event.number > 1 else "one waited for it"
    return f"{_channel(event.channel)}: is not in the configuration any more; {waited}, given up"


@sentence.register
def _(event: UsersUnclear, zone: Zone) -> str:
    return f"{_channel(event.channel)}: {describe_unclear(event.words)}; it tells nothing of them"


def _channel(name: str) -> str:
    return f"tell {safe(name, 60)!r}"


def _what(killmails: int, troubles: int) -> str:
    parts = [count(killmails, "killmail")] if killmails else []
    parts += [count(troubles, "trouble")] if troubles else []
    return " and ".join(parts)
