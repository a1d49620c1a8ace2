"""The views for people who use SQL: what each column says of killmails made by hand."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from stored import (
    ASTRAHUS,
    CAPSULE,
    CONCORD,
    GURISTAS,
    IBIS,
    RIFTER,
    SHUTTLE,
    THERA,
    TRISTAN,
    attacker,
    body,
    database,
    empty,
    pilot,
    put,
    row,
    rows,
    set_name,
    set_value,
)

from killsync.board.killmail import compose
from killsync.store import one_killmail
from killsync.store.connection import Store

ME, ALT, OURS = 90_000_001, 90_000_002, 98_000_001
FOE, FRIEND, THEIRS = 2_112_000_001, 2_112_000_002, 98_000_002
NPC_PILOT = 3_000_123

Body = dict[str, Any]


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("views") / "killsync.db"
    with database(path, {ME: "Maru", ALT: "Alt"}) as store:
        for id_, name in ((ME, "Maru"), (FOE, "Foe"), (OURS, "Our Corp"), (THEIRS, "Their Corp")):
            set_name(store, id_, name)
        yield store


@pytest.fixture
def store(module_store: Store) -> Store:
    """A database with users, names and game data, and no killmail."""
    empty(module_store)
    return module_store


def loss(*attackers: Body, **more: Any) -> Body:
    return body(7, pilot(ME, OURS), list(attackers), **more)


def kill(*attackers: Body, **more: Any) -> Body:
    return body(7, pilot(FOE, THEIRS), [attacker(ME, OURS, final_blow=True), *attackers], **more)


FOES = attacker(FOE, THEIRS, final_blow=True, ship_type_id=TRISTAN)
OURS_SHOOT = attacker(FRIEND, OURS, final_blow=True)
NPC = attacker(None, CONCORD, final_blow=True, ship_type_id=TRISTAN)
FACTION = attacker(None, None, final_blow=True, faction_id=GURISTAS)
HELP = attacker(FRIEND, THEIRS)
STRUCTURE = attacker(None, THEIRS, ship_type_id=ASTRAHUS)
NPC_WITH_ID = attacker(NPC_PILOT, CONCORD)


@pytest.mark.parametrize(
    ("killmail", "solo", "npc", "awox"),
    [
        (loss(FOES), 1, 0, 0),
        (kill(), 1, 0, 0),
        (loss(FOES, HELP), 0, 0, 0),
        (loss(FOES, NPC_WITH_ID), 1, 0, 0),
        (loss(FOES, STRUCTURE), 0, 0, 0),
        (loss(FOES, ship=CAPSULE), 0, 0, 0),
        (loss(FOES, ship=SHUTTLE), 0, 0, 0),
        (loss(FOES, ship=IBIS), 0, 0, 0),
        (loss(FOES, ship=ASTRAHUS), 0, 0, 0),
        (loss(FOES, ship=1), 0, 0, 0),
        (loss(NPC), 0, 1, 0),
        (loss(FACTION), 0, 1, 0),
        (loss(NPC, NPC_WITH_ID), 0, 1, 0),
        (loss(NPC, attacker(None, THEIRS)), 0, 0, 0),
        (loss(NPC, HELP), 1, 0, 0),
        (loss(OURS_SHOOT), 1, 0, 1),
        (loss(OURS_SHOOT, ship=SHUTTLE), 0, 0, 1),
        (loss(OURS_SHOOT, ship=CAPSULE), 0, 0, 0),
        (loss(OURS_SHOOT, ship=IBIS), 0, 0, 0),
        (loss(attacker(ME, OURS, final_blow=True)), 1, 0, 0),
        (loss(FOES, attacker(FRIEND, OURS)), 0, 0, 0),
        (body(7, pilot(ME, CONCORD), [attacker(FOE, CONCORD, final_blow=True)]), 1, 0, 0),
        (body(7, pilot(ME), [attacker(FOE, final_blow=True)]), 1, 0, 0),
        (loss(attacker(FOE, OURS)), 1, 0, 0),
        (body(7, pilot(None, OURS), [attacker(ME, OURS, final_blow=True)], ship=ASTRAHUS), 0, 0, 1),
    ],
)
def test_solo_npc_and_awox(store: Store, killmail: Body, solo: int, npc: int, awox: int) -> None:
    put(store, [killmail])
    assert rows(store, "SELECT solo, npc, awox FROM kills") == [(solo, npc, awox)]


def test_who_what_and_where(store: Store) -> None:
    put(store, [loss(FOES, HELP)])
    set_value(store, 7, 1.5e9)
    found = row(store, "SELECT * FROM kills")
    expected = {"user_id": ME, "user": "Maru", "side": "loss", "role": "victim"}
    expected |= {"killmail_id": 7, "time": "2026-11-23T20:15:00Z", "attackers": 2}
    expected |= {"victim": "Maru", "victim_id": ME, "victim_corporation": "Our Corp"}
    expected |= {"victim_corporation_id": OURS, "victim_alliance": None}
    expected |= {"ship": "Rifter", "ship_id": RIFTER, "ship_group": "Frigate"}
    expected |= {"system": "Jita", "security": 0.9, "region": "The Forge"}
    expected |= {"final_blow": "Foe", "final_blow_id": FOE, "final_blow_ship": "Tristan"}
    expected |= {"final_blow_corporation": "Their Corp", "final_blow_corporation_id": THEIRS}
    expected |= {"value": 1.5e9, "url": "https://zkillboard.com/kill/7/", "origin": "esi"}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("security", "shown"),
    [(0.04, 0.1), (0.001, 0.1), (0.0, 0.0), (-0.04, 0.0), (-0.99, -1.0), (0.449, 0.4), (0.45, 0.5)],
)
def test_security_is_what_the_game_shows(store: Store, security: float, shown: float) -> None:
    put(store, [loss(FOES, system=THERA)])
    store.conn.execute("UPDATE systems SET security = ? WHERE system_id = ?", [security, THERA])
    (found,) = rows(store, "SELECT security FROM kills")
    assert repr(found[0]) == repr(shown)


@pytest.mark.parametrize(
    ("final", "named"),
    [
        (NPC, (None, None, "CONCORD", CONCORD, "Tristan")),
        (FACTION, (None, None, "Guristas Pirates", GURISTAS, None)),
        (
            attacker(NPC_PILOT, CONCORD, final_blow=True, faction_id=GURISTAS),
            (None, None, "CONCORD", CONCORD, None),
        ),
        (
            attacker(None, THEIRS, final_blow=True, ship_type_id=ASTRAHUS),
            (None, None, "Their Corp", THEIRS, "Astrahus"),
        ),
    ],
)
def test_of_a_final_blow_without_a_player_corporation_and_ship_are_its_own(
    store: Store, final: Body, named: tuple[Any, ...]
) -> None:
    put(store, [loss(HELP, final)])
    columns = "final_blow, final_blow_id, final_blow_corporation, final_blow_corporation_id"
    assert rows(store, f"SELECT {columns}, final_blow_ship FROM kills") == [named]


def test_of_two_final_blows_the_first_counts(store: Store) -> None:
    put(store, [loss(HELP, FOES, attacker(FRIEND, THEIRS, final_blow=True))])
    assert rows(store, "SELECT final_blow_id, attackers FROM kills") == [(FOE, 3)]


def test_a_killmail_without_a_final_blow_is_there(store: Store) -> None:
    put(store, [loss(HELP)])
    columns = "side, final_blow_id, final_blow_corporation_id, final_blow_ship, awox"
    assert rows(store, f"SELECT {columns} FROM kills") == [("loss", None, None, None, 0)]


def test_a_user_who_is_listed_but_does_not_appear_has_no_row(store: Store) -> None:
    put(store, [loss(FOES)])
    store.conn.execute("INSERT INTO user_killmails (user_id, killmail_id) VALUES (?, 7)", [ALT])
    assert rows(store, "SELECT user FROM kills") == [("Maru",)]
    assert rows(store, "SELECT killmail_id, is_loss FROM sides") == [(7, 1)]


def test_two_of_ours_have_a_row_each_and_the_killmail_one_side(store: Store) -> None:
    shot = attacker(ALT, OURS, final_blow=True)
    put(store, [loss(shot), body(8, pilot(FOE), [shot, attacker(ME, OURS)])])
    assert rows(store, "SELECT killmail_id, user, side, role FROM kills ORDER BY 1, 2") == [
        (7, "Alt", "kill", "final_blow"),
        (7, "Maru", "loss", "victim"),
        (8, "Alt", "kill", "final_blow"),
        (8, "Maru", "kill", "attacker"),
    ]
    assert rows(store, "SELECT killmail_id, is_loss FROM sides ORDER BY 1") == [(7, 1), (8, 0)]


def test_losses_by_ship_and_activity_by_day_count_each_killmail_once(store: Store) -> None:
    shot = attacker(ALT, OURS, final_blow=True)
    put(
        store,
        [
            loss(shot),
            body(8, pilot(ME), [shot], time="2026-11-24T00:00:00Z"),
            body(9, pilot(FOE), [shot, attacker(ME)], time="2026-11-24T23:59:59Z"),
            body(10, pilot(FOE), [FOES], time="2026-11-24T23:59:59Z"),
        ],
    )
    for killmail_id, value in ((7, 10.0), (8, None), (9, 5.0), (10, 1000.0)):
        set_value(store, killmail_id, value)
    assert rows(store, "SELECT ship, losses, lost, last_lost FROM losses_by_ship") == [
        ("Rifter", 2, 10.0, "2026-11-24T00:00:00Z")
    ]
    assert rows(store, "SELECT * FROM activity_by_day ORDER BY day") == [
        ("2026-11-23", 0, 1, 0.0, 10.0),
        ("2026-11-24", 1, 1, 5.0, None),
    ]


ITEMS: list[Body] = [
    {"item_type_id": 2048, "flag": 11, "singleton": 0, "quantity_destroyed": 1},
    {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 7},
    {"item_type_id": 34, "flag": 200, "singleton": 2, "quantity_dropped": 2},
    {
        "item_type_id": 3465,
        "flag": 5,
        "singleton": 0,
        "quantity_destroyed": 1,
        "items": [{"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_destroyed": 3}],
    },
    {"item_type_id": CAPSULE, "flag": 90, "singleton": 1, "quantity_destroyed": 1},
    {"item_type_id": 34, "flag": 179, "singleton": 0, "quantity_destroyed": 9},
]


def test_item_lines_say_place_price_and_value(store: Store) -> None:
    put(store, [loss(FOES, items=ITEMS)])
    # 2048: the price before the day counts; 34: an average of nothing is none
    prices: list[tuple[Any, ...]] = [(2048, "2026-11-01", 5e5, 1.0), (2048, "2026-11-21", 9e9, 1.0)]
    prices += [(34, "2026-11-20", 0.0, 4.5), (CAPSULE, "2026-11-01", 77.0, None)]
    store.conn.executemany("INSERT OR REPLACE INTO prices VALUES (?, ?, ?, ?)", prices)
    columns = "place, type, parent, dropped, destroyed, price, value"
    set_value(store, 7, 1.0)
    assert rows(store, f"SELECT {columns} FROM item_lines ORDER BY ordinal") == [
        ("Low slots", "Damage Control II", None, 0, 1, 5e5, 5e5),
        ("Cargo", "Tritanium", None, 7, 0, 4.5, 31.5),
        ("flag 200", "Tritanium", None, 2, 0, 0.01, 0.02),
        ("Cargo", "Large Secure Container", None, 0, 1, None, None),
        ("Inside", "Tritanium", 3, 0, 3, 4.5, 13.5),
        ("Ship maintenance bay", "Capsule", None, 0, 1, 10000.0, 10000.0),
        ("Frigate escape bay", "Tritanium", None, 0, 9, 0.0, 0.0),
    ]
    set_value(store, 7, None)
    assert set(rows(store, "SELECT price, value FROM item_lines")) == {(None, None)}


TYPES = st.sampled_from([2048, 34, 3465, CAPSULE, RIFTER, 1])


def item_lists(inside: st.SearchStrategy[list[Body]]) -> st.SearchStrategy[list[Body]]:
    items = st.fixed_dictionaries(
        {
            "item_type_id": TYPES,
            "flag": st.sampled_from([0, 5, 11, 27, 90, 92, 179, 179, 200]),
            "singleton": st.integers(0, 2),
        },
        optional={
            "quantity_dropped": st.integers(-5, 10**6),
            "quantity_destroyed": st.integers(-5, 10**6),
            "items": inside,
        },
    )
    return st.lists(items, max_size=4)


def thousandths(most: int) -> st.SearchStrategy[float]:
    return st.integers(0, most).map(lambda number: number / 1000)


@given(
    items=item_lists(item_lists(item_lists(st.just([])))),
    prices=st.dictionaries(TYPES, thousandths(3000) | thousandths(10**12)),
)
@example(items=[ITEMS[-1] | {"items": [ITEMS[3]]}], prices={34: 2.675, 3465: 1.0})
@example(items=[ITEMS[3] | {"items": [ITEMS[-1]]}], prices={34: 2.675, 3465: 1.0})
@example(items=[ITEMS[1]], prices={34: 0.125})
@example(items=[ITEMS[1]], prices={34: 0.005})
@example(items=[ITEMS[1] | {"quantity_destroyed": -9}], prices={34: 1.0})
@settings(max_examples=60)
def test_item_lines_and_the_lines_of_kills_add_up_to_the_value(
    module_store: Store, items: list[Body], prices: dict[int, float]
) -> None:
    empty(module_store)
    conn = module_store.conn
    conn.execute("DELETE FROM prices")
    # each example has a day of its own, for what a day's prices are is kept
    day = rows(module_store, "SELECT date('2026-01-01', count(*) || ' days') FROM price_days")[0][0]
    conn.execute("INSERT INTO price_days VALUES (?, '2026-11-24T00:00:00Z')", [day])
    conn.executemany(
        "INSERT INTO prices VALUES (?, ?, ?, NULL)",
        [(type_id, day, p) for type_id, p in prices.items()],
    )
    put(module_store, [loss(FOES, items=items, time=f"{day}T20:00:00Z")])
    (value,) = rows(module_store, "SELECT hull, total, unpriced FROM killmail_values")
    (lines,) = rows(
        module_store, "SELECT sum(value), coalesce(sum(price IS NULL), 0) FROM item_lines"
    )
    hull, total, unpriced = value
    # beyond it the parts are whole ISK
    assume(total is None or total < 2**43)
    assert lines[1] + (not hull) == unpriced
    assert (lines[0] or 0.0) + (hull or 0.0) == pytest.approx(total or 0.0, rel=1e-9)
    known = one_killmail.read(conn, 7)
    assert known is not None
    shown = compose(known)
    isk = [line.isk for section in shown.sections for line in section.lines]
    assert sum(one or 0.0 for one in isk) == pytest.approx(lines[0] or 0.0, rel=1e-9)
    assert (None in isk) == bool(lines[1])
    assert shown.hull_isk == (hull or None)


def test_attacker_lines_name_everybody(store: Store) -> None:
    put(store, [loss(FOES, NPC_WITH_ID, FACTION, attacker(None, THEIRS, alliance_id=5))])
    columns = "pilot, corporation, faction, ship, is_player, final_blow"
    assert rows(store, f"SELECT {columns} FROM attacker_lines ORDER BY ordinal") == [
        ("Foe", "Their Corp", None, "Tristan", 1, 1),
        (None, "CONCORD", None, None, 0, 0),
        (None, None, "Guristas Pirates", None, 0, 1),
        (None, "Their Corp", None, None, 0, 0),
    ]


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("SELECT * FROM kills ORDER BY time DESC LIMIT 20", ["killmails_time"]),
        ("SELECT * FROM kills WHERE time >= '2026' ORDER BY time", ["killmails_time"]),
        ("SELECT * FROM kills WHERE killmail_id = 7", ["k USING INTEGER PRIMARY KEY"]),
        ("SELECT * FROM item_lines WHERE killmail_id = 7", ["i USING PRIMARY KEY"]),
        ("SELECT * FROM item_lines WHERE time >= '2026'", ["killmails_time", "i USING PRIMARY"]),
        ("SELECT * FROM attacker_lines WHERE killmail_id = 7", ["a USING PRIMARY KEY"]),
        ("SELECT count(*) FROM sides", ["COVERING INDEX user_killmails_killmail"]),
        (
            "SELECT * FROM kills JOIN item_lines USING (killmail_id) WHERE kills.time >= '2026'",
            ["killmails_time", "i USING PRIMARY KEY"],
        ),
    ],
)
def test_what_people_ask_is_found_by_an_index(store: Store, query: str, steps: list[str]) -> None:
    plan = [step for *_, step in rows(store, f"EXPLAIN QUERY PLAN {query}")]
    for step in steps:
        assert any(step in line for line in plan), plan
    whole = {f"SCAN {table}" for table in ("k", "u", "i", "a", "users")}
    assert whole.isdisjoint(plan), plan
