"""What a killmail is worth: each rule by table, and that the parts add up whatever a body holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killmail_strategies import bodies

from killsync.killmail.body import Killmail, decode
from killsync.killmail.value import Value, value
from killsync.model import ItemType

REAL = Path(__file__).parent.parent.parent / "shared" / "esi" / "killmails.jsonl"
RIFTER, GUN, AMMO, SKIN, CAPSULE = 587, 484, 178, 46000, 670
TYPES = {
    RIFTER: ItemType(RIFTER, "Rifter", 25, "Frigate", 6, "Ship"),
    GUN: ItemType(GUN, "125mm Gatling AutoCannon I"),
    SKIN: ItemType(SKIN, "Rifter Kador SKIN", 1950, "Permanent SKIN", 91, "SKINs"),
    CAPSULE: ItemType(CAPSULE, "Capsule", 29, "Capsule", 6, "Ship"),
}
PRICES = {RIFTER: 500_000.0, GUN: 1000.25, AMMO: 0.5, SKIN: 3e8, CAPSULE: 7.0}
HULL = PRICES[RIFTER]
HUGE = 2**63 - 1


def item(type_id: int = GUN, flag: int = 5, **fields: Any) -> dict[str, Any]:
    return {"item_type_id": type_id, "flag": flag, "singleton": 0} | fields


def lost(*items: dict[str, Any], ship: int = RIFTER) -> Killmail:
    victim = {"damage_taken": 1, "ship_type_id": ship, "items": list(items)}
    body = {"killmail_id": 1, "killmail_time": "2026-11-24T03:00:00Z", "solar_system_id": 30000142}
    return decode(json.dumps(body | {"victim": victim, "attackers": []}).encode(), 1)


def worth(*items: dict[str, Any], ship: int = RIFTER) -> Value:
    return value(lost(*items, ship=ship), TYPES, PRICES)


def assert_adds_up(found: Value) -> None:
    if found.total is None:
        assert found == Value(None, None, None, None, None, None, found.unpriced)
        return
    assert found.hull is not None
    assert found.fitted is not None
    assert found.cargo is not None
    assert found.dropped is not None
    assert found.destroyed is not None
    by_place = found.hull + found.fitted + found.cargo
    assert round(by_place, 2) == round(found.total, 2) == round(found.dropped + found.destroyed, 2)
    assert min(found.hull, found.fitted, found.cargo, found.dropped) >= 0
    assert found.destroyed >= found.hull


def test_a_bare_hull_is_destroyed() -> None:
    assert worth() == Value(HULL, 0, 0, 0, HULL, HULL, 0)


@pytest.mark.parametrize("flag", [11, 18, 19, 27, 34, 92, 99, 125, 132, 164, 171])
def test_what_lies_in_a_slot_is_fitted(flag: int) -> None:
    found = worth(item(flag=flag, quantity_destroyed=1), item(AMMO, flag, quantity_dropped=100))
    assert (found.fitted, found.cargo) == (1050.25, 0)


@pytest.mark.parametrize("flag", [0, 5, 10, 35, 87, 89, 90, 91, 100, 124, 133, 155, 159, 163, 172])
def test_what_lies_elsewhere_is_cargo(flag: int) -> None:
    found = worth(item(flag=flag, quantity_destroyed=1))
    assert (found.fitted, found.cargo) == (0, 1000.25)


@pytest.mark.parametrize("flag", [HUGE, -HUGE, -1, 999])
def test_a_flag_of_no_known_place_is_cargo(flag: int) -> None:
    assert worth(item(flag=flag, quantity_destroyed=1)).cargo == 1000.25


def test_dropped_and_destroyed_are_told_apart() -> None:
    found = worth(item(quantity_destroyed=2, quantity_dropped=3))
    assert (found.dropped, found.destroyed) == (3000.75, HULL + 2000.5)


def test_equal_rows_count_once_each() -> None:
    assert worth(*[item(quantity_destroyed=1)] * 3).cargo == 3000.75


def test_a_row_in_another_item_counts_too_and_is_cargo_whatever_slot_it_lies_in() -> None:
    inner = item(flag=27, quantity_dropped=1)
    found = worth(item(RIFTER, flag=90, quantity_destroyed=1, items=[inner]))
    assert (found.fitted, found.cargo, found.dropped) == (0, HULL + 1000.25, 1000.25)


def test_the_escape_bay_is_worth_nothing_with_all_that_lies_in_it() -> None:
    inside = [item(flag=27, quantity_destroyed=1), item(1, flag=11, quantity_dropped=1)]
    found = worth(item(RIFTER, flag=179, quantity_destroyed=1, items=inside))
    assert found == worth()


def test_a_blueprint_copy_is_worth_a_cent() -> None:
    found = worth(item(singleton=2, quantity_dropped=5), item(1, singleton=2, quantity_dropped=1))
    assert (found.dropped, found.unpriced) == (0.06, 0)


def test_an_assembled_item_is_no_blueprint_copy() -> None:
    assert worth(item(singleton=1, quantity_dropped=1)).dropped == 1000.25


def test_a_skin_is_worth_a_cent_whatever_the_market_says() -> None:
    assert worth(item(SKIN, quantity_destroyed=1)).cargo == 0.01


def test_a_capsule_is_worth_ten_thousand_whatever_the_market_says() -> None:
    assert worth(ship=CAPSULE).total == 10_000


def test_rows_without_a_price_are_counted_and_add_nothing() -> None:
    found = worth(item(1, quantity_destroyed=9), item(2, 27, quantity_dropped=9), item(3), ship=4)
    assert found == Value(None, None, None, None, None, None, 4)
    found = worth(item(1, quantity_destroyed=9), item(quantity_destroyed=1))
    assert found == Value(HULL, 0, 1000.25, 0, HULL + 1000.25, HULL + 1000.25, 1)


@pytest.mark.parametrize("price", [0.0, -5.0, 1e300, float("inf"), float("nan")])
def test_a_price_that_cannot_be_one_is_none(price: float) -> None:
    assert value(lost(), {}, {RIFTER: price}).unpriced == 1


@pytest.mark.parametrize("quantity", [{}, {"quantity_dropped": 0}, {"quantity_dropped": -HUGE}])
def test_an_absent_or_negative_quantity_is_none(quantity: dict[str, int]) -> None:
    assert worth(item(**quantity)) == worth()


def test_prices_are_rounded_to_the_cent_before_they_are_multiplied() -> None:
    found = value(lost(item(quantity_dropped=1000)), {}, {RIFTER: 1.0, GUN: 0.333333})
    assert found.dropped == 330


def test_the_greatest_quantities_add_up() -> None:
    found = worth(
        *[item(quantity_destroyed=HUGE, quantity_dropped=HUGE - 1)] * 3,
        item(AMMO, 27, quantity_destroyed=HUGE),
    )
    assert_adds_up(found)
    assert found.total == pytest.approx((6 * 1000.25 + 0.5) * 2.0**63)


prices = st.floats(0.01, 1e13) | st.floats(allow_nan=True)


@given(bodies, st.data())
@settings(max_examples=60)
def test_parts_add_up_whatever_a_body_holds(body: Any, data: st.DataObject) -> None:
    killmail = decode(json.dumps(body).encode(), body["killmail_id"])
    occurring = {killmail.victim.ship_type_id, *item_types(body["victim"])}
    priced = data.draw(st.dictionaries(st.sampled_from(sorted(occurring)), prices))
    assert_adds_up(value(killmail, TYPES, priced))


def item_types(carrier: dict[str, Any]) -> list[int]:
    """Return the types of all rows in a victim or an item."""
    inside: list[dict[str, Any]] = carrier.get("items") or []
    return [t for i in inside for t in (i["item_type_id"], *item_types(i))]


quantities = st.dictionaries(
    st.sampled_from(["quantity_destroyed", "quantity_dropped"]),
    st.integers(0, 10**7) | st.integers(-(2**63), HUGE),
)
carried = st.lists(
    st.builds(
        lambda type_id, flag, singleton, amounts: item(
            type_id, flag, singleton=singleton, **amounts
        ),
        st.sampled_from([RIFTER, GUN, AMMO, SKIN, 1]),
        st.sampled_from([5, 11, 27, 92, 179]),
        st.integers(0, 2),
        quantities,
    )
)


@given(carried, st.dictionaries(st.sampled_from([RIFTER, GUN, AMMO]), st.floats(0.001, 1e12)))
@settings(max_examples=100)
def test_parts_add_up_whatever_is_carried(items: list[Any], priced: dict[int, float]) -> None:
    assert_adds_up(value(lost(*items), TYPES, priced))


@pytest.mark.skipif(not REAL.exists(), reason="no real killmails at hand")
def test_parts_of_real_killmails_add_up() -> None:
    for number, line in enumerate(REAL.read_text().splitlines()):
        entry = json.loads(line)
        killmail = decode(json.dumps(entry["body"]).encode(), entry["killmail_id"])
        occurring = {killmail.victim.ship_type_id, *item_types(entry["body"]["victim"])}
        priced = {t: (t * 7919 + number) % 10**11 / 100 for t in occurring if t % 10}
        found = value(killmail, TYPES, priced)
        assert_adds_up(found)
        assert found.total is not None
