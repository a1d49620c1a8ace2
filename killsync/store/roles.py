"""Which registered users take part in which stored killmails: the roles in `user_killmails`.

A row that is not `listed` stands for a user who takes part in a killmail that only another user's
list has shown. Roles are known only of killmails whose body is stored.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from killsync.killmail.body import Killmail
from killsync.killmail.sides import Party, Role, roles
from killsync.times import iso, unix

# killmails that one step looks at: their attackers are read in one go
AT_ONCE = 2_000

_OURS = "SELECT user_id FROM users"
_SET_ROLE = """
INSERT INTO user_killmails (user_id, killmail_id, listed, role, killmail_time)
VALUES (?, ?, 0, ?, ?)
ON CONFLICT (user_id, killmail_id)
    DO UPDATE SET role = excluded.role, killmail_time = excluded.killmail_time
"""
# of users whose list shows it although they do not appear on it
_SET_TIME = """
UPDATE user_killmails SET killmail_time = ? WHERE killmail_id = ? AND killmail_time IS NULL
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

# a killmail's id and time, its victim, its attackers with whether the final blow was theirs
_Parties = tuple[int, str, Party, Sequence[tuple[Party, bool]]]


def record(conn: sqlite3.Connection, killmails: Sequence[Killmail]) -> None:
    """Record the roles of all users in killmails that are stored now.

    The caller holds the transaction.
    """
    parties = [
        (
            killmail.killmail_id,
            iso(unix(killmail.killmail_time)),
            (killmail.victim.character_id, killmail.victim.corporation_id),
            [((a.character_id, a.corporation_id), a.final_blow) for a in killmail.attackers],
        )
        for killmail in killmails
    ]
    _write(conn, parties)


def look_up(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> None:
    """Record the roles of all users in those of these killmails that are stored."""
    wanted = [json.dumps(list(killmail_ids))]
    attackers: dict[int, list[tuple[Party, bool]]] = defaultdict(list)
    for killmail_id, character, corporation, final_blow in conn.execute(_OUR_ATTACKERS, wanted):
        attackers[killmail_id].append(((character, corporation), bool(final_blow)))
    parties = [
        (killmail_id, time, (character, corporation), attackers[killmail_id])
        for killmail_id, time, character, corporation in conn.execute(_VICTIMS, wanted).fetchall()
    ]
    _write(conn, parties)


def look_up_earlier(conn: sqlite3.Connection, user_id: int) -> None:
    """Have every killmail that is stored by now looked at for the role of a new user."""
    conn.execute(
        """UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails)
        WHERE user_id = ?""",
        [user_id],
    )


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


def _write(conn: sqlite3.Connection, parties: Sequence[_Parties]) -> None:
    ids = {id_ for *_, victim, _ in parties for id_ in victim}
    ids.update(id_ for *_, attackers in parties for party, _ in attackers for id_ in party)
    ids.discard(None)
    users = conn.execute(
        f"{_OURS} WHERE user_id IN (SELECT value FROM json_each(?))", [json.dumps(list(ids))]
    )
    ours = {user_id for (user_id,) in users}
    taking_part: list[tuple[int, int, Role, str]] = []
    for killmail_id, time, victim, attackers in parties:
        found = roles(victim, attackers, ours) if ours else {}
        taking_part += [(user, killmail_id, role, time) for user, role in found.items()]
    conn.executemany(_SET_ROLE, taking_part)
    conn.executemany(_SET_TIME, [(time, killmail_id) for killmail_id, time, *_ in parties])
