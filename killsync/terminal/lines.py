"""Events as lines: one sentence each for people, or one JSON object each for programs."""

import json
import sys
import time
from functools import singledispatch
from typing import TextIO

import msgspec

from killsync.model import Priority
from killsync.sync import events
from killsync.sync.events import Event, Trouble
from killsync.terminal.text import count, safe
from killsync.times import duration, iso


@singledispatch
def sentence(event: Event) -> str:
    """Return an event as one line of text."""
    raise NotImplementedError(type(event).__name__)


@sentence.register
def _(event: events.UserDue) -> str:
    return f"{safe(event.name)} ({event.user_id}) is due, last: {event.last}"


@sentence.register
def _(event: events.Queued) -> str:
    due, priority = count(event.due, "user"), Priority.BACKGROUND
    return f"{due} due, {event.queued:,} queued at priority {priority} in {event.seconds:.2f} s"


@sentence.register
def _(event: events.Held) -> str:
    return f"waiting for {safe(event.by)}: {event.progress}"


@sentence.register
def _(event: events.Working) -> str:
    return f"{count(event.pending, 'killmail')} pending from earlier runs"


@sentence.register
def _(event: events.ListStarted) -> str:
    name = safe(event.name)
    gap = "" if event.resume_page is None else f", then on with the gap at page {event.resume_page}"
    if event.mode == "full":
        return f"{name}: full sync, the whole list{gap}"
    return f"{name}: incremental sync, down to killmail {event.stored_id}{gap}"


@sentence.register
def _(event: events.ListCached) -> str:
    return f"{safe(event.name)}: ESI's list is cached until {event.until}, nothing to ask before"


@sentence.register
def _(event: events.PageListed) -> str:
    pages = "" if event.pages is None else f" of {event.pages}"
    met = "" if event.met is None else f"; met killmail {event.met}, no need to read on"
    listed = count(event.killmails, "killmail")
    return f"{safe(event.name)}: page {event.page}{pages}, {listed}, {event.new} new{met}"


@sentence.register
def _(event: events.EntriesSkipped) -> str:
    entries = "1 entry is" if event.skipped == 1 else f"{event.skipped:,} entries are"
    where = f"{safe(event.name)} ({event.user_id}): page {event.page}"
    return f"{where}: {entries} not valid and skipped; the page is read again at each sync"


@sentence.register
def _(event: events.Listed) -> str:
    name = safe(event.name)
    if event.unchanged and event.gap_page is None:
        return f"{name}: nothing new, the list has not changed"
    line = f"{name}: {count(event.new, 'new killmail')} on {count(event.pages, 'page')}"
    if event.gap_page is None:
        return line
    when = "the next run" if event.gap_at is None else f"a run after {event.gap_at}"
    return f"{line}; {when} goes on at page {event.gap_page}"


@sentence.register
def _(event: events.ListPutOff) -> str:
    when = "tried again by the next run" if event.until is None else f"put off until {event.until}"
    return f"{safe(event.name)}: {safe(event.reason)}; {when}"


@sentence.register
def _(event: events.UserFailed) -> str:
    again = "" if event.until is None else f"; next try after {event.until}"
    return f"{safe(event.name)} ({event.user_id}) failed: {safe(event.error)}{again}"


@sentence.register
def _(event: events.BodiesStored) -> str:
    return f"stored {count(event.batch, 'killmail')}, {event.stored:,} in this run"


@sentence.register
def _(event: events.BodyPutOff) -> str:
    return f"killmail {event.killmail_id}: {safe(event.error)}; put off until {event.until}"


@sentence.register
def _(event: events.BodySetAside) -> str:
    again = f"asked for again after {event.until}"
    return f"killmail {event.killmail_id} is set aside: {safe(event.error)}; {again}"


@sentence.register
def _(event: events.HashMismatch) -> str:
    return f"killmail {event.killmail_id} is stored, but its hash does not fit its content"


@sentence.register
def _(event: events.Waiting) -> str:
    return f"waiting {duration(event.seconds)}, until ESI may be asked again"


class LineReport:
    """Writes an event a line to standard error, with the time unless it is a terminal."""

    def __init__(self, *, quiet: bool, as_json: bool, stream: TextIO | None = None) -> None:
        self._quiet = quiet
        self._as_json = as_json
        self._stream = stream or sys.stderr

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._quiet and not (isinstance(event, Trouble) and event.first):
            return
        now = iso(time.time())
        if self._as_json:
            line = json.dumps({"time": now} | msgspec.to_builtins(event))
        elif self._stream.isatty():
            line = sentence(event)
        else:
            line = f"{now} {sentence(event)}"
        self._stream.write(line + "\n")
        self._stream.flush()
