"""Events as lines: one sentence each for people, or one JSON object each for programs."""

import json
import sys
import time
from functools import singledispatch
from typing import TextIO

import msgspec

from killsync.events import Detail, Event, Trouble
from killsync.sync import events
from killsync.sync.forecast import Backlog
from killsync.terminal.advice import describe_backlog, describe_rest, describe_waiting
from killsync.terminal.moments import Zone, in_line, length
from killsync.terminal.text import count, safe
from killsync.times import iso


@singledispatch
def sentence(event: Event, zone: Zone) -> str:
    """Return an event as one line of text, its times to come by the clock of the `zone`."""
    raise NotImplementedError(type(event).__name__)


@sentence.register
def _(event: events.UserDue, zone: Zone) -> str:
    last = "never" if event.age_s is None else f"{length(event.age_s, zone)} ago"
    return f"{safe(event.name)} ({event.user_id}) is due, last: {last}"


@sentence.register
def _(event: events.Queued, zone: Zone) -> str:
    queued = f"{event.queued:,} queued in the background, in {event.seconds:.2f} s"
    return f"{count(event.due, 'user')} due, {queued}"


@sentence.register
def _(event: events.Held, zone: Zone) -> str:
    by = "another run" if event.pid is None else f"{safe(event.command)} (pid {event.pid})"
    return f"waiting for {by}: {'; '.join(map(_progress, event.users))}"


def _progress(user: events.Progress) -> str:
    listed = f"{count(user.pages, 'page')}, {user.new:,} new, {user.pending:,} pending"
    return f"{safe(user.name)} {user.state}, {listed}"


@sentence.register
def _(event: events.Working, zone: Zone) -> str:
    return f"{count(event.pending, 'killmail')} pending from earlier runs"


@sentence.register
def _(event: events.ListStarted, zone: Zone) -> str:
    name = safe(event.name)
    gap = (
        "" if event.resume_page is None else f", then on with the gap at page {event.resume_page:,}"
    )
    if event.mode == "full":
        return f"{name}: full sync, the whole list{gap}"
    return f"{name}: incremental sync, down to killmail {event.stored_id}{gap}"


@sentence.register
def _(event: events.ListCached, zone: Zone) -> str:
    until = in_line(event.until, zone)
    return f"{safe(event.name)}: ESI's list is cached until {until}, nothing to ask before"


@sentence.register
def _(event: events.PageListed, zone: Zone) -> str:
    pages = "" if event.pages is None else f" of {event.pages:,}"
    met = "" if event.met is None else f"; met killmail {event.met}, no need to read on"
    listed = count(event.killmails, "killmail")
    return f"{safe(event.name)}: page {event.page:,}{pages}, {listed}, {event.new:,} new{met}"


@sentence.register
def _(event: events.EntriesSkipped, zone: Zone) -> str:
    entries = "1 entry is" if event.skipped == 1 else f"{event.skipped:,} entries are"
    where = f"{safe(event.name)} ({event.user_id}): page {event.page:,}"
    return f"{where}: {entries} not valid and skipped; the page is read again at each sync"


@sentence.register
def _(event: events.ImportsContradicted, zone: Zone) -> str:
    others = f" and {event.killmails - 1:,} more" if event.killmails > 1 else ""
    where = f"{safe(event.name)}: killmail {event.lowest}{others}"
    return f"{where}: imported with another hash than ESI lists; deleted, and fetched from ESI"


@sentence.register
def _(event: events.Listed, zone: Zone) -> str:
    name = safe(event.name)
    if event.unchanged and event.gap_page is None:
        return f"{name}: nothing new, the list has not changed"
    line = f"{name}: {count(event.new, 'new killmail')} on {count(event.pages, 'page')}"
    if event.gap_page is None:
        return line
    when = "the next run" if event.gap_at is None else f"a run after {in_line(event.gap_at, zone)}"
    return f"{line}; {when} goes on at page {event.gap_page:,}"


@sentence.register
def _(event: events.ListPutOff, zone: Zone) -> str:
    again = "tried again by the next run"
    when = again if event.until is None else f"put off until {in_line(event.until, zone)}"
    return f"{safe(event.name)}: {safe(event.reason)}; {when}"


@sentence.register
def _(event: events.UserFailed, zone: Zone) -> str:
    again = "" if event.until is None else f"; tried again by {in_line(event.until, zone)}"
    return f"{safe(event.name)} ({event.user_id}) failed: {safe(event.error, 800)}{again}"


@sentence.register
def _(event: events.BodiesStored, zone: Zone) -> str:
    return f"stored {count(event.batch, 'killmail')}, {event.stored:,} in this run"


@sentence.register
def _(event: events.BodyPutOff, zone: Zone) -> str:
    until = in_line(event.until, zone)
    return f"killmail {event.killmail_id}: {safe(event.error)}; put off until {until}"


@sentence.register
def _(event: events.BodySetAside, zone: Zone) -> str:
    again = f"asked for again after {in_line(event.until, zone)}"
    return f"killmail {event.killmail_id} is set aside: {safe(event.error)}; {again}"


@sentence.register
def _(event: events.HashMismatch, zone: Zone) -> str:
    return f"killmail {event.killmail_id} is stored, but its hash does not fit its content"


