"""The views for people who use SQL; docs/sql.md documents their columns.

A view is no part of the data: `create` replaces all of them, so that a migration may call it
whenever one has changed. What has a public name is SQL that PostgreSQL understands too, for the
same views there; it has truths where SQLite has 0 and 1.
"""

import sqlite3
from itertools import groupby

from killsync.killmail.elsewhere import ZKILLBOARD
from killsync.killmail.game_ids import (
    NPC_CHARACTERS_UP_TO,
    NPC_CORPORATIONS_UP_TO,
    Category,
    Group,
)
from killsync.killmail.places import ESCAPE_BAY, place_of
from killsync.killmail.value import BLUEPRINT_COPY, CAPSULE_CENTS, TOKEN_CENTS
from killsync.store.prices import MARKET_PRICE

# put together, as not every engine has a printf
_URL = f"'{ZKILLBOARD}'".replace("%d", "' || k.killmail_id || '")
ATTACKERS = "FROM attackers AS a WHERE a.killmail_id = k.killmail_id"
PLAYERS = f"a.character_id > {NPC_CHARACTERS_UP_TO}"
# `a` is an attacker, of a player or of a player corporation
BY_PLAYERS = f"({PLAYERS} OR a.corporation_id > {NPC_CORPORATIONS_UP_TO})"

# of a solo kill: what was lost, and that nobody helped
SOLO_VICTIM = f"""(ship.category_id = {Category.SHIP}) IS TRUE
    AND coalesce(ship.group_id, 0) NOT IN ({Group.CAPSULE}, {Group.SHUTTLE}, {Group.CORVETTE})"""
SOLO = f"""({SOLO_VICTIM}
    AND (SELECT count(*) {ATTACKERS} AND {PLAYERS}) = 1
    AND NOT EXISTS (SELECT 1 {ATTACKERS} AND EXISTS (
        SELECT 1 FROM types
        WHERE type_id = a.ship_type_id AND category_id = {Category.STRUCTURE})))"""
NPC = f"NOT EXISTS (SELECT 1 {ATTACKERS} AND {BY_PLAYERS})"
AWOX = f"""(coalesce(ship.group_id, 0) NOT IN ({Group.CAPSULE}, {Group.CORVETTE})
    AND coalesce(k.victim_corporation_id, 0) > {NPC_CORPORATIONS_UP_TO}
    AND coalesce(final.corporation_id, 0) = k.victim_corporation_id
    AND coalesce(final.character_id, 0) <> coalesce(k.victim_character_id, 0))"""

# an attacker's character, unless that is an NPC
PILOT = f"CASE WHEN {{0}}.character_id > {NPC_CHARACTERS_UP_TO} THEN {{0}}.character_id END"

FINAL_BLOW = """LEFT JOIN attackers AS final ON final.killmail_id = k.killmail_id
    AND final.ordinal = (SELECT min(a.ordinal) FROM attackers AS a
        WHERE a.killmail_id = k.killmail_id AND a.final_blow)"""

# what the game shows: 0.04 is 0.1, for it is no null security; adding nothing makes -0.0 a 0.0
_SHOWN = "CASE WHEN {0} > 0 AND {0} < 0.05 THEN 0.1 ELSE {1} + 0.0 END"
SECURITY = _SHOWN.format("{0}", "round({0}, 1)")
"""What the game shows of a system's security, an expression of SQLite's."""

_KILL_COLUMNS = f"""
    victim.name AS victim,
    k.victim_character_id AS victim_id,
    victim_corporation.name AS victim_corporation,
    k.victim_corporation_id,
    victim_alliance.name AS victim_alliance,
    k.victim_alliance_id,
    ship.name AS ship,
    k.victim_ship_type_id AS ship_id,
    ship.group_name AS ship_group,
    ship.group_id AS ship_group_id,
    system.name AS system,
    k.solar_system_id AS system_id,
    {{security}} AS security,
    system.region,
    system.region_id,
    final_pilot.name AS final_blow,
    {PILOT.format("final")} AS final_blow_id,
    coalesce(final_corporation.name, final_faction.name) AS final_blow_corporation,
    coalesce(final.corporation_id, final.faction_id) AS final_blow_corporation_id,
    final_ship.name AS final_blow_ship,
    final.ship_type_id AS final_blow_ship_id,
    k.attacker_count AS attackers,
    v.total AS value,
    v.dropped,
    v.destroyed,
    v.unpriced,
    {{solo}} AS solo,
    {{npc}} AS npc,
    {AWOX} AS awox,
    {_URL} AS url,
    k.origin"""


