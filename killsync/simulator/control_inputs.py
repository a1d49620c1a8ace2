"""What the calls of the control API are given, as JSON objects."""

import msgspec

from killsync.simulator.lists import Order
from killsync.simulator.options import Count, Positive, Seconds


class NewCharacter(msgspec.Struct, forbid_unknown_fields=True):
    """A character to create; missing fields are made up."""

    character_id: Positive | None = None
    name: str | None = None
    killmails: Count = 0
    order: Order = "newest"
    scopes: list[str] | None = None


class NewCorporation(msgspec.Struct, forbid_unknown_fields=True):
    """A corporation to create; missing fields are made up.

    `killmails` are its own, in which none of the members takes part.
    """

    corporation_id: Positive | None = None
    name: str | None = None
    killmails: Count = 0
    order: Order = "newest"
    members: list[int] = []
    directors: list[int] = []


class Role(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a character is a director of a corporation, from now on."""

    character_id: int
    corporation_id: int
    director: bool


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """A character, and the corporation that it joins."""

    character_id: int
    corporation_id: int


class NewKillmails(msgspec.Struct, forbid_unknown_fields=True):
    """Killmails to add; id, hash and text are for a single one only.

    With both ids they are the character's, of the time when it was in that corporation; with the
    corporation's alone, they are of no character that can log in.
    """

    character_id: int | None = None
    corporation_id: int | None = None
    count: Positive = 1
    late: bool = False
    shared_with: int | None = None
    body_text: str | None = None
    killmail_id: Positive | None = None
    killmail_hash: str | None = None


class Removal(msgspec.Struct, forbid_unknown_fields=True):
    """Killmails to remove from a list, which is the character's or the corporation's."""

    killmail_ids: list[int]
    character_id: int | None = None
    corporation_id: int | None = None


class Thaw(msgspec.Struct, forbid_unknown_fields=True):
    """The character or corporation whose snapshot to drop; all snapshots if both are None."""

    character_id: int | None = None
    corporation_id: int | None = None


class Revocation(msgspec.Struct, forbid_unknown_fields=True):
    """The character whose refresh tokens to revoke."""

    character_id: int


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A refresh token to issue."""

    character_id: int
    scopes: list[str] | None = None
    client_id: str | None = None


class ForcedErrorLimit(msgspec.Struct, forbid_unknown_fields=True):
    """How long the error limit counts as exceeded."""

    seconds: Seconds
