"""Whether the database can be trusted: everything in it against everything else, offline."""

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from killsync import lock
from killsync.errors import DatabaseError
from killsync.findings import Finding, Kind, Span, UserFound, Verdict
from killsync.store import runs, tokens, verify, verify_bodies
from killsync.store.connection import Store, token_file
from killsync.store.verify import Feed, Recorded
from killsync.times import is_iso

# what is being looked at, how much of it is done, and how much there is (None: nobody knows)
Progress = Callable[[str, int, int | None], None]

_OTHERS = 0o077
_ASK_AGAIN = "--repair asks ESI again"
_READ_AGAIN = "--repair lets the next scan read the whole list again"
_BACKUP = "restore a backup"


def verify_all(store: Store, progress: Progress, *, locked: bool = False) -> Verdict:
    """Check everything; `locked` if the caller holds the lock.

    Reads snapshots only, so that a run in progress neither waits nor looks like a mistake. A
    damaged file is not looked at any further: `Verdict.damaged`.
    """
    verdict, conn = Verdict(str(store.path)), store.conn
    progress("structure", 0, None)
    damage, content = verify.integrity(conn)
    changes = [] if damage else verify.schema_changes(conn)
    if damage or any(" table " in change and "missing" in change for change in changes):
        verdict.damaged = True
        for line in damage or changes:
            verdict.add(Finding(kind=Kind.DAMAGE, text=line, mendable=False))
        return verdict
    _check_schema(verdict, [*content, *verify.broken_rules(conn)], changes)
    progress("foreign keys", 0, None)
    for table, count in verify.orphans(conn).items():
        text = f"{count} of the rows of {table} belong to nothing that is there"
        verdict.add(Finding(kind=Kind.ORPHAN, text=text, advice="--repair deletes them"))
    _check_bodies(verdict, conn, progress)
    _check_rest(verdict, conn, progress)
    _check_jobs(verdict, store, locked=locked)
    _check_files(verdict, store.path)
    return verdict


def _check_schema(verdict: Verdict, content: list[str], changes: list[str]) -> None:
    for line in content:
        # a body that breaks the schema's rules is found as one that fails, and mended as such
        verdict.add(Finding(kind=Kind.CONTENT, text=line, advice=_BACKUP, mendable=False))
    for change in changes:
        missing = " index " in change and "missing" in change
        advice = "--repair makes it again" if missing else _BACKUP
        verdict.add(Finding(kind=Kind.SCHEMA, text=change, advice=advice, mendable=missing))


def _check_bodies(verdict: Verdict, conn: sqlite3.Connection, progress: Progress) -> None:
    total = verify.size(conn)
    for batch in verify_bodies.in_batches(conn):
        for body in batch:
            verdict.killmails += 1
            verdict.attackers += len(body.attackers)
            verdict.items += len(body.items)
            wrong = verify_bodies.flaw(body)
            if wrong is not None:
                verdict.add(_failing(body, wrong))
            elif not body.hash_fits:
                verdict.mismatched += 1
        progress("killmails", verdict.killmails, max(total, verdict.killmails))
    if verdict.mismatched:
        verdict.notes.append(
            f"stored as ESI sent them, although ESI's own hash does not fit: {verdict.mismatched}"
        )


def _failing(body: verify_bodies.StoredBody, wrong: str) -> Finding:
    return Finding(
        kind=Kind.BODY,
        text=f"killmail {body.killmail_id}: {wrong}",
        advice=_ASK_AGAIN,
        killmail_id=body.killmail_id,
        ask_with=verify_bodies.hash_to_ask_with(body),
    )


def _check_rest(verdict: Verdict, conn: sqlite3.Connection, progress: Progress) -> None:
    progress("lists", 0, None)
    verdict.unlisted = verify.unlisted(conn)
    verdict.pending, _ = verify.pending_where(conn, "set_aside_at IS NULL")
    feed = verify.feed(conn)
    for finding in (*feed_mistakes(feed), *_pending_mistakes(conn), *_unreadable(conn)):
        verdict.add(finding)
    if isinstance(feed.counter, int) and feed.used < feed.counter:
        unused = feed.counter - feed.used
        numbers = "number of stored_seq is" if unused == 1 else "numbers of stored_seq are"
        verdict.notes.append(f"{unused} {numbers} unused (purged or fetched again); nothing to do")
    for user_id in verify.user_ids(conn):
        recorded = verify.recorded(conn, user_id)
        if recorded is not None:
            verdict.users.append(_found(recorded))
            for finding in user_mistakes(recorded):
                verdict.add(finding)


def _unreadable(conn: sqlite3.Connection) -> Iterator[Finding]:
    for table, column, count, example in verify.bad_times(conn):
        text = f"{table}.{column}: no time in {count} of the rows, such as {example!r}"
        yield Finding(kind=Kind.TIME, text=text, advice="--repair forgets them")
    for group, key in verify.bad_limits(conn):
        name = f"rate limit {group} {key}".rstrip()
        text = f"{name}: what was spent cannot be read"
        yield Finding(kind=Kind.LIMIT, text=text, advice="--repair forgets it")


