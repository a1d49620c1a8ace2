"""What is public of corporations: who is in which today, and what one is called."""

import msgspec

from killsync.simulator import names
from killsync.simulator.caching import published
from killsync.simulator.naming import MOST_IDS, ids_asked
from killsync.simulator.wire import Answer, Request, error, json_answer
from killsync.simulator.world import World

MAX_AGE = 3600


def affiliations(world: World, request: Request) -> Answer:
    """Answer in which corporation each character is; ids of nobody are left out.

    400 for what is no batch.
    """
    ids = ids_asked(request)
    if ids is None or not 1 <= len(ids) <= MOST_IDS or len(set(ids)) != len(ids):
        return error(400, f"Invalid ids: 1 to {MOST_IDS} unique integers are required")
    found = {character_id: world.corporation_of(character_id) for character_id in sorted(ids)}
    return json_answer(
        [
            {"character_id": character_id} | _membership(corporation_id)
            for character_id, corporation_id in found.items()
            if corporation_id is not None
        ],
        headers={"Cache-Control": f"public, max-age={MAX_AGE}"},
    )


def corporation(world: World, request: Request, corporation_id: int, now: float) -> Answer:
    """Answer what a corporation is called; 404 if there is none."""
    name = world.corporation_name(corporation_id)
    if name is None:
        return error(404, "Corporation not found")
    members = world.members(corporation_id)
    founder = min(members, default=1)
    about = {
        "name": name,
        "ticker": "".join(word[0] for word in name.split())[:5].upper(),
        "member_count": len(members),
        "ceo_id": founder,
        "creator_id": founder,
        "tax_rate": 0.1,
    }
    body = msgspec.json.encode(about | _membership(corporation_id))
    return published(request, body, MAX_AGE, now)


def _membership(corporation_id: int) -> dict[str, int]:
    alliance_id = names.alliance_of(corporation_id)
    alliance = {} if alliance_id is None else {"alliance_id": alliance_id}
    return alliance | {"corporation_id": corporation_id}
