"""The pings of a scan, which go out beside its work, and after it without the lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from killsync.cli import output
from killsync.cli.invocation import Invocation
from killsync.errors import UsageError
from killsync.terminal.text import safe
from killsync.terminal.transcript import last_lines

if TYPE_CHECKING:
    from killsync.outbox.ping import Pings


@contextmanager
def pinging(call: Invocation) -> Iterator["Pings | None"]:
    """Yield the pings of a scan, if `ping_url` is set, and send the last when it is over.

    By whatever exit it is: a signal ends the program then. What fails is a warning, never the
    exit code.
    """
    url = _url(call)
    if not url:
        yield None
        return
    from killsync.outbox import ping

    pings = ping.Pings(url)
    with output.transcribed() as transcript:
        try:
            yield pings
        except typer.Exit as end:
            failure = pings.end(end.exit_code, last_lines(transcript.text, ping.LARGEST_BODY))
            if failure is not None:
                call.warn_of_monitoring(f"the ping was not taken: {safe(failure)}")
            raise


def _url(call: Invocation) -> str:
    """Return `ping_url`, also where another setting is wrong."""
    try:
        return call.examined().settings.ping_url
    except UsageError:  # not even the place of the file is known
        return ""