def feed_mistakes(feed: Feed) -> list[Finding]:
    """Return what is wrong with the counter of the change feed."""
    if isinstance(feed.counter, int) and feed.counter >= feed.highest:
        return []
    text = f"the counter of stored_seq is {feed.counter!r}, and {feed.highest} is in use"
    return [Finding(kind=Kind.FEED, text=text, advice="--repair lets it go on above")]


def user_mistakes(recorded: Recorded) -> list[Finding]:
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
        found.append((Kind.COUNTER, what, "--repair counts anew"))
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
        flaws.append(f"the gap begins at page {page}, which is none")
    if until is not None and not recorded.has_until_id:
        flaws.append(f"the gap ends at {until}, which was never recorded")
    left = [name for name in row if name.startswith("backfill_") and row[name] is not None]
    if page is None and left:
        flaws.append("no gap is open, but something is noted of one")
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
    """Tell whether a user's list was complete once and no full pass vouches for it any more."""
    known = row["last_killmail_id"] is not None or row["listed"] > 0
    return known and row["backfill_page"] is None and row["last_full_at"] is None


def _found(recorded: Recorded) -> UserFound:
    row = recorded.row
    return UserFound(
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


def _pending_mistakes(conn: sqlite3.Connection) -> Iterator[Finding]:
    wrong = (
        (verify.STORED, "pending, although stored"),
        (verify.UNLISTED, "pending, although no user's list shows it"),
        (verify.BAD_HASH, "pending, with something that is no hash"),
    )
    for condition, what in wrong:
        count, first = verify.pending_where(conn, condition)
        if count:
            more = f" and {count - 1} more" if count > 1 else ""
            text = f"killmail {first}{more}: {what}"
            yield Finding(kind=Kind.PENDING, text=text, advice="--repair forgets it")


def _check_jobs(verdict: Verdict, store: Store, *, locked: bool) -> None:
    for user_id in verify.users_with_several_jobs(store.conn):
        verdict.add(_job(verdict, user_id, "has more than one open job"))
    if not verify.running_jobs(store.conn):
        return
    if locked or not lock.lock_file(store.path).exists():
        _judge_running(verdict, store.conn)
        return
    # whoever holds the lock works on them
    with suppress(lock.Busy), lock.hold(store.path, patience=0):
        _judge_running(verdict, store.conn)


def _judge_running(verdict: Verdict, conn: sqlite3.Connection) -> None:
    running = verify.running_jobs(conn)
    if running and runs.last_broke_off(conn):
        verdict.notes.append("the last run broke off: the next one takes up what it had begun")
        return
    for user_id in running:
        verdict.add(_job(verdict, user_id, "the job is marked as running, and no run has it"))


def _job(verdict: Verdict, user_id: int, what: str) -> Finding:
    names = {user.user_id: f"{user.name} ({user_id})" for user in verdict.users}
    return Finding(
        kind=Kind.JOB,
        text=f"{names.get(user_id, f'user {user_id}')}: {what}",
        advice="--repair queues it again",
        user_id=user_id,
    )


def _check_files(verdict: Verdict, database: Path) -> None:
    for path in (database, lock.lock_file(database)):
        if _mode(path) & _OTHERS:
            verdict.notes.append(f"{path}: others may use it; `chmod 600` if they should not")
    token_path = token_file(database)
    if _mode(token_path) & _OTHERS:
        text = f"{token_path}: others may use it, and it holds the refresh tokens"
        verdict.add(Finding(kind=Kind.FILE, text=text, advice="`chmod 600` it"))
    try:
        lock.is_held(database)
        holders = tokens.holders(database)
    except DatabaseError as error:
        advice = "if they are lost, `killsync users add` again"
        verdict.add(Finding(kind=Kind.FILE, text=str(error), advice=advice, mendable=False))
        return
    active = [user for user in verdict.users if user.state == "active"]
    if active and not token_path.exists():
        text = f"{token_path} is missing"
        advice = "restore it, or give new refresh tokens to `killsync users add`"
        verdict.add(Finding(kind=Kind.FILE, text=text, advice=advice, mendable=False))
        return
    for user in active:
        if user.user_id not in holders:
            verdict.add(_without_token(user))
    strangers = holders - {user.user_id for user in verdict.users}
    if strangers:
        verdict.notes.append(f"{len(strangers)} tokens of characters that are not registered")


def _without_token(user: UserFound) -> Finding:
    return Finding(
        kind=Kind.TOKEN,
        text=f"{user.name} ({user.user_id}): needs a login, there is no token",
        advice="`killsync users add`",
        user_id=user.user_id,
    )


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
