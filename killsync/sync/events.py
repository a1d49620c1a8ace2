"""What a run reports while it goes on."""

import msgspec

from killsync.esi.ratelimit import Rest
from killsync.events import Detail, Event, Trouble
from killsync.model import JobState, Priority
from killsync.sync.forecast import Backlog
from killsync.sync.selection import Waiters


class UserDue(Event, frozen=True):
    """A user was found due; the last sync is `age_s` seconds old, both None if there was none."""

    user_id: int
    name: str
    last_sync_at: str | None
    age_s: int | None


class Queued(Event, frozen=True):
    """The due users are in the job table."""

    due: int
    queued: int
    seconds: float


class Progress(msgspec.Struct, frozen=True):
    """How far another run is with a user's job; `new` killmails were listed for the first time."""

    user_id: int
    name: str
    state: JobState
    pages: int
    new: int
    pending: int


class Held(Event, frozen=True):
    """Another run holds the lock, and this one waits; who that is may not be known."""

    command: str | None
    pid: int | None
    users: tuple[Progress, ...]


class Working(Event, frozen=True):
    """The run has started; so many bodies are pending from earlier ones."""

    pending: int


class ListStarted(Event, frozen=True):
    """A user's list is about to be read: `full`, or `incremental` down to the stored id."""

    user_id: int
    name: str
    mode: str
    stored_id: int | None
    resume_page: int | None


class ListCached(Event, frozen=True):
    """ESI's list cannot have changed yet."""

    user_id: int
    name: str
    until: str


class PageListed(Event, frozen=True):
    """One page is recorded; `met` is the stored id if it was on it."""

    user_id: int
    name: str
    page: int
    pages: int | None
    killmails: int
    new: int
    met: int | None


class EntriesSkipped(Trouble, frozen=True):
    """Entries of a page are no references to killmails; the others are recorded."""

    user_id: int
    name: str
    page: int
    skipped: int


class ImportsContradicted(Trouble, frozen=True):
    """Imported killmails have other hashes on ESI's list: they are deleted, and fetched from ESI.

    `lowest` is the id of one of them.
    """

    user_id: int
    name: str
    killmails: int
    lowest: int


class Listed(Event, frozen=True):
    """A user's job is done; `gap_page` is where later runs go on, if anywhere."""

    user_id: int
    name: str
    pages: int
    new: int
    unchanged: bool
    gap_page: int | None
    gap_at: str | None


class ListPutOff(Event, frozen=True):
    """A user's list could not be had now; that is not the user's fault.

    It is tried again at `until`, None: by the next run.
    """

    user_id: int
    name: str
    reason: str
    until: str | None


class UserFailed(Trouble, frozen=True):
    """A user's list could not be had for a reason of its own."""

    user_id: int
    name: str
    error: str
    until: str | None


class BodiesStored(Event, frozen=True):
    """A batch of killmails is stored; `stored` counts the whole run."""

    batch: int
    stored: int


class BodyPutOff(Trouble, frozen=True):
    """A killmail could not be fetched and is tried again later."""

    killmail_id: int
    error: str
    until: str


class BodySetAside(Trouble, frozen=True):
    """A killmail has been refused again and again; it is asked for again at `until`."""

    killmail_id: int
    error: str
    until: str


class HashMismatch(Trouble, frozen=True):
    """A killmail is stored, but its hash is not what its content gives."""

    killmail_id: int


class BodyNotOurs(Event, frozen=True):
    """A killmail that only zKillboard lists is set aside: no registered user takes part."""

    killmail_id: int


class NamesStored(Detail, frozen=True):
    """So many ids have got their names; ESI does not know the `unknown` ones."""

    named: int
    unknown: int


class NamesStopped(Detail, frozen=True):
    """No more names are asked for in this run; the next one goes on."""

    reason: str


class UpkeepBroken(Trouble, frozen=True):
    """`names` or `prices` ran into an error that is a bug; they are tried again later."""

    what: str
    error: str


class Traced(Detail, frozen=True):
    """Where an error that is a bug happened."""

    traceback: str


class Waiting(Event, frozen=True):
    """Nothing may be sent for a while: `until` when, and after what, if that is ESI's limit."""

    seconds: float
    until: str
    after: Rest | None


class PricesKept(Detail, frozen=True):
    """ESI's market prices of a UTC day are kept; `changed` of them differ from the last."""

    day: str
    types: int
    changed: int


class PricesPutOff(Detail, frozen=True):
    """ESI's market prices could not be had; they are asked for again after `until`."""

    reason: str
    until: str


class Idle(Event, frozen=True):
    """A scan has nothing to do: why the users wait, nobody if there are none, and what is left."""

    waiting: list[Waiters]
    backlog: Backlog


class GaveWay(Event, frozen=True):
    """A scan has found another run in progress; who that is may not be known."""

    command: str | None = None
    pid: int | None = None
    host: str | None = None
    since: str | None = None


class Ended(Event, frozen=True, kw_only=True):
    """What a scan has done; `queued` users and the `backlog` are left for later runs.

    `stopped` is the name of the signal that has ended it, if one did.
    """

    users: int
    pages: int
    stored: int
    errors: int
    requests: int
    seconds: float
    backlog: Backlog
    queued: int
    stopped: str | None


class SyncQueued(Event, frozen=True):
    """A user is queued, for the next run, behind so many others that a person asked for."""

    user_id: int
    name: str
    priority: Priority
    behind: int


class FullPassQueued(Event, frozen=True):
    """ESI's list is cached until a time; then it is read whole."""

    user_id: int
    name: str
    until: str


class Synced(Event, frozen=True, kw_only=True):
    """What a sync has done for a user: killmails it has `stored`, and `killmails` in all.

    `stopped` is the name of the signal that has kept it from doing everything, if one did.
    """

    user_id: int
    name: str
    stored: int
    killmails: int
    backlog: Backlog
    stopped: str | None
