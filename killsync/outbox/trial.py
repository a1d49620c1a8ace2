"""Trying a channel out, which ends its rest if it works."""

from killsync.delivery import LONGEST_DELIVERY, Outcome
from killsync.errors import KillsyncError
from killsync.outbox import resting
from killsync.outbox.channels import deliver
from killsync.outbox.notes import TestNote
from killsync.settings.channels import Channel
from killsync.store import channels
from killsync.store.connection import Store


def try_out(channel: Channel) -> None:
    """Send a line. Raises KillsyncError, which says why, unless it was delivered."""
    delivery = deliver(channel, [TestNote()], timeout=LONGEST_DELIVERY)
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
            channels.save(conn, resting.without_failures(channels.get(conn, channel.name)))
