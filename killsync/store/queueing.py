"""What is to be told is written in the transaction that makes it known, once for each channel."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence

from killsync.killmail.audience import News, asks_for, wants
from killsync.killmail.sides import Role
from killsync.settings.channels import Channel
from killsync.store import named
from killsync.store.meant import meant
from killsync.times import iso, iso_after, unix

# imports are no news
_STORED = """
SELECT k.killmail_id, k.killmail_time, k.stored_at, v.total
FROM killmails AS k LEFT JOIN killmail_values AS v ON v.killmail_id = k.killmail_id
WHERE k.killmail_id IN (SELECT value FROM json_each(?)) AND k.origin = 'esi'
ORDER BY k.killmail_id
"""
_ROLES = """
SELECT killmail_id, user_id, role FROM user_killmails
WHERE killmail_id IN (SELECT value FROM json_each(?)) AND role IS NOT NULL
"""
_QUEUE = """
INSERT OR IGNORE INTO outbox (channel, killmail_id, queued_at, not_before) VALUES (?, ?, ?, ?)
"""
_QUEUE_TROUBLE = """
INSERT INTO outbox (channel, trouble, queued_at, not_before) VALUES (:channel, :text, :now, :now)
"""


def queue(
    conn: sqlite3.Connection, killmail_ids: Sequence[int], channels: Sequence[Channel], now: float
) -> None:
    """Queue killmails that are stored, and are news, for each channel that wants them.

    What was queued once is never queued again. The caller holds the transaction.
    """
    if not killmail_ids or not channels:
        return
    found = list(_news(conn, killmail_ids, now))
    for channel in channels:
        users = users_of(conn, channel)
        conn.executemany(
            _QUEUE,
            [
                [channel.name, news.killmail_id, iso(now), iso_after(stored_at + channel.delay)]
                for news, stored_at in found
                if wants(channel, users, news)
            ],
        )


def still_wanted(
    conn: sqlite3.Connection, channel: Channel, killmail_ids: Sequence[int]
) -> list[int]:
    """Return those of queued killmails that are there, and that the channel still asks for.

    Its table may have changed meanwhile, and users may have been removed.
    """
    users = users_of(conn, channel)
    found = {
        news.killmail_id
        for news, _ in _news(conn, killmail_ids, 0)
        if asks_for(channel, users, news)
    }
    return [killmail_id for killmail_id in killmail_ids if killmail_id in found]


def queue_trouble(conn: sqlite3.Connection, channel: str, text: str, now: float) -> int:
    """Queue a trouble or its end, as JSON; return the row's id."""
    cursor = conn.execute(_QUEUE_TROUBLE, {"channel": channel, "text": text, "now": iso(now)})
    return int(cursor.lastrowid or 0)


def users_of(conn: sqlite3.Connection, channel: Channel) -> frozenset[int] | None:
    """Return the users that a channel is about, None: all of them."""
    if not channel.users:
        return None
    found = (ids for _, ids in _meant(conn, channel))
    return frozenset(ids[0] for ids in found if len(ids) == 1)


def unclear_users(conn: sqlite3.Connection, channel: Channel) -> list[str]:
    """Return what a channel names as a user and means nobody, or several."""
    return [word for word, ids in _meant(conn, channel) if len(ids) != 1]


def roles_in(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> dict[int, dict[int, Role]]:
    """Return who of ours takes part in killmails, and how."""
    roles: dict[int, dict[int, Role]] = defaultdict(dict)
    for killmail_id, user_id, role in conn.execute(_ROLES, [json.dumps(list(killmail_ids))]):
        roles[killmail_id][user_id] = Role(role)
    return roles


def _meant(conn: sqlite3.Connection, channel: Channel) -> list[tuple[str, list[int]]]:
    """Return whom each word of a channel's fits."""
    if not channel.users:
        return []
    names = dict(named.of_users(conn))
    return [(word, meant(word, names).ids) for word in map(str, channel.users)]


def _news(
    conn: sqlite3.Connection, killmail_ids: Sequence[int], now: float
) -> Iterator[tuple[News, float]]:
    """Yield what decides about each killmail, and when it was stored, in unix seconds."""
    roles = roles_in(conn, killmail_ids)
    for killmail_id, time, stored_at, value in conn.execute(
        _STORED, [json.dumps(list(killmail_ids))]
    ):
        age = now - unix(time)
        yield News(killmail_id, age, value, roles.get(killmail_id, {})), unix(stored_at)
