"""The three tables that leave for other engines: their columns and what these hold.

They are the database's, by their names, so that what is known of it holds there too. Every table
carries `stored_seq`. Where a column is named after an id, as `victim_character_name` is, it is the
name that was known when the killmail left.
"""

from enum import Enum, auto

import msgspec


class Kind(Enum):
    """What a column holds; each engine has a type for it. All may be NULL where the source is."""

    INTEGER = auto()  # 64 bits
    DOUBLE = auto()
    BOOLEAN = auto()
    TEXT = auto()
    TIME = auto()  # a moment, in UTC, to the second
    DAY = auto()
    JSON = auto()  # kept as text where an engine has no type for it


class Column(msgspec.Struct, frozen=True):
    """A column of the database that leaves as it is."""

    name: str
    kind: Kind = Kind.INTEGER


KILLMAILS = (
    Column("killmail_id"),
    Column("killmail_hash", Kind.TEXT),
    Column("hash_ok", Kind.BOOLEAN),
    Column("stored_seq"),
    Column("stored_at", Kind.TIME),
    Column("killmail_time", Kind.TIME),
    Column("solar_system_id"),
    Column("moon_id"),
    Column("war_id"),
    Column("victim_alliance_id"),
    Column("victim_character_id"),
    Column("victim_corporation_id"),
    Column("victim_faction_id"),
    Column("victim_damage_taken"),
    Column("victim_ship_type_id"),
    Column("victim_x", Kind.DOUBLE),
    Column("victim_y", Kind.DOUBLE),
    Column("victim_z", Kind.DOUBLE),
    Column("attacker_count"),
    Column("item_count"),
    Column("origin", Kind.TEXT),
    Column("hash_source", Kind.TEXT),
    Column("extra", Kind.JSON),
)
VALUES = (
    Column("hull", Kind.DOUBLE),
    Column("fitted", Kind.DOUBLE),
    Column("cargo", Kind.DOUBLE),
    Column("dropped", Kind.DOUBLE),
    Column("destroyed", Kind.DOUBLE),
    Column("total", Kind.DOUBLE),
    Column("unpriced"),
    Column("priced_on", Kind.DAY),
)
"""Those of `killmail_values`, which leave in the row of the killmail."""
ATTACKERS = (
    Column("killmail_id"),
    Column("stored_seq"),
    Column("ordinal"),
    Column("alliance_id"),
    Column("character_id"),
    Column("corporation_id"),
    Column("faction_id"),
    Column("damage_done"),
    Column("final_blow", Kind.BOOLEAN),
    Column("security_status", Kind.DOUBLE),
    Column("ship_type_id"),
    Column("weapon_type_id"),
    Column("extra", Kind.JSON),
)
ITEMS = (
    Column("killmail_id"),
    Column("stored_seq"),
    Column("ordinal"),
    Column("parent"),
    Column("item_type_id"),
    Column("flag"),
    Column("singleton"),
    Column("quantity_destroyed"),
    Column("quantity_dropped"),
    Column("item_count"),
    Column("extra", Kind.JSON),
)
REMOVED = (
    Column("removed_seq"),
    Column("killmail_id"),
    Column("stored_seq"),
    Column("removed_at", Kind.TIME),
)
TABLES: dict[str, tuple[Column, ...]] = {
    "killmails": KILLMAILS + VALUES,
    "attackers": ATTACKERS,
    "items": ITEMS,
}
"""The columns of each table that has rows of killmails."""
HASH = "killmail_hash"
"""The column that leaves only with `--with-hash`."""
