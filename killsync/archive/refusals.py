"""Why something that was read from elsewhere is not stored."""

from collections.abc import Callable
from enum import StrEnum


class Refusal(StrEnum):
    """A reason, in words that follow a number: `3 with a hash that does not fit`."""

    NOT_A_KILLMAIL = "not a killmail"
    NOT_STORABLE = "of a form that cannot be stored"
    WRONG_HASH = "with a hash that does not fit"
    OTHER_HASH = "listed by ESI with another hash"
    OTHER_NAME = "not named killmails/ID.json"
    NOT_A_FILE = "no regular file"
    TOO_LARGE = "too large"


class Flaw(StrEnum):
    """Why an archive cannot be read to its end; what was read of it before stays."""

    NOT_BZIP2 = "is not bzip2"
    CUT_SHORT = "is cut short"
    DAMAGED = "is damaged"
    UNREADABLE = "cannot be read"
    NOT_TAR = "is not a tar file"
    TOO_MUCH = "holds more than a day's archive can"
    NOT_ITS_END = "goes on behind its end"
    KILLED = "could not be decompressed: the process that does it was killed"


class BrokenArchive(Exception):
    """An archive that cannot be read any further."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


Refused = Callable[[Refusal, str], None]
"""Takes a reason, and what is refused: where it stands and what is wrong; text from outside."""
