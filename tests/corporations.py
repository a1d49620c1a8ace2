"""Corporations with directors, as killsync knows them once the directors have logged in."""

import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from world import Killsync, Simulator, copy_new_database

from killsync.model import UserKind, UserState
from killsync.store import connection, directors, users


class Company:
    """A corporation of the simulator, and who reads its list.

    `directors` are registered with both scopes, `members` as characters only.
    """

    def __init__(
        self, program: Killsync, characters: list[int], *, members: int = 0, killmails: int = 3
    ) -> None:
        self.program = program
        self.simulator = program.simulator
        self.directors = characters
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


def add_company(program: Killsync, wanted: int = 3, **values: int) -> Company:
    """Make a corporation with so many directors, and register it with all of them."""
    characters = [
        program.simulator.add_character(killmails=0)["character_id"] for _ in range(wanted)
    ]
    company = Company(program, characters, **values)
    if not program.database.exists():
        copy_new_database(program.database)
    tokens = [program.simulator.director_token(one) for one in (*characters, *company.members)]
    program.run("users", "add", given="\n".join(tokens))
    register(program, company.id, company.name, characters)
    return company


def register(program: Killsync, corporation_id: int, name: str, characters: Iterable[int]) -> None:
    """Register a corporation whose directors are registered."""
    with closing(connection.connect(program.database)) as store, store.transaction() as conn:
        users.add(conn, corporation_id, name, time.time(), UserKind.CORPORATION)
        for one in characters:
            directors.add(conn, corporation_id, one)


class CorporateLists(Simulator):
    """A simulator each of whose lists is a corporation's where the test speaks of a character's.

    So a test of how lists are read is one of both kinds. Each has one director, `bosses`, who has
    no killmails.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.__dict__.update(simulator.__dict__)
        self.bosses: dict[int, int] = {}
        self.met = False

    def add_character(self, **values: Any) -> dict[str, Any]:
        boss = super().add_character(killmails=0)
        boss["refresh_token"] = self.director_token(boss["character_id"])
        ids = [boss["character_id"]]
        made = self.add_corporation(members=ids, directors=ids, **values)
        self.bosses[made["corporation_id"]] = boss["character_id"]
        return {"character_id": made["corporation_id"], "name": made["name"]}

    def control(self, path: str, method: str = "GET", **values: Any) -> Any:
        if values.get("shared_with") in self.bosses:
            # their directors met: both corporations list it
            values["character_id"] = self.bosses[values.pop("corporation_id")]
            values["shared_with"] = self.bosses[values["shared_with"]]
            self.met = True
        if values.get("character_id") in self.bosses:
            values["corporation_id"] = values.pop("character_id")
        answer = super().control(path, method, **values)
        if path.startswith("truth"):
            answer["characters"] |= answer["corporations"]
        return answer

    def fault(self, route: str, **values: Any) -> None:
        super().fault("corp_list" if route == "list" else route, **values)

    def log(self, route: str | None = None) -> list[dict[str, Any]]:
        found = super().log("corp_list" if route == "list" else route)
        return [e | {"character_id": e["corporation_id"] or e["character_id"]} for e in found]


class AsCorporations(Killsync):
    """A killsync whose users are corporations; the directors' own lists are not read."""

    def __init__(self, program: Killsync) -> None:
        self.__dict__.update(program.__dict__)
        self.lists = self.simulator = CorporateLists(program.simulator)

    def add_users(self, *, corporation: bool = False) -> None:
        super().add_users(corporation=corporation)
        named = {one["corporation_id"]: one["name"] for one in self.simulator.corporations}
        for corporation_id, boss in self.lists.bosses.items():
            register(self, corporation_id, named[corporation_id], [boss])
        with closing(connection.connect(self.database)) as store, store.transaction() as conn:
            for boss in self.lists.bosses.values():
                users.set_state(conn, boss, UserState.DISABLED)

    def assert_equals_truth(self) -> None:
        if self.lists.met:
            bosses = list(map(str, self.lists.bosses.values()))
            self.run("users", "enable", *bosses)
            self.run("sync", *bosses)
        super().assert_equals_truth()
