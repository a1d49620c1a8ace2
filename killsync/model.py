"""The values that the floors pass to one another: users, jobs, references, cursors."""

from enum import IntEnum, StrEnum

import msgspec

LARGEST_ID = 2**63 - 1
"""What an id of ESI's and a column of SQLite's can hold."""


class Priority(IntEnum):
    """How urgent a job or a pending body is; higher goes first.

    `KEPT` is for a body that no user's list shows any more and a repair asks for again.
    """

    KEPT = 1
    GAP = 2
    BACKGROUND = 3
    MANUAL = 5


class UserKind(StrEnum):
    """What a user is; the words stand in `users.kind`."""

    CHARACTER = "character"
    CORPORATION = "corporation"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "UserKind":
        return cls.UNKNOWN


class UserState(StrEnum):
    """Whether a user is synced; the words stand in `users.state`."""

    ACTIVE = "active"
    NEEDS_LOGIN = "needs_login"
    DISABLED = "disabled"
    # a damaged row must not hide the others: `killsync check` names the word that stands there
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "UserState":
        return cls.UNKNOWN


class Origin(StrEnum):
    """Where a killmail came from; the words stand in `killmails.origin`."""

    ESI = "esi"
    EVEREF = "everef"
    ZKB = "zkb"
    JSON = "json"


class HashSource(StrEnum):
    """Who gave a killmail's hash; the words stand in `killmails.hash_source`.

    `ESI`: a list of ESI's, or ESI has served the body for it; `ARCHIVE`: whatever the killmail was
    imported from; `COMPUTED`: nobody, it was computed from the body.
    """

    ESI = "esi"
    ARCHIVE = "archive"
    COMPUTED = "computed"


class JobState(StrEnum):
    """How far a job is; the words stand in `jobs.state`."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "JobState":
        return cls.UNKNOWN

    @property
    def is_open(self) -> bool:
        """Whether the job is still to be done."""
        return self in (JobState.QUEUED, JobState.RUNNING)


class JobCounts(msgspec.Struct, frozen=True):
    """How many jobs are in which state."""

    queued: int
    running: int
    failed: int


STARTED_BY_SYSTEMD = "SYSTEMD_EXEC_PID"
"""The variable in which systemd puts the id of the process that a unit starts: systemd.exec(5)."""


class Caller(msgspec.Struct, frozen=True):
    """How a run was called, as `runs` records it for doctor.

    `program` are the words that call it, `variables` the names (never the values) of its
    KILLSYNC_ variables, and STARTED_BY_SYSTEMD if a unit of systemd's has started this very
    process; `terminal` says whether a person may have typed it.
    """

    program: str
    config: str
    database: str
    variables: list[str]
    terminal: bool

    @property
    def by_systemd(self) -> bool:
        """Whether a unit of systemd's started it, not cron, a script or a person."""
        return STARTED_BY_SYSTEMD in self.variables


class KillmailRef(msgspec.Struct, frozen=True, gc=False):
    """A line of ESI's list: where a killmail's body can be fetched."""

    killmail_id: int
    killmail_hash: str


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """How far a user's list is recorded: the stored id, and at most one gap below it.

    The gap goes from `page`, the first page not yet done (None: no gap), to `until_id`
    (None: to the end of the list).
    """

    last_killmail_id: int | None = None
    page: int | None = None
    until_id: int | None = None


class Refusal(msgspec.Struct, frozen=True):
    """The first refusal of a user's token: when, of which token, for which client id.

    `at` is in unix seconds; `token` is a fingerprint, which reveals nothing of it.
    """

    at: float
    token: str
    client_id: str

    def is_of(self, token: str | None, client_id: str, now: float) -> bool:
        """Return whether this is a refusal of the same token for the same client id.

        One in the future was recorded by a wrong clock, and counts for nothing.
        """
        return (self.token, self.client_id) == (token, client_id) and self.at <= now


