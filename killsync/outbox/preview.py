"""What a channel would be told now, and whether it works."""

import msgspec

from killsync.errors import KillsyncError
from killsync.outbox import resting
from killsync.outbox.by_command import line
from killsync.outbox.channels import deliver
from killsync.outbox.delivery import Outcome
from killsync.outbox.markup import PLAIN
from killsync.outbox.messages import compose
from killsync.outbox.notes import Note, TestNote
from killsync.outbox.queue_troubles import not_queued
from killsync.outbox.reading import kill_notes, trouble_note
from killsync.settings.channels import Channel
from killsync.settings.config import Settings
from killsync.store import channels, outbox, queueing
from killsync.store.connection import Store
from killsync.terminal.channels_table import ChannelRow
from killsync.terminal.text import safe_json

_NEWEST_UNCERTAIN = 10
_MOST_SHOWN = 100
_LONGEST_TEST = 30.0
_NO_LIMIT = 1_000_000


def rows(store: Store, settings: Settings, now: float) -> list[ChannelRow]:
    """Return how each channel stands: those of the configuration, then those that were in it."""
    conn = store.conn
    configured = {channel.name: channel for channel in settings.tell}
    names = [*configured, *(name for name in channels.used(conn) if name not in configured)]
    found: list[ChannelRow] = []
    for name in names:
        channel, state = configured.get(name), channels.get(conn, name)
        unclear = queueing.unclear_users(conn, channel) if channel else []
        counts = channels.counts(conn, name, _NEWEST_UNCERTAIN)
        rests = resting.is_resting(state, now)
        found.append(ChannelRow(name, channel, counts, state, rests, unclear))
    return found


def due_notes(store: Store, settings: Settings, channel: Channel, now: float) -> list[Note]:
    """Return what a channel would be told now if it did not rest: the first hundred killmails."""
    conn, name = store.conn, channel.name
    waiting = map(trouble_note, outbox.troubles_due(conn, name, now))
    found: list[Note] = [note for note in waiting if note is not None]
    found += not_queued(store, settings, channel, now)
    return found + list(kill_notes(conn, channel, outbox.next_due(conn, name, now, _MOST_SHOWN)))


def shown(channel: Channel, note: Note) -> str:
    """Return a note as a person reads it; for a command, the line that it would be given."""
    if channel.command:
        return safe_json(line(note).decode())
    return compose([note], PLAIN, _NO_LIMIT).body


def as_json(note: Note) -> object:
    """Return a note as a command is given it."""
    return msgspec.json.decode(line(note))


def try_out(channel: Channel) -> None:
    """Send a line. Raises KillsyncError, which says why, unless it was delivered."""
    delivery = deliver(channel, [TestNote()], timeout=_LONGEST_TEST)
    if delivery.outcome is Outcome.DELIVERED:
        return
    reason = delivery.reason or "no reason was given"
    unsure = "; it may have arrived all the same" if delivery.outcome is Outcome.UNKNOWN else ""
    raise KillsyncError(f"tell {channel.name!r}: {reason}{unsure}")


def end_rest(store: Store, channel: Channel) -> None:
    """Let a channel that works again tell at the next run what waits for it."""
    if channels.get(store.conn, channel.name).failures:
        with store.transaction() as conn:
            # another process may have told by it since
            told_at = channels.get(conn, channel.name).told_at
            channels.put(conn, channels.ChannelState(channel.name, told_at=told_at))
