"""The exception tree: what a person reads, whom an error blames, the exit code of the program."""

from enum import Enum, auto
from typing import ClassVar

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C has ended."""
STOPPED = (129, INTERRUPTED, 143)
"""Those of a program that SIGHUP, SIGINT or SIGTERM has ended, in good order."""


class Blame(Enum):
    """Whose fault an error is; `sync.verdict` turns that into what becomes of the request."""

    NOBODY = auto()  # a limit, a stop, another process: the same request may work later
    REQUEST = auto()  # this one request; others of the same kind may work
    USER = auto()  # the user that the request was made for: its own token or list does not work
    SERVICE = auto()  # ESI or SSO, if the others fail too
    RUN = auto()  # the installation: no request can work, and the run ends


class KillsyncError(Exception):
    """Base of every error that a person may read: one line that says what to do next."""

    exit_code: ClassVar[int] = 1
    blame: ClassVar[Blame] = Blame.REQUEST


class UsageError(KillsyncError):
    """Wrong usage or configuration, or a database that must not be used as asked."""

    exit_code = 2
    blame = Blame.RUN


class DatabaseError(UsageError):
    """A database file that cannot be used: missing, foreign, newer, corrupt or not writable."""


class NoDatabase(DatabaseError):
    """Nothing has created the database yet."""


class ApplicationError(UsageError):
    """SSO does not accept the EVE application itself: the configuration is wrong, no token is."""


class GameDataBroken(UsageError):
    """A file of game data that is damaged or of an unknown form; nothing of it is used."""


class WrongEnvironment(UsageError):
    """The environment names a proxy or certificates with which no request can work."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what}: {cure}")
        self.what = what
        self.cure = cure


class TokenKeyMissing(UsageError):
    """The stored tokens are encrypted with a key that is not configured: no token is lost."""


class TryLater(KillsyncError):
    """It cannot be done now and nothing is lost: ESI or SSO is down, or a limit is reached."""

    exit_code = 75
    blame = Blame.NOBODY


class DatabaseBusy(TryLater):
    """Another program keeps the database locked."""

    blame = Blame.RUN


class Unavailable(TryLater):
    """One request got no answer, or 502, 503 or 504, at every attempt.

    `was_sent` is False if not even a connection could be made.
    """

    blame = Blame.SERVICE

    def __init__(
        self, message: str, retry_after: float | None = None, *, was_sent: bool = True
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.was_sent = was_sent


class ServiceDown(TryLater):
    """Several requests in a row got no answer, or failed for whoever asked: the run ends."""

    blame = Blame.SERVICE


class RateLimited(TryLater):
    """A bucket is empty, or ESI or SSO asked for a rest; `until` is unix seconds."""

    def __init__(self, message: str, until: float) -> None:
        super().__init__(message)
        self.until = until


class TooManyAtOnce(TryLater):
    """SSO refused a refresh that was sent beside others: fewer at a time may work."""


class OutOfFiles(TryLater):
    """The operating system lets this process open no more files or connections."""

    blame = Blame.RUN

    def __init__(self) -> None:
        super().__init__(
            "no more files or connections may be opened: raise the limit (`ulimit -n`), "
            "or lower `connections` and `workers`"
        )


class NotSent(TryLater):
    """A request was not sent, because the run stops."""

    def __init__(self) -> None:
        super().__init__("the run stops; nothing more is sent")


class TokenBusy(TryLater):
    """Another process is refreshing this character's token."""


class Refused(KillsyncError):
    """ESI or SSO answered one request with an error that belongs to that request alone."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ServerFault(Refused):
    """A 500 or 520, or an answer cut short or not JSON: the same request may work later."""


class TooLarge(Refused):
    """An answer larger than any of ESI's; asking again at once would bring it again."""


class Misshapen(Refused):
    """An answer that is JSON of the wrong shape; the text names the field."""


class AccessRejected(Refused):
    """ESI does not accept the access token; a refreshed one may work."""


class DirectorRefused(Refused):
    """A character may not read a corporation's list: its role is gone, or it has left.

    ESI's words say so, or its affiliation; any other 403 is Refused. Which corporation it has
    joined is part of the text, if that is known.
    """


class KillmailUnknown(Refused):
    """ESI says that it has no killmail of this id and hash (404, 422)."""


class IdsUnknown(Refused):
    """ESI names nothing that it was asked for, since one of the ids is unknown to it.

    `errors_left` is how many errors ESI still allows, None if it does not say.
    """

    def __init__(self, message: str, status: int, errors_left: int | None) -> None:
        super().__init__(message, status)
        self.errors_left = errors_left


class LoginNeeded(KillsyncError):
    """The refresh token does not work, or lacks the scope: if that lasts, a new login is needed.

    `evidence` says what was refused, for comparison with later refusals: a fingerprint. It is None
    where there was no token that could be refused.
    """

    blame = Blame.USER

    def __init__(self, message: str, *, evidence: str | None = None) -> None:
        super().__init__(message)
        self.evidence = evidence


class LoginRefused(KillsyncError):
    """A login that ended without a token.

    It was denied at SSO, brought no code or one that SSO does not accept, or a character that was
    sold and is not to be kept.
    """

    blame = Blame.USER


class CorporationRefused(KillsyncError):
    """A corporation that a character's login cannot register: the character may not read its list.

    It is no director, its login lacks the scope, or it is in an NPC corporation.
    """

    blame = Blame.USER


class BodyRejected(KillsyncError):
    """A killmail body that cannot be stored faithfully; the text names the field or the byte."""


class NotAKillmail(BodyRejected):
    """JSON that is no killmail at all: not an object, or one without a killmail's id.

    Of an answer of ESI's that is a fault of ESI's: its client raises ServerFault then.
    """


def blame_of(error: BaseException) -> Blame:
    """Return whom an error blames; one that is not killsync's own, a bug, blames its request."""
    return error.blame if isinstance(error, KillsyncError) else Blame.REQUEST


def describe(error: BaseException) -> str:
    """Return what a person reads of an error; of an unexpected one only its kind.

    The text of an error that is not killsync's own may repeat a token.
    """
    return str(error) if isinstance(error, KillsyncError) else f"unexpected {type(error).__name__}"