@sentence.register
def _(event: events.BodyNotOurs, zone: Zone) -> str:
    return (
        f"killmail {event.killmail_id} is not kept: nobody registered takes part, although "
        "zKillboard lists it"
    )


@sentence.register
def _(event: events.NamesStored, zone: Zone) -> str:
    unknown = f", {count(event.unknown, 'id')} unknown to ESI" if event.unknown else ""
    return f"{count(event.named, 'name')} stored{unknown}"


@sentence.register
def _(event: events.NamesStopped, zone: Zone) -> str:
    return f"no more names in this run: {safe(event.reason)}"


@sentence.register
def _(event: events.UpkeepBroken, zone: Zone) -> str:
    return (
        f"{safe(event.what)}: {safe(event.error)}, which is a bug; killmails do without,"
        " and --verbose shows where it happens"
    )


@sentence.register
def _(event: events.Traced, zone: Zone) -> str:
    return "\n".join(safe(line, 1_000) for line in event.traceback.splitlines())


@sentence.register
def _(event: events.Waiting, zone: Zone) -> str:
    if event.after is None:
        return f"waiting {length(event.seconds, zone)}, until ESI may be asked again"
    return describe_rest(event.after, event.until, time.time(), zone)


@sentence.register
def _(event: events.PricesKept, zone: Zone) -> str:
    return f"market prices of {event.day}: {count(event.types, 'type')}, {event.changed:,} changed"


@sentence.register
def _(event: events.PricesPutOff, zone: Zone) -> str:
    return (
        f"market prices: {safe(event.reason)}; asked for again after {in_line(event.until, zone)}"
    )


@sentence.register
def _(event: events.Idle, zone: Zone) -> str:
    if not event.waiting:
        return "no users yet: add one with `killsync login`"
    waiting = f"nothing is due: {describe_waiting(event.waiting, time.time(), zone)}"
    return _with_backlog(waiting, event.backlog, zone)


@sentence.register
def _(event: events.GaveWay, zone: Zone) -> str:
    line = "another run is in progress"
    if event.pid is None:
        return line
    where = f"pid {event.pid} on {safe(event.host)}, since {event.since}"
    return f"{line}: {safe(event.command)}, {where}"


@sentence.register
def _(event: events.Ended, zone: Zone) -> str:
    done = (
        f"{count(event.users, 'user')}, {count(event.pages, 'page')}, "
        f"{count(event.stored, 'killmail')} stored, {count(event.errors, 'error')}, "
        f"{count(event.requests, 'request')} in {event.seconds:.1f} s"
    )
    rest = event.backlog.ready > 0 or event.queued > 0
    return _stopped(_with_backlog(done, event.backlog, zone), event.stopped, rest=rest)


@sentence.register
def _(event: events.SyncQueued, zone: Zone) -> str:
    if not event.behind:
        return f"{safe(event.name)}: queued before all others"
    others = "another" if event.behind == 1 else f"{event.behind:,} others"
    return f"{safe(event.name)}: queued behind {others} asked for by hand, before the rest"


@sentence.register
def _(event: events.FullPassQueued, zone: Zone) -> str:
    return (
        f"{safe(event.name)}: ESI's list is cached until {in_line(event.until, zone)}; "
        "the full pass is queued for then"
    )


@sentence.register
def _(event: events.Synced, zone: Zone) -> str:
    in_all = "" if event.backlog.to_come else f", {event.killmails:,} in all"
    done = f"{count(event.stored, 'killmail')} stored{in_all}"
    shown = _with_backlog(done, event.backlog, zone)
    return f"{safe(event.name)}: {_stopped(shown, event.stopped, rest=True)}"


def _with_backlog(text: str, backlog: Backlog, zone: Zone) -> str:
    left = describe_backlog(backlog, time.time(), zone)
    return f"{text}; {left}" if left else text


def _stopped(done: str, by: str | None, *, rest: bool) -> str:
    """Return what was done so that nobody takes it for all that was to be done."""
    if by is None:
        return done
    return f"stopped by {by}: {done}" + ("; the rest stays queued" if rest else "")


def line(event: Event, now: float, *, as_json: bool, dated: bool, zone: Zone = Zone.LOG) -> str:
    """Return an event as a line: an object with `time` and `event`, or text, its time if `dated`.

    `now` is in unix seconds; times to come are shown by the clock of the `zone`.
    """
    if as_json:
        return json.dumps({"time": iso(now)} | msgspec.to_builtins(event))
    text = sentence(event, zone)
    return f"{iso(now)} {text}" if dated else text


class LineReport:
    """Writes an event a line to standard error: a log's, or a terminal's by the `zone`'s clock."""

    def __init__(
        self,
        *,
        quiet: bool,
        as_json: bool,
        verbose: bool = False,
        zone: Zone = Zone.LOG,
        stream: TextIO | None = None,
    ) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._as_json = as_json
        self._zone = zone
        self._stream = stream or sys.stderr

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._quiet and not (isinstance(event, Trouble) and event.first):
            return
        if isinstance(event, Detail) and not self._verbose:
            return
        dated = not self._stream.isatty()
        zone = Zone.LOG if dated else self._zone
        shown = line(event, time.time(), as_json=self._as_json, dated=dated, zone=zone)
        self._stream.write(shown + "\n")
        self._stream.flush()
