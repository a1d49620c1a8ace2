"""Where an item lay, by its flag."""

from collections.abc import Iterable

import pytest

from killsync.killmail.places import RACKS, Place, is_fitted, place_name, place_of, place_order

_FITTED = {*range(11, 35), *range(92, 100), *range(125, 133), *range(164, 172)}


def test_what_is_fitted_lies_in_the_slots_of_a_rack_and_nowhere_else() -> None:
    assert {flag for flag in range(-5, 300) if is_fitted(flag)} == _FITTED


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        (range(11, 19), Place.LOW),
        (range(19, 27), Place.MID),
        (range(27, 35), Place.HIGH),
        (range(92, 100), Place.RIG),
        (range(125, 133), Place.SUBSYSTEM),
        (range(164, 172), Place.SERVICE),
        (range(159, 164), Place.FIGHTER_TUBE),
        ([87], Place.DRONE_BAY),
        ([158], Place.FIGHTER_BAY),
        ([5], Place.CARGO),
        ([89], Place.IMPLANT),
        ([88], Place.BOOSTER),
        ([90], Place.SHIP_HANGAR),
        ([155], Place.FLEET_HANGAR),
        ([179], Place.FRIGATE_ESCAPE),
    ],
)
def test_each_flag_of_the_contract_has_its_place(flags: Iterable[int], place: Place) -> None:
    assert {place_of(flag) for flag in flags} == {place}


@pytest.mark.parametrize("flag", [-1, 175, 188, 10**18])
def test_an_unknown_flag_is_named_by_its_number_and_sorts_last(flag: int) -> None:
    assert place_of(flag) is None
    assert place_name(flag) == f"flag {flag}"
    assert place_order(flag) > max(place_order(known) for known in range(188) if place_of(known))


def test_the_racks_come_in_the_games_order_before_bays_and_holds() -> None:
    flags = [5, 87, 164, 125, 92, 11, 19, 27]
    names = [place_name(flag) for flag in sorted(flags, key=place_order)]
    assert names == [*map(str, RACKS), "Drone bay", "Cargo"]
