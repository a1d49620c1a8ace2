"""Text from outside, made harmless for a terminal or a log."""

import json
import shutil
import textwrap
import unicodedata
from typing import TextIO

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_RIGHT_TO_LEFT = {"R", "AL"}


def safe(text: object, limit: int = 200) -> str:
    """Return text on one line, control and invisible characters escaped, at most `limit` long."""
    whole = str(text)
    shown = "".join(_escape(c) if _is_hidden(c) else c for c in whole[:limit])
    return shown if len(whole) <= limit else shown + "…"


def is_right_to_left(text: str) -> bool:
    """Return whether a terminal may show a part of this text from right to left."""
    return any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text)


def safe_json(text: str) -> str:
    """Return the same JSON values with control and invisible characters as JSON's escapes."""
    return "".join(json.dumps(c)[1:-1] if _is_hidden(c) else c for c in text)


def wrapped(text: str, stream: TextIO) -> str:
    """Return prose for a terminal, its lines broken between words; elsewhere as it is."""
    if not stream.isatty():
        return text
    width = max(40, shutil.get_terminal_size().columns - 1)
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=line[: len(line) - len(line.lstrip())],
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def count(number: int, thing: str) -> str:
    """Return `1 page`, `3 pages`, `1,200 losses`."""
    ending = "" if number == 1 else "es" if thing.endswith("s") else "s"
    return f"{number:,} {thing}{ending}"


def time_left(seconds: float) -> str:
    """Return a time to wait as `12 s left`, `about 25 min left`, `about 2 h 10 min left`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min left"
    if minutes >= 48 * 60:
        return f"about {round(minutes / 60 / 24)} days left"
    # more would be more than anybody knows
    hours, minutes = divmod(minutes // 5 * 5, 60)
    return f"about {hours} h {minutes} min left" if minutes else f"about {hours} h left"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
