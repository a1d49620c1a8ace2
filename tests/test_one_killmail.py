"""`killsync kills ID`: one killmail, whole, as a person, a game client and a program read it."""

import io
import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from typing import Any

import pytest
from eft_reader import read_eft
from hypothesis import given, settings
from in_process import InProcess
from killmail_strategies import bodies
from msgspec.structs import asdict
from terminal import at_terminal
from world import simulator

from killsync.board.killmail import FIRST, compose
from killsync.errors import BodyRejected
from killsync.killmail import body as killmail_body
from killsync.killmail.body import Killmail
from killsync.killmail.sides import Role
from killsync.killmail.value import value
from killsync.store.one_killmail import KnownKillmail, OurUser, StoredValue
from killsync.terminal.killmail_view import show_killmail

LOSS, KILL, BARE, PENDING, ASIDE = 125_000_001, 125_000_002, 125_000_003, 125_000_004, 125_000_005
CROWD = 60
_CRATE = {"item_type_id": 3465, "flag": 5, "singleton": 1, "quantity_dropped": 1}
HOSTILE = "[red]Evil\x1b[5;41m\u202e\r\n[Rifter, x]"


def loss(pilot: int) -> dict[str, Any]:
    def item(type_id: int, flag: int, **more: Any) -> dict[str, Any]:
        return {"item_type_id": type_id, "flag": flag, "singleton": 0} | more

    items = [
        item(34, 5, quantity_destroyed=1_000),
        item(34, 5, quantity_destroyed=500),
        _CRATE | {"items": [item(438, 5, quantity_dropped=2), item(34, 5, quantity_dropped=7)]},
        item(691, 5, quantity_destroyed=1, singleton=2),
        item(2881, 27, quantity_destroyed=1),
        item(178, 27, quantity_dropped=40),
        item(438, 19, quantity_dropped=1),
        item(2046, 11, quantity_destroyed=1),
        item(2454, 87, quantity_dropped=3),
        item(999_999, 175, quantity_dropped=1),
        item(7_000_001, 5, quantity_dropped=1),
    ]
    victim = {"damage_taken": 4_321, "ship_type_id": 587, "character_id": pilot, "items": items}
    attackers = [
        {"damage_done": 1_000, "final_blow": True, "security_status": 0.5, "character_id": 95_001,
         "corporation_id": 98_001, "ship_type_id": 587, "weapon_type_id": 2881},
        {"damage_done": 3_000, "final_blow": False, "security_status": 0, "faction_id": 500_010,
         "ship_type_id": 587},
    ]  # fmt: skip
    return body(LOSS, victim, attackers)


def kill(pilot: int) -> dict[str, Any]:
    attackers = [
        {"damage_done": 10 * (CROWD - n), "final_blow": n == CROWD - 2, "security_status": 0,
         "character_id": 2_112_000_000 + n, "corporation_id": 98_001 + n % 3,
         "ship_type_id": 587 if n % 2 else 24_702}
        for n in range(CROWD)
    ]  # fmt: skip
    attackers[-1]["character_id"] = pilot
    return body(KILL, {"damage_taken": 9, "ship_type_id": 35_832, "items": []}, attackers)


def body(killmail_id: int, victim: Any, attackers: Any) -> dict[str, Any]:
    return {
        "killmail_id": killmail_id,
        "killmail_time": "2026-10-02T03:04:05Z",
        "solar_system_id": 30_000_142,
        "victim": victim,
        "attackers": attackers,
    }


