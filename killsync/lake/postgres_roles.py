"""Who of the users takes part in which killmails, in PostgreSQL: what `killmail.sides` says.

`user_killmails` is kept in the transactions that store and delete killmails.
"""

from collections.abc import Sequence

from killsync.killmail.sides import Role
from killsync.lake.postgres import Conn

_TABLES = """
-- of each source; a user that several have stands there several times
CREATE TABLE users (
    source text NOT NULL,
    user_id bigint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    -- killmails of this id and lower ones are still to be looked at for its role
    roles_up_to bigint,
    PRIMARY KEY (source, user_id)
);

CREATE TABLE user_killmails (
    user_id bigint NOT NULL,
    killmail_id bigint NOT NULL,
    role text NOT NULL,
    killmail_time timestamptz NOT NULL,
    -- a column of its own, so that PostgreSQL knows how many kills and losses there are
    side text GENERATED ALWAYS AS (CASE role WHEN 'victim' THEN 'loss' ELSE 'kill' END) STORED,
    -- the sides of all killmails are read from it alone
    PRIMARY KEY (killmail_id, user_id) INCLUDE (role)
);
CREATE INDEX user_killmails_newest ON user_killmails (user_id, killmail_time);
CREATE INDEX user_killmails_time ON user_killmails (killmail_time);
"""
AT_ONCE = 20_000
_FINAL_BLOW = f"CASE WHEN a.final_blow THEN '{Role.FINAL_BLOW}' ELSE '{Role.ATTACKER}' END"
# OFFSET keeps it to a look at the index for each killmail, whatever PostgreSQL believes of tables
# that have just been filled. Whoever is the victim has no other role, and a final blow counts
# before other attacks: that is the order of their letters.
_RECORD = f"""
WITH ours AS MATERIALIZED (SELECT DISTINCT user_id FROM users)
INSERT INTO user_killmails (killmail_id, user_id, role, killmail_time)
SELECT k.killmail_id, part.id, max(part.role), k.killmail_time
FROM killmails AS k CROSS JOIN LATERAL (
    SELECT k.victim_character_id AS id, '{Role.VICTIM}' AS role
    UNION ALL SELECT k.victim_corporation_id, '{Role.VICTIM}'
    UNION ALL SELECT either.id, {_FINAL_BLOW}
    FROM attackers AS a
        CROSS JOIN LATERAL (VALUES (a.character_id), (a.corporation_id)) AS either (id)
    WHERE a.killmail_id = k.killmail_id
        AND (a.character_id IN (SELECT user_id FROM ours)
            OR a.corporation_id IN (SELECT user_id FROM ours))
    OFFSET 0) AS part
WHERE k.killmail_id = ANY(%s) AND part.id IN (SELECT user_id FROM ours)
GROUP BY k.killmail_id, part.id
ON CONFLICT DO NOTHING
"""
_UP_TO = "SELECT max(roles_up_to) FROM users"
_NEXT = "SELECT killmail_id FROM killmails WHERE killmail_id <= %s ORDER BY 1 DESC LIMIT %s"
_LOOKED_AT = """
UPDATE users SET roles_up_to = (SELECT max(killmail_id) FROM killmails WHERE killmail_id < %s)
WHERE roles_up_to IS NOT NULL
"""
_ADD = """
INSERT INTO users (source, user_id, kind, name, roles_up_to)
SELECT %s, given.*, (SELECT max(killmail_id) FROM killmails)
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS given
ON CONFLICT (source, user_id) DO UPDATE SET kind = excluded.kind, name = excluded.name
"""
_REMOVE = "DELETE FROM users WHERE source = %s AND user_id = ANY(%s)"
_FORGET_USERS = """
DELETE FROM user_killmails
WHERE user_id = ANY(%s) AND user_id NOT IN (SELECT user_id FROM users)
"""
_FORGET = "DELETE FROM user_killmails WHERE killmail_id = ANY(%s)"


def create_tables(conn: Conn) -> None:
    """Create the tables, in the schema of a transaction."""
    conn.execute(_TABLES)


def record(conn: Conn, killmail_ids: Sequence[int]) -> None:
    """Record the roles in killmails that were stored in the same transaction.

    The caller holds the schema.
    """
    conn.execute(_RECORD, [list(killmail_ids)])


def forget(conn: Conn, killmail_ids: Sequence[int]) -> None:
    """Forget the roles in killmails that are deleted in the same transaction."""
    conn.execute(_FORGET, [list(killmail_ids)])


def add(conn: Conn, source: str, users: Sequence[tuple[int, str, str]]) -> None:
    """Add users of a source by id, kind and name, or rename them.

    `look_up_next` is to follow. The caller holds the schema.
    """
    columns = [list(column) for column in zip(*users, strict=True)]
    conn.execute(_ADD, [source, *columns])


def remove(conn: Conn, source: str, user_ids: Sequence[int]) -> None:
    """Remove users of a source, and their roles unless another source has the user too.

    The caller holds the schema.
    """
    conn.execute(_REMOVE, [source, list(user_ids)])
    conn.execute(_FORGET_USERS, [list(user_ids)])


def look_up_next(conn: Conn, at_once: int = AT_ONCE) -> bool:
    """Look at the next stored killmails, newest first, for users who were added since.

    Returns whether there may be more. The caller holds the schema.
    """
    row = conn.execute(_UP_TO).fetchone()
    if row is None or row[0] is None:
        return False
    ids = [killmail_id for (killmail_id,) in conn.execute(_NEXT, [row[0], at_once])]
    conn.execute(_RECORD, [ids])
    conn.execute(_LOOKED_AT, [ids[-1] if ids else row[0]])
    return True
