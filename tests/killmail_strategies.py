"""Bodies as ESI's OpenAPI document (compatibility date 2026-07-21) allows them, and beyond it."""

from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

integers = st.integers(-(2**63), 2**63 - 1)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=4,
)
awkward_names = st.sampled_from(["extra", "", "\0", "items", "position", "victim", "self"])


def part(required: dict[str, Strategy], optional: dict[str, Strategy]) -> Strategy:
    """Return JSON objects with absent, null and unknown fields beside the required ones."""
    unknown = (st.text(max_size=8) | awkward_names).filter(
        lambda name: name not in required and name not in optional
    )
    known = st.fixed_dictionaries(
        required, optional={name: st.none() | value for name, value in optional.items()}
    )
    more: Strategy = st.just({}) | st.dictionaries(unknown, values, max_size=2)
    return st.builds(lambda fields, extra: fields | extra, known, more)


def ids(*names: str) -> dict[str, Strategy]:
    return dict.fromkeys(names, integers)


parties = ids("alliance_id", "character_id", "corporation_id", "faction_id")
item_required = ids("item_type_id", "singleton", "flag")
quantities = ids("quantity_destroyed", "quantity_dropped")
items = part(item_required, {**quantities, "items": st.just([])})
for _level in range(3):
    items = part(item_required, {**quantities, "items": st.lists(items, max_size=3)})

positions = part({"x": numbers, "y": numbers, "z": numbers}, {})
victims = part(
    ids("damage_taken", "ship_type_id"),
    {**parties, "items": st.lists(items, max_size=3), "position": positions},
)
attackers = part(
    {"security_status": numbers, "final_blow": st.booleans(), "damage_done": integers},
    {**parties, **ids("ship_type_id", "weapon_type_id")},
)
times = st.builds(
    lambda moment, zone: moment.isoformat() + zone,
    st.datetimes(),
    st.sampled_from(["Z", "+00:00", "-11:30", ""]),
)
bodies = part(
    {
        "killmail_id": integers,
        "killmail_time": times,
        "solar_system_id": integers,
        "victim": victims,
        "attackers": st.lists(attackers, max_size=3),
    },
    ids("moon_id", "war_id"),
)
