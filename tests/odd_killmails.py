"""A killmail of each kind, with hostile names: what every view must answer for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stored import (
    ASTRAHUS,
    CAPSULE,
    CONCORD,
    GURISTAS,
    IBIS,
    JITA,
    RIFTER,
    SHUTTLE,
    THERA,
    TRISTAN,
    attacker,
    body,
    database,
    pilot,
    put,
    set_name,
)

from killsync.model import TypePrice, UserKind
from killsync.store import prices, users
from killsync.store.connection import Store

ME, ALT, CORPORATION = 90_000_001, 90_000_002, 98_000_001
FOE, FRIEND, UNKNOWN, THEIRS = 2_112_000_001, 2_112_000_002, 2_112_000_003, 98_000_002
NPC_PILOT = 3_000_123
TRITANIUM, DAMAGE_CONTROL, CONTAINER, SKIN = 34, 2048, 3465, 900_001
NOW = 1_795_521_600.0  # 2026-11-24T12:00:00Z
Body = dict[str, Any]

FINAL = attacker(FOE, THEIRS, final_blow=True, ship_type_id=TRISTAN, weapon_type_id=2488)
MINE = attacker(ME, CORPORATION, final_blow=True, alliance_id=99_000_001)
HELP = attacker(ALT, CORPORATION, ship_type_id=RIFTER)


def item(type_id: int, flag: int, singleton: int = 0, **more: Any) -> Body:
    return {"item_type_id": type_id, "flag": flag, "singleton": singleton} | more


ITEMS = [
    item(DAMAGE_CONTROL, 11, quantity_destroyed=1),
    item(TRITANIUM, 5, quantity_dropped=7, quantity_destroyed=2),
    item(TRITANIUM, 200, 2, quantity_dropped=2),
    item(SKIN, 5, quantity_dropped=1),
    item(CAPSULE, 90, 1, quantity_destroyed=1),
    item(1, 0, quantity_destroyed=1),
    item(TRITANIUM, 27, quantity_destroyed=-5, quantity_dropped=0),
    item(TRITANIUM, 27),
    item(TRITANIUM, 5, quantity_destroyed=2**63 - 1, quantity_dropped=2**63 - 1),
    item(
        CONTAINER,
        5,
        quantity_destroyed=1,
        items=[item(TRITANIUM, 5, items=[item(TRITANIUM, 0, quantity_dropped=3)])],
    ),
    item(CONTAINER, 179, items=[item(CONTAINER, 0, items=[item(TRITANIUM, 0)])]),
    *(item(TRITANIUM, flag, quantity_dropped=1) for flag in range(-1, 258)),
]


def world() -> list[Body]:
    """Return a killmail of each kind."""
    npc = attacker(None, CONCORD, final_blow=True, ship_type_id=TRISTAN)
    me = pilot(ME, CORPORATION, alliance_id=99_000_001)
    foe = pilot(FOE, THEIRS)
    made: list[tuple[Body, list[Body], Body]] = [
        (me, [FINAL], {}),
        (me, [FINAL, HELP], {"items": ITEMS, "time": "2026-11-24T23:59:59Z"}),
        (me, [FINAL], {"ship": CAPSULE, "time": "2026-11-25T00:00:00Z"}),
        (me, [FINAL], {"ship": SHUTTLE, "system": THERA}),
        (me, [FINAL], {"ship": IBIS, "system": 1}),
        (me, [FINAL, attacker(None, THEIRS, ship_type_id=ASTRAHUS)], {"ship": 1}),
        (pilot(None, CORPORATION), [FINAL], {"ship": ASTRAHUS}),
        (me, [npc], {}),
        (me, [attacker(None, None, final_blow=True, faction_id=GURISTAS)], {}),
        (me, [attacker(NPC_PILOT, CONCORD, final_blow=True, faction_id=GURISTAS)], {}),
        (me, [npc, attacker(UNKNOWN)], {"time": "2003-05-06T00:00:00Z"}),
        (me, [attacker(FRIEND, CORPORATION, final_blow=True)], {}),
        (me, [attacker(ME, CORPORATION, final_blow=True)], {}),
        (me, [HELP], {}),
        (foe, [MINE], {}),
        (foe, [HELP, MINE, attacker(FRIEND, final_blow=True)], {"items": ITEMS[:3]}),
        (foe, [HELP, attacker(FRIEND, CORPORATION, final_blow=True)], {}),
        (pilot(FOE, THEIRS, alliance_id=2**53 + 1, faction_id=GURISTAS), [HELP], {"ship": TRISTAN}),
        (foe, [attacker(UNKNOWN, final_blow=True)], {"items": ITEMS[:2]}),
        (pilot(None), [attacker(None, None, final_blow=True)], {}),
        (pilot(UNKNOWN, CONCORD), [attacker(FRIEND, CONCORD, final_blow=True), MINE], {}),
    ]
    return [
        body(number, victim, attackers, **more)
        for number, (victim, attackers, more) in enumerate(made, 1)
    ]


def set_prices(store: Store, day: str, *, at: float = NOW, **given: float) -> None:
    """Keep the average prices of a day, fetched `at` a time; `t34=1.5`: of type 34."""
    listed = [TypePrice(int(name[1:]), price, None) for name, price in given.items()]
    with store.transaction() as conn:
        prices.record(conn, day, listed, at)


def leave_few_types(store: Store) -> None:
    """Delete most types and systems, which every feed of a new schema would bring."""
    store.conn.execute(
        "DELETE FROM types WHERE type_id >= 1000 AND type_id NOT IN (?, ?, ?)",
        [ASTRAHUS, DAMAGE_CONTROL, CONTAINER],
    )
    store.conn.execute("DELETE FROM systems WHERE system_id NOT IN (?, ?)", [JITA, THERA])
    store.conn.execute(
        f"INSERT INTO types VALUES ({SKIN}, 'A SKIN', 1950, 'Permanent SKIN', 91, 'SKINs')"
    )


@contextmanager
def filled_database(path: Path) -> Iterator[Store]:
    """Yield a new database of two characters and a corporation with all of these killmails."""
    with database(path, {ME: 'Maru "quoted"', ALT: "Alt"}) as store:
        fill(store)
        yield store


def fill(store: Store) -> None:
    """Store killmails of each kind, before there are prices and after it, and odd names."""
    leave_few_types(store)
    with store.transaction() as conn:
        users.add(conn, CORPORATION, "Ours; DROP", NOW, UserKind.CORPORATION)
    killmails = world()
    put(store, killmails[::5])
    set_prices(store, "2026-11-20", t34=2.675, t587=4e5, t2048=0.125, t3465=1234567890123.45)
    set_prices(store, "2026-11-23", t587=4e5, t3465=1e16, t593=0.001)
    put(store, [one for number, one in enumerate(killmails) if number % 5])
    names = {FOE: 'O\'Neil "X"\\\t\r\n{1,2}', FRIEND: "n" * 10_000, THEIRS: "NUL \0 and \u202e"}
    for id_, name in names.items():
        set_name(store, id_, name)
