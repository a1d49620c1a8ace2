"""Output that takes any text: names from all over the world, paths that are not valid UTF-8."""

import codecs
import io
from typing import TextIO

_ANYTHING = "killsync"
_WIDE = ("utf-16", "utf-32")


def accept_anything(stream: TextIO) -> None:
    """Make a stream write what its encoding lacks as an escape, and the bytes of a path as such.

    A path on the line for the crontab must stay the path, and a name that a terminal cannot show
    must not end what is being done.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=_ANYTHING)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff" and not error.encoding.startswith(_WIDE):
        return character.encode(errors="surrogateescape"), error.start + 1
    return character.encode("ascii", "backslashreplace").decode(), error.start + 1


codecs.register_error(_ANYTHING, _replace)
