"""The views in PostgreSQL for people who use SQL: those of SQLite, with the same columns.

What a column means stands in `store.views`. `user` is a word of PostgreSQL's own, so that there
the column is `kills.user` or `"user"`.
"""

from killsync.killmail.game_ids import Category
from killsync.lake.postgres import Conn
from killsync.store import views

# the columns of a killmail `k` that SQLite has in a table of its own: they cost no join here
_VALUES = """CROSS JOIN LATERAL (SELECT
        k.hull, k.fitted, k.cargo, k.dropped, k.destroyed, k.total, k.unpriced, k.priced_on) AS v"""
_ATTACKERS = "LEFT JOIN killmail_attackers AS f ON f.killmail_id = k.killmail_id"
_STRUCTURES = f"ARRAY(SELECT type_id FROM types WHERE category_id = {Category.STRUCTURE})"
_SOLO = f"""({views.SOLO_VICTIM}
    AND f.players = 1 AND NOT f.ship_type_ids && {_STRUCTURES})"""
_FINAL_BLOW = """LEFT JOIN attackers AS final ON final.killmail_id = k.killmail_id
        AND final.ordinal = f.final_blow_ordinal"""
_ROUNDED = "round(system.security::numeric, 1)::double precision"
# of several sources that have the same user the first one names it
_USERS = """JOIN users ON users.user_id = u.user_id AND NOT EXISTS (
        SELECT 1 FROM users AS other
        WHERE other.user_id = users.user_id AND other.source < users.source)"""

# by the time in user_killmails the newest of one user are found, and of all of them, by an index
_KILLS = f"""
SELECT u.user_id, users.name AS "user",
    u.side, u.role, k.killmail_id, u.killmail_time AS time,
    {views.kill_columns(_ROUNDED, solo=_SOLO, npc="f.npc")}
FROM user_killmails AS u
    JOIN killmails AS k ON k.killmail_id = u.killmail_id
    {_USERS}
    {_VALUES}
    {_ATTACKERS}{views.name_tables(_FINAL_BLOW)}
"""

# as in SQLite, a killmail that several of ours are on counts once
_SIDES = """
SELECT killmail_id, bool_or(role = 'victim') AS is_loss
FROM user_killmails GROUP BY killmail_id
"""

_LOSSES_BY_SHIP = """
SELECT lost.ship_id, ship.name AS ship, ship.group_name AS ship_group,
    lost.losses, lost.lost, lost.last_lost
FROM (
    SELECT k.victim_ship_type_id AS ship_id,
        count(*) AS losses, sum(k.total) AS lost, max(k.killmail_time) AS last_lost
    FROM sides JOIN killmails AS k ON k.killmail_id = sides.killmail_id
    WHERE sides.is_loss
    GROUP BY k.victim_ship_type_id) AS lost
    LEFT JOIN types AS ship ON ship.type_id = lost.ship_id
"""

# what has no value is not worth nothing
_ACTIVITY_BY_DAY = """
SELECT (k.killmail_time AT TIME ZONE 'UTC')::date AS day,
    count(*) FILTER (WHERE NOT sides.is_loss) AS kills,
    count(*) FILTER (WHERE sides.is_loss) AS losses,
    CASE WHEN bool_and(sides.is_loss) THEN 0.0
        ELSE sum(k.total) FILTER (WHERE NOT sides.is_loss) END AS destroyed,
    CASE WHEN bool_and(NOT sides.is_loss) THEN 0.0
        ELSE sum(k.total) FILTER (WHERE sides.is_loss) END AS lost
FROM sides JOIN killmails AS k ON k.killmail_id = sides.killmail_id
GROUP BY day
"""

_MARKET_PRICE = """(SELECT p.price FROM prices AS p
            WHERE p.source = k.source AND p.type_id = i.item_type_id AND p.day <= v.priced_on
            ORDER BY p.day DESC LIMIT 1)"""
_ITEM_LINES = f"""
SELECT{views.item_columns(_MARKET_PRICE)}
FROM items AS i
    JOIN killmails AS k ON k.killmail_id = i.killmail_id
    {_VALUES}
    LEFT JOIN types AS item ON item.type_id = i.item_type_id
"""
_ATTACKER_LINES = f"""
{views.ATTACKER_LINES}
"""
# for queries that SQLite's table of this name is joined by
_KILLMAIL_VALUES = """
SELECT killmail_id, hull, fitted, cargo, dropped, destroyed, total, unpriced, priced_on
FROM killmails
"""

_VIEWS = {
    "kills": _KILLS,
    "sides": _SIDES,
    "losses_by_ship": _LOSSES_BY_SHIP,
    "activity_by_day": _ACTIVITY_BY_DAY,
    "item_lines": _ITEM_LINES,
    "attacker_lines": _ATTACKER_LINES,
    "killmail_values": _KILLMAIL_VALUES,
}

_MISSING = """
SELECT name FROM unnest(%s::text[]) AS given (name) WHERE to_regclass(quote_ident(name)) IS NULL
"""


def create(conn: Conn) -> None:
    """Create every view in the schema of a transaction, in which no name of theirs is taken."""
    for name in _VIEWS:
        _create(conn, name)


def put_back(conn: Conn) -> None:
    """Create those views that somebody has dropped."""
    missing = {name for (name,) in conn.execute(_MISSING, [[*_VIEWS]])}
    for name in _VIEWS:
        if name in missing:
            _create(conn, name)


def _create(conn: Conn, name: str) -> None:
    conn.execute(f"CREATE VIEW {name} AS {_VIEWS[name]}")
