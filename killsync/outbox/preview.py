"""What a channel would be told now."""

import msgspec

from killsync.outbox.by_command import line
from killsync.outbox.markup import PLAIN
from killsync.outbox.messages import compose
from killsync.outbox.notes import Note
from killsync.outbox.queue_troubles import not_queued
from killsync.outbox.reading import kill_notes, trouble_note
from killsync.settings.channels import Channel
from killsync.settings.config import Settings
from killsync.store import outbox
from killsync.store.connection import Store

_MOST_SHOWN = 100
_NO_LIMIT = 1_000_000


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
        return line(note).decode()
    return compose([note], PLAIN, _NO_LIMIT).body


def as_json(note: Note) -> object:
    """Return a note as a command is given it."""
    return msgspec.json.decode(line(note))
