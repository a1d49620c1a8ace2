"""The peer that killsync's storing is compared with: sqlite-utils, in two journal modes.

`python peer_storing.py METHOD DATABASE LINES` stores the killmails of a file, each line an id, a
hash and a body, and prints the CPU seconds. It knows the tables, but imports nothing of killsync.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

STORED_AT = "2026-09-21T13:33:20Z"
COLUMNS = {
    "killmails": "killmail_id killmail_hash hash_ok stored_seq stored_at killmail_time"
    " solar_system_id moon_id war_id victim_damage_taken victim_ship_type_id victim_alliance_id"
    " victim_character_id victim_corporation_id victim_faction_id victim_x victim_y victim_z"
    " attacker_count item_count",
    "attackers": "killmail_id ordinal damage_done final_blow security_status alliance_id"
    " character_id corporation_id faction_id ship_type_id weapon_type_id",
    "items": "killmail_id ordinal parent item_type_id flag singleton quantity_destroyed"
    " quantity_dropped item_count",
}

Row = tuple[Any, ...]
Body = dict[str, Any]


def killmail_row(body: Body, killmail_hash: str, seq: int) -> Row:
    victim = body["victim"]
    position, items = victim.get("position", {}), victim.get("items")
    return (
        body["killmail_id"], killmail_hash, 1, seq, STORED_AT, body["killmail_time"],
        body["solar_system_id"], body.get("moon_id"), body.get("war_id"), victim["damage_taken"],
        victim["ship_type_id"], victim.get("alliance_id"), victim.get("character_id"),
        victim.get("corporation_id"), victim.get("faction_id"), position.get("x"),
        position.get("y"), position.get("z"), len(body["attackers"]),
        None if items is None else len(items),
    )  # fmt: skip


def attacker_rows(body: Body) -> list[Row]:
    killmail_id = body["killmail_id"]
    return [
        (
            killmail_id, n, a["damage_done"], a["final_blow"], a["security_status"],
            a.get("alliance_id"), a.get("character_id"), a.get("corporation_id"),
            a.get("faction_id"), a.get("ship_type_id"), a.get("weapon_type_id"),
        )
        for n, a in enumerate(body["attackers"])
    ]  # fmt: skip


def item_rows(body: Body) -> list[Row]:
    killmail_id = body["killmail_id"]
    rows: list[Row] = []

    def add(items: Sequence[Body], parent: int | None) -> None:
        for item in items:
            n, inside = len(rows), item.get("items")
            rows.append(
                (
                    killmail_id, n, parent, item["item_type_id"], item["flag"], item["singleton"],
                    item.get("quantity_destroyed"), item.get("quantity_dropped"),
                    None if inside is None else len(inside),
                )
            )  # fmt: skip
            if inside:
                add(inside, n)

    add(body["victim"].get("items", ()), None)
    return rows


def store_with_sqlite_utils(
    database: str, lines: list[list[bytes]], journal_mode: str = "delete"
) -> None:
    """Store one killmail at a time, table by table, as sync tools commonly do."""
    from sqlite_utils import Database

    names = {table: columns.split() for table, columns in COLUMNS.items()}
    db = Database(database)
    db.execute(f"PRAGMA journal_mode = {journal_mode}")
    for seq, (_, killmail_hash, raw) in enumerate(lines, 1):
        body = json.loads(raw)
        rows = {
            "killmails": [killmail_row(body, killmail_hash.decode(), seq)],
            "attackers": attacker_rows(body),
            "items": item_rows(body),
        }
        for table, columns in names.items():
            db.table(table).insert_all(dict(zip(columns, row, strict=True)) for row in rows[table])
    db.close()


METHODS: dict[str, Callable[[str, list[list[bytes]]], None]] = {
    "sqlite-utils": store_with_sqlite_utils,
    "sqlite-utils-in-wal": partial(store_with_sqlite_utils, journal_mode="wal"),
}


def main() -> None:
    method, database, lines_file = sys.argv[1:]
    lines = [line.split(b" ", 2) for line in Path(lines_file).read_bytes().splitlines()]
    started = time.process_time()
    METHODS[method](database, lines)
    sys.stdout.write(f"{time.process_time() - started}\n")


if __name__ == "__main__":
    main()
