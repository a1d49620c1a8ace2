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
from killsync.terminal.moments import Zone, time_to_come
from killsync.terminal.text import count, safe
from killsync.times import duration, iso


@singledispatch
def sentence(event: Event) -> str:
    """Return an event as one line of text."""
    raise NotImplementedError(type(event).__name__)


@sentence.register
def _(event: events.UserDue) -> str:
    last = "never" if event.age_s is None else f"{duration(event.age_s)} ago"
    return f"{safe(event.name)} ({event.user_id}) is due, last: {last}"


@sentence.register
def _(event: events.Queued) -> str:
    queued = f"{event.queued:,} queued in the background, in {event.seconds:.2f} s"
    return f"{count(event.due, 'user')} due, {queued}"


@sentence.register
def _(event: events.Held) -> str:
    by = "another run" if event.pid is None else f"{safe(event.command)} (pid {event.pid})"
    return f"waiting for {by}: {'; '.join(map(_progress, event.users))}"


def _progress(user: events.Progress) -> str:
    listed = f"{count(user.pages, 'page')}, {user.new:,} new, {user.pending:,} pending"
    return f"{safe(user.name)} {user.state}, {listed}"


@sentence.register
def _(event: events.Working) -> str:
    return f"{count(event.pending, 'killmail')} pending from earlier runs"


@sentence.register
def _(event: events.ListStarted) -> str:
    name = safe(event.name)
    gap = (
        "" if event.resume_page is None else f", then on with the gap at page {event.resume_page:,}"
    )
    if event.mode == "full":
        return f"{name}: full sync, the whole list{gap}"
    return f"{name}: incremental sync, down to killmail {event.stored_id}{gap}"


@sentence.register
def _(event: events.ListCached) -> str:
    return f"{safe(event.name)}: ESI's list is cached until {event.until}, nothing to ask before"


@sentence.register
def _(event: events.PageListed) -> str:
    pages = "" if event.pages is None else f" of {event.pages:,}"
    met = "" if event.met is None else f"; met killmail {event.met}, no need to read on"
    listed = count(event.killmails, "killmail")
    return f"{safe(event.name)}: page {event.page:,}{pages}, {listed}, {event.new:,} new{met}"


@sentence.register
def _(event: events.EntriesSkipped) -> str:
    entries = "1 entry is" if event.skipped == 1 else f"{event.skipped:,} entries are"
    where = f"{safe(event.name)} ({event.user_id}): page {event.page:,}"
    return f"{where}: {entries} not valid and skipped; the page is read again at each sync"


@sentence.register
def _(event: events.ImportsContradicted) -> str:
    others = f" and {event.killmails - 1:,} more" if event.killmails > 1 else ""
    where = f"{safe(event.name)}: killmail {event.lowest}{others}"
    return f"{where}: imported with another hash than ESI lists; deleted, and fetched from ESI"


@sentence.register
def _(event: events.Listed) -> str:
    name = safe(event.name)
    if event.unchanged and event.gap_page is None:
        return f"{name}: nothing new, the list has not changed"
    line = f"{name}: {count(event.new, 'new killmail')} on {count(event.pages, 'page')}"
    if event.gap_page is None:
        return line
    when = "the next run" if event.gap_at is None else f"a run after {event.gap_at}"
    return f"{line}; {when} goes on at page {event.gap_page:,}"


@sentence.register
def _(event: events.ListPutOff) -> str:
    when = "tried again by the next run" if event.until is None else f"put off until {event.until}"
    return f"{safe(event.name)}: {safe(event.reason)}; {when}"


@sentence.register
def _(event: events.UserFailed) -> str:
    again = "" if event.until is None else f"; tried again by {event.until}"
    return f"{safe(event.name)} ({event.user_id}) failed: {safe(event.error, 800)}{again}"


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
def _(event: events.BodyNotOurs) -> str:
    return (
        f"killmail {event.killmail_id} is not kept: nobody registered takes part, although "
        "zKillboard lists it"
    )


@sentence.register
def _(event: events.NamesStored) -> str:
    unknown = f", {count(event.unknown, 'id')} unknown to ESI" if event.unknown else ""
    return f"{count(event.named, 'name')} stored{unknown}"


@sentence.register
def _(event: events.NamesStopped) -> str:
    return f"no more names in this run: {safe(event.reason)}"


@sentence.register
def _(event: events.UpkeepBroken) -> str:
    return (
        f"{safe(event.what)}: {safe(event.error)}, which is a bug; killmails do without,"
        " and --verbose shows where it happens"
    )


