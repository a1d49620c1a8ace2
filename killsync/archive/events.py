"""What an import reports while it goes on."""

from killsync.events import Detail, Event, Trouble


class ToRead(Event, frozen=True):
    """What there is to read, before it starts: files, their bytes, the killmails in them.

    None is not known. `read_before` archives were read by an earlier import, and are not read
    again; `ignored` files are no archives.
    """

    archives: int
    size: int
    killmails: int | None
    read_before: int = 0
    ignored: int = 0


class ToFetch(Event, frozen=True):
    """What there is to fetch, before it starts: days, the killmails in them if that is known.

    The `read_before` among them are fetched only if they have changed. How many bytes they have is
    known only as each is fetched.
    """

    days: int
    killmails: int | None
    read_before: int


class ArchiveRead(Event, frozen=True):
    """The archive of a day was read to its end: so many killmails, and what became of them.

    `refused` counts by reason.
    """

    day: str
    killmails: int
    stored: int
    known: int
    others: int
    refused: dict[str, int]
    seconds: float


class ArchiveUnchanged(Detail, frozen=True):
    """The archive of a day is the one that was read before."""

    day: str


class ArchiveMissing(Detail, frozen=True):
    """There is no archive of a day."""

    day: str


class ArchiveRefused(Trouble, frozen=True):
    """An archive could not be read to its end; so many killmails before the flaw are imported."""

    archive: str
    flaw: str
    killmails: int = 0


class KillmailRefused(Detail, frozen=True):
    """Something in an archive or a file is not imported."""

    reason: str
    what: str


class Imported(Event, frozen=True):
    """An import has ended: what was read, and what became of it.

    `unchanged` archives were read before, `missing` ones do not exist, `flawed` ones could not be
    read to their end. `stopped` is the name of the signal that has kept it from going on, if one
    did. A `full` one reads again what was read before.
    """

    archives: int
    unchanged: int
    missing: int
    flawed: int
    killmails: int
    stored: int
    known: int
    others: int
    refused: dict[str, int]
    seconds: float
    stopped: str | None = None
    full: bool = False


class FilesToRead(Event, frozen=True):
    """What files of lines there are to read, before it starts; the size of a pipe is not known."""

    files: int
    size: int | None


class LinesRead(Event, frozen=True):
    """So many killmails were read of a file so far."""

    file: str
    killmails: int


class LinesImported(Event, frozen=True):
    """An import of lines has ended: files read to their end, and what became of the killmails.

    `stopped` is the name of the signal that has kept it from going on, if one did.
    """

    files: int
    killmails: int
    stored: int
    known: int
    others: int
    refused: dict[str, int]
    seconds: float
    stopped: str | None = None
