"""What Datasette's own pages say of the tables and views; docs/sql.md documents their columns."""

from typing import Any

_ABOUT = "Killmails of your own, in a database of your own."
_NOWHERE_ELSE = "Nothing here leaves this machine."
_HIDDEN = (
    "_sqlite_migrations",
    "channels",
    "directors",
    "facts",
    "imports",
    "jobs",
    "outbox",
    "pending_killmails",
    "price_days",
    "rate_limits",
    "removed_killmails",
    "rewritten_killmails",
    "runs",
    "sides",
    "sqlite_sequence",
    "troubles",
    "unnamed_ids",
    "user_killmails",
    "zkb_lists",
)
_KILL = {
    "side": "kill or loss, as the user sees it",
    "role": "victim, final_blow or attacker",
    "time": "UTC, as text; compare it with text of the same form",
    "security": "of the system, to one decimal, as the game shows it",
    "final_blow": "the pilot; empty if it was an NPC",
    "attackers": "how many there were",
    "value": "ISK; empty if nothing has a price",
    "dropped": "ISK of what was left in the wreck",
    "destroyed": "ISK of what was lost for good, the hull too",
    "unpriced": "how many lines have no price, and add nothing to the value",
    "solo": "1 if one player alone did it",
    "npc": "1 if no player took part",
    "awox": "1 if the victim's own corporation did it",
    "origin": "esi, or what it was imported from: everef, zkb, json",
}
_TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "kills": ("One row per user and killmail: side, names, ISK. Start here.", _KILL),
    "losses_by_ship": (
        "What was lost, by ship.",
        {"losses": "how many", "lost": "ISK", "last_lost": "UTC"},
    ),
    "activity_by_day": (
        "Kills and losses of each day (UTC), each killmail once.",
        {"destroyed": "ISK of kills", "lost": "ISK of losses"},
    ),
    "item_lines": (
        "What the victims had with them, with names.",
        {"place": "the slot or hold", "dropped": "how many", "destroyed": "how many"},
    ),
    "attacker_lines": (
        "Who took part, with names, ship and weapon.",
        {"final_blow": "1 for who struck last", "is_player": "0 for an NPC"},
    ),
    "users": (
        "Characters and corporations that are synced.",
        {"state": "active, needs_login, disabled"},
    ),
    "killmails": (
        "Every stored killmail, with the victim's ids.",
        {
            "stored_seq": "rises in the order of storing",
            "origin": "esi, or what it was imported from: everef, zkb, json",
            "hash_source": "who gave the hash: esi, an archive, or nobody: it was computed",
            "extra": "JSON: fields not known here",
        },
    ),
    "attackers": ("Attackers by id, in ESI's order.", {}),
    "items": ("Items by id, in ESI's order.", {"parent": "ordinal of the item it lay in"}),
    "killmail_values": (
        "ISK of each killmail.",
        {"unpriced": "lines without a price", "priced_on": "day of the prices"},
    ),
    "names": ("Players, corporations and alliances.", {"named_at": "when ESI gave it"}),
    "types": ("Ships, modules and everything else, with group and category.", {}),
    "systems": ("Solar systems with security, constellation and region.", {}),
    "factions": ("Factions.", {}),
    "prices": ("The market's prices; the price of a day is the last row up to it.", {}),
}


def metadata(database: str, *, only_here: bool = False) -> dict[str, Any]:
    """Return Datasette's metadata for the database of this name.

    With `only_here` they promise that it is served on this machine alone.
    """
    about = f"{_ABOUT} {_NOWHERE_ELSE}" if only_here else _ABOUT
    tables: dict[str, dict[str, Any]] = {
        name: {"description": text, "columns": columns} for name, (text, columns) in _TABLES.items()
    }
    tables |= {name: {"hidden": True} for name in _HIDDEN}
    tables["kills"] |= {"sort_desc": "time"}
    return {
        "title": "killsync",
        "description": about,
        "databases": {database: {"description": about, "tables": tables}},
    }
