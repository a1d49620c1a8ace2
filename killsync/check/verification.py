"""Whether the database can be trusted: everything in it against everything else, offline."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from killsync import files
from killsync.check import completeness
from killsync.check.findings import Finding, Kind, UserCompleteness, Verdict
from killsync.errors import DatabaseError
from killsync.model import UserKind, UserState
from killsync.store import (
    derived,
    game_data,
    imports,
    lock,
    runs,
    verify,
    verify_bodies,
    verify_columns,
)
from killsync.store.connection import Store
from killsync.store.paths import lock_file, token_file
from killsync.store.verify import SchemaChange
from killsync.tokens import copies
from killsync.tokens import schema as token_schema

# what is being looked at, how much of it is done, and how much there is (None: nobody knows)
Progress = Callable[[str, int, int | None], None]

_ASK_AGAIN = "--repair asks ESI again"
_BACKUP = "put a backup back with `killsync restore`"
_WORD_ADVICE = {
    "users.state": "--repair disables the user; then `killsync users enable` to sync it again",
    "users.kind": "--repair makes it a character, or a corporation if it has directors",
    "jobs.state": "--repair queues it again",
    "pending_killmails.origin": "--repair takes it from who lists it",
    "imports.source": "--repair forgets that it was read",
    "zkb_lists.side": "--repair forgets how far it was read",
    "outbox.state": "--repair never sends it again: it may have been told",
}
_WHOSE_WORD = {"pending_killmails": "killmail", "imports": "archive", "outbox": "channel"}


def verify_all(store: Store, progress: Progress, *, locked: bool = False) -> Verdict:
    """Check everything; `locked` if the caller holds the lock.

    Reads snapshots only, so that a run in progress neither waits nor looks like a problem. A
    damaged file is not looked at any further: `Verdict.damaged`.
    """
    verdict, conn = Verdict(str(store.path)), store.conn
    progress("structure", 0, None)
    damage, content = verify.integrity(conn)
    changes = [] if damage else verify.schema_changes(conn)
    if damage or any(change.kind == "table" and change.instead is None for change in changes):
        verdict.damaged = True
        for line in damage or map(_described, changes):
            verdict.add(Finding(kind=Kind.DAMAGE, text=line, repairable=False))
        return verdict
    _check_schema(verdict, content, changes)
    progress("foreign keys", 0, None)
    for table, count in verify.orphans(conn).items():
        text = f"{count} of the rows of {table} belong to nothing that exists"
        verdict.add(Finding(kind=Kind.ORPHAN, text=text, advice="--repair deletes them"))
    _check_bodies(verdict, conn, progress)
    _check_rest(verdict, conn, progress)
    _check_words(verdict, conn)
    _check_jobs(verdict, store, locked=locked)
    _check_files(verdict, store.path)
    return verdict


def _check_schema(verdict: Verdict, content: list[str], changes: list[SchemaChange]) -> None:
    for line in content:
        # a body that breaks the schema's rules is found as one that fails, and repaired as such
        verdict.add(Finding(kind=Kind.CONTENT, text=line, advice=_BACKUP, repairable=False))
    for change in changes:
        is_taken = change.instead not in (None, change.kind)
        repairable = not is_taken and (change.kind == "view" or change.instead is None)
        advice = "--repair creates it again" if repairable else _BACKUP
        if is_taken and change.kind != "table":
            advice = f"rename or drop it, then --repair creates the {change.kind}"
        text = _described(change)
        verdict.add(Finding(kind=Kind.SCHEMA, text=text, advice=advice, repairable=repairable))


def _described(change: SchemaChange) -> str:
    what = f"the {change.kind} {change.name}"
    if change.instead == change.kind:
        return f"{what} was altered"
    instead = f": another {change.instead} bears its name" if change.instead else ""
    return f"{what} is missing{instead}"


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
            f"stored as ESI sent them, although ESI's own hash does not match: {verdict.mismatched}"
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
    for finding in (
        *completeness.feed_problems(feed),
        *_pending_problems(conn),
        *_derived_problems(conn),
        *_import_problems(conn),
        *_unreadable(conn),
    ):
        verdict.add(finding)
    if isinstance(feed.counter, int) and feed.used < feed.counter:
        unused = feed.counter - feed.used
        numbers = "number of stored_seq is" if unused == 1 else "numbers of stored_seq are"
        verdict.notes.append(f"{unused} {numbers} unused (purged or fetched again); nothing to do")
    for user_id in verify.user_ids(conn):
        recorded = verify.recorded(conn, user_id)
        if recorded is not None:
            verdict.users.append(completeness.user_completeness(recorded))
            for finding in completeness.user_problems(recorded):
                verdict.add(finding)


def _derived_problems(conn: sqlite3.Connection) -> Iterator[Finding]:
    if wrong := derived.wrong_roles(conn):
        text = f"{wrong} of the rows of user_killmails do not fit their killmails"
        yield Finding(kind=Kind.ROLE, text=text, advice="--repair has the next scan look again")
    if without := derived.without_value(conn):
        text = f"{without} of the stored killmails have no row in killmail_values"
        yield Finding(kind=Kind.VALUE, text=text, advice="--repair has the next scan value them")
    if lost := game_data.lost(conn):
        text = f"{lost} rows of types, systems, factions and NPC corporations are gone"
        advice = "--repair has the next scan load them again"
        yield Finding(kind=Kind.GAME_DATA, text=text, advice=advice)


def _import_problems(conn: sqlite3.Connection) -> Iterator[Finding]:
    if imports.is_counter_wrong(conn):
        text = "the count of users added, by which archives are read again, is lost"
        advice = "--repair has every archive read again by the next import"
        yield Finding(kind=Kind.IMPORT, text=text, advice=advice)


def _unreadable(conn: sqlite3.Connection) -> Iterator[Finding]:
    for table, column, count, example in verify_columns.bad_times(conn):
        text = f"{table}.{column}: not a valid time in {count} of the rows, such as {example!r}"
        yield Finding(kind=Kind.TIME, text=text, advice="--repair forgets them")
    for group, key in verify.bad_limits(conn):
        name = f"rate limit {group} {key}".rstrip()
        text = f"{name}: what was spent cannot be read"
        yield Finding(kind=Kind.LIMIT, text=text, advice="--repair forgets it")


def _pending_problems(conn: sqlite3.Connection) -> Iterator[Finding]:
    wrong = (
        (verify.STORED, "pending, although stored"),
        (verify.UNLISTED, "pending, although no user's list shows it"),
        (verify.BAD_HASH, "pending, with something that is not a valid hash"),
    )
    for condition, what in wrong:
        count, first = verify.pending_where(conn, condition)
        if count:
            more = f" and {count - 1} more" if count > 1 else ""
            text = f"killmail {first}{more}: {what}"
            yield Finding(kind=Kind.PENDING, text=text, advice="--repair forgets it")


def _check_words(verdict: Verdict, conn: sqlite3.Connection) -> None:
    for whose, column, word in verify_columns.unknown_words(conn):
        of_user = column.split(".")[0] in ("users", "jobs", "zkb_lists")
        of_what = _WHOSE_WORD.get(column.split(".")[0], "")
        subject = _named(verdict, whose) if of_user else f"{of_what} {whose}"
        known = ", ".join(verify_columns.WORDS[column])
        verdict.add(
            Finding(
                kind=Kind.WORD,
                text=f"{subject}: {column} {word!r} is not one of {known}",
                advice=_WORD_ADVICE[column],
                user_id=whose if of_user else None,
            )
        )


def _check_jobs(verdict: Verdict, store: Store, *, locked: bool) -> None:
    for user_id in verify.users_with_several_jobs(store.conn):
        verdict.add(_job(verdict, user_id, "has more than one open job"))
    if not verify.running_jobs(store.conn):
        return
    if locked or not lock_file(store.path).exists():
        _judge_running(verdict, store.conn)
        return
    # whoever holds the lock works on them
    with suppress(lock.RunInProgress), lock.hold(store.path, patience=0):
        _judge_running(verdict, store.conn)


def _judge_running(verdict: Verdict, conn: sqlite3.Connection) -> None:
    running = verify.running_jobs(conn)
    if running and runs.last_was_interrupted(conn):
        verdict.notes.append(
            "the last run was interrupted: the next one takes up what it had started"
        )
        return
    for user_id in running:
        verdict.add(_job(verdict, user_id, "the job is marked as running, and no run has it"))


def _job(verdict: Verdict, user_id: int, what: str) -> Finding:
    return Finding(
        kind=Kind.JOB,
        text=f"{_named(verdict, user_id)}: {what}",
        advice="--repair queues it again",
        user_id=user_id,
    )


def _named(verdict: Verdict, user_id: int) -> str:
    names = (user.name for user in verdict.users if user.user_id == user_id)
    return f"{name} ({user_id})" if (name := next(names, None)) else f"user {user_id}"


def _check_files(verdict: Verdict, database: Path) -> None:
    token_path = token_file(database)
    _check_modes(verdict, (database, lock_file(database)), token_path)
    try:
        lock.is_held(database)
        holders = token_schema.holders(database)
    except DatabaseError as error:
        advice = "if they are lost, delete it and run `killsync login` again"
        verdict.add(Finding(kind=Kind.FILE, text=str(error), advice=advice, repairable=False))
        return
    verdict.notes += (
        f"{file}: may hold earlier tokens that are not encrypted; delete it if you do not need it"
        for file in copies.left_plain(database)
    )
    active = [user for user in verdict.users if user.state == UserState.ACTIVE]
    if active and not token_path.exists():
        verdict.notes.append(_without_token_file(token_path))
        return
    for user in active:
        # a corporation is read with its directors' tokens
        if user.user_id not in holders and user.kind != UserKind.CORPORATION:
            verdict.add(_without_token(user))
    strangers = holders.keys() - {user.user_id for user in verdict.users}
    if strangers:
        verdict.notes.append(f"{len(strangers)} tokens of characters that are not registered")


def _check_modes(verdict: Verdict, others: tuple[Path, ...], token_path: Path) -> None:
    for path in others:
        if files.open_to_others(path):
            verdict.notes.append(f"{path}: others may use it; `chmod 600` if they should not")
    if files.open_to_others(token_path):
        # what is ours is made private when a command starts
        text = f"{token_path}: others may use it, and it holds the refresh tokens"
        advice = "have its owner `chmod 600` it"
        verdict.add(Finding(kind=Kind.FILE, text=text, advice=advice, repairable=False))


def _without_token_file(path: Path) -> str:
    # a copy cannot be told from a database that has lost it
    return (
        f"{path} is not there, as beside a copy; if this is the database that is synced, put it "
        "back, or log everybody in again with `killsync login --another`"
    )


def _without_token(user: UserCompleteness) -> Finding:
    return Finding(
        kind=Kind.TOKEN,
        text=f"{user.name} ({user.user_id}): needs a login, there is no token",
        advice="`killsync login`",
        user_id=user.user_id,
    )
