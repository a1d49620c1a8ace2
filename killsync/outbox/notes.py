"""What is told: a killmail, a trouble and its end, or a test; without the words for it."""

from enum import StrEnum

import msgspec

from killsync.store.kills import Kill


class TroubleKind(StrEnum):
    """What kind of trouble it is; the words stand in the JSON that a command gets."""

    NEEDS_LOGIN = "needs_login"
    UNSYNCED = "unsynced"
    UNFETCHED = "unfetched"


class KillNote(msgspec.Struct, frozen=True, tag=True):
    """A new killmail."""

    kill: Kill


class TroubleNote(msgspec.Struct, frozen=True, tag=True):
    """Something that does not pass by itself, or, if it is `over`, that it has passed.

    `text` says what is wrong and what to do, with text from outside in it as it came; `user` is
    whom it is about, None if not one user; `since` is ISO text.
    """

    what: TroubleKind
    text: str
    user: str | None
    since: str
    over: bool = False


class TestNote(msgspec.Struct, frozen=True, tag=True):
    """One line that shows that a channel works."""


Note = KillNote | TroubleNote | TestNote