def kill_columns(rounded: str, *, solo: str, npc: str) -> str:
    """Return what is asked of one killmail `k`, beside its id, its time, and whose it is.

    Its values are `v`. `rounded` is the security of its `system` to one decimal.
    """
    security = _SHOWN.format("system.security", rounded)
    return _KILL_COLUMNS.format(security=security, solo=solo, npc=npc)


KILL_COLUMNS = kill_columns("round(system.security, 1)", solo=SOLO, npc=NPC)
_NAME_TABLES = f"""
    LEFT JOIN types AS ship ON ship.type_id = k.victim_ship_type_id
    LEFT JOIN systems AS system ON system.system_id = k.solar_system_id
    LEFT JOIN names AS victim ON victim.id = k.victim_character_id
    LEFT JOIN names AS victim_corporation ON victim_corporation.id = k.victim_corporation_id
    LEFT JOIN names AS victim_alliance ON victim_alliance.id = k.victim_alliance_id
    {{final_blow}}
    LEFT JOIN names AS final_pilot ON final_pilot.id = final.character_id
        AND final.character_id > {NPC_CHARACTERS_UP_TO}
    LEFT JOIN names AS final_corporation ON final_corporation.id = final.corporation_id
    LEFT JOIN factions AS final_faction
        ON final_faction.faction_id = final.faction_id AND final.corporation_id IS NULL
    LEFT JOIN types AS final_ship ON final_ship.type_id = final.ship_type_id"""


def name_tables(final_blow: str) -> str:
    """Return the tables that these columns are read from, but for `k` and `v`.

    `final_blow` joins the attacker `final` whose it was.
    """
    return _NAME_TABLES.format(final_blow=final_blow)


KILL_TABLES = f"""
    LEFT JOIN killmail_values AS v ON v.killmail_id = k.killmail_id{name_tables(FINAL_BLOW)}"""

# CROSS JOIN keeps SQLite walking killmails by time: the newest ones, or those of some time, are
# then found at once, and what asks for all of them costs no more
_KILLS = f"""
CREATE VIEW kills AS
SELECT u.user_id, users.name AS user, iif(u.role = 'victim', 'loss', 'kill') AS side,
    u.role, k.killmail_id, k.killmail_time AS time,{KILL_COLUMNS}
FROM killmails AS k
    CROSS JOIN user_killmails AS u ON u.killmail_id = k.killmail_id
    CROSS JOIN users ON users.user_id = u.user_id{KILL_TABLES}
WHERE u.role IS NOT NULL
"""

# a killmail that several of ours are on counts once: a loss if one of them is the victim
_SIDES = """
CREATE VIEW sides AS
SELECT killmail_id, max(role = 'victim') AS is_loss
FROM user_killmails WHERE role IS NOT NULL GROUP BY killmail_id
"""

# of killmails `k` on a side, with their values `v`; what has no value is not worth nothing
FIGURES = """sum(NOT sides.is_loss) AS kills, sum(sides.is_loss) AS losses,
    iif(sum(NOT sides.is_loss) = 0, 0.0, sum(iif(sides.is_loss, NULL, v.total))) AS destroyed,
    iif(sum(sides.is_loss) = 0, 0.0, sum(iif(sides.is_loss, v.total, NULL))) AS lost"""
FIGURES_TABLES = """sides
    JOIN killmails AS k ON k.killmail_id = sides.killmail_id
    LEFT JOIN killmail_values AS v ON v.killmail_id = k.killmail_id"""

_LOSSES_BY_SHIP = f"""
CREATE VIEW losses_by_ship AS
SELECT k.victim_ship_type_id AS ship_id, ship.name AS ship, ship.group_name AS ship_group,
    count(*) AS losses, sum(v.total) AS lost, max(k.killmail_time) AS last_lost
FROM {FIGURES_TABLES}
    LEFT JOIN types AS ship ON ship.type_id = k.victim_ship_type_id
WHERE sides.is_loss
GROUP BY k.victim_ship_type_id
"""

_ACTIVITY_BY_DAY = f"""
CREATE VIEW activity_by_day AS
SELECT substr(k.killmail_time, 1, 10) AS day, {FIGURES}
FROM {FIGURES_TABLES}
GROUP BY day
"""

_FLAGS = range(256)


def _places() -> str:
    """Return the places of flags as the cases of a CASE, neighbours of one place together."""
    cases = []
    for place, run in groupby(_FLAGS, place_of):
        flags = list(run)
        if place is not None:
            cases.append(f"WHEN i.flag BETWEEN {flags[0]} AND {flags[-1]} THEN '{place}'")
    return "\n        ".join(cases)


