"""Registering corporations beside their directors: by login, by refresh token, and refusals.

Logins and tokens themselves are in `test_login` and `test_users`.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from world import Killsync

Start = Callable[..., Killsync]
Members = Callable[..., tuple[Killsync, int, str]]
URL = re.compile(r"(http\S+authorize\S+)")
HOSTILE = "[red]Bad[/red]\x1b]0;x\x07\n\u202e" + "x" * 10_000


@pytest.fixture
def members(killsync: Start) -> Members:
    """Make a killsync without users, and a corporation of characters who are directors."""

    def make(
        characters: int = 1, *, name: str = "Some Holdings", **options: Any
    ) -> tuple[Killsync, int, str]:
        program = killsync(users=False, characters=characters, killmails=2, shared=0, **options)
        ids = [login["character_id"] for login in program.simulator.logins]
        corporation = program.simulator.add_corporation(members=ids, directors=ids, name=name)
        return program, corporation["corporation_id"], corporation["name"]

    return make


def users(program: Killsync) -> list[tuple[Any, ...]]:
    return program.rows("SELECT user_id, kind, name, state FROM users ORDER BY kind, user_id")


def directors(program: Killsync) -> list[tuple[int, int]]:
    return program.rows("SELECT corporation_id, character_id FROM directors ORDER BY 1, 2")


def add(program: Killsync, *tokens: str, exit_code: int = 0, **environment: str) -> Any:
    given = "".join(f"{token}\n" for token in tokens)
    words = ("users", "add", "--corporation")
    return program.run(*words, given=given, exit_code=exit_code, **environment)


def test_a_token_of_a_director_registers_its_corporation_beside_it(members: Members) -> None:
    program, corporation, name = members()
    (login,) = program.simulator.logins
    done = add(program, program.simulator.director_token(login["character_id"]))
    assert done.stdout == (
        f"line 1: added {login['name']} ({login['character_id']}); "
        f"added {name} ({corporation}), with director {login['name']}\n"
    )
    assert users(program) == [
        (login["character_id"], "character", login["name"], "active"),
        (corporation, "corporation", name, "active"),
    ]
    assert directors(program) == [(corporation, login["character_id"])]
