"""Channels that are a command of the user's: it is given a line of JSON for each note."""

import errno
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from killsync.delivery import LONGEST_DELIVERY, Delivery, Outcome
from killsync.outbox import child
from killsync.outbox.notes import KillNote, Note, TroubleNote
from killsync.settings.program import without_secrets
from killsync.terminal.text import safe, safe_json

MOST_AT_ONCE = 100
_LONGEST_WORDS = 120
_SHORTEST_SECRET = 6
_HIDDEN = "(hidden)"
_ADDRESS = re.compile(r"\w+://\S+")
_CANNOT_START = {
    errno.ENOENT: "there is no such program",
    errno.EACCES: "it is not executable",
    errno.ENOEXEC: "it is not a program: does its first line begin with #!",
}


def deliver(
    words: Sequence[str],
    notes: Sequence[Note],
    timeout: float,
    stopping: threading.Event | None = None,
) -> Delivery:
    """Call the command once, without a shell, and give it all of the notes.

    It has delivered them if it ends with exit code 0, and has not with any other. Ended by a
    signal, or killed after 30 seconds, it may have.
    """
    given = b"".join(line(note) + b"\n" for note in notes)
    seconds, env = min(timeout, LONGEST_DELIVERY), without_secrets(os.environ)
    try:
        done = child.run(words, given, env, seconds, keep_errors=True, stopping=stopping)
    except (OSError, ValueError) as error:
        return Delivery(Outcome.REFUSED, f"{_program(words)} cannot be run: {_why_not(error)}")
    if done.code is None:
        what = f"{_program(words)} had not ended after {seconds:.0f} s, and was killed"
        return Delivery(Outcome.UNKNOWN, what)
    if done.code:
        outcome = Outcome.UNKNOWN if done.code < 0 else Outcome.REFUSED
        return Delivery(outcome, f"{_program(words)} {_ended(done, words)}")
    return Delivery(Outcome.DELIVERED)


def line(note: Note) -> bytes:
    """Return a note as the JSON object that a command reads, on what any program takes as a line.

    Python's `splitlines` ends one at U+2028, say, which JSON may hold as it is.
    """
    return safe_json(msgspec.json.encode(_as_object(note)).decode()).encode()


def _as_object(note: Note) -> dict[str, Any]:
    match note:
        case KillNote():
            return {"event": "killmail", **msgspec.structs.asdict(note.kill)}
        case TroubleNote():
            return {"event": "trouble", **msgspec.structs.asdict(note)}
        case _:
            return {"event": "test"}


def _program(words: Sequence[str]) -> str:
    return safe(Path(words[0]).name or "it", 60)


def _why_not(error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "its words hold what no program can be given"
    return _CANNOT_START.get(error.errno or 0) or error.strerror or "it does not start"


def _ended(done: child.Finished, words: Sequence[str]) -> str:
    """Return how it failed, and how it began to complain."""
    code = done.code or 0
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = done.said.decode(errors="replace").strip().partition("\n")[0]
    # a word of the command's may be a secret, such as the address of a webhook; or begin one
    for word in sorted(words[1:], key=len, reverse=True):
        if len(word) >= _SHORTEST_SECRET:
            said = said.replace(word, _HIDDEN)
    said = safe(_ADDRESS.sub(_HIDDEN, said).strip(), _LONGEST_WORDS)
    return f"{how}: {said}" if said else how
