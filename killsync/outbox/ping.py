"""Pings: a scan calls one address when it starts and when it ends, as healthchecks.io has it.

Source: https://healthchecks.io/docs/http_api/
"""

import threading
import time
from queue import SimpleQueue
from urllib.parse import urlsplit

import msgspec

from killsync.errors import KillsyncError, Refused, ServerFault, Unavailable, UsageError, describe
from killsync.http import Http
from killsync.settings.application import user_agent

START = "/start"
LOG = "/log"
LARGEST_BODY = 9_999
"""In bytes."""
PATIENCE = 10.0
"""How long the end of a program waits for its pings, in seconds."""

# three of them fit into the patience
_DEADLINE = 3.0
_PAUSE = 0.5
_ATTEMPTS = 2
_HEADERS = {"Content-Type": "text/plain; charset=utf-8"}


def path_of(exit_code: int) -> str:
    """Return what is added to the address for an exit code.

    Nothing for success, the code for a failure, `/log` for what says nothing about health: it
    could not be done now, or was stopped.
    """
    if exit_code == 0:
        return ""
    failed = exit_code in (KillsyncError.exit_code, UsageError.exit_code)
    return f"/{exit_code}" if failed else LOG


class _Ping(msgspec.Struct, frozen=True):
    path: str
    body: str


class Pings:
    """Sends the pings of one scan in their order, from a thread that holds nothing up.

    Each has `deadline` seconds, twice if it fails; the end waits for `patience` seconds in all.
    """

    def __init__(
        self, url: str, *, deadline: float = _DEADLINE, patience: float = PATIENCE
    ) -> None:
        self._url = url
        self._patience = patience
        self._http = Http(user_agent(""), deadline=deadline)
        self._waiting: SimpleQueue[_Ping | None] = SimpleQueue()
        self._failure: str | None = None
        self._gives_way = False
        # it must not keep a program alive whose patience is over
        self._thread = threading.Thread(target=self._send_all, name="pings", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Send that the scan begins; return at once."""
        self.send(START)

    def give_way(self) -> None:
        """Send nothing at the end: another run works."""
        self._gives_way = True

    def end(self, exit_code: int, body: str) -> str | None:
        """Send how the scan ended, and wait as `finish` does; return what went wrong, or None."""
        if not self._gives_way:
            self.send(path_of(exit_code), body)
        return self.finish()

    def send(self, path: str, body: str = "") -> None:
        """Send a ping soon; return at once."""
        self._waiting.put(_Ping(path, body))

    def finish(self) -> str | None:
        """Wait until all pings are sent, but not for ever; return why one was not, or None."""
        self._waiting.put(None)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._http.stopping.set()
            return f"{self._host}: no answer in {self._patience:.0f} s"
        self._http.close()
        return self._failure

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _send_all(self) -> None:
        while (ping := self._waiting.get()) is not None:
            try:
                self._send_twice(ping)
            except Exception as error:  # a thread has nobody above it
                self._failure = describe(error)

    def _send_twice(self, ping: _Ping) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._send(ping)
            except (Unavailable, ServerFault):
                # a start that is lost costs nothing, and the end must not wait for it
                if attempt == _ATTEMPTS or ping.path == START:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _send(self, ping: _Ping) -> None:
        """Send a ping once. Raises KillsyncError if it is not taken."""
        answer = self._http.send("POST", self._url + ping.path, _HEADERS, ping.body)
        if answer.status >= 500:
            raise ServerFault(f"{self._host} answers {answer.status}", answer.status)
        if not 200 <= answer.status < 300:
            raise Refused(f"{self._host} answers {answer.status}", answer.status)
        # of an unknown or too frequent ping healthchecks.io says so in a 200
        if answer.body.startswith(b"OK ("):
            said = answer.body[:40].decode(errors="replace")
            raise Refused(f"{self._host} answers {said!r}")
