"""Notes to tell, made up for tests."""

from typing import Any

from killsync.killmail.sides import Side
from killsync.outbox.notes import KillNote, TroubleKind, TroubleNote
from killsync.store.kills import Kill

HOSTILE = "@everyone <b>**x**</b> https://evil.example :skull: <@&1>"


def kill(killmail_id: int = 126440215, **values: Any) -> Kill:
    """Return a loss of Ada's, unless `values` say something else."""
    usual: dict[str, Any] = {
        "time": "2026-11-26T21:03:44Z",
        "side": Side.LOSS,
        "users": ["Ada Vale"],
        "user_ids": [2112000001],
        "victim": "Ada Vale",
        "victim_id": 2112000001,
        "victim_corporation": "Vale Salvage",
        "victim_corporation_id": 98000001,
        "victim_alliance": None,
        "victim_alliance_id": None,
        "ship": "Vagabond",
        "ship_id": 11999,
        "ship_group": "Heavy Assault Cruiser",
        "ship_group_id": 358,
        "system": "Tama",
        "system_id": 30002813,
        "security": 0.3,
        "region": "The Citadel",
        "region_id": 10000033,
        "final_blow": "Bo Kade",
        "final_blow_id": 2112000009,
        "final_blow_corporation": "Kade Freight",
        "final_blow_corporation_id": 98000009,
        "final_blow_ship": "Sabre",
        "final_blow_ship_id": 22456,
        "attackers": 5,
        "value": 342_100_000.0,
        "dropped": 100_000_000.0,
        "destroyed": 242_100_000.0,
        "unpriced": 0,
        "solo": False,
        "npc": False,
        "awox": False,
        "url": f"https://zkillboard.com/kill/{killmail_id}/",
        "origin": "esi",
    }
    return Kill(killmail_id=killmail_id, **usual | values)


def won(killmail_id: int = 126440216, **values: Any) -> Kill:
    """Return a kill of Ada's."""
    usual: dict[str, Any] = {
        "side": Side.KILL,
        "victim": "Bo Kade",
        "victim_id": 2112000009,
        "victim_corporation": "Kade Freight",
        "final_blow": "Ada Vale",
        "final_blow_id": 2112000001,
        "final_blow_corporation": "Vale Salvage",
        "final_blow_ship": "Vagabond",
        "ship": "Sabre",
        "value": 91_000_000.0,
    }
    return kill(killmail_id, **usual | values)


LOST = KillNote(kill())
WON = KillNote(won())
NEEDS_LOGIN = TroubleNote(
    TroubleKind.NEEDS_LOGIN,
    "its login no longer works: log in again with `killsync login`",
    "Ada Vale",
    "2026-11-26T21:00:00Z",
)
