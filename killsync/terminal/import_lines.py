"""The events of an import as sentences."""

from collections.abc import Mapping

from killsync.archive import events
from killsync.terminal.lines import sentence
from killsync.terminal.moments import Zone
from killsync.terminal.text import count, safe
from killsync.times import span

__all__ = ["sentence"]

_MEGABYTE = 1_000_000
_MANY = ("were", "are", "they have")


@sentence.register
def _(event: events.ToRead, zone: Zone) -> str:
    killmails = "" if event.killmails is None else f", {count(event.killmails, 'killmail')}"
    if event.archives:
        line = f"{count(event.archives, 'archive')} to read, {describe_size(event.size)}{killmails}"
    else:
        line = "no archive to read"
    return line + describe_passed_over(
        event.read_before, event.ignored, advice=", --full reads all again"
    )


@sentence.register
def _(event: events.ToFetch, zone: Zone) -> str:
    line = f"{count(event.days, 'day')} to fetch"
    if event.killmails is not None:
        line += f" ({count(event.killmails, 'killmail')} by totals.json)"
    if event.read_before:
        were, are, have = ("was", "is", "it has") if event.read_before == 1 else _MANY
        line += f"; {event.read_before:,} of them {were} read before, and {are} fetched only if "
        line += f"{have} changed"
    return line


@sentence.register
def _(event: events.ArchiveRead, zone: Zone) -> str:
    became = _became(event)
    return f"{event.day}: {count(event.killmails, 'killmail')}: {became} in {event.seconds:.1f} s"


@sentence.register
def _(event: events.ArchiveUnchanged, zone: Zone) -> str:
    return f"{event.day}: has not changed since it was read"


@sentence.register
def _(event: events.ArchiveMissing, zone: Zone) -> str:
    return f"{event.day}: there is no archive"


@sentence.register
def _(event: events.ArchiveRefused, zone: Zone) -> str:
    kept = "; what came before that is imported" if event.killmails else ""
    return f"{safe(event.archive, 400)}: {safe(event.flaw)}{kept}"


@sentence.register
def _(event: events.KillmailRefused, zone: Zone) -> str:
    return f"refused, {event.reason}: {safe(event.what)}"


@sentence.register
def _(event: events.Imported, zone: Zone) -> str:
    archives = [f"{count(event.archives, 'archive')} read"]
    archives += [f"{event.unchanged:,} read before"] if event.unchanged else []
    archives += [f"{event.missing:,} missing"] if event.missing else []
    archives += [f"{event.flawed:,} refused"] if event.flawed else []
    stopped = "" if event.stopped is None else f"stopped by {event.stopped}: "
    without = "without --full " if event.full else ""
    again = f"; {without}the next call goes on with the day it was in" if event.stopped else ""
    killmails = f"{count(event.killmails, 'killmail')}: {_became(event)}"
    return f"{stopped}{', '.join(archives)}; {killmails} in {span(event.seconds)}{again}"


@sentence.register
def _(event: events.FilesToRead, zone: Zone) -> str:
    size = "of a size that is not known before" if event.size is None else describe_size(event.size)
    return f"{count(event.files, 'file')} to read, {size}"


@sentence.register
def _(event: events.LinesRead, zone: Zone) -> str:
    return f"{safe(event.file, 400)}: {count(event.killmails, 'killmail')} read so far"


@sentence.register
def _(event: events.LinesImported, zone: Zone) -> str:
    stopped = "" if event.stopped is None else f"stopped by {event.stopped}: "
    again = "" if event.stopped is None else "; the next call passes over what is stored"
    killmails = f"{count(event.killmails, 'killmail')}: {_became(event)}"
    files = count(event.files, "file")
    return f"{stopped}{files} read; {killmails} in {span(event.seconds)}{again}"


def _became(event: events.ArchiveRead | events.Imported | events.LinesImported) -> str:
    parts = [f"{event.stored:,} stored"]
    parts += [f"{event.known:,} known already"] if event.known else []
    parts += [f"{event.others:,} of nobody registered"] if event.others else []
    parts += [describe_refused(event.refused)] if event.refused else []
    return ", ".join(parts)


def describe_passed_over(read_before: int, ignored: int, *, advice: str = "") -> str:
    """Return what follows how much is to be read: archives read before, with advice, and others."""
    line = ""
    if read_before:
        line += f"; {read_before:,} {'was' if read_before == 1 else 'were'} read before{advice}"
    if ignored:
        line += f"; {count(ignored, 'other file')} {'is' if ignored == 1 else 'are'} ignored"
    return line


def describe_refused(refused: Mapping[str, int]) -> str:
    """Return how many were refused, and for which reasons, in the order given."""
    reasons = ", ".join(f"{number:,} {safe(reason)}" for reason, number in refused.items())
    return f"{sum(refused.values()):,} refused ({reasons})"


def describe_size(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / _MEGABYTE:,.1f} MB" if size >= _MEGABYTE // 10 else f"{size:,} bytes"
