"""What becomes of a message that is handed over to somebody."""

from enum import Enum, auto

import msgspec

LONGEST_DELIVERY = 30.0
"""So many seconds one delivery may take."""


class Outcome(Enum):
    """Whether it has arrived."""

    DELIVERED = auto()
    REFUSED = auto()  # surely not delivered: it may be tried again
    UNKNOWN = auto()  # it may have arrived: trying again might tell it twice


class Delivery(msgspec.Struct, frozen=True):
    """What became of it.

    `reason` is one harmless line for a person, None if all went well; no secret is in it.
    `retry_after` is for how many seconds the other side wants to be left alone.
    """

    outcome: Outcome
    reason: str | None = None
    retry_after: float | None = None
