"""What doctor says of telling, from the database alone: it sends nothing.

A quiet scan says little of a channel, and nothing of one that names nobody.
"""

import shlex
from collections.abc import Iterator

from killsync.doctor import storage
from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped, warning
from killsync.doctor.setup import Setup
from killsync.errors import KillsyncError
from killsync.outbox import by_url, standing
from killsync.settings.channels import Channel
from killsync.store.connection import VERSION
from killsync.terminal.channels_table import ChannelRow
from killsync.terminal.text import count
from killsync.times import HOUR, duration


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how each channel is."""
    channels = setup.settings.tell
    if not channels:
        return
    if any(channel.url for channel in channels) and (missing := by_url.what_is_missing()):
        yield problem("apprise", "a url needs it, and it is not installed", missing)
    if not setup.settings.database.exists():
        yield skipped("channels", "there is no database yet")
        return
    try:
        with storage.opened(setup.settings.database) as store:
            is_old = store.version() < VERSION
            rows = [] if is_old else standing.rows(store, setup.settings, setup.now)
    except KillsyncError:
        yield skipped("channels", "the database cannot be read")
        return
    if is_old:
        yield skipped("channels", "the schema is older")
    for row in rows:
        if row.channel is not None:
            yield _channel(setup, row, row.channel)


def _channel(setup: Setup, row: ChannelRow, channel: Channel) -> Diagnosis:
    subject, since = f"tell {row.name!r}", row.state.failing_since
    if row.unclear:
        words = ", ".join(map(repr, row.unclear))
        text = f"its users {words}: nobody's name, or that of several"
        return problem(subject, text, f"correct users; `{setup.command('users')}` lists the names")
    if since is not None:
        lasts = duration(max(0.0, setup.now - since))
        waiting = count(row.counts.waiting, "message")
        text = f"has failed for {lasts}, {waiting} waiting: {row.state.error}"
        cure = f"try it: {setup.command(f'tell --test {shlex.quote(row.name)}')}"
        level = problem if setup.now - since > HOUR else warning
        return level(subject, text, cure)
    by = "a command" if channel.command else "Apprise"
    return ok(subject, f"by {by}, {row.counts.told:,} told, {row.counts.waiting:,} waiting")
