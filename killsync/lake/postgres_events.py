"""What is reported of a feed to PostgreSQL."""

from killsync.events import Event


class PostgresFed(Event, frozen=True, kw_only=True):
    """PostgreSQL has all of a source up to a `stored_seq`, or a signal, `stopped`, came before.

    So many killmails are new there, had come from another source, were deleted, have other values;
    so many users, names and days with prices are new or others.
    """

    source: str
    stored_seq: int
    killmails: int = 0
    also_stored: int = 0
    removed: int = 0
    rewritten: int = 0
    users: int = 0
    users_gone: int = 0
    names: int = 0
    price_days: int = 0
    game_data: int | None = None
    stopped: str | None = None
