"""What is reported while archives become a lake."""

from killsync.events import Event, Trouble


class LakeToRead(Event, frozen=True):
    """What there is to read, before it starts: archives, and their bytes.

    The lake has `read_before` others; `ignored` files are no archives. `master` is Spark's.
    """

    archives: int
    size: int
    master: str
    read_before: int = 0
    ignored: int = 0


class LakeArchiveRead(Event, frozen=True):
    """The archive of a day was read: so many killmails, and how many were refused by reason."""

    day: str
    killmails: int
    refused: dict[str, int]
    seconds: float


class LakeArchiveFlawed(Trouble, frozen=True):
    """An archive could not be read to its end; so many killmails before the flaw are written."""

    archive: str
    flaw: str
    killmails: int = 0


class LakeWritten(Event, frozen=True):
    """It has ended: what was read, and what became of it.

    `unchanged` archives were read by an earlier call, `flawed` ones not to their end. `known`
    killmails were there already, or stood in two archives. If a signal has `stopped` it, nothing
    is written.
    """

    archives: int
    unchanged: int
    flawed: int
    killmails: int
    stored: int
    known: int
    months: int
    refused: dict[str, int]
    seconds: float
    stopped: str | None = None
