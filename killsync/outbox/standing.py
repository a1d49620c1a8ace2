"""How each channel stands: what it has told, what waits for it, whether it fails."""

from killsync.outbox import resting
from killsync.settings.config import Settings
from killsync.store import channels, queueing
from killsync.store.connection import Store
from killsync.terminal.channels_table import ChannelRow

_NEWEST_UNCERTAIN = 10


def rows(store: Store, settings: Settings, now: float) -> list[ChannelRow]:
    """Return how each channel stands: those of the configuration, then those that were in it."""
    conn = store.conn
    configured = {channel.name: channel for channel in settings.tell}
    names = [*configured, *(name for name in channels.known(conn) if name not in configured)]
    found: list[ChannelRow] = []
    for name in names:
        channel, state = configured.get(name), channels.get(conn, name)
        unclear = queueing.unclear_users(conn, channel) if channel else []
        counts = channels.counts(conn, name, _NEWEST_UNCERTAIN)
        rests = resting.is_resting(state, now)
        found.append(ChannelRow(name, channel, counts, state, rests, unclear))
    return found
