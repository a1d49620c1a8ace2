"""Users: who they are, how far their lists are recorded, who is due."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from killsync.model import Cursor, Refusal, User, UserKind, UserState
from killsync.store import directors, imports, roles
from killsync.times import DAY, iso, iso_after, unix, unix_or_none

# no user is left alone for longer; a time further ahead was written by a wrong clock
LONGEST_WAIT = DAY

_COLUMNS = """user_id, name, state, last_killmail_id, backfill_page, backfill_until_id,
    last_killmail_sync_at, last_full_at, backfill_full_from, backfill_cached_until,
    backfill_floor_id, list_etag, list_cached_until, list_pages, listed, killmails, failures,
    not_before, error, added_at, skipped, refused_at, refused_token, refused_client,
    troubled_since, kind"""


def get(conn: sqlite3.Connection, user_id: int) -> User | None:
    """Return a user, None if unknown."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM users WHERE user_id = ?", [user_id]).fetchone()
    return None if row is None else _user(row)


def everyone(conn: sqlite3.Connection) -> Iterator[User]:
    """Yield all users by name."""
    for row in conn.execute(f"SELECT {_COLUMNS} FROM users ORDER BY name COLLATE NOCASE, user_id"):
        yield _user(row)


def where(
    conn: sqlite3.Connection, condition: str, parameters: Mapping[str, object]
) -> Iterator[User]:
    """Yield the users for whom a condition in SQL holds, in whatever order it ends with."""
    for row in conn.execute(f"SELECT {_COLUMNS} FROM users WHERE {condition}", parameters):
        yield _user(row)


def named(conn: sqlite3.Connection, name: str) -> list[User]:
    """Return the users of that name, whatever its case."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM users WHERE name = ? COLLATE NOCASE ORDER BY user_id", [name]
    )
    return [_user(row) for row in rows]


def any_user(conn: sqlite3.Connection) -> bool:
    """Return whether there is a user at all."""
    return bool(conn.execute("SELECT EXISTS (SELECT 1 FROM users)").fetchone()[0])


def any_active(conn: sqlite3.Connection) -> bool:
    """Return whether there is a user to sync."""
    active = conn.execute("SELECT EXISTS (SELECT 1 FROM users WHERE state = 'active')")
    return bool(active.fetchone()[0])


# EVE's login, or ESI, has said who it is: nobody else needs to be asked
_NAME = """
INSERT INTO names (id, category, name, named_at) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
"""


def add(
    conn: sqlite3.Connection,
    user_id: int,
    name: str,
    now: float,
    kind: UserKind = UserKind.CHARACTER,
) -> bool:
    """Add a user or renew a known one, which may be synced at once; return if it is new.

    A corporation that was disabled stays so: a director's login says nothing about it.
    """
    known = conn.execute("SELECT 1 FROM users WHERE user_id = ?", [user_id]).fetchone()
    conn.execute(
        """INSERT INTO users (user_id, kind, name, added_at) VALUES (:id, :kind, :name, :now)
        ON CONFLICT (user_id) DO UPDATE SET name = :name, failures = 0,
            state = iif(kind = 'corporation' AND state = 'disabled', state, 'active'),
            not_before = NULL, error = NULL, troubled_since = NULL,
            refused_at = NULL, refused_token = NULL, refused_client = NULL""",
        {"id": user_id, "kind": kind, "name": name, "now": iso(now)},
    )
    conn.execute(_NAME, [user_id, kind, name, iso(now)])
    if known is not None:
        directors.token_renewed(conn, user_id, now)
    else:
        imports.look_again(conn)
        roles.look_up_earlier(conn, user_id)
    return known is None


def set_state(
    conn: sqlite3.Connection, user_id: int, state: UserState, error: str | None = None
) -> None:
    """Set the state of a user, with the error that is the reason for it; what it was is gone."""
    conn.execute(
        """UPDATE users SET state = ?, error = ?, not_before = NULL, failures = 0,
            troubled_since = NULL,
            refused_at = NULL, refused_token = NULL, refused_client = NULL
        WHERE user_id = ?""",
        [state, error, user_id],
    )


def set_refused(conn: sqlite3.Connection, user_id: int, refusal: Refusal) -> None:
    """Record that a user's token was refused for the first time."""
    conn.execute(
        """UPDATE users SET refused_at = ?, refused_token = ?, refused_client = ?
        WHERE user_id = ?""",
        [iso(refusal.at), refusal.token, refusal.client_id, user_id],
    )


def set_needs_login(
    conn: sqlite3.Connection,
    user_id: int,
    error: str,
    not_before: float | None,
    client_id: str,
    refused: str | None,
) -> None:
    """Record that only a login helps; the token is tried once more at `not_before`, if ever.

    `refused` is the fingerprint of the token that was refused for `client_id`, None if there was
    no token. Nothing is recorded if a new login has been stored meanwhile.
    """
    conn.execute(
        """UPDATE users SET state = 'needs_login', error = :error, failures = 0,
            not_before = :until, refused_client = :client
        WHERE user_id = :id
            AND (:refused IS NULL OR (refused_token = :refused AND refused_client = :client))""",
        {
            "error": error,
            "until": None if not_before is None else iso_after(not_before),
            "client": client_id,
            "refused": refused,
            "id": user_id,
        },
    )


