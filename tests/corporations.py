"""A corporation with directors, as killsync knows it once they have logged in."""

import time
from contextlib import closing
from typing import Any

from world import Killsync, copy_new_database

from killsync.model import UserKind
from killsync.store import connection, directors, users


class Company:
    """A corporation of the simulator whose directors are registered, each with both scopes.

    `members` are registered as characters only.
    """

    def __init__(
        self, program: Killsync, names: list[int], *, members: int = 0, killmails: int = 3
    ) -> None:
        self.program = program
        self.simulator = program.simulator
        self.directors = names
        self.members = [
            self.simulator.add_character(killmails=0)["character_id"] for _ in range(members)
        ]
        made = self.simulator.add_corporation(
            members=[*self.directors, *self.members],
            directors=self.directors,
            killmails=killmails,
        )
        self.id: int = made["corporation_id"]
        self.name: str = made["name"]

    def polls(self) -> list[int]:
        """Return by whom the corporation's list was read, in order."""
        return [one["character_id"] for one in self.requests() if one["status"] in (200, 304)]

    def requests(self) -> list[dict[str, Any]]:
        """Return what was asked of the corporation's list."""
        return [e for e in self.simulator.log("corp_list") if e["corporation_id"] == self.id]


def add_company(program: Killsync, directors_wanted: int = 3, **values: int) -> Company:
    """Make a corporation with so many directors, and register it with all of them."""
    characters = [
        program.simulator.add_character(killmails=0)["character_id"]
        for _ in range(directors_wanted)
    ]
    company = Company(program, characters, **values)
    if not program.database.exists():
        copy_new_database(program.database)
    tokens = [program.simulator.director_token(one) for one in (*characters, *company.members)]
    program.run("users", "add", given="\n".join(tokens))
    with closing(connection.connect(program.database)) as store, store.transaction() as conn:
        users.add(conn, company.id, company.name, time.time(), UserKind.CORPORATION)
        for one in characters:
            directors.add(conn, company.id, one)
    return company
