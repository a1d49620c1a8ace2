"""Pending killmails: what lists have shown and whose bodies are not stored yet."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from killsync.model import KillmailRef, Origin, Pending, Priority
from killsync.settings.channels import Channel
from killsync.store import confirming, news, queueing, roles
from killsync.times import DAY, iso, unix_or_none

_HISTORY_AT_ONCE = 10_000
# what was set aside is asked for again after this
SET_ASIDE_FOR = 30 * DAY
# a time further ahead was written by a wrong clock
LONGEST_WAIT = SET_ASIDE_FOR + DAY
_SHOWN_AGAIN_AFTER = DAY
_READY = "not_before IS NULL"
PUT_OFF = "not_before IS NOT NULL AND set_aside_at IS NULL"
# on its own, not only on a list of zKillboard's
_BY_ESI = " AND origin = 'esi'"
# of a body that was refused with another hash, or by another's word
ASKED_AFRESH = """attempts = 0, refusals = 0, refused_at = NULL, error = NULL, not_before = NULL,
    set_aside_at = NULL"""
# a killmail in which the user takes part may be known already from another user's list
_LIST = """
INSERT INTO user_killmails (user_id, killmail_id) VALUES (?, ?)
ON CONFLICT (user_id, killmail_id) DO UPDATE SET listed = 1 WHERE NOT listed
"""
_COLUMNS = """killmail_id, killmail_hash, priority, attempts, refusals, refused_at,
    set_aside_at IS NOT NULL, origin"""


def record(
    conn: sqlite3.Connection,
    user_id: int,
    refs: Sequence[KillmailRef],
    priority: int,
    now: float,
    channels: Sequence[Channel] = (),
) -> int:
    """Record a page: what it shows belongs to the user, and is pending unless it is stored.

    That holds for what was listed before too, in case it was lost; a changed hash is
    believed, and so is the hash of what only zKillboard had listed. What was set aside is asked
    for again, once a day at most. What is news is told by `channels`, once its body is stored.
    Returns how many of the killmails are new for the user; what was imported before it was listed
    is no news.
    """
    # rising keys fill SQLite's pages; ESI lists the newest first
    shown = {ref.killmail_id: ref for ref in sorted(refs, key=attrgetter("killmail_id"))}
    listed = [
        ref for ref in shown.values() if conn.execute(_LIST, [user_id, ref.killmail_id]).rowcount
    ]
    bodiless = without_body(conn, list(shown))
    conn.executemany(
        "INSERT OR IGNORE INTO pending_killmails (killmail_id, killmail_hash, priority)"
        " VALUES (?, ?, ?)",
        [[i, shown[i].killmail_hash, priority] for i in bodiless],
    )
    conn.executemany(
        f"""UPDATE pending_killmails SET killmail_hash = :hash, origin = 'esi',
            priority = max(priority, :priority), {ASKED_AFRESH}
        WHERE killmail_id = :id AND (killmail_hash <> :hash OR origin <> 'esi')""",
        [{"id": i, "hash": shown[i].killmail_hash, "priority": priority} for i in bodiless],
    )
    asked_long_ago = iso(now + SET_ASIDE_FOR - _SHOWN_AGAIN_AFTER)
    conn.executemany(
        """UPDATE pending_killmails SET not_before = NULL
        WHERE killmail_id = ? AND set_aside_at IS NOT NULL AND not_before <= ?""",
        [[i, asked_long_ago] for i in bodiless],
    )
    conn.executemany(
        "UPDATE pending_killmails SET priority = :priority"
        " WHERE killmail_id = :id AND priority < :priority",
        [{"id": ref.killmail_id, "priority": priority} for ref in listed],
    )
    if listed:
        with_body = [ref.killmail_id for ref in listed if ref.killmail_id not in bodiless]
        roles.look_up(conn, with_body)
        if news.is_complete(conn, user_id):
            news.mark(conn, [ref.killmail_id for ref in listed if ref.killmail_id in bodiless])
            queueing.queue(conn, with_body, channels, now)
        conn.execute(
            "UPDATE users SET listed = listed + ?, killmails = killmails + ? WHERE user_id = ?",
            [len(listed), len(with_body), user_id],
        )
        return len(listed) - confirming.imported(conn, with_body)
    return 0


def make_history(conn: sqlite3.Connection, still_new: int) -> int:
    """Fetch what is no longer new as history is; the newest `still_new` stay new.

    At most 10,000 at once, so that the transaction is short.
    """
    return conn.execute(
        f"""UPDATE pending_killmails SET priority = {int(Priority.GAP)} WHERE killmail_id IN (
            SELECT killmail_id FROM pending_killmails
            WHERE priority = {int(Priority.BACKGROUND)} AND (attempts > 0) = 0 AND {_READY}
            ORDER BY killmail_id DESC LIMIT ? OFFSET ?)""",
        [_HISTORY_AT_ONCE, still_new],
    ).rowcount


def any_ready(conn: sqlite3.Connection) -> bool:
    """Return whether some body was not put off."""
    ready = conn.execute(f"SELECT EXISTS (SELECT 1 FROM pending_killmails WHERE {_READY})")
    return bool(ready.fetchone()[0])


def ready(
    conn: sqlite3.Connection,
    limit: int,
    *,
    only_users: Sequence[int] | None = None,
    only_esi: bool = False,
) -> list[Pending]:
    """Return up to `limit` bodies to fetch, highest priority first, then newest first.

    Those that have failed before go last, whatever their priority. With `only_users`, only manual
    ones that those users' lists have shown; `only_esi`, none that only zKillboard lists.
    """
    mine = _BY_ESI if only_esi else ""
    if only_users is not None:
        mine += f" AND priority >= {int(Priority.MANUAL)}{listed_by(only_users)}"
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM pending_killmails WHERE {_READY}{mine}"
        " ORDER BY attempts > 0, priority DESC, killmail_id DESC LIMIT ?",
        [limit],
    )
    return [
        Pending(
            *(killmail_id, killmail_hash, priority, attempts, refusals),
            refused_at=unix_or_none(refused_at),
            is_set_aside=bool(aside),
            origin=Origin(by),
        )
        for killmail_id, killmail_hash, priority, attempts, refusals, refused_at, aside, by in rows
    ]


def still_pending(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> dict[int, Origin]:
    """Return which of these are pending, and who lists them.

    A user may have been removed while they were fetched, and ESI's list may have shown them.
    """
    rows = conn.execute(
        "SELECT killmail_id, origin FROM pending_killmails WHERE killmail_id IN"
        " (SELECT value FROM json_each(?))",
        [json.dumps(list(killmail_ids))],
    )
    return {killmail_id: Origin(origin) for killmail_id, origin in rows}


def hashes_shown(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> dict[int, str]:
    """Return the hash, as ESI's lists have shown it, of those of these that are pending."""
    rows = conn.execute(
        "SELECT killmail_id, killmail_hash FROM pending_killmails WHERE killmail_id IN"
        " (SELECT value FROM json_each(?)) AND origin = 'esi'",
        [json.dumps(list(killmail_ids))],
    )
    return dict(rows.fetchall())


