"""Queueing what channels are to be told of troubles, and of their ends."""

import msgspec

from killsync.outbox import troubles
from killsync.outbox.notes import TroubleKind, TroubleNote
from killsync.outbox.troubles import Current, Decision
from killsync.settings.channels import Channel, Subject
from killsync.settings.config import Settings
from killsync.store import outbox, queueing
from killsync.store import troubles as stored
from killsync.store.connection import Store


def queue_troubles(store: Store, settings: Settings, now: float) -> None:
    """Queue what has begun and what is over since the last time, for each channel that asks."""
    asking = [channel for channel in settings.tell if Subject.TROUBLE in channel.what]
    if not asking:
        return
    there = troubles.current(store, settings, now)
    for channel in asking:
        if not _is_empty(_decide(store, channel, there, now)):
            _queue(store, settings, channel, now)


def not_queued(store: Store, settings: Settings, channel: Channel, now: float) -> list[TroubleNote]:
    """Return what `queue_troubles` would queue for a channel."""
    if Subject.TROUBLE not in channel.what:
        return []
    decision = _decide(store, channel, troubles.current(store, settings, now), now)
    return [announcement.note for announcement in decision.announcements]


def _decide(store: Store, channel: Channel, there: list[Current], now: float) -> Decision:
    users = queueing.users_of(store.conn, channel)
    of_it = [
        one
        for one in there
        if one.what is not TroubleKind.NEEDS_LOGIN or users is None or one.user_id in users
    ]
    still_open = stored.still_open(store.conn, channel.name)
    return troubles.decide(still_open, of_it, troubles.evidence(store, still_open, there), now)


def _is_empty(decision: Decision) -> bool:
    return not (decision.announcements or decision.closed)


def _queue(store: Store, settings: Settings, channel: Channel, now: float) -> None:
    with store.transaction() as conn:
        # another process may have been faster, or have ended what there was
        there = troubles.current(store, settings, now)
        decision = _decide(store, channel, there, now)
        for one in decision.unsent:
            outbox.forget_trouble(conn, one.outbox_id, now)
        for one in decision.closed:
            stored.remove(conn, channel.name, one.what, one.user_id)
        for announcement in decision.announcements:
            text = msgspec.json.encode(announcement.note).decode()
            row = queueing.queue_trouble(conn, channel.name, text, now)
            for begun in () if announcement.note.over else announcement.of:
                known = (begun.what.value, begun.user_id, begun.name, begun.since)
                stored.add(conn, channel.name, *known, outbox_id=row)
