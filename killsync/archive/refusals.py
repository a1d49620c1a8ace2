"""Why something that was read from elsewhere is not stored."""

from collections.abc import Callable
from enum import StrEnum


class Refusal(StrEnum):
    """A reason, in words that follow a number: `3 with a hash that does not fit`."""

    NOT_A_KILLMAIL = "not a killmail"
    NOT_STORABLE = "a killmail of an unknown form"
    WRONG_HASH = "with a hash that does not fit"
    OTHER_HASH = "listed by ESI with another hash"


Refused = Callable[[Refusal, str], None]
"""Takes a reason, and what is refused: where it stands and what is wrong; text from outside."""