def facts(pilot: int) -> str:
    """Return what names, game data and prices say of these killmails, as SQL."""
    return f"""
    DELETE FROM types; DELETE FROM systems; DELETE FROM prices; DELETE FROM price_days;
    INSERT INTO types VALUES
        (587, 'Rifter', 25, 'Frigate', 6, 'Ship'),
        (24702, 'Hurricane', 419, 'Combat Battlecruiser', 6, 'Ship'),
        (35832, 'Astrahus', 1657, 'Citadel', 65, 'Structure'),
        (34, 'Tritanium', 18, 'Mineral', 4, 'Material'),
        (3465, 'Large Secure Container', 340, 'Secure Cargo Container', 2, 'Celestial'),
        (691, 'Rifter Blueprint', 105, 'Frigate Blueprint', 9, 'Blueprint'),
        (2881, '200mm AutoCannon II', 55, 'Projectile Weapon', 7, 'Module'),
        (178, 'Carbonized Lead S', 83, 'Projectile Ammo', 8, 'Charge'),
        (438, '1MN Afterburner II', 46, 'Propulsion Module', 7, 'Module'),
        (2046, 'Damage Control I', 60, 'Damage Control', 7, 'Module'),
        (2454, 'Hobgoblin I', 100, 'Combat Drone', 18, 'Drone'),
        (7000001, '{HOSTILE}', NULL, NULL, 17, NULL);
    INSERT INTO systems VALUES (30000142, 'Jita', 0.9459, 1, 'Kimotoro', 10000002, 'The Forge');
    INSERT OR REPLACE INTO factions VALUES (500010, 'Guristas Pirates');
    INSERT OR REPLACE INTO names VALUES
        ({pilot}, 'character', 'Mara Tell', NULL), (95001, 'character', '{HOSTILE}', NULL),
        (98001, 'corporation', 'Quiet Corporation', NULL);
    INSERT INTO price_days VALUES ('2026-10-02', '2026-10-02T11:00:00Z');
    INSERT INTO prices VALUES (587, '2026-10-02', 500000, NULL), (34, '2026-10-02', 5, NULL),
        (2881, '2026-10-02', 1200000, NULL), (438, '2026-10-02', 340000, NULL),
        (691, '2026-10-02', 2600000, NULL);
    INSERT OR REPLACE INTO killmail_values VALUES
        ({LOSS}, 500000, 1540000, 687535.01, 1020035, 1707500.01, 2727535.01, 6,
            '2026-10-02'),
        ({KILL}, NULL, NULL, NULL, NULL, NULL, NULL, 1, '2026-10-02'),
        ({BARE}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO pending_killmails (killmail_id, killmail_hash, priority, not_before, set_aside_at,
        error)
    VALUES ({PENDING}, 'a', 3, NULL, NULL, NULL),
        ({ASIDE}, 'b', 3, '2026-12-01T00:00:00Z', '2026-11-01T00:00:00Z', 'killmail_time: missing');
    """


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A synced database of three killmails; it is only read."""
    with simulator(characters=1, killmails=0) as esi:
        pilot = esi.logins[0]["character_id"]
        bare = body(BARE, {"damage_taken": 0, "ship_type_id": 670, "character_id": pilot}, [])
        for killmail in (loss(pilot), kill(pilot), bare):
            number = killmail["killmail_id"]
            esi.add_killmails(pilot, 1, killmail_id=number, body_text=json.dumps(killmail))
        program = InProcess(tmp_path_factory.mktemp("board"), esi)
        program.add_users()
        program.run("scan")
        with closing(sqlite3.connect(program.database)) as conn:
            conn.executescript(facts(pilot))
        yield program


@pytest.fixture
def pilot(board: InProcess) -> int:
    character: int = board.simulator.logins[0]["character_id"]
    return character


def lines(board: InProcess, *arguments: str) -> list[str]:
    return board.run("kills", *arguments).stdout.splitlines()


def after(shown: list[str], start: str) -> list[str]:
    """Return the lines from one that begins with some words on, without blanks around them."""
    first = next(n for n, line in enumerate(shown) if line.strip().startswith(start))
    return [" ".join(line.split()) for line in shown[first:]]


def test_the_first_line_says_side_time_place_and_worth(board: InProcess) -> None:
    assert lines(board, str(LOSS))[0] == (
        f"Loss {LOSS}  2026-10-02 03:04:05 EVE  Jita 0.9 The Forge  -2.7m ISK"
    )
    assert lines(board, str(KILL))[0].startswith(f"Kill {KILL}  ")


def test_victim_ship_and_our_users_are_named(board: InProcess) -> None:
    shown = after(lines(board, str(LOSS)), "Victim")
    name = board.simulator.logins[0]["name"]
    expected = [
        "Victim Mara Tell",
        "Ship Rifter (Frigate)",
        "Damage taken 4,321",
        f"Ours {name} (victim)",
    ]
    assert shown[:4] == expected


def test_the_fit_stands_in_the_games_order_with_charges_below_their_modules(
    board: InProcess,
) -> None:
    shown = after(lines(board, str(LOSS)), "High slots")
    assert shown[:10] == [
        "High slots",
        "- 1 200mm AutoCannon II 1.2m",
        "+ 40 Carbonized Lead S -",
        "Mid slots",
        "+ 1 1MN Afterburner II 340k",
        "Low slots",
        "- 1 Damage Control I -",
        "Drone bay",
        "+ 3 Hobgoblin I -",
        "Cargo",
    ]


def test_the_same_cargo_is_one_line_and_what_a_container_held_is_indented(
    board: InProcess,
) -> None:
    shown = lines(board, str(LOSS))
    cargo = after(shown, "Cargo")
    assert cargo[1:6] == [
        "- 1,500 Tritanium 7.5k",
        "+ 1 Large Secure Container -",
        "+ 2 1MN Afterburner II 680k",
        "+ 7 Tritanium 35",
        "- 1 Rifter Blueprint (copy) 0",
    ]
    container, afterburner = (
        next(line for line in shown if re.search(rf" {quantity} +{name}", line))
        for quantity, name in ((1, "Large Secure"), (2, "1MN Afterburner"))
    )
    assert afterburner.index("1MN") == container.index("Large") + 2


def test_an_unknown_place_and_an_unknown_type_are_shown_by_their_numbers(board: InProcess) -> None:
    assert after(lines(board, str(LOSS)), "flag 175")[:2] == ["flag 175", "+ 1 #999999 -"]


def test_worth_is_broken_down_with_source_and_day_of_the_prices(board: InProcess) -> None:
    assert lines(board, str(LOSS))[-4:] == [
        "hull 500k + fitted 1.5m + cargo 688k = 2.7m",
        "dropped 1m + destroyed 1.7m = 2.7m ISK",
        "ESI's market prices of 2026-10-02; 6 lines without a price",
        f"https://zkillboard.com/kill/{LOSS}/",
    ]


def test_what_has_no_value_is_shown_without_any_number(board: InProcess) -> None:
    unvalued = lines(board, str(BARE))
    assert unvalued[0].endswith("  - ISK")
    assert (
        unvalued[-2]
        == "Not valued yet: a scan does that when it has prices, unless `prices` is off"
    )
    assert lines(board, str(KILL))[-2] == "Nothing of it had a price on 2026-10-02"


def test_attackers_come_by_damage_with_percent_and_the_final_blow_marked(board: InProcess) -> None:
    shown = after(lines(board, str(LOSS)), "2 attackers")
    assert shown[0] == "2 attackers; * final blow"
    assert shown[2] == "- Guristas Pirates - Rifter - 3,000 75.0%"
    assert shown[3].startswith("* ")
    assert shown[3].endswith("Quiet Corporation - Rifter 200mm AutoCannon II 1,000 25.0%")


def test_an_npc_is_named_once_at_any_width(board: InProcess) -> None:
    for columns in (80, 200):
        shown = "\n".join(seen(board, str(LOSS), columns=columns))
        assert shown.count("Guristas Pirates") == 1


def test_where_nobody_had_the_final_blow_no_mark_is_explained(board: InProcess) -> None:
    attackers = [{"damage_done": 1, "final_blow": False, "security_status": 0}]
    killmail = decoded(body(LOSS, {"damage_taken": 1, "ship_type_id": 587}, attackers))
    with redirect_stdout(io.StringIO()) as written:
        show_killmail(compose(known(killmail)), local=False)
    assert "\n1 attacker\n" in written.getvalue()
    assert "final blow" not in written.getvalue()


def test_our_corporation_is_shown_by_itself_amid_a_crowd() -> None:
    attackers = [
        {"damage_done": 100 - n, "final_blow": False, "security_status": 0, "corporation_id": n}
        for n in range(CROWD)
    ]
    killmail = decoded(body(LOSS, {"damage_taken": 1, "ship_type_id": 587}, attackers))
    us = OurUser(CROWD - 1, "Our Corp", Role.ATTACKER)
    shown = compose(known(killmail, us)).shooters
    assert [shooter.corporation for shooter in shown if shooter.ours] == [f"#{CROWD - 1}"]
    assert len(shown) == FIRST + 1


def decoded(body: dict[str, Any]) -> Killmail:
    return killmail_body.decode(json.dumps(body).encode(), body["killmail_id"])


def known(killmail: Killmail, *users: OurUser) -> KnownKillmail:
    return KnownKillmail(killmail, None, {}, {}, {}, None, list(users))


def test_of_a_crowd_the_first_the_final_blow_and_ours_are_shown_the_others_summed_up(
    board: InProcess, pilot: int
) -> None:
    shown = after(lines(board, str(KILL)), f"{CROWD} attackers")
    first = shown[2 : 2 + FIRST]
    assert [line.split()[0] for line in first] == [f"#{2_112_000_000 + n}" for n in range(FIRST)]
    assert shown[2 + FIRST].startswith(f"* #{2_112_000_000 + CROWD - 2} ")
    assert shown[3 + FIRST].startswith("Mara Tell ")
    others = CROWD - FIRST - 2
    by_ship = shown[shown.index(f"{others} others, by ship") + 1 :][:2]
    assert {line.split()[1] for line in by_ship} == {"Rifter", "Hurricane"}
    assert sum(int(line.split()[0]) for line in by_ship) == others
    assert f"{others} others, by corporation" in shown


def test_in_a_pipe_it_is_plain_text_with_whole_names(board: InProcess) -> None:
    done = board.run_forked("kills", str(LOSS), COLUMNS="40")
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
    assert done.stdout.splitlines() == lines(board, str(LOSS))


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_at_a_terminal_every_line_fits_and_no_number_is_cut(board: InProcess, columns: int) -> None:
    shown = seen(board, str(KILL), columns=columns)
    assert max(map(len, shown)) <= columns
    assert any(re.search(r" 600 +\d\.\d%", line) for line in shown)


def test_without_colour_the_marks_still_tell_what_dropped(board: InProcess) -> None:
    coloured = "\n".join(at_terminal(board, "kills", str(LOSS)))
    plain = "\n".join(at_terminal(board, "kills", str(LOSS), NO_COLOR="1"))
    assert "\x1b[32m" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain)
    assert re.search(r"\+ +1 1MN Afterburner II", re.sub(r"\x1b\[[0-9;]*m", "", plain))


def test_a_time_is_local_only_at_a_terminal_that_wants_it(board: InProcess) -> None:
    shown = seen(board, str(LOSS), TZ="Asia/Kolkata", KILLSYNC_TIME_ZONE="local")
    assert "  2026-10-02 08:34:05 +0530  " in shown[0]
    piped = board.run_forked("kills", str(LOSS), TZ="Asia/Kolkata", KILLSYNC_TIME_ZONE="local")
    assert "  2026-10-02 03:04:05 EVE  " in piped.stdout


@pytest.mark.parametrize("form", [[], ["--eft"], ["--dna"]])
def test_hostile_names_reach_no_output(board: InProcess, form: list[str]) -> None:
    text = board.run("kills", str(LOSS), *form).stdout.replace("\n", "")
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Zl", "Zp"}


def test_eft_is_the_fit_and_nothing_else(board: InProcess) -> None:
    categories = {"Hobgoblin I": 18}
    read = read_eft(board.run("kills", str(LOSS), "--eft").stdout.rstrip("\n"), categories)
    assert (read.ship, read.title) == ("Rifter", f"Mara Tell {LOSS}")
    assert read.racks == [
        [("Damage Control I", None)],
        [("1MN Afterburner II", None)],
        [("200mm AutoCannon II", "Carbonized Lead S")],
    ]
    assert read.drones == {"Hobgoblin I": 3}
    assert read.cargo["Tritanium"] == 1_507
    assert read.cargo["1MN Afterburner II"] == 2
    assert read.cargo["Type 999999"] == read.cargo["Type 7000001"] == 1


def test_dna_is_one_line(board: InProcess) -> None:
    assert lines(board, str(LOSS), str(BARE), "--dna") == [
        "587:2881;1:438;1:2046;1:2454;3:178;40::",
        "670::",
    ]


def test_json_is_esis_own(board: InProcess, pilot: int) -> None:
    shown = [json.loads(line) for line in lines(board, str(KILL), str(LOSS), "--json")]
    assert shown == [kill(pilot), loss(pilot)]


@pytest.mark.parametrize("form", [[], ["--eft"], ["--json"]])
def test_one_that_is_not_stored_is_one_line_and_2(board: InProcess, form: list[str]) -> None:
    done = board.run("kills", "17", *form, exit_code=2)
    assert done.stdout == ""
    expected = "killsync: killmail 17: not stored, and no character's list has shown it\n"
    assert done.stderr == expected


def test_one_that_is_pending_or_set_aside_is_said_to_be(board: InProcess) -> None:
    done = board.run("kills", str(PENDING), str(ASIDE), exit_code=2)
    pending, aside = done.stderr.splitlines()
    assert "pending, and fetched at the next run" in pending
    assert "set aside (killmail_time: missing): `killsync retry`" in aside


def test_of_several_those_that_are_stored_are_shown_each_once_in_order(board: InProcess) -> None:
    asked = [str(number) for number in (KILL, 17, LOSS, KILL)]
    done = board.run("kills", *asked, exit_code=2)
    heads = [line.split()[1] for line in done.stdout.splitlines() if line[:4] in ("Kill", "Loss")]
    assert heads == [str(KILL), str(LOSS)]
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([str(LOSS), "--eft", "--dna"], "--eft and --dna: give one of them"),
        ([str(LOSS), "--csv"], "--csv is for a list"),
        (["--eft"], "name a killmail too"),
        (["12x"], "'12x' is not the id of a killmail"),
        (["9" * 40], "is not the id of a killmail"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_in_a_line(
    board: InProcess, arguments: list[str], said: str
) -> None:
    done = board.run("kills", *arguments, exit_code=2)
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def seen(board: InProcess, *arguments: str, **more: Any) -> list[str]:
    """Return the lines that `kills` shows at a terminal, without colour."""
    shown = at_terminal(board, "kills", *arguments, **more)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown]


class _Constant(dict[int, float]):
    def __missing__(self, key: int) -> float:
        return 1.0

    def get(self, key: int, default: Any = None) -> float:
        return 1.0


_ONE_ISK_EACH = _Constant()


@settings(max_examples=50, deadline=None)
@given(generated=bodies)
def test_whatever_esi_sends_can_be_read_and_its_lines_add_up_to_its_value(
    generated: dict[str, Any],
) -> None:
    try:
        raw = json.dumps(generated).encode()
        killmail = killmail_body.decode(raw, generated["killmail_id"])
    except BodyRejected:
        return
    worth = value(killmail, {}, _ONE_ISK_EACH)
    row = StoredValue(**asdict(worth), priced_on="2026-10-02", source="esi-markets-prices")
    shown = compose(KnownKillmail(killmail, None, {}, {}, _ONE_ISK_EACH, row, []))
    assert shown.attackers == len(killmail.attackers)
    assert all(0 <= shooter.share <= 1 for shooter in shown.shooters)
    carried = sum(len(section.lines) for section in shown.sections)
    assert (carried > 0) == bool(killmail.victim.items)
    lines = [line.isk or 0 for section in shown.sections for line in section.lines]
    assert sum(lines, shown.hull_isk or 0) == pytest.approx(worth.total, rel=1e-9)
