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


class ScanPings:
    """What one scan sends to `ping_url`: nothing if that is empty, or if the scan gives way."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pings: Pings | None = None

    def begin(self) -> None:
        """Send that the scan begins; return at once."""
        if self._url:
            from killsync.outbox import ping

            self._sender().send(ping.START)

    def give_way(self) -> None:
        """Send nothing, however the scan ends."""
        self._url = ""

    def end(self, exit_code: int, printed: str) -> str | None:
        """Send how the scan ended, and wait for it for a while; return what went wrong, or None."""
        if not self._url:
            return None
        from killsync.outbox import ping

        body = last_lines(printed, ping.LARGEST_BODY)
        self._sender().send(ping.path_of(exit_code), body)
        return self._sender().finish()

    def _sender(self) -> "Pings":
        from killsync.outbox.ping import Pings

        self._pings = self._pings or Pings(self._url)
        return self._pings


@contextmanager
def pinging(call: Invocation) -> Iterator[ScanPings]:
    """Yield the pings of a scan, and send the last when it is over, by whatever exit.

    A signal ends the program then. What fails is a warning, never the exit code.
    """
    pings = ScanPings(_url(call))
    with output.transcribed() as transcript:
        try:
            yield pings
        except typer.Exit as end:
            failure = pings.end(end.exit_code, transcript.text)
            if failure is not None:
                call.warn_of_monitoring(f"the ping was not taken: {safe(failure)}")
            raise


def _url(call: Invocation) -> str:
    """Return `ping_url`, also where another setting is wrong."""
    try:
        return call.examined().settings.ping_url
    except UsageError:  # not even the place of the file is known
        return ""