# by itself, or in something else; UNION ends even where rows that were spoilt go round in a circle
_IN_ESCAPE_BAY = f"""(i.flag = {ESCAPE_BAY} OR (i.parent IS NOT NULL AND EXISTS (
            WITH RECURSIVE around(parent, flag) AS (
                SELECT i.parent, i.flag
                UNION
                SELECT p.parent, p.flag FROM around
                    JOIN items AS p ON p.killmail_id = i.killmail_id AND p.ordinal = around.parent)
            SELECT 1 FROM around WHERE flag = {ESCAPE_BAY})))"""
# by the rules of a killmail's value, and the prices of the day that it was valued with
_PRICE = f"""CASE
        WHEN v.priced_on IS NULL THEN NULL
        WHEN {_IN_ESCAPE_BAY} THEN 0.0
        WHEN i.singleton = {BLUEPRINT_COPY} OR item.category_id = {Category.SKIN}
            THEN {TOKEN_CENTS / 100}
        WHEN item.group_id = {Group.CAPSULE} THEN {CAPSULE_CENTS / 100}
        ELSE {{market_price}} END"""
_DROPPED = "CASE WHEN i.quantity_dropped > 0 THEN i.quantity_dropped ELSE 0 END"
_DESTROYED = "CASE WHEN i.quantity_destroyed > 0 THEN i.quantity_destroyed ELSE 0 END"

_ITEM_COLUMNS = f"""
    i.killmail_id, k.killmail_time AS time, i.ordinal, i.parent, i.flag,
    CASE
        WHEN i.parent IS NOT NULL THEN 'Inside'
        {_places()}
        ELSE 'flag ' || i.flag
    END AS place,
    i.item_type_id AS type_id, item.name AS type, item.group_name AS type_group,
    item.category_name AS type_category, i.singleton,
    {_DROPPED} AS dropped, {_DESTROYED} AS destroyed,
    {_PRICE} AS price,
    ({_PRICE}) * (CAST({_DROPPED} AS double precision) + {_DESTROYED}) AS value"""


def item_columns(market_price: str) -> str:
    """Return the columns of `item_lines`: an item `i` of type `item`, its killmail `k`, values `v`.

    `market_price` is that of its type on the day of the values.
    """
    return _ITEM_COLUMNS.replace("{market_price}", market_price)


_ITEM_LINES = f"""
CREATE VIEW item_lines AS
SELECT{item_columns(MARKET_PRICE.format("i.item_type_id", "v.priced_on"))}
FROM items AS i
    JOIN killmails AS k ON k.killmail_id = i.killmail_id
    LEFT JOIN types AS item ON item.type_id = i.item_type_id
    LEFT JOIN killmail_values AS v ON v.killmail_id = i.killmail_id
"""

ATTACKER_LINES = f"""
SELECT a.killmail_id, k.killmail_time AS time, a.ordinal, a.final_blow, a.damage_done,
    a.security_status,
    pilot.name AS pilot, a.character_id AS pilot_id,
    corporation.name AS corporation, a.corporation_id,
    alliance.name AS alliance, a.alliance_id,
    faction.name AS faction, a.faction_id,
    ship.name AS ship, a.ship_type_id AS ship_id,
    weapon.name AS weapon, a.weapon_type_id AS weapon_id,
    a.character_id IS NOT NULL AND {PLAYERS} AS is_player
FROM attackers AS a
    JOIN killmails AS k ON k.killmail_id = a.killmail_id
    LEFT JOIN names AS pilot ON pilot.id = a.character_id
    LEFT JOIN names AS corporation ON corporation.id = a.corporation_id
    LEFT JOIN names AS alliance ON alliance.id = a.alliance_id
    LEFT JOIN factions AS faction ON faction.faction_id = a.faction_id
    LEFT JOIN types AS ship ON ship.type_id = a.ship_type_id
    LEFT JOIN types AS weapon ON weapon.type_id = a.weapon_type_id
"""

_VIEWS = {
    "kills": _KILLS,
    "sides": _SIDES,
    "losses_by_ship": _LOSSES_BY_SHIP,
    "activity_by_day": _ACTIVITY_BY_DAY,
    "item_lines": _ITEM_LINES,
    "attacker_lines": f"CREATE VIEW attacker_lines AS {ATTACKER_LINES}",
}


def create(conn: sqlite3.Connection) -> None:
    """Create every view, in place of the view that bears its name.

    Where something else bears it, that stays. The caller holds the transaction.
    """
    others = conn.execute("SELECT lower(name) FROM sqlite_master WHERE type <> 'view'")
    free = _VIEWS.keys() - {name for (name,) in others}
    for name in free:
        conn.execute(f"DROP VIEW IF EXISTS {name}")
    for name in free:
        conn.execute(_VIEWS[name])
