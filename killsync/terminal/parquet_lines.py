"""The events of an export to Parquet as sentences."""

from killsync.lake.parquet_events import Exported
from killsync.terminal.lines import sentence as sentence
from killsync.terminal.moments import Zone
from killsync.terminal.text import count, safe


@sentence.register
def _(event: Exported, zone: Zone) -> str:
    lake = safe(event.lake, 400)
    if not event.killmails and not event.removed:
        return f"{lake}: nothing new after stored_seq {event.stored_seq:,}"
    new = count(event.killmails, "new killmail")
    if event.months:
        new += f" of {count(event.months, 'month')}"
    removed = f", {event.removed:,} deleted" if event.removed else ""
    return f"{lake}: {new}{removed}; it has all up to stored_seq {event.stored_seq:,}"
