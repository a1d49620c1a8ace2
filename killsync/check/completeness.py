"""How far a user's list is complete, and whether counts, list and cursor agree; offline."""

from typing import Any

from killsync.check.findings import Finding, Kind, Span, UserCompleteness
from killsync.store.verify import Feed, Recorded
from killsync.times import is_iso

_READ_AGAIN = "--repair makes the next scan read the whole list again"


def feed_problems(feed: Feed) -> list[Finding]:
    """Return what is wrong with the counter of the change feed."""
    if isinstance(feed.counter, int) and feed.counter >= feed.highest:
        return []
    text = f"the counter of stored_seq is {feed.counter!r}, and {feed.highest} is in use"
    return [Finding(kind=Kind.FEED, text=text, advice="--repair sets it above")]


def user_problems(recorded: Recorded) -> list[Finding]:
    """Return what is wrong with a user's counts, list and cursor."""
    row = recorded.row
    found: list[tuple[Kind, str, str]] = []
    if recorded.lost:
        more = f" and {recorded.lost - 1} more" if recorded.lost > 1 else ""
        what = f"killmail {recorded.first_lost}{more}: listed, but neither stored nor pending"
        found.append((Kind.LIST, what, _READ_AGAIN))
    if (row["listed"], row["killmails"]) != (recorded.listed, recorded.stored):
        what = (
            f"{row['listed']} listed and {row['killmails']} stored by the counts,"
            f" {recorded.listed} and {recorded.stored} by the rows"
        )
        found.append((Kind.COUNTER, what, "--repair counts again"))
    found += [(Kind.CURSOR, what, _READ_AGAIN) for what in _cursor_flaws(recorded)]
    return [
        Finding(
            kind=kind,
            text=f"{row['name']} ({row['user_id']}): {what}",
            advice=advice,
            user_id=row["user_id"],
        )
        for kind, what, advice in found
    ]


def _cursor_flaws(recorded: Recorded) -> list[str]:
    row = recorded.row
    stored_id, page, until = (
        row[name] for name in ("last_killmail_id", "backfill_page", "backfill_until_id")
    )
    flaws = []
    if stored_id is None and recorded.listed:
        flaws.append(f"no stored id, but {recorded.listed} listed")
    if stored_id is not None and not recorded.has_stored_id:
        flaws.append(f"the stored id {stored_id} was never recorded")
    if page is not None and page < 2:
        flaws.append(f"the gap starts at page {page}, which cannot be")
    if until is not None and not recorded.has_until_id:
        flaws.append(f"the gap ends at {until}, which was never recorded")
    left = [name for name in row if name.startswith("backfill_") and row[name] is not None]
    if page is None and left:
        flaws.append("no gap is open, but something is recorded of one")
    return flaws


def span(recorded: Recorded) -> Span | None:
    """Return from when to when a list is complete, None if that cannot be said.

    Below an open gap it is complete up to the id at which the gap ends, and in any case up to
    the last full pass. Without a gap and a full pass, one is still to come.
    """
    row, oldest = recorded.row, recorded.oldest
    synced, full = row["last_killmail_sync_at"], row["last_full_at"]
    if row["backfill_page"] is None:
        ends = [] if is_to_be_read_again(row) else [synced]
    else:
        ends = [full, recorded.until_time]
    known = [end for end in ends if is_iso(end)]
    return Span(oldest, max(known)) if known else None


def is_to_be_read_again(row: dict[str, Any]) -> bool:
    """Return whether a user's list was complete once and no full pass vouches for it any more."""
    known = row["last_killmail_id"] is not None or row["listed"] > 0
    return known and row["backfill_page"] is None and row["last_full_at"] is None


def user_completeness(recorded: Recorded) -> UserCompleteness:
    """Return how far a user's list is recorded and stored."""
    row = recorded.row
    return UserCompleteness(
        user_id=row["user_id"],
        name=row["name"],
        state=row["state"],
        synced=row["last_killmail_sync_at"] is not None,
        complete=span(recorded),
        read_again=is_to_be_read_again(row),
        gap_page=row["backfill_page"],
        gap_until_id=row["backfill_until_id"],
        killmails=recorded.stored,
        pending=recorded.pending - recorded.set_aside,
        set_aside=recorded.set_aside,
    )
