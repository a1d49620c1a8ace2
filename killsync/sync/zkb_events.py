"""What `import zkb` reports while it goes on; `terminal` turns it into lines of text or JSON."""

from killsync.events import Event, Trouble
from killsync.sync.forecast import Backlog


class ZkbWalkStarted(Event, frozen=True):
    """A user's list of kills or losses is about to be read.

    Down to what is `recorded` already, then on from `resume_page`, if there are such.
    """

    user_id: int
    name: str
    side: str
    recorded: bool
    resume_page: int | None


class ZkbPageListed(Event, frozen=True):
    """One page is recorded; `new` killmails on it were neither stored nor pending.

    `listed` counts the killmails of this list so far.
    """

    user_id: int
    name: str
    side: str
    page: int
    killmails: int
    new: int
    listed: int


class ZkbEntriesSkipped(Trouble, frozen=True):
    """Entries of a page are no references to killmails; the others are recorded."""

    user_id: int
    name: str
    side: str
    page: int
    skipped: int


class ZkbEndDoubted(Event, frozen=True):
    """A page is empty though the one before it was full: the next import asks for it again."""

    user_id: int
    name: str
    side: str
    page: int


class ZkbBodiesStarted(Event, frozen=True):
    """So many bodies are to be fetched from ESI, of whomever, by about `done_at` (ISO text)."""

    ready: int
    done_at: str | None


class ZkbLeftToRuns(Event, frozen=True):
    """Another run holds the lock: it and the next ones fetch the bodies."""

    command: str | None = None
    pid: int | None = None


class ZkbImported(Event, frozen=True, kw_only=True):
    """What an import has done.

    Of the killmails that zKillboard `listed` on the pages read, `new` were not known. `refused`
    counts by reason, `stored` what only it lists and is stored now, `pending` what it lists of
    these users and is not stored. The `backlog` is everybody's. `stopped` is the name of the signal
    that has ended it, if one did.
    """

    users: int
    listed: int
    new: int
    known: int
    refused: dict[str, int]
    stored: int
    pending: int
    backlog: Backlog
    stopped: str | None
