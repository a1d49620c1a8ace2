"""The notes that rows of the outbox stand for, as a channel is to have them."""

import sqlite3
from collections.abc import Sequence

import msgspec

from killsync.killmail.audience import side_of
from killsync.killmail.sides import Side
from killsync.outbox.notes import KillNote, Note, TroubleNote
from killsync.settings.channels import Channel
from killsync.store import kills, queueing
from killsync.store.kills import Kill
from killsync.store.outbox import Entry


def notes_of(
    conn: sqlite3.Connection, channel: Channel, entries: Sequence[Entry]
) -> list[tuple[Entry, Note]]:
    """Return rows, each with its note, without those of which there is none.

    Their killmails are deleted or not asked for any more, or another version has written them.
    """
    ids = [entry.killmail_id for entry in entries if entry.killmail_id is not None]
    told = {note.kill.killmail_id: note for note in kill_notes(conn, channel, ids)}
    found: list[tuple[Entry, Note]] = []
    for entry in entries:
        note: Note | None
        if entry.trouble is not None:
            note = trouble_note(entry.trouble)
        else:
            note = told.get(entry.killmail_id or 0)
        if note is not None:
            found.append((entry, note))
    return found


def kill_notes(
    conn: sqlite3.Connection, channel: Channel, killmail_ids: Sequence[int]
) -> list[KillNote]:
    """Return the notes of those of these killmails that are still wanted, in the given order.

    Their side is what they are to the channel's own users, if it names any.
    """
    found = kills.some(conn, queueing.still_wanted(conn, channel, killmail_ids))
    if not channel.users:
        return [KillNote(kill) for kill in found]
    users = queueing.users_of(conn, channel)
    roles = queueing.roles_in(conn, killmail_ids)
    return [
        KillNote(_with_side(kill, side_of(roles.get(kill.killmail_id, {}), users)))
        for kill in found
    ]


def trouble_note(text: str) -> TroubleNote | None:
    """Return the note that a row holds as JSON, None if another version has written it."""
    try:
        return msgspec.json.decode(text, type=TroubleNote)
    except msgspec.DecodeError:
        return None


def _with_side(kill: Kill, side: Side | None) -> Kill:
    return msgspec.structs.replace(kill, side=side or kill.side)
