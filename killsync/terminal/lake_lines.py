"""The events of `lake` as sentences."""

from killsync.lake import spark_events as events
from killsync.terminal.import_lines import describe_passed_over, describe_refused, describe_size
from killsync.terminal.lines import sentence as sentence
from killsync.terminal.moments import Zone
from killsync.terminal.text import count, safe
from killsync.times import span


@sentence.register
def _(event: events.LakeToRead, zone: Zone) -> str:
    if event.archives:
        archives = count(event.archives, "archive")
        line = f"{archives} to read, {describe_size(event.size)}, by Spark on {safe(event.master)}"
    else:
        line = "no archive to read"
    return line + describe_passed_over(event.read_before, event.ignored)


@sentence.register
def _(event: events.LakeArchiveRead, zone: Zone) -> str:
    refused = f", {describe_refused(event.refused)}" if event.refused else ""
    return f"{event.day}: {count(event.killmails, 'killmail')}{refused} in {event.seconds:.1f} s"


@sentence.register
def _(event: events.LakeArchiveFlawed, zone: Zone) -> str:
    kept = "; what came before that is written" if event.killmails else ""
    return f"{safe(event.archive, 400)}: {safe(event.flaw)}{kept}"


@sentence.register
def _(event: events.LakeWritten, zone: Zone) -> str:
    seconds = span(event.seconds)
    if event.stopped is not None:
        return f"stopped by {event.stopped} after {seconds}: nothing is written"
    archives = [f"{count(event.archives, 'archive')} read"]
    archives += [f"{event.unchanged:,} read before"] if event.unchanged else []
    archives += [f"{event.flawed:,} refused"] if event.flawed else []
    parts = [f"{event.stored:,} written"]
    parts += [f"{event.known:,} known already"] if event.known else []
    parts += [describe_refused(event.refused)] if event.refused else []
    killmails = count(event.killmails, "killmail")
    months = count(event.months, "month")
    return f"{', '.join(archives)}; {killmails} of {months}: {', '.join(parts)} in {seconds}"
