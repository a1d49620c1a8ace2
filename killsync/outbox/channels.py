"""Delivering notes by a channel, of whatever kind."""

import threading
from collections.abc import Sequence

from killsync.delivery import Delivery
from killsync.outbox import by_command, by_url
from killsync.outbox.notes import Note
from killsync.settings.channels import Channel


def most_at_once(channel: Channel) -> int:
    """Return how many notes one call of `deliver` takes at most."""
    return by_command.MOST_AT_ONCE if channel.command else by_url.MOST_AT_ONCE


def deliver(
    channel: Channel,
    notes: Sequence[Note],
    *,
    timeout: float,
    stopping: threading.Event | None = None,
) -> Delivery:
    """Tell all of the notes by one channel: in one message, or by one call of a command.

    It lasts at most `timeout` seconds, of a command also at most 30, and only some seconds more
    once `stopping` is set; nothing that it has started runs on. It raises nothing for what the
    channel does. Raises ValueError for no notes, and for more than `most_at_once`.
    """
    if not 0 < len(notes) <= most_at_once(channel):
        raise ValueError(f"{len(notes)} notes at once")
    if channel.command:
        return by_command.deliver(channel.command, notes, timeout, stopping)
    return by_url.deliver(channel.url, notes, timeout, stopping)
