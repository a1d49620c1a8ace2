"""What is reported of an export to Parquet."""

from killsync.events import Event


class Exported(Event, frozen=True):
    """A lake has all killmails up to a `stored_seq`; so many were new, of so many months.

    `removed` were deleted since the last call.
    """

    lake: str
    stored_seq: int
    killmails: int = 0
    months: int = 0
    removed: int = 0
