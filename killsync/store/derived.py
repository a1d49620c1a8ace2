"""What follows from the stored bodies, for `check`: that it is there, and having it made again."""

import sqlite3

from killsync.store import views
from killsync.store.connection import Store

# a body whose roles nobody will look up any more, another's time, a victim who is none, or nobody's
_WRONG_ROLE = """
SELECT u.user_id, u.killmail_id FROM user_killmails AS u
JOIN users ON users.user_id = u.user_id
LEFT JOIN killmails AS k ON k.killmail_id = u.killmail_id
WHERE CASE
    -- what zKillboard lists is said to be its user's while it is pending
    WHEN k.killmail_id IS NULL THEN NOT u.listed AND NOT EXISTS (
        SELECT 1 FROM pending_killmails AS p WHERE p.killmail_id = u.killmail_id)
    WHEN u.killmail_time IS NULL THEN u.role IS NOT NULL
        OR coalesce(users.roles_below <= u.killmail_id, 1)
    ELSE u.killmail_time IS NOT k.killmail_time OR (u.role IS 'victim') <> (u.user_id IN (
        coalesce(k.victim_character_id, 0), coalesce(k.victim_corporation_id, 0)))
END
"""
_WITHOUT_VALUE = """
SELECT count(*) FROM killmails AS k
WHERE NOT EXISTS (SELECT 1 FROM killmail_values AS v WHERE v.killmail_id = k.killmail_id)
    AND k.killmail_id >= coalesce(
        (SELECT value FROM facts WHERE name = 'values_below'), k.killmail_id)
"""


def wrong_roles(conn: sqlite3.Connection) -> int:
    """Return how many rows of `user_killmails` do not fit their killmails."""
    return int(conn.execute(f"SELECT count(*) FROM ({_WRONG_ROLE})").fetchone()[0])


def without_value(conn: sqlite3.Connection) -> int:
    """Return how many stored killmails have no row in `killmail_values`, and will get none."""
    return int(conn.execute(_WITHOUT_VALUE).fetchone()[0])


def look_up_roles_again(store: Store) -> None:
    """Forget roles that do not fit, and have the next scan look at every stored killmail."""
    with store.transaction() as conn:
        wrong = conn.execute(_WRONG_ROLE).fetchall()
        conn.executemany(
            "DELETE FROM user_killmails WHERE user_id = ? AND killmail_id = ? AND NOT listed", wrong
        )
        conn.executemany(
            """UPDATE user_killmails SET role = NULL, killmail_time = NULL
            WHERE user_id = ? AND killmail_id = ?""",
            wrong,
        )
        conn.execute("UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails)")


def value_again(store: Store) -> None:
    """Have the next scan value every stored killmail that has no row in `killmail_values`."""
    with store.transaction() as conn:
        conn.execute(
            """INSERT OR REPLACE INTO facts SELECT 'values_below', max(killmail_id) + 1
            FROM killmails HAVING max(killmail_id) IS NOT NULL"""
        )


def create_views(store: Store) -> None:
    """Make every view again, as this version has it."""
    with store.transaction() as conn:
        views.create(conn)
