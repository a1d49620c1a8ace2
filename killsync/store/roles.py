"""Which registered users take part in which stored killmails: the roles in `user_killmails`.

A row that is not `listed` stands for a user who takes part in a killmail that only another user's
list has shown. Roles are known only of killmails whose body is stored.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from killsync.killmail.body import Killmail
from killsync.killmail.sides import Attack, Party, Role, parties, roles

# killmails that one step looks at: their attackers are read in one go
AT_ONCE = 2_000

_OURS = "SELECT user_id FROM users"
# of few users all are read: that is quicker than to look for each id
_FEW = 1_000
_FEW_USERS = f"{_OURS} WHERE user_id > 0 LIMIT {_FEW + 1}"
_USERS_AMONG = f"{_OURS} WHERE user_id IN (SELECT value FROM json_each(?))"
_THERE = """
SELECT u.killmail_id, u.user_id FROM json_each(?)
CROSS JOIN user_killmails AS u ON u.killmail_id = value
"""
_SET_ROLE = """
UPDATE user_killmails SET role = ?, killmail_time = ? WHERE user_id = ? AND killmail_id = ?
"""
_TAKE_PART = """
INSERT INTO user_killmails (listed, role, killmail_time, user_id, killmail_id)
VALUES (0, ?, ?, ?, ?)
"""
_VICTIMS = """
SELECT killmail_id, killmail_time, victim_character_id, victim_corporation_id
FROM killmails WHERE killmail_id IN (SELECT value FROM json_each(?))
"""
_OUR_ATTACKERS = f"""
SELECT killmail_id, character_id, corporation_id, final_blow FROM attackers
WHERE killmail_id IN (SELECT value FROM json_each(?))
    AND (character_id IN ({_OURS}) OR corporation_id IN ({_OURS}))
"""

# a role, the killmail's time, a user, a killmail
_Row = tuple[Role | None, str, int, int]
# a killmail's id and time, its victim, its attackers
_Parties = tuple[int, str, Party, Sequence[Attack]]


def record(
    conn: sqlite3.Connection, stored: Iterable[tuple[Killmail, str]], ids: Iterable[int]
) -> None:
    """Record the roles of all users in killmails that were stored just now, with these times.

    `ids` are those of everybody on them, and may be others too. The caller holds the transaction.
    """
    there = [(killmail.killmail_id, time, *parties(killmail)) for killmail, time in stored]
    _write(conn, there, _users_among(conn, ids))


def look_up(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Record the roles of all users in those of these killmails that are stored."""
    wanted = [json.dumps(list(killmail_ids))]
    attacks: dict[int, list[Attack]] = defaultdict(list)
    for killmail_id, character, corporation, final_blow in conn.execute(_OUR_ATTACKERS, wanted):
        attacks[killmail_id].append((character, corporation, bool(final_blow)))
    found = [
        (killmail_id, time, (character, corporation), attacks[killmail_id])
        for killmail_id, time, character, corporation in conn.execute(_VICTIMS, wanted)
    ]
    ids = {id_ for *_, victim, _ in found for id_ in victim}
    ids.update(id_ for *_, some in found for attack in some for id_ in attack[:2])
    _write(conn, found, _users_among(conn, ids))


def look_up_earlier(conn: sqlite3.Connection, user_id: int) -> None:
    """Have every killmail that is stored by now looked at for the role of a new user."""
    conn.execute(
        """UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails)
        WHERE user_id = ?""",
        [user_id],
    )


def of_nobody(conn: sqlite3.Connection, killmails: Iterable[Killmail]) -> set[int]:
    """Return in which of these killmails no registered user takes part."""
    everybody = {killmail.killmail_id: _everybody(killmail) for killmail in killmails}
    users = _users_among(conn, set().union(*everybody.values()))
    return {killmail_id for killmail_id, ids in everybody.items() if users.isdisjoint(ids)}


def any_to_look_up(conn: sqlite3.Connection) -> bool:
    """Return whether stored killmails are still to be looked at for somebody's role."""
    row = conn.execute("SELECT EXISTS (SELECT 1 FROM users WHERE roles_below IS NOT NULL)")
    return bool(row.fetchone()[0])


def look_up_next(conn: sqlite3.Connection, at_once: int = AT_ONCE) -> None:
    """Look at the next killmails, newest first, for all users who wait for it.

    The caller holds the transaction; a step that is lost is done again.
    """
    below = conn.execute(
        "SELECT max(roles_below) FROM users WHERE roles_below IS NOT NULL"
    ).fetchone()[0]
    if below is None:
        return
    found = conn.execute(
        """SELECT killmail_id FROM killmails WHERE killmail_id < ?
        ORDER BY killmail_id DESC LIMIT ?""",
        [below, at_once],
    ).fetchall()
    look_up(conn, [killmail_id for (killmail_id,) in found])
    lowest = found[-1][0] if len(found) == at_once else None
    conn.execute(
        """UPDATE users SET roles_below = :lowest
        WHERE roles_below IS NOT NULL AND (:lowest IS NULL OR roles_below > :lowest)""",
        {"lowest": lowest},
    )


def forget(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Forget the roles in killmails whose bodies are deleted."""
    gone = [[killmail_id] for killmail_id in killmail_ids]
    conn.executemany("DELETE FROM user_killmails WHERE killmail_id = ? AND NOT listed", gone)
    conn.executemany(
        "UPDATE user_killmails SET role = NULL, killmail_time = NULL WHERE killmail_id = ?", gone
    )


def _write(conn: sqlite3.Connection, killmails: Sequence[_Parties], users: set[int]) -> None:
    there: dict[int, list[int]] = defaultdict(list)
    ids = [killmail_id for killmail_id, *_ in killmails]
    for killmail_id, user_id in conn.execute(_THERE, [json.dumps(ids)]):
        there[killmail_id].append(user_id)
    known: list[_Row] = []
    new: list[_Row] = []
    for killmail_id, time, victim, attacks in killmails:
        found = roles(victim, attacks, users)
        listed = there[killmail_id]
        known += [(found.pop(user_id, None), time, user_id, killmail_id) for user_id in listed]
        new += [(role, time, user_id, killmail_id) for user_id, role in found.items()]
    conn.executemany(_SET_ROLE, known)
    conn.executemany(_TAKE_PART, new)


def _everybody(killmail: Killmail) -> set[int | None]:
    victim, attacks = parties(killmail)
    return {*victim, *(id_ for attack in attacks for id_ in attack[:2])}


def _users_among(conn: sqlite3.Connection, ids: Iterable[int | None]) -> set[int]:
    users = {user_id for (user_id,) in conn.execute(_FEW_USERS)}
    if len(users) > _FEW:
        users = {user_id for (user_id,) in conn.execute(_USERS_AMONG, [json.dumps(list(ids))])}
    return users