@sentence.register
def _(event: events.Traced) -> str:
    return "\n".join(safe(line, 1_000) for line in event.traceback.splitlines())


@sentence.register
def _(event: events.Waiting) -> str:
    return _waiting(event, Zone.LOG)


def _waiting(event: events.Waiting, zone: Zone) -> str:
    if event.after is None:
        return f"waiting {duration(event.seconds)}, until ESI may be asked again"
    return describe_rest(event.after, event.until, time.time(), zone)


@sentence.register
def _(event: events.PricesKept) -> str:
    return f"market prices of {event.day}: {count(event.types, 'type')}, {event.changed:,} changed"


@sentence.register
def _(event: events.PricesPutOff) -> str:
    return f"market prices: {safe(event.reason)}; asked for again after {event.until}"


@sentence.register
def _(event: events.Idle) -> str:
    return _idle(event, Zone.LOG)


def _idle(event: events.Idle, zone: Zone) -> str:
    if not event.waiting:
        return "no users yet: add one with `killsync login`"
    waiting = f"nothing is due: {describe_waiting(event.waiting, time.time(), zone)}"
    return _with_backlog(waiting, event.backlog, zone)


@sentence.register
def _(event: events.GaveWay) -> str:
    line = "another run is in progress"
    if event.pid is None:
        return line
    where = f"pid {event.pid} on {safe(event.host)}, since {event.since}"
    return f"{line}: {safe(event.command)}, {where}"


@sentence.register
def _(event: events.Ended) -> str:
    return _ended(event, Zone.LOG)


def _ended(event: events.Ended, zone: Zone) -> str:
    done = (
        f"{count(event.users, 'user')}, {count(event.pages, 'page')}, "
        f"{count(event.stored, 'killmail')} stored, {count(event.errors, 'error')}, "
        f"{count(event.requests, 'request')} in {event.seconds:.1f} s"
    )
    rest = event.backlog.ready > 0 or event.queued > 0
    return _stopped(_with_backlog(done, event.backlog, zone), event.stopped, rest=rest)


@sentence.register
def _(event: events.SyncQueued) -> str:
    if not event.behind:
        return f"{safe(event.name)}: queued before all others"
    others = "another" if event.behind == 1 else f"{event.behind:,} others"
    return f"{safe(event.name)}: queued behind {others} asked for by hand, before the rest"


@sentence.register
def _(event: events.FullPassQueued) -> str:
    return (
        f"{safe(event.name)}: ESI's list is cached until {event.until}; "
        "the full pass is queued for then"
    )


@sentence.register
def _(event: events.Synced) -> str:
    return _synced(event, Zone.LOG)


def _synced(event: events.Synced, zone: Zone) -> str:
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


def sentence_by_clock(event: Event, zone: Zone) -> str:
    """Return an event as one line of text, the times to come by this clock."""
    match event:
        case events.Idle():
            return _idle(event, zone)
        case events.Ended():
            return _ended(event, zone)
        case events.Synced():
            return _synced(event, zone)
        case events.Waiting():
            return _waiting(event, zone)
    if zone is Zone.LOG:
        return sentence(event)
    # whatever holds a time to come is called so
    times = {name: getattr(event, name, None) for name in ("until", "gap_at")}
    shown = {name: time_to_come(at, time.time(), zone) for name, at in times.items() if at}
    return sentence(msgspec.structs.replace(event, **shown))


def line(event: Event, now: float, *, as_json: bool, dated: bool, zone: Zone = Zone.LOG) -> str:
    """Return an event as a line: an object with `time` and `event`, or text, its time if `dated`.

    `now` is in unix seconds; times to come are shown by the clock of the `zone`.
    """
    if as_json:
        return json.dumps({"time": iso(now)} | msgspec.to_builtins(event))
    text = sentence_by_clock(event, zone)
    return f"{iso(now)} {text}" if dated else text


class LineReport:
    """Writes an event a line to standard error, with the time unless it is a terminal."""

    def __init__(
        self,
        *,
        quiet: bool,
        as_json: bool,
        verbose: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._as_json = as_json
        self._stream = stream or sys.stderr

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._quiet and not (isinstance(event, Trouble) and event.first):
            return
        if isinstance(event, Detail) and not self._verbose:
            return
        dated = not self._stream.isatty()
        shown = line(event, time.time(), as_json=self._as_json, dated=dated)
        self._stream.write(shown + "\n")
        self._stream.flush()
