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


def spans(recorded: Recorded) -> list[Span]:
    """Return from when to when every listed killmail is stored: newest part first, two at most.

    Between the two something is missing; where exactly is not known, since only what is stored
    has a time. Ids rise with time.
    """
    end = _recorded_until(recorded)
    if end is None:
        return []
    if recorded.lowest_missing is None:
        return [_span(recorded.oldest, end)]
    above, below = recorded.above_missing, recorded.below_missing
    parts = []
    if above is not None and is_iso(above) and above <= end:
        parts.append(Span(above, end))
    if below is not None and is_iso(below):
        parts.append(_span(recorded.oldest, min(below, end)))
    return parts


def _recorded_until(recorded: Recorded) -> str | None:
    """Return until when everything that ESI has listed is recorded, None if that is not known.

    Below an open gap that is the id at which the gap ends, and in any case the last full pass.
    Without a gap and a full pass, one is still to come.
    """
    row = recorded.row
    synced, full = row["last_killmail_sync_at"], row["last_full_at"]
    if row["backfill_page"] is None:
        ends = [] if is_to_be_read_again(row) else [synced]
    else:
        ends = [full, recorded.until_time]
    return max((end for end in ends if is_iso(end)), default=None)


def _span(since: str | None, until: str) -> Span:
    # what is stored may all be newer than the end: then the list was empty up to there
    return Span(since if since is None or since <= until else None, until)


def is_to_be_read_again(row: dict[str, Any]) -> bool:
    """Return whether a user's list was complete once and no full pass vouches for it any more."""
    known = row["last_killmail_id"] is not None or row["listed"] > 0
    return known and row["backfill_page"] is None and row["last_full_at"] is None


def user_completeness(recorded: Recorded) -> UserCompleteness:
    """Return how far a user's list is recorded and stored."""
    row, parts = recorded.row, spans(recorded)
    return UserCompleteness(
        user_id=row["user_id"],
        name=row["name"],
        kind=row["kind"],
        state=row["state"],
        synced=row["last_killmail_sync_at"] is not None,
        complete=parts[0] if parts else None,
        complete_before=parts[1] if len(parts) > 1 else None,
        missing=recorded.listed - recorded.stored,
        skipped=row.get("skipped", 0),
        read_again=is_to_be_read_again(row),
        gap_page=row["backfill_page"],
        gap_until_id=row["backfill_until_id"],
        killmails=recorded.stored,
        pending=recorded.pending - recorded.set_aside,
        set_aside=recorded.set_aside,
    )
