"""Which users a word on the command line names: by id, by name, by the beginning of a name."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from new_store import new_store
from world import Killsync

from killsync.cli.find_users import find_users
from killsync.errors import UsageError
from killsync.model import UserKind
from killsync.store import users
from killsync.store.connection import Store

NOW = 1_800_000_000.0
NAMES = {
    1: "Aino Halla",
    2: "Aino Virtanen",
    3: "Aino",
    4: "Zed Quux",
    5: "Åsa Öberg",
    6: "ÅSA ÖSTLUND",
    7: "Straße Nord",
    8: "100% Sure",
    9: "100_ Sure",
    10: 'O\'Brien "Bob"',
    11: "'; DROP TABLE users; --",
    12: "90210 Hills",
    13: "\x1b[5;41mPWNED",
    14: "Илья Муромец",
    90210: "Numbered",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path / "killsync.db")) as store:
        for user_id, name in NAMES.items():
            users.add(store.conn, user_id, name, NOW)
        yield store


def found(store: Store, *words: str) -> list[int]:
    return [user.user_id for user in find_users(store, list(words))]


def refusal(store: Store, word: str) -> str:
    with pytest.raises(UsageError) as raised:
        find_users(store, [word])
    text = str(raised.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    ("word", "user_id"),
    [
        ("4", 4),
        ("90210", 90210),
        ("Aino", 3),
        ("aINO", 3),
        ("aino halla", 1),
        ("Aino H", 1),
        ("AINO v", 2),
        ("Z", 4),
        ("zed quux", 4),
        ("åsa öb", 5),
        ("ÅSA ÖB", 5),
        ("Åsa ÖS", 6),
        ("A\u030asa O\u0308b", 5),
        ("ИЛЬЯ", 14),
        ("илья муромец", 14),
        ("STRASSE", 7),
        ("100%", 8),
        ("100_", 9),
        ("o'brien", 10),
        ("O'Brien \"", 10),
        ("'; drop", 11),
        ("90210 ", 12),
        ("\x1b[5", 13),
        ("num", 90210),
    ],
)
def test_a_word_names_a_user_by_id_by_name_or_by_a_beginning_of_one_name(
    store: Store, word: str, user_id: int
) -> None:
    assert found(store, word) == [user_id]


def test_a_user_that_is_named_in_several_ways_is_found_once(store: Store) -> None:
    assert found(store, "Zed", "4", "ZED QUUX", "aino h") == [4, 1]


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("Ain", ("Aino (3)", "Aino Halla (1)", "Aino Virtanen (2)")),
        ("aino ", ("Aino Halla (1)", "Aino Virtanen (2)")),
        ("åsa", ("Åsa Öberg (5)", "ÅSA ÖSTLUND (6)")),
        ("100", ("100% Sure (8)", "100_ Sure (9)")),
    ],
)
def test_the_beginning_of_several_names_is_refused_with_these(
    store: Store, word: str, named: tuple[str, ...]
) -> None:
    assert refusal(store, word) == f"{word!r} begins the names of several users: {', '.join(named)}"


def test_a_corporation_is_found_by_id_and_by_name(store: Store) -> None:
    users.add(store.conn, 98000001, "Blood Holdings", NOW, UserKind.CORPORATION)
    assert found(store, "98000001") == found(store, "blood") == [98000001]


def test_a_character_and_a_corporation_of_one_name_are_told_apart(store: Store) -> None:
    users.add(store.conn, 98000001, "ZED QUUX", NOW, UserKind.CORPORATION)
    assert refusal(store, "zed quux") == (
        "'zed quux' matches several users; use an id: 4 (the character), 98000001 (the corporation)"
    )
    assert refusal(store, "zed") == (
        "'zed' begins the names of several users: "
        "Zed Quux (4, a character), ZED QUUX (98000001, a corporation)"
    )


def test_of_many_names_with_the_same_beginning_a_few_are_shown(store: Store) -> None:
    for number in range(50):
        users.add(store.conn, 1000 + number, f"Pilot {number:02}", NOW)
    text = refusal(store, "pilot")
    assert text.count("Pilot ") == 5
    assert text.endswith("Pilot 04 (1004), ...")


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("ino Halla", "Aino Halla"),
        ("Aino Hala", "Aino Halla"),
        ("Quux", "Zed Quux"),
        ("åsa öbreg", "Åsa Öberg"),
        ("virtanan", "Aino Virtanen"),
        ("Ainoo", "Aino"),
        ("Aino*", "Aino"),
    ],
)
def test_of_a_slip_the_nearest_name_is_shown(store: Store, word: str, nearest: str) -> None:
    assert refusal(store, word) == f"no user {word!r}; the nearest is {nearest!r}"


def test_of_a_slip_in_an_id_the_nearest_id_is_shown(store: Store) -> None:
    users.add(store.conn, 90000001, "Far Off", NOW)
    assert refusal(store, "90000009") == ("no user '90000009'; the nearest is 90000001, 'Far Off'")


@pytest.mark.parametrize(
    "word",
    ["nobody", "999", "", " ", "%", "_", "A%", "*", "*no*", "x" * 100_000, "\u202e", "9" * 5000],
    ids=lambda word: repr(word[:9]),
)
def test_of_a_word_that_is_near_no_name_none_is_shown(store: Store, word: str) -> None:
    text = refusal(store, word)
    assert text.startswith("no user ")
    assert text.endswith("; `killsync users` lists them")
    assert len(text) < 200


def test_an_argument_that_is_not_utf_8_names_nobody(killsync: Callable[..., Killsync]) -> None:
    program = killsync(characters=1, killmails=0)
    done = program.run("sync", os.fsdecode(b"\xff\xfe"), exit_code=2)
    assert "no user" in done.stderr


def test_a_beginning_is_enough_for_every_command(killsync: Callable[..., Killsync]) -> None:
    program = killsync(users=False)
    for name in ("Aino Halla", "Zed Quux"):
        program.simulator.add_character(name=name, killmails=1)
    program.add_users()
    program.run("sync", "aino")
    assert len(program.export("--user", "AINO H")) == 1
    assert "Zed" not in program.run("status", "--user", "ai").stdout
    for command in ("disable", "enable"):
        program.run("users", command, "ai")
    program.run("users", "remove", "ai", "--yes")
    assert program.rows("SELECT name FROM users") == [("Zed Quux",)]