def done(conn: sqlite3.Connection, killmail_ids: Sequence[int], stored: Sequence[int]) -> None:
    """Forget bodies that are stored now; `stored` are those that this transaction stored."""
    conn.execute(
        "DELETE FROM pending_killmails WHERE killmail_id IN (SELECT value FROM json_each(?))",
        [json.dumps(list(killmail_ids))],
    )
    # CROSS JOIN: from the few ids to their users, not from every user to its whole list
    conn.execute(
        """UPDATE users SET killmails = killmails + listed_now.number FROM (
            SELECT user_id, count(*) AS number FROM json_each(?)
            CROSS JOIN user_killmails ON killmail_id = value AND listed
            GROUP BY user_id) AS listed_now
        WHERE users.user_id = listed_now.user_id""",
        [json.dumps(list(stored))],
    )


class PendingCounts(msgspec.Struct, frozen=True):
    """How many killmails are pending: `ready` to be fetched, put off, and set aside.

    `again_at` is when the first that was put off is tried again, in unix seconds.
    """

    ready: int
    put_off: int
    set_aside: int
    again_at: float | None


def count_by_state(
    conn: sqlite3.Connection, user_ids: Iterable[int] | None = None
) -> PendingCounts:
    """Return how many killmails are pending in which state: all, or what ESI lists of these users.

    What only zKillboard lists is fetched by scans alone, and no sync waits for it.
    """
    mine = "" if user_ids is None else f"{_BY_ESI}{listed_by(user_ids)}"
    # a question for each, which its own index answers
    ready, put_off, aside, again_at = (
        conn.execute(f"SELECT {what} FROM pending_killmails WHERE {which}{mine}").fetchone()[0]
        for what, which in (
            ("count(*)", _READY),
            ("count(*)", PUT_OFF),
            ("count(*)", "set_aside_at IS NOT NULL"),
            ("min(not_before)", PUT_OFF),
        )
    )
    return PendingCounts(int(ready), int(put_off), int(aside), unix_or_none(again_at))


def listed_by(user_ids: Iterable[int] | None) -> str:
    """Return a condition for what is pending for these users; None: no condition."""
    if user_ids is None:
        return ""
    return (
        " AND EXISTS (SELECT 1 FROM user_killmails"
        f" WHERE user_id IN ({','.join(str(int(user)) for user in user_ids)})"
        " AND user_killmails.killmail_id = pending_killmails.killmail_id)"
    )


def total(conn: sqlite3.Connection) -> int:
    """Return how many killmails are pending, those that are set aside too."""
    return int(conn.execute("SELECT count(*) FROM pending_killmails").fetchone()[0])


def set_aside_newest(conn: sqlite3.Connection, limit: int) -> list[tuple[int, str]]:
    """Return the newest killmails that were set aside, each with the reason."""
    rows = conn.execute(
        "SELECT killmail_id, error FROM pending_killmails WHERE set_aside_at IS NOT NULL"
        " ORDER BY killmail_id DESC LIMIT ?",
        [limit],
    )
    return [(killmail_id, str(error)) for killmail_id, error in rows]


def waiting_for(conn: sqlite3.Connection, user_ids: Iterable[int]) -> int:
    """Return how many bodies that ESI lists of these users may be fetched now."""
    return int(
        conn.execute(
            f"SELECT count(*) FROM pending_killmails WHERE {_READY}{_BY_ESI}{listed_by(user_ids)}"
        ).fetchone()[0]
    )


def without_body(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> set[int]:
    """Return which of these killmails are not stored."""
    rows = conn.execute(
        "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT killmail_id FROM killmails)",
        [json.dumps(list(killmail_ids))],
    )
    return {killmail_id for (killmail_id,) in rows}
