"""Channels that are a URL, which is a secret: Apprise sends, in a process of its own.

That process can be ended in time whatever Apprise does. The URL is given to it on its standard
input, so that no list of processes shows it.
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from killsync.delivery import Delivery, Outcome
from killsync.outbox import child
from killsync.outbox.notes import Note
from killsync.settings.program import extra_line, without_secrets

MOST_AT_ONCE = 10
"""So many killmails can be read in one message."""

SENDING = b"sending"
"""What the process says before the first byte of a message leaves."""

_ENDING = 1.0
# the killsync that this is, should another one be installed
_ROOT = str(Path(__file__).parents[2])
_BEGIN = """
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from killsync.outbox.apprise_process import main
main()
"""
_PROGRAM = (sys.executable, "-P", "-c", _BEGIN, _ROOT)


class Order(msgspec.Struct, frozen=True):
    """What the process is to send until `ends_at`, on the clock that all processes share."""

    url: str
    ends_at: float
    notes: list[Note]


def what_is_missing() -> str | None:
    """Return what to do so that a URL can be used, None if it can."""
    if find_spec("apprise") is not None:
        return None
    return f"run `{extra_line('tell')}`"


def deliver(
    url: str, notes: Sequence[Note], timeout: float, stopping: threading.Event | None = None
) -> Delivery:
    """Send all of the notes in one message."""
    if (missing := what_is_missing()) is not None:
        return Delivery(Outcome.REFUSED, f"Apprise is not installed: {missing}")
    started = time.monotonic()
    order = Order(url, started + max(timeout - _ENDING, timeout / 2), list(notes))
    given, env = msgspec.json.encode(order), without_secrets(os.environ) | {"NETRC": os.devnull}
    try:
        done = child.run(_PROGRAM, given, env, timeout, keep_errors=False, stopping=stopping)
    except OSError as error:
        return Delivery(Outcome.REFUSED, f"Apprise cannot be started: {error.strerror}")
    return _read(done, time.monotonic() - started)


def _read(done: child.Finished, seconds: float) -> Delivery:
    """Return what the process says of the message; or what its silence means."""
    *before, last = done.said.strip().split(b"\n")
    try:
        return msgspec.json.decode(last, type=Delivery)
    except msgspec.DecodeError:
        pass
    outcome = Outcome.UNKNOWN if SENDING in (*before, last) else Outcome.REFUSED
    if done.code is None:
        return Delivery(outcome, f"timed out after {seconds:.0f} s")
    return Delivery(outcome, f"Apprise broke off, with exit code {done.code}")
