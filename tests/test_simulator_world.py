"""The simulated game itself: what is fitted where, who flies what, where and when."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from killsync.simulator import Options, catalogue, names, places
from killsync.simulator.bodies import make_body
from killsync.simulator.fits import FITS, WEAPONS
from killsync.simulator.habits import HOUR, Calendar, habits_of
from killsync.simulator.world import World

NOW = 1_790_000_000.0
START = 1_780_000_000 // HOUR * HOUR

LOW, MID, HIGH = range(11, 19), range(19, 27), range(27, 35)
RIG, SUBSYSTEM, SERVICE = range(92, 100), range(125, 129), range(164, 172)
SLOTS = {*LOW, *MID, *HIGH, *RIG, *SUBSYSTEM, *SERVICE}
HOLDS = {5, 90, 133, 134, 155}


@cache
def played() -> tuple[World, list[dict[str, Any]]]:
    world = World(Options(characters=3, killmails=300), NOW)
    return world, [make_body(1, killmail) for killmail in world.killmails.values()]


def bodies() -> list[dict[str, Any]]:
    return played()[1]


def test_what_happens_every_minute_happens_to_each_character_now() -> None:
    world = World(Options(characters=2, killmails=3, shared=0, new_every=60), NOW)
    world.play_on(NOW + 59)
    assert [len(one.listed) for one in world.characters.values()] == [3, 3]
    world.play_on(NOW + 150)
    for character in world.characters.values():
        *_, first, second = character.listed
        assert len(character.listed) == 5
        assert NOW + 60 <= first.killmail_time <= NOW + 75
        assert NOW + 120 <= second.killmail_time <= NOW + 135


def test_the_final_blow_does_damage_and_the_victim_takes_that_of_all() -> None:
    for body in bodies():
        attackers = body["attackers"]
        assert all(one["damage_done"] > 0 for one in attackers if one["final_blow"])
        assert body["victim"]["damage_taken"] == sum(one["damage_done"] for one in attackers) > 0


def items(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in body["victim"].get("items", []):
        yield item
        yield from item.get("items", [])


def places_of(type_id: int) -> set[int]:
    """Return where the game lets a type lie."""
    if type_id in catalogue.SUBSYSTEMS:
        return {*SUBSYSTEM}
    if type_id in catalogue.MODULES:
        return {*SLOTS} - {*SUBSYSTEM} | HOLDS
    if type_id in catalogue.CHARGES:
        return {*MID, *HIGH} | HOLDS
    if type_id in catalogue.DRONES:
        return {87, 158, *range(159, 164)}
    if type_id in catalogue.IMPLANTS:
        return {89}
    if type_id in catalogue.BOOSTERS:
        return {88}
    if type_id in catalogue.SHIPS:
        return {90, 179}
    return {172, 180} | HOLDS


def test_things_lie_only_where_the_game_lets_them_lie() -> None:
    for body in bodies():
        for item in items(body):
            assert item["flag"] in places_of(item["item_type_id"]), item


def test_each_slot_holds_one_module_and_its_charge() -> None:
    for body in bodies():
        fitted = [i for i in body["victim"].get("items", []) if i["flag"] in SLOTS]
        modules = Counter(i["flag"] for i in fitted if i["item_type_id"] not in catalogue.CHARGES)
        assert set(modules.values()) <= {1}
        charges = Counter(i["flag"] for i in fitted if i["item_type_id"] in catalogue.CHARGES)
        assert set(charges.values()) <= {1}
        assert charges.keys() <= modules.keys()


def test_every_kind_of_thing_occurs() -> None:
    lines = [item for body in bodies() for item in items(body)]
    flags = {item["flag"] for item in lines}
    for kind in ({5}, {87}, {88}, {89}, {90}, {134}, {155}, {158}, {172}, {179}, {180}):
        assert kind <= flags
    for slots in (LOW, MID, HIGH, RIG, SUBSYSTEM, SERVICE, range(159, 164)):
        assert flags & {*slots}
    assert any(item["singleton"] == 2 for item in lines)
    assert any(item["item_type_id"] in catalogue.SKINS for item in lines)
    assert any("items" in item for item in lines)
    for table in (catalogue.SHIPS, catalogue.STRUCTURES, catalogue.DEPLOYABLES):
        assert any(body["victim"]["ship_type_id"] in table for body in bodies())


def test_every_table_of_fits_names_types_of_the_catalogue() -> None:
    assert FITS.keys() >= catalogue.STRUCTURES.keys()
    for type_id, fit in FITS.items():
        assert {fitted.type_id for fitted in fit} <= catalogue.TYPES.keys()
        flags = [fitted.flag for fitted in fit if fitted.flag in SLOTS]
        assert len(flags) == len(set(flags)), catalogue.TYPES[type_id]
    assert len(catalogue.ID_OF) == len(catalogue.TYPES)


def test_attackers_fight_with_what_their_ship_carries() -> None:
    for body in bodies():
        for attacker in body["attackers"]:
            if "weapon_type_id" in attacker and "ship_type_id" in attacker:
                ship = attacker["ship_type_id"]
                assert attacker["weapon_type_id"] in (WEAPONS[ship] or [ship])


def test_nobody_attacks_twice_or_himself() -> None:
    for body in bodies():
        pilots = [a["character_id"] for a in body["attackers"] if "character_id" in a]
        assert len(pilots) == len(set(pilots))
        assert body["victim"].get("character_id") not in pilots


def test_a_pilot_flies_few_hulls_and_lives_in_few_systems() -> None:
    world, all_bodies = played()
    for character_id in world.characters:
        habits = habits_of(1, character_id)
        assert 4 <= len(habits.hulls) <= 6
        mine = [body for body in all_bodies if character_id in pilots(body)]
        at_home = [b for b in mine if b["solar_system_id"] in habits.systems]
        assert len(at_home) > 0.7 * len(mine)
        lost = Counter(
            b["victim"]["ship_type_id"]
            for b in mine
            if b["victim"].get("character_id") == character_id
        )
        assert sum(lost[hull] for hull in habits.hulls) > 0.7 * lost.total()


def pilots(body: dict[str, Any]) -> set[int | None]:
    return {body["victim"].get("character_id")} | {a.get("character_id") for a in body["attackers"]}


def test_solo_kills_and_losses_to_npcs_and_to_friends_occur() -> None:
    world, all_bodies = played()
    for character_id in world.characters:
        mine = [body for body in all_bodies if character_id in pilots(body)]
        assert any(is_solo(b) for b in mine if b["victim"].get("character_id") != character_id)
        assert any(pilots(b) == {character_id, None} for b in mine)
    assert any(is_awox(body) for body in all_bodies)


def is_solo(body: dict[str, Any]) -> bool:
    return [a.get("character_id") is None for a in body["attackers"]] == [False]


def is_awox(body: dict[str, Any]) -> bool:
    corporation = body["victim"]["corporation_id"]
    return corporation >= names.CORPORATION_BASE and any(
        a["final_blow"] and "character_id" in a and a["corporation_id"] == corporation
        for a in body["attackers"]
    )


def test_every_kind_of_space_occurs() -> None:
    systems = {body["solar_system_id"] for body in bodies()}
    for space in (
        places.HIGH_SECURITY,
        places.LOW_SECURITY,
        places.NULL_SECURITY,
        places.WORMHOLES,
        places.POCHVEN,
        places.ABYSS,
    ):
        assert systems & space.keys()


@given(
    st.integers(0, 5),
    st.lists(st.integers(-HOUR, 25 * 24 * HOUR), min_size=1, max_size=30),
)
def test_times_never_fall_as_ids_rise(seed: int, offsets: list[int]) -> None:
    calendar = Calendar(seed, START, 24 * 24)
    times = [calendar.time(offset) for offset in sorted(offsets)]
    assert times == sorted(times)
    assert START - HOUR <= times[0] <= times[-1] <= START + 25 * 24 * HOUR


def test_most_is_played_in_the_evening_and_on_some_days() -> None:
    world, _ = played()
    times = [datetime.fromtimestamp(k.killmail_time, UTC) for k in world.killmails.values()]
    evening = [time for time in times if 17 <= time.hour < 24]
    assert len(evening) > len(times) / 2
    weekdays = Counter(time.weekday() for time in times)
    assert max(weekdays.values()) > 4 * min(weekdays.values())


def test_a_world_follows_from_its_seed() -> None:
    world, all_bodies = played()
    again = World(Options(characters=3, killmails=300), NOW)
    assert again.killmails == world.killmails
    assert [make_body(1, killmail) for killmail in again.killmails.values()] == all_bodies
    other = World(Options(characters=3, killmails=300, seed=2), NOW)
    assert other.killmails.keys() != world.killmails.keys()


def test_everything_in_killmails_has_a_name() -> None:
    world, all_bodies = played()
    assert all(world.name(i) for body in all_bodies for i in mentioned(body))


def mentioned(value: Any) -> Iterator[int]:
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if isinstance(part, list | dict):
            yield from mentioned(part)
        elif str(key).endswith("_id") and key not in ("killmail_id", "moon_id", "war_id"):
            yield part