class Reader(msgspec.Struct, frozen=True):
    """Whose list is read, and with the token of which character: its own, or a director's."""

    user_id: int
    kind: UserKind
    character_id: int


def own_reader(character_id: int) -> Reader:
    """Return what reads a character's list with its own token."""
    return Reader(character_id, UserKind.CHARACTER, character_id)


class Director(msgspec.Struct, frozen=True):
    """A row of `directors`: a character whose token reads a corporation's list; times unix seconds.

    `asked_at` is when its token was last used for the list. `refused_at` is the first refusal
    since that last worked; a `confirmed` one was refused again ten minutes later or more, and is
    left alone until `not_before`.
    """

    corporation_id: int
    character_id: int
    name: str
    asked_at: float | None = None
    refused_at: float | None = None
    confirmed: bool = False
    not_before: float | None = None
    error: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether it was refused when it was last asked."""
        return self.confirmed or self.refused_at is not None


class User(msgspec.Struct, frozen=True):
    """A row of `users`; times are unix seconds, `floor_id` is the lowest id above the gap.

    `pages` is how many pages the list is known to have, as `esi.paging.Step` says of `known`;
    `skipped` is how many entries of a page were no references to killmails, the most since the
    newest full pass began; `troubled_since` is when a job failed first, if none has ended well
    since.
    """

    user_id: int
    name: str
    state: UserState
    cursor: Cursor
    last_sync_at: float | None
    last_full_at: float | None
    full_from: float | None
    gap_cached_until: float | None
    floor_id: int | None
    etag: str | None
    cached_until: float | None
    pages: int | None
    listed: int
    killmails: int
    failures: int
    not_before: float | None
    error: str | None
    added_at: float | None = None
    skipped: int = 0
    refusal: Refusal | None = None
    troubled_since: float | None = None
    kind: UserKind = UserKind.CHARACTER

    @property
    def pending(self) -> int:
        """Killmails listed for the user whose bodies are not stored yet."""
        return max(0, self.listed - self.killmails)


class Job(msgspec.Struct, frozen=True):
    """A row of `jobs`: list this user's killmails."""

    id: int
    user_id: int
    priority: int
    state: JobState
    full: bool
    attempts: int = 0
    not_before: float | None = None
    pages: int = 0
    new_killmails: int = 0
    error: str | None = None


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A row of `pending_killmails`: listed, body not stored yet.

    `refused_at` is when ESI refused it first, in unix seconds, and `refusals` how often since.
    """

    killmail_id: int
    killmail_hash: str
    priority: int
    attempts: int = 0
    refusals: int = 0
    refused_at: float | None = None
    is_set_aside: bool = False
    origin: Origin = Origin.ESI


class ItemType(msgspec.Struct, frozen=True, gc=False):
    """A type of the game, such as a ship or a module; what only ESI has named lacks the rest."""

    type_id: int
    name: str
    group_id: int | None = None
    group: str | None = None
    category_id: int | None = None
    category: str | None = None


class TypePrice(msgspec.Struct, frozen=True, gc=False):
    """What a type costs on the market, in ISK: the average of all regions, and CCP's adjusted one.

    One of them is given at least.
    """

    type_id: int
    average: float | None = None
    adjusted: float | None = None


class Access(msgspec.Struct, frozen=True):
    """An access token of a character and when it expires, in unix seconds."""

    token: str
    expires_at: float


class Page(msgspec.Struct, frozen=True):
    """One page of a list as ESI answered it.

    `pages` is X-Pages (None if absent). `unchanged` is a 304, `past_end` an answer that says
    there is no such page. `modified` is Last-Modified, the same for all pages of a snapshot.
    `skipped` counts entries that are no references to killmails.
    """

    refs: list[KillmailRef]
    pages: int | None
    etag: str | None
    modified: str | None
    cached_until: float
    unchanged: bool = False
    past_end: bool = False
    skipped: int = 0
