"""The events of `import zkb` as sentences."""

import time

from killsync.sync import zkb_events as events
from killsync.terminal.advice import describe_backlog
from killsync.terminal.import_lines import describe_refused
from killsync.terminal.lines import sentence as sentence
from killsync.terminal.moments import Zone, time_to_come
from killsync.terminal.text import count, safe


@sentence.register
def _(event: events.ZkbWalkStarted, zone: Zone) -> str:
    how = "down to what is known already" if event.recorded else "to its end"
    if event.resume_page is not None:
        how = f"what is new, then on from page {event.resume_page:,}"
    return f"{safe(event.name)}, {event.side}: {how}; a page of up to 200 killmails a second"


@sentence.register
def _(event: events.ZkbPageListed, zone: Zone) -> str:
    listed = f"{count(event.killmails, 'killmail')}, {event.new:,} new"
    return f"{safe(event.name)}, {event.side}: page {event.page:,}, {listed}"


@sentence.register
def _(event: events.ZkbEntriesSkipped, zone: Zone) -> str:
    entries = "1 entry is" if event.skipped == 1 else f"{event.skipped:,} entries are"
    return f"{safe(event.name)}, {event.side}: page {event.page:,}: {entries} not valid and skipped"


@sentence.register
def _(event: events.ZkbEndDoubted, zone: Zone) -> str:
    return (
        f"{safe(event.name)}, {event.side}: page {event.page:,} is empty, which may not be the "
        "end; the next import asks again"
    )


@sentence.register
def _(event: events.ZkbBodiesStarted, zone: Zone) -> str:
    line = f"{count(event.ready, 'killmail')} to fetch from ESI"
    if event.done_at is None:
        return line
    until = time_to_come(event.done_at, time.time(), zone, rough=True)
    return f"{line}, all by about {until} as far as its limit allows"


@sentence.register
def _(event: events.ZkbLeftToRuns, zone: Zone) -> str:
    by = "another run" if event.pid is None else f"{safe(event.command)} (pid {event.pid})"
    return f"{by} is in progress: it and the next scans fetch the killmails from ESI"


@sentence.register
def _(event: events.ZkbImported, zone: Zone) -> str:
    parts = []
    if event.listed:
        entries = "1 entry" if event.listed == 1 else f"{event.listed:,} entries"
        new = count(event.new, "new killmail")
        parts.append(f"{entries} on zKillboard's lists: {new}, {event.known:,} known already")
    parts.append(f"{event.stored:,} stored now")
    if event.refused:
        parts.append(describe_refused(dict(sorted(event.refused.items()))))
    parts += _left(event, zone)
    line = "; ".join(parts)
    return line if event.stopped is None else f"stopped by {event.stopped}: {line}"


def _left(event: events.ZkbImported, zone: Zone) -> list[str]:
    """Return what is left of these users' killmails, and of everybody's if that is another."""
    left = describe_backlog(event.backlog, time.time(), zone)
    if event.pending == event.backlog.ready:
        return [left] if left else []
    in_all = "in all " if event.backlog.ready else ""
    parts = [f"{in_all}{left}"] if left else []
    if event.pending:
        parts.insert(0, f"{count(event.pending, 'killmail')} of these users still pending")
    return parts
