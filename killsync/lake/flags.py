"""Whether killmails are solo, npc or awox, for many at once: as the view `kills` says it."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from killsync.killmail.game_ids import (
    NPC_CHARACTERS_UP_TO,
    NPC_CORPORATIONS_UP_TO,
    Category,
    Group,
)

Columns = dict[str, Any]
"""The columns of a table, by name, each a `pyarrow.Array`."""

_NONE = pa.array([0], pa.int32())


def of(killmails: Columns, attackers: Columns, place: Any, reference: Any) -> Columns:
    """Return the columns `solo`, `npc` and `awox` of killmails.

    `place` says of each attacker in which row of `killmails` its own stands. Those of a killmail
    are together, in the order of their `ordinal`. `reference` is a `beside.Reference`.
    """
    types = reference.types
    rows = pa.array(range(len(killmails["killmail_id"])), pa.int32())
    of_killmails = _Counts(rows, place)
    is_player = _above(attackers["character_id"], NPC_CHARACTERS_UP_TO)
    is_theirs = _above(attackers["corporation_id"], NPC_CORPORATIONS_UP_TO)
    is_alone = pc.equal(of_killmails.of(is_player), 1)
    # few attackers are, or are beside, a single player
    is_concerned = is_alone.take(place)
    structures = types.filter(pc.equal(types["category_id"], Category.STRUCTURE))["type_id"]
    is_structure = pc.is_in(attackers["ship_type_id"].filter(is_concerned), value_set=structures)
    by_structure = place.filter(is_concerned).filter(is_structure)
    ship = reference.rows("types", killmails["victim_ship_type_id"])
    group = pc.fill_null(_of_type(types, "group_id", ship), 0)
    is_ship = pc.fill_null(pc.equal(_of_type(types, "category_id", ship), Category.SHIP), False)
    return {
        "solo": _all(
            is_ship,
            _none_of(group, Group.CAPSULE, Group.SHUTTLE, Group.CORVETTE),
            is_alone,
            pc.invert(pc.is_in(rows, value_set=by_structure)),
        ),
        "npc": pc.equal(of_killmails.of(pc.or_(is_player, is_theirs)), 0),
        "awox": _all(
            _none_of(group, Group.CAPSULE, Group.CORVETTE),
            _above(killmails["victim_corporation_id"], NPC_CORPORATIONS_UP_TO),
            _by_another_of_the_same(killmails, attackers, place, rows),
        ),
    }


class _Counts:
    """How many attackers of each killmail something holds for; those of one stand together."""

    def __init__(self, rows: Any, place: Any) -> None:
        runs = pc.run_end_encode(place)
        # of killmails without attackers NULL
        self._run = pc.index_in(rows, value_set=runs.values)
        self._ends = runs.run_ends

    def of(self, mask: Any) -> Any:
        so_far = pa.concat_arrays([_NONE, pc.cumulative_sum(mask.cast(pa.int32()))])
        up_to_end = so_far.take(self._ends)
        before = pa.concat_arrays([_NONE, up_to_end[:-1]])
        return pc.fill_null(pc.subtract(up_to_end, before[: len(up_to_end)]).take(self._run), 0)


def _by_another_of_the_same(killmails: Columns, attackers: Columns, place: Any, rows: Any) -> Any:
    """Return whether the first final blow is of the victim's corporation, and not the victim's."""
    is_final = pc.fill_null(attackers["final_blow"], False)
    # of several equal ones the first is found
    final = pc.index_in(rows, value_set=place.filter(is_final))
    corporation = attackers["corporation_id"].filter(is_final).take(final)
    character = attackers["character_id"].filter(is_final).take(final)
    same = pc.equal(corporation, killmails["victim_corporation_id"])
    victim = killmails["victim_character_id"]
    itself = pc.or_(
        pc.fill_null(pc.equal(character, victim), False),
        pc.and_(pc.is_null(character), pc.is_null(victim)),
    )
    return pc.and_(pc.fill_null(same, False), pc.invert(itself))


def _of_type(types: Any, column: str, place: Any) -> Any:
    return types[column].combine_chunks().take(place)


def _above(ids: Any, limit: int) -> Any:
    """Return whether ids are above a limit; NULL is not."""
    return pc.fill_null(pc.greater(ids, limit), False)


def _none_of(groups: Any, *others: Group) -> Any:
    return pc.invert(pc.is_in(groups, value_set=pa.array(map(int, others), pa.int64())))


def _all(*conditions: Any) -> Any:
    met, *others = conditions
    for other in others:
        met = pc.and_(met, other)
    return met