def set_accepted(conn: sqlite3.Connection, user_id: int, now: float) -> None:
    """Record that SSO has accepted a user's token: no refusal stands against it any more."""
    conn.execute(
        """UPDATE users SET state = iif(state = 'needs_login', 'active', state),
            error = iif(state = 'needs_login', NULL, error),
            not_before = iif(state = 'needs_login', NULL, not_before), refreshed_at = ?,
            refused_at = NULL, refused_token = NULL, refused_client = NULL
        WHERE user_id = ?""",
        [iso(now), user_id],
    )


def set_readable(conn: sqlite3.Connection, user_id: int) -> None:
    """Record that a corporation that needed a login can be read again."""
    conn.execute(
        """UPDATE users SET state = 'active', error = NULL, not_before = NULL
        WHERE user_id = ? AND state = 'needs_login'""",
        [user_id],
    )


def note_error(conn: sqlite3.Connection, user_id: int, error: str, now: float) -> None:
    """Record why a user could not be synced, without blame."""
    conn.execute(
        """UPDATE users SET error = ?, troubled_since = coalesce(troubled_since, ?)
        WHERE user_id = ?""",
        [error, iso(now), user_id],
    )


def set_well(conn: sqlite3.Connection, user_id: int) -> None:
    """Record that a job of the user has ended well: it has failed no more."""
    conn.execute(
        """UPDATE users SET failures = 0, error = NULL, troubled_since = NULL
        WHERE user_id = ?""",
        [user_id],
    )


def set_failed(
    conn: sqlite3.Connection, user_id: int, error: str, now: float, not_before: float
) -> None:
    """Count a failure of the user's own and leave it alone until `not_before`."""
    conn.execute(
        """UPDATE users SET failures = failures + 1, error = ?, not_before = ?,
            troubled_since = coalesce(troubled_since, ?)
        WHERE user_id = ?""",
        [error, iso_after(not_before), iso(now), user_id],
    )


def rest(conn: sqlite3.Connection, user_id: int, not_before: float) -> None:
    """Leave a user alone until `not_before`, without blame."""
    conn.execute(
        "UPDATE users SET not_before = ? WHERE user_id = ?", [iso_after(not_before), user_id]
    )


def set_head(
    conn: sqlite3.Connection,
    user_id: int,
    now: float,
    *,
    etag: str | None,
    cached_until: float,
    pages: int | None,
) -> None:
    """Record that the head pass has ended, and what ESI said of page 1.

    `pages` is how many pages of the list the next pass may rely on, as in `paging.Step`.
    """
    conn.execute(
        """UPDATE users SET last_killmail_sync_at = :now, list_etag = :etag,
            list_cached_until = :cached, list_pages = :pages, not_before = NULL
        WHERE user_id = :id""",
        {
            "now": iso(now),
            "etag": etag,
            "cached": iso_after(cached_until),
            "pages": pages,
            "id": user_id,
        },
    )


def set_cursor(
    conn: sqlite3.Connection,
    user_id: int,
    cursor: Cursor,
    *,
    full_from: float | None,
    last_full_at: float | None,
    gap_cached_until: float | None,
    floor_id: int | None,
    skipped: int = 0,
) -> None:
    """Record how far the list is done, in the transaction that records what is on the page."""
    conn.execute(
        """UPDATE users SET last_killmail_id = ?, backfill_page = ?, backfill_until_id = ?,
            backfill_full_from = ?, last_full_at = ?, backfill_cached_until = ?,
            backfill_floor_id = ?, skipped = ?
        WHERE user_id = ?""",
        [
            cursor.last_killmail_id,
            cursor.page,
            cursor.until_id,
            None if full_from is None else iso(full_from),
            None if last_full_at is None else iso(last_full_at),
            None if gap_cached_until is None else iso_after(gap_cached_until),
            floor_id,
            skipped,
            user_id,
        ],
    )


def remove(conn: sqlite3.Connection, user_id: int) -> None:
    """Delete a user with the cursor, the jobs and the list rows; killmails stay."""
    conn.execute("DELETE FROM users WHERE user_id = ?", [user_id])


def _user(row: tuple[Any, ...]) -> User:
    (
        user_id, name, state, last_id, page, until_id, synced, last_full, full_from, gap_cached,
        floor_id, etag, cached, pages, listed, killmails, failures, not_before, error, added,
        skipped, refused_at, refused_token, refused_client, troubled, kind,
    ) = row  # fmt: skip
    refusal = None
    if refused_at is not None:
        refusal = Refusal(unix(refused_at), str(refused_token), str(refused_client))
    return User(
        user_id=user_id,
        name=name,
        state=UserState(state),
        cursor=Cursor(last_id, page, until_id),
        last_sync_at=unix_or_none(synced),
        last_full_at=unix_or_none(last_full),
        full_from=unix_or_none(full_from),
        gap_cached_until=unix_or_none(gap_cached),
        floor_id=floor_id,
        etag=etag,
        cached_until=unix_or_none(cached),
        pages=pages,
        listed=listed,
        killmails=killmails,
        failures=failures,
        not_before=unix_or_none(not_before),
        error=error,
        added_at=unix_or_none(added),
        skipped=skipped,
        refusal=refusal,
        troubled_since=unix_or_none(troubled),
        kind=UserKind(kind),
    )
