"""What `check` finds: problems, notes, and how far each user's list is complete."""

from collections import Counter
from enum import StrEnum

import msgspec

MOST_KEPT = 2_000


class Kind(StrEnum):
    """What a finding is about; the words stand in `check --json`."""

    DAMAGE = "damage"
    CONTENT = "content"
    SCHEMA = "schema"
    ORPHAN = "orphan"
    BODY = "body"
    FEED = "feed"
    IMPORT = "import"
    LIST = "list"
    ROLE = "role"
    VALUE = "value"
    GAME_DATA = "game_data"
    CURSOR = "cursor"
    COUNTER = "counter"
    PENDING = "pending"
    JOB = "job"
    WORD = "word"
    TIME = "time"
    LIMIT = "limit"
    TOKEN = "token"
    FILE = "file"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of what is wrong and what to do.

    `repairable` says whether a repair can fix it. Of a body, `ask_with` is the hash to ask
    ESI with, None if none is left.
    """

    kind: Kind
    text: str
    advice: str = ""
    repairable: bool = True
    user_id: int | None = None
    killmail_id: int | None = None
    ask_with: str | None = None


class Span(msgspec.Struct, frozen=True):
    """From when to when every killmail that ESI has listed for a user is stored, as ISO text.

    `since` is the time of the oldest killmail in it, None if none is stored.
    """

    since: str | None
    until: str


class UserCompleteness(msgspec.Struct, frozen=True, kw_only=True):
    """How far one user's list is recorded and stored.

    `missing` counts what is listed and not stored: pending, set aside, or lost. `complete` is the
    newest part without any of it, `complete_before` the oldest one if that is another. `skipped`
    counts entries of the list that are no references to killmails. `read_again` says that the
    next full pass is due because list rows were lost.
    """

    user_id: int
    name: str
    kind: str
    state: str
    synced: bool
    complete: Span | None
    complete_before: Span | None
    missing: int
    skipped: int
    read_again: bool
    gap_page: int | None
    gap_until_id: int | None
    killmails: int
    pending: int
    set_aside: int


class Verdict(msgspec.Struct):
    """Everything that a check has found; of each kind the first 2,000 are kept, all are counted.

    `unlisted` counts stored killmails that belong to no user: no list shows them, and nobody takes
    part.
    """

    database: str
    damaged: bool = False
    killmails: int = 0
    attackers: int = 0
    items: int = 0
    unlisted: int = 0
    mismatched: int = 0
    pending: int = 0
    users: list[UserCompleteness] = []
    problems: list[Finding] = []
    notes: list[str] = []
    found: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Add a problem."""
        self.found[finding.kind] += 1
        if self.found[finding.kind] <= MOST_KEPT:
            self.problems.append(finding)

    @property
    def total(self) -> int:
        """How many problems there are."""
        return self.found.total()

    def repairable(self, kind: Kind) -> list[Finding]:
        """Return the problems of one kind that a repair can fix."""
        return [found for found in self.problems if found.kind is kind and found.repairable]
